//! The clients that the guides show use a refreshed token without being started anew, and outlive one that has expired.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use testkit::fake_iam::FakeIam;
use testkit::fake_kms::DEFAULT_INSTANCE;
use testkit::fake_services::{FakeServices, PROJECT, ServiceCall};

use crate::harness::{eventually, skipped};
use crate::{ROOT, go, is_there};

/// The fakes, and a folder as a pod mounts it.
struct Stage {
    iam: FakeIam,
    services: FakeServices,
    mounted: PathBuf,
}

impl Stage {
    fn new(name: &str) -> Self {
        let iam = FakeIam::start();
        let services = FakeServices::start(&iam);
        let mounted = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&mounted).unwrap();
        std::fs::write(mounted.join("ca.pem"), services.ca_pem()).unwrap();
        Self { iam, services, mounted }
    }

    fn authorization(&self) -> PathBuf {
        self.mounted.join("authorization")
    }

    /// Replaces the file at once, as the kubelet does. The token's lifetime is in seconds from now.
    fn put(&self, key: &str, lifetime: i64) {
        let new = self.mounted.join("new");
        std::fs::write(&new, format!("Bearer {}", self.iam.mint(key, lifetime))).unwrap();
        std::fs::rename(new, self.authorization()).unwrap();
    }

    /// Nothing but the fakes can be reached.
    fn start(&self, client: &mut Command) -> Client {
        let (proxy, ca) = (self.services.proxy(), self.mounted.join("ca.pem"));
        client.env("HTTPS_PROXY", &proxy).env("https_proxy", &proxy).env_remove("NO_PROXY").env_remove("no_proxy");
        client.env("SSL_CERT_FILE", &ca).env("CURL_CA_BUNDLE", &ca).stdin(Stdio::piped()).stdout(Stdio::null());
        Client(client.spawn().unwrap())
    }

    /// One identity's token, the same expired, another's: each is seen at the service. `nudge` makes the client call.
    async fn is_followed(&self, first: &str, second: &str, mut nudge: impl FnMut()) {
        let seen = |iam_id: Option<String>, good: bool| {
            self.services.calls().into_iter().any(|call| call.iam_id == iam_id && (call.status == 200) == good)
        };
        let mut wait = async |what: &str, iam_id: Option<String>| {
            let good = iam_id.is_some();
            eventually(what, async || {
                nudge();
                if seen(iam_id.clone(), good) { Ok(()) } else { Err::<(), Vec<ServiceCall>>(self.services.calls()) }
            })
            .await;
        };
        let id_of = |key: &str| Some(self.iam.identity_of(key).unwrap().iam_id);
        wait("a call with the first token", id_of(first)).await;
        self.put(first, -1);
        wait("a call with the expired token", None).await;
        self.put(second, 600);
        wait("a call with the second token", id_of(second)).await;
        assert_eq!(self.services.strangers(), Vec::<String>::new());
    }
}

/// A running client; dropping it ends it.
struct Client(Child);

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn the_pod_reads_the_file_for_each_call() {
    if !is_there("curl") {
        return skipped("docs/examples/pod.yaml is not tried: there is no curl");
    }
    let stage = Stage::new("pod");
    let (first, second) = (stage.iam.service_id_key("first"), stage.iam.service_id_key("second"));
    stage.put(&first, 600);
    let pod = std::fs::read_to_string(format!("{ROOT}/docs/examples/pod.yaml")).unwrap();
    let pod: Value = serde_saphyr::from_str(&pod).unwrap();
    let script = pod["spec"]["containers"][0]["args"][0].as_str().unwrap();
    let here = script.replace("/var/run/iam", stage.mounted.to_str().unwrap()).replace("sleep 30", "sleep 0.2");
    let _client = stage.start(
        Command::new("sh")
            .args(["-c", &here])
            .env("HPCS_URL", format!("https://{DEFAULT_INSTANCE}.api.us-south.hs-crypto.appdomain.cloud"))
            .env("HPCS_INSTANCE", DEFAULT_INSTANCE),
    );
    stage.is_followed(&first, &second, || {}).await;
}

#[tokio::test]
async fn the_client_of_key_protect_reads_the_file_for_each_call() {
    let stage = Stage::new("key-protect");
    let (first, second) = (stage.iam.service_id_key("first"), stage.iam.service_id_key("second"));
    stage.put(&first, 600);
    let program = stage.mounted.join("list-keys");
    go("docs/examples/key-protect", &["vet", "."]);
    go("docs/examples/key-protect", &["build", "-o", program.to_str().unwrap(), "."]);
    let file = stage.authorization();
    let _client = stage.start(
        Command::new(program)
            .args(["-every=200ms", "-instance", DEFAULT_INSTANCE])
            .args(["-authorization".as_ref(), file.as_os_str()]),
    );
    stage.is_followed(&first, &second, || {}).await;
}

#[tokio::test]
async fn the_client_of_watsonx_reads_the_file_for_each_call() {
    if !is_there("python3") {
        return skipped("docs/examples/watsonx is not tried: there is no python3");
    }
    let stage = Stage::new("watsonx");
    let (first, second) = (stage.iam.service_id_key("first"), stage.iam.service_id_key("second"));
    stage.put(&first, 600);
    let mut client = stage.start(
        Command::new("python3")
            .arg(format!("{ROOT}/docs/examples/watsonx/generate.py"))
            .env("WATSONX_PROJECT", PROJECT)
            .env("AUTHORIZATION_FILE", stage.authorization()),
    );
    let mut prompts = client.0.stdin.take().unwrap();
    stage.is_followed(&first, &second, || prompts.write_all(b"Tell me about interest rates\n").unwrap()).await;
}
