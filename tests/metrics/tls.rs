//! Scrapes over TLS, with a certificate that changes.

use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use testkit::certificate::{Authority, Pair};

use crate::harness::operator::get;
use crate::harness::{Operator, World, eventually, kubeconfig, prepared};
use crate::scrape::read;
use crate::{SCRAPED, world_with};

/// More than the operator serves at once.
const SILENT: usize = 80;

/// A folder as kubelet lays out a Secret: `tls.crt` and `tls.key` lead through the link `..data`.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str, pair: &Pair) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let it = Self(folder);
        it.put(pair);
        for file in ["tls.crt", "tls.key"] {
            symlink(Path::new("..data").join(file), it.0.join(file)).unwrap();
        }
        it
    }

    /// Lays the new pair into a new folder, and turns the link in one step.
    pub fn put(&self, pair: &Pair) {
        let number = std::fs::read_dir(&self.0).unwrap().count();
        let version = format!("..{number}");
        std::fs::create_dir(self.0.join(&version)).unwrap();
        std::fs::write(self.0.join(&version).join("tls.crt"), &pair.certificate).unwrap();
        std::fs::write(self.0.join(&version).join("tls.key"), &pair.key).unwrap();
        symlink(&version, self.0.join("..new")).unwrap();
        std::fs::rename(self.0.join("..new"), self.0.join("..data")).unwrap();
    }

    pub fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Whoever trusts this authority and no other; each of their requests has a connection of its own.
pub fn client(authority: &Authority) -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let trusted = reqwest::Certificate::from_pem(authority.pem.as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([trusted]).pool_max_idle_per_host(0).no_proxy();
    client.timeout(Duration::from_mins(1)).build().unwrap()
}

pub async fn address(operator: &Operator) -> SocketAddr {
    operator.address("scrapes").await
}

async fn scrape(client: &reqwest::Client, address: SocketAddr) -> Result<String, reqwest::Error> {
    let answer = client.get(format!("https://{address}/metrics")).send().await?;
    assert_eq!(answer.status(), 200);
    let content_type = answer.headers()["content-type"].to_str().unwrap().to_owned();
    Ok(read(&content_type, answer.text().await?).text)
}

fn server() -> (Authority, Pair) {
    let authority = Authority::new("scrapes").unwrap();
    let pair = authority.server(&["127.0.0.1"]).unwrap();
    (authority, pair)
}

async fn served(folder: &Folder) -> World {
    world_with(&["--metrics-cert-path", folder.path()]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn scrapes_are_encrypted_and_a_new_certificate_needs_no_restart() {
    let [(one, first), (other, second)] = [server(), server()];
    let folder = Folder::new("changing", &first);
    let world = served(&folder).await;
    let address = address(&world.operator).await;
    assert!(scrape(&client(&one), address).await.unwrap().contains("process_cpu_seconds_total"));
    scrape(&client(&other), address).await.expect_err("signed by an authority that is not trusted");
    let plain = get(address, "/metrics").unwrap_or_default();
    assert!(!plain.0.contains("200") && !plain.1.contains("process_"), "{plain:?}");

    folder.put(&second);
    scrape(&client(&other), address).await.unwrap();
    scrape(&client(&one), address).await.expect_err("it is another certificate now");

    folder.put(&Pair { key: first.key.clone(), ..second.clone() });
    for _ in 0..3 {
        scrape(&client(&other), address).await.unwrap();
    }
    let log = world.operator.log();
    let told = log.lines().filter(|line| line.contains("tls.crt and tls.key are of no use together"));
    assert_eq!(told.count(), 1, "{log}");
    folder.put(&first);
    scrape(&client(&one), address).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_connects_and_says_nothing_stops_nobody() {
    let (authority, pair) = server();
    let folder = Folder::new("silent", &pair);
    let world = served(&folder).await;
    let address = address(&world.operator).await;
    let mut silent: Vec<_> = (0..SILENT).map(|_| TcpStream::connect(address).unwrap()).collect();
    scrape(&client(&authority), address).await.unwrap();
    silent[0].set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    assert_eq!(silent[0].read(&mut [0; 8]).unwrap_or(0), 0, "it is hung up on");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_served_with_is_told_at_the_start() {
    let (_, pair) = server();
    let (_, other) = server();
    let mixed = Folder::new("mixed", &Pair { key: other.key, ..pair.clone() });
    let good = Folder::new("good", &pair);
    let kubeconfig = kubeconfig(prepared().await).await;
    for (arguments, words) in [
        (vec!["--metrics-cert-path", "/no-such-folder"], "--metrics-cert-path /no-such-folder: tls.crt: No such file"),
        (vec!["--metrics-cert-path", mixed.path()], "put a certificate and its own key there"),
        (vec!["--metrics-authentication"], "set --metrics-cert-path, too"),
        (vec!["--metrics-authentication", "--metrics-cert-path", good.path()], "name a place to answer them at"),
    ] {
        let bound = if words.contains("a place") { &[][..] } else { &SCRAPED[..] };
        let arguments = [&["run"], bound, &arguments].concat();
        let mut operator = Operator::with_arguments(&kubeconfig, &arguments);
        let code = eventually("the operator ended", async || operator.exit_code().ok_or(())).await;
        eventually(words, async || if operator.log().contains(words) { Ok(()) } else { Err(operator.log()) }).await;
        assert_eq!(code, 2);
    }
}
