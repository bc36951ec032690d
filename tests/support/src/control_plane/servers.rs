//! How the processes are set up.

use std::{
    ffi::OsString,
    hash::{BuildHasher, RandomState},
    net::{Ipv4Addr, TcpListener},
    path::Path,
};

use super::{
    Error, Options,
    access::write_private,
    audit,
    pki::{self, Authority},
    process::{Daemon, Process},
};

/// Below the ports that systems give to outgoing connections, so that a restart finds its port free.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// The store, which does not care for its data to survive the machine.
pub(super) fn etcd(run: &Path, binaries: &Path) -> Result<Daemon, Error> {
    let port = free_port()?;
    let url = format!("http://127.0.0.1:{port}");
    let peer_url = format!("http://127.0.0.1:{}", free_port()?);
    let arguments = vec![
        path_flag("--data-dir", &run.join("etcd")),
        format!("--listen-client-urls={url}").into(),
        format!("--advertise-client-urls={url}").into(),
        format!("--listen-peer-urls={peer_url}").into(),
        format!("--initial-advertise-peer-urls={peer_url}").into(),
        format!("--initial-cluster=default={peer_url}").into(),
        "--unsafe-no-fsync".into(),
        // Alone, it may elect itself at once.
        "--heartbeat-interval=10".into(),
        "--election-timeout=100".into(),
        "--log-level=warn".into(),
    ];
    Ok(Daemon::new(Process::Etcd, port, run, binaries, arguments))
}

/// The API server on the store `etcd`. Writes the files it needs into `run`.
pub(super) fn api_server(
    run: &Path,
    binaries: &Path,
    authority: &Authority,
    etcd: &Daemon,
    options: Options,
) -> Result<Daemon, Error> {
    let file = |name: &str, content: &str| {
        let path = run.join(name);
        write_private(&path, content).map(|()| path)
    };
    let serving = authority.server(&["127.0.0.1", "localhost", "kubernetes.default.svc"])?;
    let (signing_key, verifying_key) = pki::token_keys()?;
    let port = free_port()?;
    let mut arguments: Vec<OsString> = vec![
        path_flag("--tls-cert-file", &file("api-server.crt", &serving.certificate)?),
        path_flag("--tls-private-key-file", &file("api-server.key", &serving.key)?),
        path_flag("--client-ca-file", &file("ca.crt", authority.pem())?),
        path_flag("--service-account-key-file", &file("token.pub", &verifying_key)?),
        path_flag("--service-account-signing-key-file", &file("token.key", &signing_key)?),
        "--service-account-issuer=https://kubernetes.default.svc".into(),
        "--authorization-mode=RBAC".into(),
        format!("--etcd-servers=http://127.0.0.1:{}", etcd.port()).into(),
        "--bind-address=127.0.0.1".into(),
        "--external-hostname=localhost".into(),
        format!("--secure-port={port}").into(),
        "--service-cluster-ip-range=10.0.0.0/24".into(),
        // There is no node that would reach it at its address.
        "--endpoint-reconciler-type=none".into(),
        "--profiling=false".into(),
    ];
    if options.no_watch_cache {
        arguments.push("--watch-cache=false".into());
    }
    if options.audit {
        arguments.push(path_flag("--audit-policy-file", &file("audit-policy.yaml", audit::POLICY)?));
        arguments.push(path_flag("--audit-log-path", &run.join(audit::LOG)));
        arguments.push("--audit-log-mode=blocking".into());
        // In megabytes. A new file would lose what marks refer to.
        arguments.push("--audit-log-maxsize=4096".into());
    }
    Ok(Daemon::new(Process::ApiServer, port, run, binaries, arguments))
}

fn path_flag(flag: &str, path: &Path) -> OsString {
    let mut argument = OsString::from(flag);
    argument.push("=");
    argument.push(path);
    argument
}

/// A loopback port that nothing listens on right now, chosen at random.
fn free_port() -> Result<u16, Error> {
    let random = RandomState::new();
    let size = u64::from(PORTS.end - PORTS.start);
    for attempt in 0..1000_u32 {
        let offset = random.hash_one(attempt) % size;
        let port = PORTS.start + u16::try_from(offset).unwrap_or_default();
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(Error::new(format!("no free port in {PORTS:?}")))
}
