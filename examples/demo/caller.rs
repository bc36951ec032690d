//! A workload that calls the key-management service all the time with the token that it read last.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::reader::Mounted;
use crate::{Error, Result};

/// How often it calls.
const EVERY: Duration = Duration::from_millis(200);
/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Calls until a call fails. Dropping it ends that.
pub struct Caller {
    failure: watch::Receiver<Option<String>>,
    task: JoinHandle<()>,
}

/// Where it calls.
struct Service {
    http: reqwest::Client,
    url: String,
    instance: String,
}

// === impl Caller ===

impl Caller {
    /// Begins as soon as there is a token.
    pub fn start(kms: &str, instance: &str, mounted: watch::Receiver<Mounted>) -> Result<Self> {
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
        let service = Service { http, url: format!("{kms}/api/v2/keys"), instance: instance.to_owned() };
        let (failed, failure) = watch::channel(None);
        let task = tokio::spawn(async move {
            let error = service.call_on_and_on(mounted).await;
            failed.send_replace(Some(error.to_string()));
        });
        Ok(Self { failure, task })
    }

    /// Returns when a call has failed.
    pub async fn failed(&self) -> Error {
        let mut failure = self.failure.clone();
        match failure.wait_for(Option::is_some).await {
            Ok(failure) => failure.as_deref().unwrap_or_default().into(),
            Err(error) => error.into(),
        }
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.task.abort();
    }
}

// === impl Service ===

impl Service {
    async fn call_on_and_on(&self, mut mounted: watch::Receiver<Mounted>) -> Error {
        if let Err(error) = mounted.wait_for(|mounted| !mounted.tokens.is_empty()).await {
            return error.into();
        }
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let now = mounted.borrow().clone();
            if let Err(error) = self.call(now.file("authorization")).await {
                let left = now.seconds_left();
                return format!("a call of the key-management service, with {left:.1} s left of the token: {error}")
                    .into();
            }
        }
    }

    async fn call(&self, authorization: &str) -> Result<()> {
        let call = self.http.get(&self.url).header("Authorization", authorization);
        let answer = call.header("Bluemix-Instance", &self.instance).send().await?;
        if answer.status().is_success() {
            answer.bytes().await?;
            return Ok(());
        }
        Err(format!("{} {}", answer.status(), answer.text().await?).into())
    }
}
