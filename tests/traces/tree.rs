//! One tree of spans for each look that does something.

use std::time::Duration;

use iam_token_operator::api::REFRESH_REQUESTED;
use k8s_openapi::jiff::Timestamp;
use serde_json::json;
use testkit::fake_collector::{FakeCollector, Span};
use testkit::fake_iam::{Fault, Times};

use crate::harness::{World, eventually};
use crate::{SOON, world};

/// A span and those below it, in the order in which they began.
struct Tree {
    span: Span,
    below: Vec<Tree>,
}

// === impl Tree ===

impl Tree {
    /// Without the look at a target of which no watch has told yet, which may come or not.
    fn of(span: Span, all: &[Span]) -> Self {
        let is_look = |span: &Span| span.name == "observe" && span.attributes.contains_key("target_secret");
        let mut below: Vec<_> =
            all.iter().filter(|other| other.parent == span.id && !is_look(other)).cloned().collect();
        below.sort_by_key(|span| span.begin);
        Self { span, below: below.into_iter().map(|span| Self::of(span, all)).collect() }
    }

    /// The first one of this name.
    fn find(&self, name: &str) -> Option<&Span> {
        if self.span.name == name {
            return Some(&self.span);
        }
        self.below.iter().find_map(|tree| tree.find(name))
    }

    fn get(&self, name: &str, attribute: &str) -> Option<&str> {
        self.find(name)?.attributes.get(attribute).map(String::as_str)
    }

    /// The names, each below its parent and indented.
    fn names(&self) -> String {
        self.lines(0).join("\n")
    }

    fn lines(&self, depth: usize) -> Vec<String> {
        let own = format!("{}{}", "  ".repeat(depth), self.span.name);
        [own].into_iter().chain(self.below.iter().flat_map(|tree| tree.lines(depth + 1))).collect()
    }
}

/// All trees of an IamToken so far, in the order in which they began.
fn trees(collector: &FakeCollector, world: &World, name: &str) -> Vec<Tree> {
    let (all, iamtoken) = (collector.spans(), format!("{}/{name}", world.namespace));
    let mut roots: Vec<_> =
        all.iter().filter(|span| span.parent.is_empty() && span.attributes["iamtoken"] == iamtoken).cloned().collect();
    roots.sort_by_key(|span| span.begin);
    roots.into_iter().map(|span| Tree::of(span, &all)).collect()
}

/// Waits for one with a span of this name and attribute.
async fn tree(
    collector: &FakeCollector,
    world: &World,
    name: &str,
    (span, attribute, value): (&str, &str, &str),
) -> Tree {
    eventually(&format!("a tree of {name} with {span}: {attribute}={value}"), async || {
        let all = trees(collector, world, name);
        let found = all.iter().position(|tree| tree.get(span, attribute) == Some(value));
        let names: Vec<_> = all.iter().map(Tree::names).collect();
        found.map(|place| all.into_iter().nth(place).unwrap()).ok_or(names)
    })
    .await
}

/// What docs/traces.md shows.
const REFRESH: &str = "\
reconcile
  observe
    get secrets
  exchange
    POST /identity/token
  apply
    patch secrets
  status
    patch iamtokens/status";

