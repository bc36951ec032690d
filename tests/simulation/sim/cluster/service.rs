//! The client of one replica or user: requests that go through the weather to the cluster.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use http::{Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use k8s_openapi::jiff::fmt::rfc2822;
use kube::client::Body as Sent;
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::Cluster;
use super::delivery::Stream;
use super::failure::Failure;
use super::request::{Answer, Request};
use super::weather::{Act, Fate, Refusal, Weather};

type Body = UnsyncBoxBody<Bytes, io::Error>;
type Outcome = Result<Response<Body>, io::Error>;

/// A client named `who`. Its requests go on when it no longer waits for them, as they do on a network.
pub fn client(cluster: &Cluster, who: &str, weather: Arc<dyn Weather>) -> kube::Client {
    let (cluster, who) = (cluster.clone(), Arc::<str>::from(who));
    let service = tower::service_fn(move |request: http::Request<Sent>| {
        let line = Line { cluster: cluster.clone(), who: Arc::clone(&who), weather: Arc::clone(&weather) };
        line.call(request)
    });
    kube::Client::new(service, "default")
}

/// The way from one client to the cluster.
#[derive(Clone)]
struct Line {
    cluster: Cluster,
    who: Arc<str>,
    weather: Arc<dyn Weather>,
}

// === impl Line ===

impl Line {
    fn call(self, request: http::Request<Sent>) -> BoxFuture<'static, Outcome> {
        async move {
            let request = self.weather.alter(Request::read(request).await.map_err(io::Error::other)?);
            let request = Arc::new(request);
            let fate = self.weather.request(&self.who, &request);
            let (answer, answered) = oneshot::channel();
            tokio::spawn(self.clone().take(Arc::clone(&request), fate, answer));
            // Where nobody answers, nothing ever comes.
            let Ok(outcome) = answered.await else { return std::future::pending().await };
            let code = outcome.as_ref().map_or(0, |response| response.status().as_u16());
            self.weather.answered(&self.who, &request, code).await;
            outcome
        }
        .boxed()
    }

    /// What becomes of a request that is under way.
    async fn take(self, request: Arc<Request>, fate: Fate, answer: oneshot::Sender<Outcome>) {
        pause(fate.before).await;
        if let Act::Refuse(refusal) = fate.act {
            pause(fate.after).await;
            let _ = answer.send(refuse(refusal));
            return;
        }
        if !self.weather.arrives(&self.who, &request) {
            return;
        }
        let outcome = match fate.act {
            Act::Hang { take: false } | Act::Refuse(_) => return,
            Act::Hang { take: true } => {
                self.cluster.answer(&self.who, &request);
                return;
            }
            Act::TakeAndLose(refusal) => {
                self.cluster.answer(&self.who, &request);
                refuse(refusal)
            }
            Act::Take => Ok(self.respond(&request)),
        };
        pause(fate.after).await;
        let _ = answer.send(outcome);
    }

    fn respond(&self, request: &Request) -> Response<Body> {
        let mut response = self.answer(request);
        let date = rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&self.cluster.now());
        if let Some(date) = date.ok().and_then(|date| date.try_into().ok()) {
            response.headers_mut().insert(http::header::DATE, date);
        }
        response
    }

    fn answer(&self, request: &Request) -> Response<Body> {
        match self.cluster.answer(&self.who, request) {
            Answer::Object(code, body) => response(code, whole(body)),
            Answer::Watch(watch) => {
                let stream = Stream::new(watch, Arc::clone(&self.who), Arc::clone(&self.weather));
                let frames = futures::stream::unfold(stream, async |mut stream| {
                    let next = stream.next().await?;
                    Some((next.map(http_body::Frame::data), stream))
                });
                response(StatusCode::OK, StreamBody::new(frames.fuse()).boxed_unsync())
            }
        }
    }
}

async fn pause(time: Duration) {
    if !time.is_zero() {
        sleep(time).await;
    }
}

fn whole(body: Bytes) -> Body {
    Full::new(body).map_err(|never: Infallible| match never {}).boxed_unsync()
}

fn response(code: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    response
}

fn refuse(refusal: Refusal) -> Outcome {
    match refusal {
        Refusal::Broken => Err(io::Error::new(io::ErrorKind::ConnectionReset, "simulated: the connection broke")),
        Refusal::Status { code, retry_after } => {
            let failure = Failure::other(code, retry_after);
            let mut response = response(failure.code(), whole(failure.body()));
            if let Some(seconds) = retry_after {
                response.headers_mut().insert(http::header::RETRY_AFTER, seconds.into());
            }
            Ok(response)
        }
    }
}
