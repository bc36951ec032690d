//! What the probes say, and when.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use iam_token_operator::api::REFRESH_REQUESTED;
use iam_token_operator::clock::{Clock, SystemClock};
use iam_token_operator::controller::{self, Health, Settings, Signs};
use iam_token_operator::core::endpoint::{Endpoint, Endpoints};
use iam_token_operator::core::lease::Moment;
use iam_token_operator::core::schedule::later;
use iam_token_operator::iam::client::IamClient;
use iam_token_operator::telemetry::{LogLevel, probes};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};
use testkit::control_plane::{ControlPlane, Options};
use testkit::fake_iam::{FakeIam, Fault, Times};
use testkit::proxy::{Proxy, Road};
use tokio::net::TcpListener;
use tokio::time::sleep;

use crate::harness::{
    self, A_WHILE, OPERATOR_NAMESPACE, Operator, Start, World, allow_operator, eventually, install_crd, install_role,
    kubeconfig, new_namespace, prepared,
};

/// A list that hangs, and the longest pauses before and after it.
const A_HANGING_LIST: Duration = Duration::from_secs(100);

/// More connections than the operator serves at once.
const A_CROWD: usize = 100;

/// `PATIENCE_AT_THE_END` of the controller.
const THE_END: Duration = Duration::from_secs(20);

// === asking ===

/// Status and body.
fn get(address: SocketAddr, path: &str) -> Result<(u16, String), String> {
    let (head, body) = harness::operator::get(address, path).map_err(|error| error.to_string())?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("no status")?;
    Ok((status, body))
}

/// Asks until it has this status and the body has this line.
async fn says(address: SocketAddr, path: &str, status: u16, line: &str) -> String {
    eventually(&format!("{path}: {status} {line}"), async || match get(address, path)? {
        (found, body) if found == status && body.lines().any(|it| it.starts_with(line)) => Ok(body),
        other => Err(format!("{other:?}")),
    })
    .await
}

// === worlds ===

/// An operator that answers probes, on this namespace of the control plane, through this road.
async fn world_in(plane: &'static ControlPlane, namespace: &str, road: Option<&Proxy>, more: &[&str]) -> World {
    let iam = FakeIam::start();
    let mut config = kubeconfig(plane).await;
    if let Some(road) = road {
        config = plane.kubeconfig_through(&config, road.address());
    }
    let operator = Operator::start(&Start {
        kubeconfig: &config,
        namespaces: &[namespace.to_owned()],
        endpoints: &[iam.url()],
        log_level: "info",
        more: &[&["--health-bind-address", "127.0.0.1:0"], more].concat(),
    });
    World { plane, client: plane.admin(), namespace: namespace.to_owned(), iam, operator }
}

/// A namespace where the operator has all its rights.
async fn allowed(plane: &ControlPlane) -> String {
    let client = plane.admin();
    let namespace = new_namespace(&client).await;
    allow_operator(&client, &namespace).await;
    namespace
}

/// A namespace where the operator may watch IamTokens, and no Secrets.
async fn allowed_no_secrets(plane: &ControlPlane) -> String {
    let client = plane.admin();
    let namespace = new_namespace(&client).await;
    let rules: Value = json!([{"apiGroups": ["iamtoken.dev"], "resources": ["iamtokens"], "verbs": ["list", "watch"]}]);
    let role: Role = serde_json::from_value(json!({"metadata": {"name": "less"}, "rules": rules})).unwrap();
    Api::namespaced(client.clone(), &namespace).create(&PostParams::default(), &role).await.unwrap();
    let binding: RoleBinding = serde_json::from_value(json!({
        "metadata": {"name": "less"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "less"},
        "subjects": [{"kind": "ServiceAccount", "name": "iam-token-operator", "namespace": OPERATOR_NAMESPACE}],
    }))
    .unwrap();
    Api::namespaced(client, &namespace).create(&PostParams::default(), &binding).await.unwrap();
    namespace
}

async fn road(plane: &ControlPlane) -> Proxy {
    Proxy::start(plane.address()).await.unwrap()
}

fn terminate(world: &World) {
    assert!(Command::new("kill").arg(world.operator.pid().to_string()).status().unwrap().success());
}

// === tests ===

