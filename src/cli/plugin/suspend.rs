//! `suspend` and `resume`: spec.suspend.

use clap::Args;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::core::DynamicObject;
use serde_json::json;

use super::desk::{Desk, Names, listed, name, now};
use super::glance::{Glance, is_suspended};
use crate::cli::cluster::MANAGER;
use crate::cli::output::ObjectForm;
use crate::cli::text::clean;
use crate::cli::{Error, Verdict, print};

/// Changes whether IamTokens are refreshed.
#[derive(Debug, Args)]
pub(super) struct Suspend {
    #[command(flatten)]
    names: Names,

    /// The objects, in place of words
    #[arg(long, short, value_name = "FORM")]
    output: Option<ObjectForm>,
}

// === impl Suspend ===

impl Suspend {
    /// Sets spec.suspend of all of them.
    pub(super) async fn run(self, desk: &Desk, suspend: bool) -> Result<Verdict, Error> {
        let mut objects = vec![];
        for before in desk.chosen(&self.names).await? {
            let known = is_suspended(&listed(&before)?);
            let after = if known == suspend {
                before
            } else {
                for manager in others(&before) {
                    eprintln!("{}", undone(name(&before), &manager));
                }
                // `false`, not `null`: a manifest that says nothing and one that says false are both content with it.
                desk.cluster.patch(name(&before), &json!({"spec": {"suspend": suspend}})).await?
            };
            if self.output.is_none() {
                let token = listed(&after)?;
                print(&line(&Glance::new(&token, now()), suspend, known == suspend))?;
            }
            objects.push(after);
        }
        if let Some(form) = self.output {
            print(&form.asked_for(&objects, self.names.is_one())?)?;
        }
        Ok(Verdict::Well)
    }
}

/// `glance` is from before the operator has seen the change.
fn line(glance: &Glance<'_>, suspend: bool, already: bool) -> String {
    let (name, secret, left) = (glance.name, glance.target(), glance.left());
    let state = match (suspend, already) {
        (true, true) => "suspended already",
        (true, false) => "suspended",
        (false, true) => "not suspended",
        (false, false) => "resumed",
    };
    let alive = glance.life.filter(|life| glance.now < life.expires_at);
    let fate = match (suspend, alive) {
        (true, Some(life)) => {
            format!("Secret {secret} holds a valid token for another {left}, until {}.", life.expires_at)
        }
        (true, None) => format!("Secret {secret} holds no valid token."),
        (false, Some(_)) => {
            format!("Secret {secret} holds a valid token for another {left}, and is refreshed in time.")
        }
        (false, None) => format!("A token for Secret {secret} is fetched at once."),
    };
    format!("{name}: {state}. {fate}\n")
}

/// Those who keep spec.suspend as their manifest says: server-side apply, by Flux or Argo CD say, and `kubectl apply`.
fn others(object: &DynamicObject) -> Vec<String> {
    let applies = |entry: &&ManagedFieldsEntry| {
        let manager = entry.manager.as_deref().unwrap_or_default();
        let operation = entry.operation.as_deref().unwrap_or_default();
        manager != MANAGER && (operation == "Apply" || manager == "kubectl-client-side-apply")
    };
    let owns = |entry: &&ManagedFieldsEntry| {
        entry.fields_v1.as_ref().is_some_and(|fields| fields.0["f:spec"].get("f:suspend").is_some())
    };
    let entries = object.metadata.managed_fields.iter().flatten();
    entries.filter(applies).filter(owns).filter_map(|entry| entry.manager.clone()).collect()
}

fn undone(name: &str, manager: &str) -> String {
    let manager = clean(manager);
    format!("{name}: its manifest sets spec.suspend, and {manager} will set it back. Change it there too.")
}

#[cfg(test)]
mod tests {
    use super::super::samples::{NOW, object, token};
    use super::*;

    fn of(sample: &str, suspend: bool, already: bool) -> String {
        let token = token(sample);
        line(&Glance::new(&token, NOW.parse().unwrap()), suspend, already)
    }

    #[test]
    fn whoever_suspends_is_told_when_the_token_dies() {
        assert_eq!(
            of("well", true, false),
            "well: suspended. Secret well-token holds a valid token for another 40m, until 2026-11-25T12:40:00Z.\n"
        );
        assert_eq!(of("missing", true, false), "missing: suspended. Secret missing-token holds no valid token.\n");
        assert!(of("paused", true, true).starts_with("paused: suspended already. "));
    }

    #[test]
    fn whoever_resumes_is_told_what_comes() {
        assert!(
            of("paused", false, false).contains("resumed. Secret paused-token holds a valid token for another 30m")
        );
        assert!(of("dead", false, false).contains("A token for Secret dead-token is fetched at once"));
        assert!(of("well", false, true).starts_with("well: not suspended. "));
    }

    #[test]
    fn who_will_set_it_back_is_named() {
        let entry = |manager: &str, operation: &str, spec: serde_json::Value| json!({"manager": manager, "operation": operation, "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": spec}});
        let mut object = object("well");
        object["metadata"]["managedFields"] = json!([
            entry("kustomize-controller", "Apply", json!({"f:suspend": {}})),
            entry("helm", "Apply", json!({"f:target": {}})),
            entry("kubectl-client-side-apply", "Update", json!({"f:suspend": {}})),
            entry("kubectl-patch", "Update", json!({"f:suspend": {}})),
            entry(MANAGER, "Apply", json!({"f:suspend": {}})),
        ]);
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        assert_eq!(others(&object), ["kustomize-controller", "kubectl-client-side-apply"]);
        assert!(undone("well", "kustomize-controller").contains("kustomize-controller will set it back"));
    }
}
