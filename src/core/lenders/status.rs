//! What the status of a `ClusterIamCredential` says.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;

use super::{Credential, Lenders};
use crate::api::{CONDITION_API_KEY_AT_RISK, CONDITION_READY, ClusterIamCredentialStatus, Reason};
use crate::core::key_health::{ApiKey, Known};
use crate::core::observed::Seen;
use crate::core::problem::Problem;
use crate::core::record::Mark;
use crate::core::status::{condition, condition_of};
use crate::core::view::Key;

/// A status that is to be written.
#[derive(Debug)]
pub struct News {
    /// The credential's name.
    pub name: String,
    /// The credential in the state that it is about.
    pub mark: Mark,
    /// What to write.
    pub status: ClusterIamCredentialStatus,
}

/// What one condition tells.
#[derive(Debug, PartialEq)]
pub(super) struct Told {
    type_: &'static str,
    truth: bool,
    reason: Reason,
    message: String,
}

// === impl Lenders ===

impl Lenders {
    /// The statuses that do not say what has become known since they were last asked for. What others say meanwhile is
    /// left at that: a second operator, which lends from other namespaces, knows other things of the same credential.
    #[must_use]
    pub fn news(&mut self, now: Timestamp) -> Vec<News> {
        let secrets = &self.secrets;
        let all = self.credentials.iter_mut().filter_map(|(name, credential)| {
            let problem = credential.problem(secrets);
            let told = credential.telling(problem.as_ref(), now);
            if credential.said == told
                || credential.stands(problem.as_ref())
                || credential.is_anothers(problem.as_ref())
            {
                return None;
            }
            let status = credential.saying(&told, now);
            credential.said = told;
            let mark = credential.mark.clone();
            (status != credential.status).then(|| News { name: name.clone(), mark, status })
        });
        all.collect()
    }

    /// The status was not written.
    pub fn unsaid(&mut self, news: &News) {
        if let Some(credential) = self.credentials.get_mut(&news.name) {
            credential.said.clear();
        }
    }
}

// === impl Credential ===

impl Credential {
    /// Whether it is lent by an operator that may read its namespace, and that has told so.
    fn is_anothers(&self, problem: Option<&Problem>) -> bool {
        let not_ours = matches!(problem, Some(Problem::NotLockedAway { .. }));
        not_ours && self.status.observed_generation == Some(self.generation)
    }

    /// Whether the status tells of a try that failed, before this process began, and nothing is known since.
    fn stands(&self, problem: Option<&Problem>) -> bool {
        let ready = self.status.conditions.iter().find(|it| it.type_ == CONDITION_READY && it.status == "False");
        // What can be seen without a try is seen by now.
        let seen = [Reason::SourceNotFound, Reason::InvalidSpec, Reason::EndpointNotAllowed].map(Reason::as_str);
        let tried = ready.is_some_and(|ready| !seen.contains(&ready.reason.as_str()));
        self.fresh && problem.is_none() && tried && self.status.observed_generation == Some(self.generation)
    }

    fn telling(&self, problem: Option<&Problem>, now: Timestamp) -> Vec<Told> {
        let (reason, message) = match problem {
            None => (Reason::CredentialUsable, "Nothing is known to be wrong with it.".to_owned()),
            Some(problem) => (problem.reason(), self.to_the_admin(problem.message())),
        };
        let ready = Told { type_: CONDITION_READY, truth: problem.is_none(), reason, message: message.clone() };
        let trouble = problem.map(|problem| Told { type_: condition_of(problem), truth: true, reason, message });
        let key = self.asker.as_ref().ok().and_then(|asker| ApiKey::of_lender(asker, self.key)?.risk(now));
        let key = key.map(|(reason, message)| Told {
            type_: CONDITION_API_KEY_AT_RISK,
            truth: true,
            reason,
            message: self.to_the_admin(message),
        });
        [ready].into_iter().chain(trouble).chain(key).collect()
    }

    fn saying(&self, told: &[Told], now: Timestamp) -> ClusterIamCredentialStatus {
        let (before, generation) = (&self.status.conditions, self.generation);
        let conditions = told
            .iter()
            .map(|told| condition(before, generation, told.type_, told.truth, told.reason, told.message.clone(), now));
        // Until IAM has been asked about the key again, what it said before stands.
        let stands = self.key == Known::NotYet && self.status.observed_generation == Some(generation);
        let key = before.iter().find(|it| it.type_ == CONDITION_API_KEY_AT_RISK).filter(|_| stands).cloned();
        ClusterIamCredentialStatus {
            observed_generation: Some(generation),
            conditions: conditions.chain(key).collect(),
        }
    }

    fn problem(&self, secrets: &BTreeMap<Key, Seen>) -> Option<Problem> {
        let asker = match &self.asker {
            Ok(asker) => asker,
            Err(problem) => return Some(problem.clone()),
        };
        match asker.secret("") {
            Some(secret) if secrets.get(&secret) == Some(&Seen::Absent) => {
                Some(Problem::SourceNotFound { name: secret.name.to_string() })
            }
            _ => self.trouble.clone(),
        }
    }

    /// Messages are made for those who live in the namespace of the Secret.
    fn to_the_admin(&self, message: String) -> String {
        match &self.asker {
            Ok(asker) => format!("In namespace {}: {message}", asker.namespace("")),
            Err(_) => message,
        }
    }
}