#[tokio::test]
async fn without_the_crd_readyz_names_it_and_livez_is_good() {
    let plane = Box::leak(Box::new(ControlPlane::start(Options::default()).await));
    install_role(plane).await;
    let world = world_in(plane, &allowed(plane).await, None, &[]).await;
    let probes = world.operator.address("probes").await;
    let body = says(probes, "/readyz", 503, "[-]crd: the CRD iamtokens.iamtoken.dev is not installed").await;
    for line in ["[-]iamtokens: waits for crd", "[-]secrets: waits for iamtokens", "readyz check failed"] {
        assert!(body.contains(line), "{line:?} is not in:\n{body}");
    }
    says(probes, "/livez", 200, "[+]watchdog ok").await;
    install_crd(plane).await;
    let body = says(probes, "/readyz", 200, "[+]secrets ok").await;
    for line in ["[+]crd ok", "[+]iamtokens ok", "[+]lead ok: this replica leads", "readyz check passed"] {
        assert!(body.contains(line), "{line:?} is not in:\n{body}");
    }
    says(probes, "/livez", 200, "livez check passed").await;
    assert_eq!(get(probes, "/").unwrap().0, 404);
}

#[tokio::test]
async fn a_list_of_secrets_that_is_not_allowed_keeps_it_from_being_ready_for_a_while() {
    let plane = prepared().await;
    let world = world_in(plane, &allowed_no_secrets(plane).await, None, &[]).await;
    let probes = world.operator.address("probes").await;
    says(probes, "/readyz", 503, "[-]secrets: listing").await;
    sleep(A_WHILE).await;
    says(probes, "/readyz", 200, "[+]secrets ok: the list takes long").await;
    says(probes, "/livez", 200, "[+]watchdog ok").await;
}

#[tokio::test]
async fn a_replica_that_stands_by_is_ready_and_says_what_it_is() {
    let plane = prepared().await;
    let namespace = allowed(plane).await;
    let replica = ["--leader-elect", "--lease-namespace", &namespace];
    let mut first = world_in(plane, &namespace, None, &replica).await;
    says(first.operator.address("probes").await, "/readyz", 200, "[+]lead ok: this replica leads").await;
    let second = world_in(plane, &namespace, None, &replica).await;
    let probes = second.operator.address("probes").await;
    says(probes, "/readyz", 200, "[+]lead ok: this replica stands by").await;
    first.operator.kill();
    says(probes, "/readyz", 200, "[+]lead ok: this replica leads").await;
}

