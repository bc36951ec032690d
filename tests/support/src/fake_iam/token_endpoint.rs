//! `POST /identity/token`: checks the request, lets faults happen, issues the token.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{HeaderName, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::answer;
use super::claims::{self, Making};
use super::fault::{Fault, RetryAfter};
use super::form::Form;
use super::problem::Problem;
use super::profiles::{self, Comer};
use super::record::Ticket;
use super::request;
use super::server::{Answer, Body, Connection};
use super::signing::random_hex;
use super::state::State;
use super::tables::{Account, Entitled, key_id};

/// Exchange of an API key.
pub(crate) const GRANT_API_KEY: &str = "urn:ibm:params:oauth:grant-type:apikey";
/// Exchange of a compute resource's token for one of a trusted profile.
pub(crate) const GRANT_CR_TOKEN: &str = "urn:ibm:params:oauth:grant-type:cr-token";
/// Exchange of a token for one of a trusted profile.
pub(crate) const GRANT_ASSUME: &str = "urn:ibm:params:oauth:grant-type:assume";

const TRANSACTION_ID: HeaderName = HeaderName::from_static("transaction-id");
const TENANT: HeaderName = HeaderName::from_static("ibm-cloud-tenant");

/// The name of the instance that claims to answer; made up after the pattern of real ones.
const HOST: &str = "iamid-fake-0-0000-0000000-0000000000-fake0";

/// Answers one call and records it.
pub(crate) async fn token(state: &Arc<State>, request: Request<Incoming>, connection: &Connection) -> Answer {
    let mut exchange = Exchange::begin(state, &request);
    let mut response = match exchange.run(request, connection).await {
        Ok(reply) => reply?,
        Err(problem) => exchange.refuse(&problem),
    };
    for name in [TRANSACTION_ID, HeaderName::from_static("x-correlation-id")] {
        answer::set(&mut response, name, &exchange.transaction);
    }
    exchange.record(response.status());
    Ok(response)
}

/// One call under way; its end is recorded however it comes, also when the client leaves.
struct Exchange<'a> {
    state: &'a Arc<State>,
    ticket: Ticket,
    key_id: Option<String>,
    started: Timestamp,
    transaction: String,
    user_agent: Option<String>,
    tenant: Option<String>,
}

/// How a good answer is changed.
#[derive(Default)]
struct Changes {
    lifetime: Option<u64>,
    account: Option<String>,
    suffix: String,
    fields: Vec<(String, Option<Value>)>,
}

impl<'a> Exchange<'a> {
    fn begin(state: &'a Arc<State>, request: &Request<Incoming>) -> Self {
        let headers = request.headers();
        let ticket = state.lock().records.begin(headers);
        Self {
            ticket,
            key_id: None,
            started: state.timestamp(),
            transaction: request::header(headers, &TRANSACTION_ID)
                .filter(|id| !id.is_empty() && id.len() <= 128)
                .unwrap_or_else(|| format!("{}-{}", &random_hex(4)[..7], random_hex(16))),
            user_agent: request::header(headers, &USER_AGENT),
            tenant: request::header(headers, &TENANT),
            state,
        }
    }

    /// The outer error is IAM's, the inner one the end of the connection.
    async fn run(&mut self, request: Request<Incoming>, connection: &Connection) -> Result<Answer, Problem> {
        let body = request::body_of(request).await?;
        let form = request::form_of(&body);
        self.keep_body(body);
        let form = form?;
        let grant = form.get("grant_type").unwrap_or_default();
        self.note(|call| call.grant = Some(grant.into()));
        match grant {
            GRANT_API_KEY => self.exchange_api_key(&form, connection).await,
            GRANT_CR_TOKEN => self.exchange_for_profile(&form, grant, "cr_token", connection).await,
            GRANT_ASSUME => self.exchange_for_profile(&form, grant, "access_token", connection).await,
            other => Err(Problem::invalid("grant_type", other, GRANT_API_KEY)),
        }
    }

    async fn exchange_api_key(&mut self, form: &Form, connection: &Connection) -> Result<Answer, Problem> {
        let key = form.get("apikey").ok_or_else(|| Problem::missing("apikey"))?;
        let id = key_id(key);
        self.enter_key(&id);
        let changes = match self.meet_faults(&id, key, connection).await? {
            Ok(changes) => changes,
            Err(answer) => return Ok(answer),
        };
        let entitled = self.state.lock().tables.entitled(key, self.tenant.as_deref())?;
        Ok(Ok(self.issue(entitled, GRANT_API_KEY, changes)))
    }

    /// `field` is that of the token that comes; faults are those of all keys, or of the token's own name.
    async fn exchange_for_profile(
        &mut self,
        form: &Form,
        grant: &str,
        field: &str,
        connection: &Connection,
    ) -> Result<Answer, Problem> {
        let token = form.get(field).ok_or_else(|| Problem::missing(field))?;
        let comer = self.comer(grant, token)?;
        let id = match &comer {
            Comer::ServiceAccount(who) | Comer::Identity(who) => key_id(who),
        };
        self.enter_key(&id);
        let changes = match self.meet_faults(&id, token, connection).await? {
            Ok(changes) => changes,
            Err(answer) => return Ok(answer),
        };
        let entitled = self.state.lock().tables.becomes(form, &comer, self.tenant.as_deref())?;
        Ok(Ok(self.issue(entitled, grant, changes)))
    }

    fn comer(&self, grant: &str, token: &str) -> Result<Comer, Problem> {
        let now = self.state.timestamp().as_second();
        if grant == GRANT_CR_TOKEN {
            let jwks = self.state.lock().tables.cluster.clone();
            return profiles::service_account(token, jwks.as_ref(), now).map(Comer::ServiceAccount);
        }
        let claims = self.state.signing_key().verify(token, self.state.issuer(), now);
        let claims = claims.map_err(|_| Problem::documented("BXNIM0405E"))?;
        Ok(Comer::Identity(claims["iam_id"].as_str().unwrap_or_default().to_owned()))
    }

