//! Who may scrape, where the API server is asked for that.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use testkit::certificate::Authority;
use testkit::proxy::{Proxy, Road};

use crate::harness::{OPERATOR_NAMESPACE, Operator, Start, World, kubeconfig};
use crate::scrape::read;
use crate::tls::{Folder, address, client};
use crate::{SCRAPED, world};

/// A verdict holds for 30 s.
const WITHIN: Duration = Duration::from_secs(90);

/// A world whose operator reaches the API server by this road, and asks who may scrape.
struct Site {
    world: World,
    road: Proxy,
    http: reqwest::Client,
    address: SocketAddr,
    _folder: Folder,
}

impl Site {
    async fn start(name: &str) -> Self {
        let authority = Authority::new("scrapes").unwrap();
        let folder = Folder::new(name, &authority.server(&["127.0.0.1"]).unwrap());
        let mut world = world().await;
        let road = Proxy::start(world.plane.address()).await.unwrap();
        world.operator.kill();
        world.operator = Operator::start(&Start {
            kubeconfig: &world.plane.kubeconfig_through(&kubeconfig(world.plane).await, road.address()),
            namespaces: std::slice::from_ref(&world.namespace),
            endpoints: &[world.iam.url()],
            log_level: "trace",
            more: &[&SCRAPED[..], &["--metrics-authentication", "--metrics-cert-path", folder.path()]].concat(),
        });
        let address = address(&world.operator).await;
        Self { http: client(&authority), world, road, address, _folder: folder }
    }

    /// The status of a scrape with this header, and its text.
    async fn scrape(&self, header: Option<&str>) -> (u16, String) {
        let mut request = self.http.get(format!("https://{}/metrics", self.address));
        if let Some(header) = header {
            request = request.header("authorization", header);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn status(&self, token: &str) -> u16 {
        let (status, text) = self.scrape(Some(&format!("Bearer {token}"))).await;
        assert_eq!(status == 200, !text.is_empty(), "a refusal tells something: {text}");
        status
    }

    async fn until(&self, token: &str, wanted: u16) {
        let begin = Instant::now();
        loop {
            let status = self.status(token).await;
            if status == wanted {
                return;
            }
            assert!(begin.elapsed() < WITHIN, "still {status}, not {wanted}");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// A token of a new ServiceAccount.
    async fn token(&self, name: &str) -> String {
        let account: ServiceAccount = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        let api: Api<ServiceAccount> = Api::namespaced(self.world.client.clone(), &self.world.namespace);
        api.create(&PostParams::default(), &account).await.unwrap();
        let request = serde_json::from_value(json!({"spec": {"audiences": [], "expirationSeconds": 600}})).unwrap();
        let token = api.create_token_request(name, &PostParams::default(), &request).await.unwrap();
        token.status.unwrap().token.unwrap()
    }

    /// Lets somebody do something that belongs to no namespace. Returns what takes it back.
    async fn allow(&self, who: &str, namespace: &str, rules: serde_json::Value) -> String {
        let name = format!("{}-{who}", self.world.namespace);
        let role: ClusterRole = serde_json::from_value(json!({"metadata": {"name": name}, "rules": rules})).unwrap();
        let binding: ClusterRoleBinding = serde_json::from_value(json!({
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": who, "namespace": namespace}],
        }))
        .unwrap();
        let client: &Client = &self.world.client;
        Api::all(client.clone()).create(&PostParams::default(), &role).await.unwrap();
        Api::all(client.clone()).create(&PostParams::default(), &binding).await.unwrap();
        name
    }

    async fn allow_operator_to_ask(&self) {
        let rules = json!([
            {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]},
            {"apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"]},
        ]);
        self.allow("iam-token-operator", OPERATOR_NAMESPACE, rules).await;
    }

    async fn allow_scrapes(&self, who: &str) -> String {
        let rules = json!([{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]);
        self.allow(who, &self.world.namespace, rules).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_has_the_right_may_scrape() {
    let site = Site::start("right").await;
    let [prometheus, somebody] = [site.token("prometheus").await, site.token("somebody").await];
    let grant = site.allow_scrapes("prometheus").await;
    site.allow_operator_to_ask().await;
    site.until(&prometheus, 200).await;
    let (_, text) = site.scrape(Some(&format!("bearer {prometheus}"))).await;
    let scrape = read("application/openmetrics-text; version=1.0.0; charset=utf-8", text);
    let reviews = [("resource", "tokenreviews"), ("verb", "create"), ("code", "201")];
    assert_eq!(scrape.value("api_requests_total", &reviews), Some(1.0), "one verdict serves for a while");
    assert_eq!(site.status(&somebody).await, 403);
    for header in [None, Some("Bearer"), Some("Bearer "), Some("Basic Zm9vOmJhcg=="), Some(prometheus.as_str())] {
        assert_eq!(site.scrape(header).await, (401, String::new()), "{header:?}");
    }
    assert_eq!(site.status("FAKE-no-token").await, 401);

    let bindings: Api<ClusterRoleBinding> = Api::all(site.world.client.clone());
    bindings.delete(&grant, &DeleteParams::default()).await.unwrap();
    site.until(&prometheus, 403).await;
    let log = site.world.operator.log();
    let secret = |token: &String| log.contains(token.rsplit('.').next().unwrap());
    assert!(![prometheus, somebody].iter().any(secret), "a token is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_cannot_be_asked_lets_nobody_in_and_nobody_is_forgotten() {
    let site = Site::start("down").await;
    site.allow_operator_to_ask().await;
    let [prometheus, late] = [site.token("prometheus").await, site.token("late").await];
    site.allow_scrapes("prometheus").await;
    site.allow_scrapes("late").await;
    site.until(&prometheus, 200).await;
    site.road.set(Road::Reset);
    assert_eq!(site.status(&prometheus).await, 200, "what was said holds for a while");
    assert_eq!(site.status(&late).await, 503);
    let log = site.world.operator.log();
    assert!(log.contains("a scrape is not answered") && log.contains("review the token of a scrape"), "{log}");
    site.road.set(Road::Open);
    site.until(&late, 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn made_up_tokens_cost_the_api_server_little_and_who_is_known_nothing() {
    let site = Site::start("flood").await;
    site.allow_operator_to_ask().await;
    let prometheus = site.token("prometheus").await;
    site.allow_scrapes("prometheus").await;
    site.until(&prometheus, 200).await;
    let begin = Instant::now();
    let mut refused = 0;
    for number in 0..1000 {
        match site.status(&format!("FAKE-{number}")).await {
            401 => {}
            429 => refused += 1,
            other => panic!("{other}"),
        }
    }
    // One more for each 10 s that this took.
    let given_back = begin.elapsed().as_secs() / 10;
    assert!(refused >= 985 - given_back, "{refused} of 1000 in {:?}", begin.elapsed());
    assert_eq!(site.status(&prometheus).await, 200);
    tokio::time::sleep(Duration::from_secs(31).saturating_sub(begin.elapsed())).await;
    assert_eq!(site.status(&prometheus).await, 200, "it is asked about ahead of strangers");
}