#[tokio::test]
async fn who_holds_connections_or_makes_ever_new_ones_keeps_no_probe_from_its_answer() {
    let plane = prepared().await;
    let world = world_in(plane, &allowed(plane).await, None, &[]).await;
    let probes = world.operator.address("probes").await;
    let connect = || TcpStream::connect(probes).unwrap();
    let silent: Vec<_> = (0..A_CROWD).map(|_| connect()).collect();
    let mut asking: Vec<_> = (0..A_CROWD).map(|_| connect()).collect();
    for stream in &mut asking {
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: it\r\n\r\n").unwrap();
    }
    let ends = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&ends);
    let flood = std::thread::spawn(move || {
        while !ended.load(Ordering::Relaxed) {
            let _some: Vec<_> = (0..32).map_while(|_| TcpStream::connect(probes).ok()).collect();
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    for _ in 0..50 {
        assert_eq!(get(probes, "/livez").unwrap().0, 200);
        sleep(Duration::from_millis(50)).await;
    }
    ends.store(true, Ordering::Relaxed);
    flood.join().unwrap();
    drop((silent, asking));
}

/// Those who are left over when nobody else comes.
#[tokio::test]
async fn who_says_nothing_is_hung_up_on() {
    let plane = prepared().await;
    let world = world_in(plane, &allowed(plane).await, None, &[]).await;
    let mut silent = TcpStream::connect(world.operator.address("probes").await).unwrap();
    silent.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert_eq!(silent.read(&mut [0; 8]).unwrap(), 0);
}

#[tokio::test]
async fn it_is_no_longer_ready_once_it_ends() {
    let plane = prepared().await;
    let world = world_in(plane, &allowed(plane).await, None, &[]).await;
    let probes = world.operator.address("probes").await;
    says(probes, "/readyz", 200, "readyz check passed").await;
    world.iam.fault_any(Fault::delay(Duration::from_secs(4)), Times::Forever);
    let key = world.put_pair("hpcs").await;
    eventually("an exchange under way", async || if world.iam.most_at_once_of(&key) > 0 { Ok(()) } else { Err(()) })
        .await;
    terminate(&world);
    says(probes, "/readyz", 503, "[-]shutdown").await;
    assert_eq!(get(probes, "/livez").unwrap().0, 200);
}

#[tokio::test]
async fn a_black_hole_does_not_hold_up_the_end() {
    let plane = prepared().await;
    let road = road(plane).await;
    let mut world = world_in(plane, &allowed(plane).await, Some(&road), &[]).await;
    world.iam.fault_any(Fault::delay(Duration::from_secs(2)), Times::Forever);
    let key = world.put_pair("hpcs").await;
    eventually("an exchange under way", async || if world.iam.most_at_once_of(&key) > 0 { Ok(()) } else { Err(()) })
        .await;
    road.set(Road::Swallow);
    sleep(Duration::from_secs(3)).await;
    terminate(&world);
    let begin = Instant::now();
    eventually("the operator ended", async || world.operator.exit_code().ok_or(())).await;
    assert!(begin.elapsed() < THE_END + Duration::from_secs(2), "{:?}", begin.elapsed());
    assert!(world.operator.log().contains("is given up"), "{}", world.operator.log());
}

#[tokio::test]
async fn a_black_hole_before_the_api_server_turns_no_livez_and_a_list_that_hangs_is_tried_again() {
    let plane = prepared().await;
    let road = road(plane).await;
    road.set(Road::Hold);
    let world = world_in(plane, &allowed_no_secrets(plane).await, Some(&road), &[]).await;
    let probes = world.operator.address("probes").await;
    let key = world.put_pair("hpcs").await; // It is in the first list, not in a watch that goes deaf.
    road.set(Road::Open);
    says(probes, "/readyz", 503, "[+]iamtokens ok").await;
    road.set(Road::Swallow);
    let begin = Instant::now();
    let timed_out = |log: String| log.lines().any(|it| it.contains("watch on Secrets") && it.contains("within 30 s"));
    while !timed_out(world.operator.log()) {
        assert!(begin.elapsed() < A_HANGING_LIST, "no list has timed out");
        assert_eq!(get(probes, "/livez").unwrap().0, 200);
        sleep(Duration::from_millis(200)).await;
    }
    allow_operator(&world.client, &world.namespace).await;
    road.set(Road::Open);
    let begin = Instant::now();
    while world.data("hpcs").await.is_none() {
        assert!(begin.elapsed() < A_HANGING_LIST, "it has not recovered");
        assert_eq!(get(probes, "/livez").unwrap().0, 200);
        sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(world.iam.exchanges_of(&key), 1);
    says(probes, "/readyz", 200, "readyz check passed").await;
}

/// A clock that runs fast, and stops whoever asks it for the time after it was armed, until it is let go.
struct Trap {
    begin: (Instant, Timestamp),
    armed: AtomicBool,
    gate: Mutex<mpsc::Receiver<()>>,
}

impl Clock for Trap {
    fn now(&self) -> Timestamp {
        if self.armed.swap(false, Ordering::Relaxed) {
            let _ = self.gate.lock().unwrap().recv();
        }
        self.moment().wall
    }

    fn moment(&self) -> Moment {
        let (steady, wall) = self.begin;
        let passed = steady.elapsed() * 30;
        Moment { steady: steady + passed, wall: later(wall, passed) }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_look_that_hangs_turns_livez_which_names_it() {
    let mut world = World::start().await;
    world.operator.kill();
    let (hold, gate) = mpsc::channel();
    let clock = Arc::new(Trap {
        begin: (Instant::now(), SystemClock.now()),
        armed: AtomicBool::new(false),
        gate: Mutex::new(gate),
    });
    let settings = Settings {
        namespaces: vec![world.namespace.clone()],
        credential_namespaces: vec![],
        defaults: Endpoints::new(vec![Endpoint::parse(&world.iam.url(), true).unwrap()]).unwrap().into(),
        concurrency: 4,
        namespace_budget: 300,
        lease: None,
    };
    let client = world.plane.client_for_service_account(OPERATOR_NAMESPACE, "iam-token-operator").await;
    let exchange = Arc::new(IamClient::new(clock.clone(), true).unwrap());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let shutdown = stopped.map(|_| ()).boxed().shared();
    let health = Health::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(probes::serve(listener, health.clone(), LogLevel::default()));
    says(address, "/readyz", 503, "[-]controller: starting").await;
    let stage = controller::World { client, exchange, clock: clock.clone() };
    let signs = Signs { health, ..Signs::default() };
    let running = tokio::spawn(controller::run_with_signs(settings, stage, shutdown, signs));

    world.put_pair("hpcs").await;
    world.ready("hpcs").await;
    says(address, "/readyz", 200, "[+]secrets ok").await;
    assert_eq!(get(address, "/livez").unwrap().0, 200);
    clock.armed.store(true, Ordering::Relaxed);
    world.annotate("hpcs", REFRESH_REQUESTED, "1").await;
    let name = format!("{}/hpcs", world.namespace);
    let line = format!("[-]watchdog: the look at IamToken {name} has come no further for 3 minutes: restart");
    says(address, "/livez", 503, &line).await;
    assert_eq!(get(address, "/readyz").unwrap().0, 200);
    drop(hold);
    says(address, "/livez", 200, "[+]watchdog ok").await;
    stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(10), running).await.expect("an end in time").unwrap();
}
