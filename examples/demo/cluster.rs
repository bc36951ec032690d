//! The control plane as an admin uses it.

use std::path::PathBuf;

use iam_token_operator::api::{IamToken, IamTokenStatus};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Api, Client};
use testkit::control_plane::{AuditEvent, AuditMark, ControlPlane, Options};

use crate::Result;
use crate::say::block;

/// Where the operator's ServiceAccount lives.
const OPERATOR_NAMESPACE: &str = "iam-token-operator";
const OPERATOR: &str = "iam-token-operator";
/// Where the workload lives.
pub const NAMESPACE: &str = "payments";
/// The IamToken of the examples, and its target.
pub const TOKEN: &str = "hpcs";
/// The Secret of the examples that holds the API key.
pub const API_KEY: &str = "hpcs-api-key";

/// A control plane with an audit log.
pub struct Cluster {
    plane: ControlPlane,
    client: Client,
}

// === impl Cluster ===

impl Cluster {
    /// One with nothing on it.
    pub async fn start() -> Result<Self> {
        let plane = ControlPlane::try_start(Options { audit: true, ..Options::default() }).await?;
        let client = plane.admin();
        Ok(Self { plane, client })
    }

    /// Installs what the operator needs, and makes the namespace of the workload.
    pub async fn prepare(&self) -> Result<()> {
        self.show(&["apply", "-f", "crds/"]).await?;
        self.kubectl(&["create", "namespace", OPERATOR_NAMESPACE]).await?;
        self.show(&["apply", "-f", "config/rbac.yaml"]).await?;
        self.kubectl(&["create", "namespace", NAMESPACE]).await?;
        // A controller would have made it; pods need it.
        self.kubectl(&["create", "serviceaccount", "default", "-n", NAMESPACE]).await?;
        self.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]).await?;
        Ok(())
    }

    /// The kubeconfig of the operator's ServiceAccount.
    pub async fn operator_kubeconfig(&self) -> PathBuf {
        self.plane.kubeconfig_for_service_account(OPERATOR_NAMESPACE, OPERATOR).await
    }

    /// What `kubectl` prints.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let mut command = tokio::process::Command::from(self.plane.kubectl_cmd(arguments));
        // Out of reach of a Ctrl-C, which goes to the process group of the terminal.
        command.current_dir(env!("CARGO_MANIFEST_DIR")).process_group(0).kill_on_drop(true);
        let output = command.output().await?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let complaint = String::from_utf8_lossy(&output.stderr);
        Err(format!("kubectl {}: {}", arguments.join(" "), complaint.trim()).into())
    }

    /// Shows the command and what it prints.
    pub async fn show(&self, arguments: &[&str]) -> Result<()> {
        let printed = self.kubectl(arguments).await?;
        block(&format!("$ kubectl {}\n{}", arguments.join(" "), printed.trim_end()));
        Ok(())
    }

    pub fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    pub async fn status(&self) -> Result<IamTokenStatus> {
        let tokens: Api<IamToken> = Api::namespaced(self.client.clone(), NAMESPACE);
        Ok(tokens.get(TOKEN).await?.status.unwrap_or_default())
    }

    pub async fn mark(&self) -> AuditMark {
        self.plane.audit_mark().await
    }

    /// What the operator asked the API server for since then.
    pub async fn requests_of_operator_since(&self, mark: AuditMark) -> Vec<AuditEvent> {
        let user = format!("system:serviceaccount:{OPERATOR_NAMESPACE}:{OPERATOR}");
        let events = self.plane.audit_since(mark).await;
        events.into_iter().filter(|event| event.user == user).collect()
    }

    /// The commands that look at it from another terminal.
    pub fn how_to_look_around(&self) -> String {
        let kubeconfig = self.plane.kubeconfig_for_admin();
        format!(
            "  export KUBECONFIG={}\n  alias kubectl={}\n  kubectl get iamtokens -A -o wide --watch\n  \
             kubectl describe iamtoken {TOKEN} -n {NAMESPACE}\n  kubectl get secret {TOKEN} -n {NAMESPACE} -o yaml\n  \
             kubectl annotate iamtoken {TOKEN} -n {NAMESPACE} --overwrite iamtoken.dev/refresh-requested=\"$(date)\"\n  \
             kubectl delete secret {TOKEN} -n {NAMESPACE}",
            kubeconfig.display(),
            self.plane.kubectl().display(),
        )
    }
}

/// The condition of this type, if it is there and True.
pub fn true_condition<'a>(status: &'a IamTokenStatus, type_: &str) -> Option<&'a Condition> {
    status.conditions.iter().find(|condition| condition.type_ == type_ && condition.status == "True")
}