#[tokio::test(flavor = "multi_thread")]
async fn a_first_refresh_is_one_tree_of_what_was_done() {
    let collector = FakeCollector::start();
    let world = world(&collector, &[SOON], "info").await;
    world.put_pair("hpcs").await;
    world.ready("hpcs").await;
    let tree = tree(&collector, &world, "hpcs", ("exchange", "result", "ok")).await;
    assert_eq!(tree.names(), REFRESH);
    let root = &tree.span;
    assert_eq!(root.attributes["k8s.namespace.name"], world.namespace);
    assert_eq!(root.attributes["outcome"], "acted");
    assert_eq!((root.attributes.get("reason"), &root.error), (None, &None));
    assert_eq!(tree.get("observe", "source"), Some(&*format!("Secret {}/hpcs-key", world.namespace)));
    assert_eq!(tree.get("apply", "target_secret"), Some("hpcs"));
    assert_eq!(tree.get("exchange", "endpoint"), Some(&*world.iam.url()));
    assert_eq!((tree.get("exchange", "why"), tree.get("exchange", "shared")), (Some("Missing"), Some("false")));
    let post = tree.find("POST /identity/token").unwrap();
    assert_eq!(post.attributes["http.response.status_code"], "200");
    assert!(post.attributes["transaction_id"].len() > 8 && post.client, "{post:?}");
    assert_eq!(tree.get("patch secrets", "http.response.status_code"), Some("201"));
    assert_eq!(root.resource["service.name"], "iam-token-operator");
    assert_eq!(root.resource["service.version"], env!("CARGO_PKG_VERSION"));
    let guide = std::fs::read_to_string("docs/traces.md").unwrap();
    for line in REFRESH.lines().map(str::trim) {
        assert!(guide.contains(line), "docs/traces.md has no {line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_finds_nothing_to_do_and_what_is_no_look_has_no_span() {
    let collector = FakeCollector::start();
    let world = world(&collector, &[SOON], "info").await;
    world.put_pair("hpcs").await;
    world.ready("hpcs").await;
    let labels = json!({"metadata": {"labels": {"seen": "yes"}}});
    let patch = kube::api::Patch::Merge(labels);
    world.tokens().patch("hpcs", &kube::api::PatchParams::default(), &patch).await.unwrap();
    world.annotate("hpcs", REFRESH_REQUESTED, "1").await;
    tree(&collector, &world, "hpcs", ("exchange", "why", "Requested")).await;
    let all = trees(&collector, &world, "hpcs");
    let names: Vec<_> = all.iter().map(Tree::names).collect();
    assert_eq!(names, [REFRESH, REFRESH]);
    let spans = collector.spans();
    let ids: Vec<_> = spans.iter().map(|span| &span.id).collect();
    for span in &spans {
        assert!(span.parent.is_empty() && span.name == "reconcile" || ids.contains(&&span.parent), "{span:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_exchange_says_why_and_names_iams_transaction() {
    let collector = FakeCollector::start();
    let world = world(&collector, &[SOON], "info").await;
    let key = world.iam.service_id_key(&world.namespace);
    world.iam.fault(&key, Fault::error("BXNIM0415E"), Times::Forever);
    world.put_key("key", &key).await;
    world.put_token("hpcs", &json!({"apiKeySecretRef": {"name": "key"}})).await;
    let stalled = world.condition("hpcs", "Stalled", "CredentialRejected").await;
    let id = stalled.message.split_once("(IAM request id ").unwrap().1.trim_end_matches(')');
    let tree = tree(&collector, &world, "hpcs", ("exchange", "transaction_id", id)).await;
    for name in ["exchange", "POST /identity/token"] {
        let span = tree.find(name).unwrap();
        assert_eq!(span.attributes["http.response.status_code"], "400", "{span:?}");
        assert_eq!(span.attributes["transaction_id"], id, "{span:?}");
        assert!(span.error.as_ref().unwrap().contains("the API key could not be found"), "{span:?}");
    }
    assert_eq!(tree.get("exchange", "result"), Some("CredentialRejected"));
    assert_eq!(
        (tree.get("reconcile", "outcome"), tree.get("reconcile", "reason")),
        (Some("failed"), Some("CredentialRejected"))
    );
    assert!(tree.span.error.is_some());
    let (log, here) = (world.operator.log(), format!("iamtoken={}/hpcs", world.namespace));
    let lines: Vec<_> = log.lines().filter(|line| line.contains(&format!("transaction_id=\"{id}\""))).collect();
    let [line] = lines[..] else { panic!("not one line for one outcome: {log}") };
    assert!(
        line.contains(&here) && line.contains("reason=CredentialRejected") && !line.contains("reconcile{"),
        "{line}"
    );
    assert!(
        tree.find("apply").is_none() && tree.find("status").is_some_and(|span| span.error.is_none()),
        "{}",
        tree.names()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_fails_where_it_was_read() {
    let collector = FakeCollector::start();
    let world = world(&collector, &[SOON], "info").await;
    world.put_key("key", "not a key: FAKE").await;
    world.put_token("hpcs", &json!({"apiKeySecretRef": {"name": "key"}})).await;
    let tree = tree(&collector, &world, "hpcs", ("reconcile", "reason", "SourceInvalid")).await;
    let observe = tree.find("observe").unwrap();
    assert!(observe.error.as_ref().unwrap().contains("Secret key"), "{observe:?}");
    assert!(tree.find("get secrets").unwrap().error.is_none() && tree.find("exchange").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn those_that_share_an_exchange_link_to_the_one_that_began_it() {
    let collector = FakeCollector::start();
    let world = world(&collector, &[SOON], "info").await;
    let key = world.iam.service_id_key(&world.namespace);
    world.put_key("key", &key).await;
    world.iam.set_latency(Duration::from_secs(3));
    for name in ["one", "two"] {
        world.put_token(name, &json!({"apiKeySecretRef": {"name": "key"}})).await;
    }
    world.ready("one").await;
    world.ready("two").await;
    let mut both = vec![];
    for name in ["one", "two"] {
        both.push(tree(&collector, &world, name, ("exchange", "result", "ok")).await);
    }
    both.sort_by_key(|tree| tree.get("exchange", "shared") == Some("true"));
    let [began, joined] = [&both[0], &both[1]];
    assert_eq!((began.get("exchange", "shared"), joined.get("exchange", "shared")), (Some("false"), Some("true")));
    assert!(began.find("POST /identity/token").is_some() && joined.find("POST /identity/token").is_none());
    let [first, second] = [began, joined].map(|tree| tree.find("exchange").unwrap());
    assert_eq!((&first.links, &second.links), (&vec![], &vec![first.id.clone()]));
    assert_eq!(world.iam.exchanges_of(&key), 1);
}

/// The one who asked gives up waiting after 10 s, and its span is told all the same.
#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_that_outlasts_its_look_ends_in_its_tree() {
    let collector = FakeCollector::start();
    let world = world(&collector, &[SOON], "info").await;
    let key = world.iam.service_id_key(&world.namespace);
    world.iam.fault(&key, Fault::delay(Duration::from_secs(12)), Times::Count(1));
    world.put_key("key", &key).await;
    world.put_token("hpcs", &json!({"apiKeySecretRef": {"name": "key"}})).await;
    world.ready("hpcs").await;
    let first = tree(&collector, &world, "hpcs", ("exchange", "shared", "false")).await;
    let exchange = first.find("exchange").unwrap();
    assert_eq!(exchange.attributes["result"], "ok");
    let took = Duration::from_nanos(exchange.end - exchange.begin);
    assert!(took >= Duration::from_secs(12), "{took:?}");
    let now = u64::try_from(Timestamp::now().as_nanosecond()).unwrap();
    assert!(exchange.end <= now && first.span.begin <= exchange.begin);
    assert_eq!(first.get("reconcile", "outcome"), Some("waiting"));
}
