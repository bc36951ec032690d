//! What the status of a `ClusterIamCredential` says.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;

use super::{Credential, Lenders, Said};
use crate::api::{CONDITION_READY, CONDITION_RECONCILING, CONDITION_STALLED, ClusterIamCredentialStatus, Reason};
use crate::core::observed::Seen;
use crate::core::problem::Problem;
use crate::core::record::Mark;
use crate::core::status::condition;
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

// === impl Lenders ===

impl Lenders {
    /// The statuses that do not say what has become known since they were last asked for. What others say meanwhile is
    /// left at that: a second operator, which lends from other namespaces, knows other things of the same credential.
    #[must_use]
    pub fn news(&mut self, now: Timestamp) -> Vec<News> {
        let secrets = &self.secrets;
        let all = self.credentials.iter_mut().filter_map(|(name, credential)| {
            let problem = credential.problem(secrets);
            let saying = problem.clone().map_or(Said::Usable, Said::Wrong);
            if credential.said == saying || credential.is_anothers(problem.as_ref()) {
                return None;
            }
            let status = credential.saying(problem.as_ref(), now);
            credential.said = saying;
            let mark = credential.mark.clone();
            (status != credential.status).then(|| News { name: name.clone(), mark, status })
        });
        all.collect()
    }

    /// The status was not written.
    pub fn unsaid(&mut self, news: &News) {
        if let Some(credential) = self.credentials.get_mut(&news.name) {
            credential.said = Said::Nothing;
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

    fn saying(&self, problem: Option<&Problem>, now: Timestamp) -> ClusterIamCredentialStatus {
        let (reason, message) = match problem {
            None => (Reason::CredentialUsable, "Nothing is known to be wrong with it.".to_owned()),
            Some(problem) => (problem.reason(), self.told_to_the_admin(problem)),
        };
        let trouble =
            problem.map(|problem| if problem.needs_a_person() { CONDITION_STALLED } else { CONDITION_RECONCILING });
        let conditions = [(CONDITION_READY, problem.is_none())].into_iter().chain(trouble.map(|type_| (type_, true)));
        let before = &self.status.conditions;
        ClusterIamCredentialStatus {
            observed_generation: Some(self.generation),
            conditions: conditions
                .map(|(type_, truth)| condition(before, self.generation, type_, truth, reason, message.clone(), now))
                .collect(),
        }
    }

    fn problem(&self, secrets: &BTreeMap<Key, Seen>) -> Option<Problem> {
        let asker = match &self.asker {
            Ok(asker) => asker,
            Err(problem) => return Some(problem.clone()),
        };
        match asker.secret("") {
            Some(secret) if secrets.get(&secret) == Some(&Seen::Absent) => {
                Some(Problem::SourceNotFound { name: secret.name })
            }
            _ => self.trouble.clone(),
        }
    }

    /// Messages are made for those who live in the namespace of the Secret.
    fn told_to_the_admin(&self, problem: &Problem) -> String {
        match &self.asker {
            Ok(asker) => format!("In namespace {}: {}", asker.namespace(""), problem.message()),
            Err(_) => problem.message(),
        }
    }
}
