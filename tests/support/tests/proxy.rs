//! A road that is cut does what it is named after.

use std::time::Duration;

use testkit::proxy::{Proxy, Road};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const A_MOMENT: Duration = Duration::from_millis(100);
const LIMIT: Duration = Duration::from_secs(5);

/// Towards a server that sends back what it gets.
async fn road() -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await
            });
        }
    });
    Proxy::start(address).await.unwrap()
}

async fn client(road: &Proxy) -> TcpStream {
    TcpStream::connect(road.address()).await.unwrap()
}

/// What comes back, or that nothing does in a moment.
async fn echo(stream: &mut TcpStream, byte: u8) -> Option<std::io::Result<u8>> {
    if let Err(error) = stream.write_all(&[byte]).await {
        return Some(Err(error));
    }
    timeout(A_MOMENT, stream.read_u8()).await.ok()
}

#[tokio::test]
async fn an_open_road_carries_both_ways() {
    let road = road().await;
    let mut stream = client(&road).await;
    stream.write_all(b"there").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut back = String::new();
    timeout(LIMIT, stream.read_to_string(&mut back)).await.unwrap().unwrap();
    assert_eq!(back, "there");
}

#[tokio::test]
async fn a_road_that_resets_ends_old_and_new_connections() {
    let road = road().await;
    let mut old = client(&road).await;
    assert_eq!(echo(&mut old, 1).await.unwrap().unwrap(), 1);
    road.set(Road::Reset);
    assert!(timeout(LIMIT, old.read_u8()).await.unwrap().is_err());
    let mut new = client(&road).await;
    assert!(timeout(LIMIT, new.read_u8()).await.unwrap().is_err());
    road.set(Road::Open);
    assert_eq!(echo(&mut client(&road).await, 2).await.unwrap().unwrap(), 2);
}

#[tokio::test]
async fn a_road_that_swallows_leaves_old_connections_deaf() {
    let road = road().await;
    let mut old = client(&road).await;
    assert_eq!(echo(&mut old, 1).await.unwrap().unwrap(), 1);
    road.set(Road::Swallow);
    assert!(echo(&mut old, 2).await.is_none());
    let mut new = client(&road).await;
    assert!(echo(&mut new, 3).await.is_none());
    road.set(Road::Open);
    assert!(echo(&mut old, 4).await.is_none());
    assert!(echo(&mut new, 5).await.is_none());
    assert_eq!(echo(&mut client(&road).await, 6).await.unwrap().unwrap(), 6);
}

#[tokio::test]
async fn a_road_that_holds_delivers_later() {
    let road = road().await;
    let mut old = client(&road).await;
    assert_eq!(echo(&mut old, 1).await.unwrap().unwrap(), 1);
    road.set(Road::Hold);
    let mut new = client(&road).await;
    assert!(echo(&mut old, 2).await.is_none());
    assert!(echo(&mut new, 3).await.is_none());
    road.set(Road::Open);
    assert_eq!(timeout(LIMIT, old.read_u8()).await.unwrap().unwrap(), 2);
    assert_eq!(timeout(LIMIT, new.read_u8()).await.unwrap().unwrap(), 3);
}
