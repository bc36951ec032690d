//! What to do next about an IamToken.

use super::glance::{Glance, State};
use crate::api::CONDITION_STALLED;
use crate::core::status::{trouble, without_request_id};

/// In one or two sentences.
pub(super) fn next(glance: &Glance<'_>) -> String {
    let (name, namespace) = (glance.name, glance.namespace);
    match &glance.state {
        State::Ready => match glance.refresh() {
            refresh if refresh.is_empty() => "Nothing to do.".into(),
            refresh => format!("Nothing to do. It is refreshed by itself {refresh}."),
        },
        State::Fetching => format!("Wait a moment: kubectl iamtoken status {name} -n {namespace}"),
        State::Deleting => "Nothing to do: it is being deleted.".into(),
        State::New => format!(
            "Wait a moment. If this lasts, check that the operator runs and watches namespace {namespace}: kubectl get \
             deployments -A -l app.kubernetes.io/name=iam-token-operator"
        ),
        State::Late | State::Unnoticed => format!(
            "The operator should have acted {}. Check that it runs and watches namespace {namespace}: kubectl get \
             deployments -A -l app.kubernetes.io/name=iam-token-operator",
            if glance.state == State::Late { "by now" } else { "long ago" }
        ),
        State::Suspended { ready } => {
            let fate = if *ready { "The token is not refreshed before it expires" } else { "There is no valid token" };
            format!("{fate}. To go on: kubectl iamtoken resume {name} -n {namespace}")
        }
        State::Failing { .. } => failing(glance),
    }
}

fn failing(glance: &Glance<'_>) -> String {
    let Some(trouble) = glance.status().and_then(trouble) else {
        return "See the message of Ready.".into();
    };
    let action = action(&trouble.message);
    if trouble.type_ == CONDITION_STALLED || action.contains("by itself") {
        action.to_owned()
    } else {
        format!("It is tried again by itself. {action}")
    }
}

/// What a message says is to be done: all but its first sentence, or all where it is only one; and no request id.
fn action(message: &str) -> &str {
    let message = without_request_id(message);
    message.split_once(". ").map_or(message, |(_, action)| action)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::problem::Problem;

    #[test]
    fn a_message_ends_with_what_to_do() {
        for (problem, expected) in [
            (Problem::SourceNotFound { name: "a.b".into() }, "Create it in this namespace."),
            (
                Problem::SourceKeyNotFound { name: "s".into(), key: "apikey".into() },
                "Add it, or correct spec.apiKeySecretRef.key.",
            ),
            (Problem::InvalidField { field: "spec.renewBefore", hint: "is too long" }, "Correct the spec."),
        ] {
            assert_eq!(action(&problem.message()), expected);
        }
        assert_eq!(action("It is so. Do this. (IAM request id r-1)"), "Do this.");
        assert_eq!(action("Only one sentence."), "Only one sentence.");
    }
}