    /// The latency, the limit and the faults; what is left of these changes a good answer, or is an answer already.
    async fn meet_faults(
        &self,
        id: &str,
        secret: &str,
        connection: &Connection,
    ) -> Result<Result<Changes, Answer>, Problem> {
        let latency = self.state.lock().latency;
        pause(latency).await;
        if let Some(response) = self.over_the_limit(id) {
            return Ok(Err(Ok(response)));
        }
        let mut changes = Changes::default();
        let fault = self.state.lock().faults.next(id);
        if let Some(fault) = without_delay(fault).await
            && let Some(fault) = changes.absorb(fault)
        {
            return match fault {
                Fault::Error { code, status } => Err(scripted(code, status, secret)),
                other => Ok(Err(answer::of_fault(other, connection, self.state.now()).await)),
            };
        }
        Ok(Ok(changes))
    }

    fn over_the_limit(&self, key_id: &str) -> Option<Response<Body>> {
        let (limit, wait) = self.state.lock().limiter.admit(key_id).err()?;
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let retry_after = if limit.retry_after { RetryAfter::Seconds(seconds) } else { RetryAfter::None };
        Some(answer::rate_limited(retry_after, self.state.now()))
    }

    fn issue(&self, mut entitled: Entitled, grant: &str, changes: Changes) -> Response<Body> {
        if let Some(id) = changes.account {
            entitled.account = Account::new(id);
        }
        let making = Making {
            issuer: self.state.issuer(),
            grant,
            issued_at: self.state.timestamp().as_second(),
            lifetime: changes.lifetime.or(entitled.lifetime).unwrap_or(self.state.lock().lifetime),
        };
        let mut token = self.state.signing_key().sign(&claims::claims(&entitled, &making));
        token.push_str(&changes.suffix);
        let mut body = claims::answer(&entitled, &making, &token);
        for (name, value) in changes.fields {
            match value {
                Some(value) => body.insert(name, value),
                None => body.remove(&name),
            };
        }
        let issued = body.get("access_token").and_then(Value::as_str) == Some(token.as_str());
        self.note(|call| call.issued = issued);
        answer::json(StatusCode::OK, &Value::Object(body))
    }

    fn refuse(&self, problem: &Problem) -> Response<Body> {
        self.note(|call| call.error_code = Some(problem.code.to_string()));
        let response = answer::json(problem.status, &problem.body(&self.context()));
        if problem.status == StatusCode::METHOD_NOT_ALLOWED {
            return answer::allowing(response, "POST,OPTIONS");
        }
        response
    }

    /// `context` of an error, as the real service fills it.
    fn context(&self) -> Value {
        let ended = self.state.timestamp();
        let elapsed = ended.as_millisecond().saturating_sub(self.started.as_millisecond()).max(0);
        json!({
            "requestId": self.transaction,
            "requestType": "incoming.Identity_Token",
            "userAgent": self.user_agent.as_deref().unwrap_or_default(),
            "url": self.state.url(),
            "instanceId": HOST,
            "threadId": "fa4e",
            "host": HOST,
            "startTime": moment(self.started),
            "endTime": moment(ended),
            "elapsedTime": elapsed.to_string(),
            "locale": "en_US",
            "clusterName": "iam-id-fake",
        })
    }

    fn keep_body(&self, body: Vec<u8>) {
        if self.state.lock().records.keep_bodies {
            self.note(|call| call.body = Some(body));
        }
    }

    fn enter_key(&mut self, id: &str) {
        self.state.lock().records.enter_key(id);
        self.key_id = Some(id.into());
        self.note(|call| call.key_id = Some(id.into()));
    }

    fn record(&self, status: StatusCode) {
        self.note(|call| call.status = Some(status.as_u16()));
    }

    fn note(&self, change: impl FnOnce(&mut super::record::Call)) {
        if let Some(call) = self.state.lock().records.call(self.ticket) {
            change(call);
        }
    }
}

impl Drop for Exchange<'_> {
    fn drop(&mut self) {
        self.state.lock().records.end(self.key_id.as_deref());
    }
}

impl Changes {
    /// Takes a fault that changes a good answer; gives back one that replaces it.
    fn absorb(&mut self, fault: Fault) -> Option<Fault> {
        match fault {
            Fault::Lifetime { seconds } => self.lifetime = Some(seconds),
            Fault::Account { id } => self.account = Some(id),
            Fault::TokenSuffix { suffix } => self.suffix = suffix,
            Fault::Field { name, value } => self.fields.push((name, value)),
            other => return Some(other),
        }
        None
    }
}

/// A scripted error of IAM; that of an unknown key echoes it like the real one.
fn scripted(code: String, status: Option<u16>, key: &str) -> Problem {
    let problem = match code.as_str() {
        "BXNIM0415E" => Problem::key_not_found(key),
        _ => Problem::documented(code),
    };
    match status.and_then(|status| StatusCode::from_u16(status).ok()) {
        Some(status) => problem.status(status),
        None => problem,
    }
}

/// Waits out a delay and gives what follows it.
async fn without_delay(mut fault: Option<Fault>) -> Option<Fault> {
    while let Some(Fault::Delay { millis, then }) = fault {
        pause(Duration::from_millis(millis)).await;
        fault = then.map(|then| *then);
    }
    fault
}

async fn pause(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

/// `26.12.2024 17:23:26:340 UTC`, the way IAM writes a time.
fn moment(at: Timestamp) -> String {
    at.strftime("%d.%m.%Y %H:%M:%S:%3f UTC").to_string()
}
