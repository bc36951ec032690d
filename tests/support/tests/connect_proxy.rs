//! The proxy connects whom it should, and sees what passes.

use testkit::connect_proxy::{Admits, ConnectProxy};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// The answer to `CONNECT target` with more headers, up to its empty line; and the connection.
async fn connect(proxy: &ConnectProxy, target: &str, more: &str) -> (String, TcpStream) {
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    stream.write_all(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{more}\r\n").as_bytes()).await.unwrap();
    let mut head = vec![];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    (String::from_utf8(head).unwrap(), stream)
}

#[tokio::test]
async fn it_connects_refuses_and_remembers() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap().to_string();
    let proxy = ConnectProxy::start().await.unwrap();

    let (head, mut client) = connect(&proxy, &target, "").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let (mut server, _) = listener.accept().await.unwrap();
    client.write_all(b"there").await.unwrap();
    let mut there = [0; 5];
    server.read_exact(&mut there).await.unwrap();
    assert!(proxy.bytes().ends_with(b"there"));

    proxy.set(Admits::Nobody);
    assert!(client.read_u8().await.is_err(), "connections end when it changes its mind");
    for (admits, more, status) in [
        (Admits::Nobody, "", "403"),
        (Admits::Only("Basic Zm9v".into()), "", "407"),
        (Admits::Only("Basic Zm9v".into()), "Proxy-Authorization: Basic Zm9v\r\n", "200"),
    ] {
        proxy.set(admits);
        let (head, _) = connect(&proxy, &target, more).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    }
    proxy.set(Admits::Silence);
    assert_eq!(connect(&proxy, &target, "").await.0, "");
    proxy.set(Admits::All);
    assert!(connect(&proxy, "127.0.0.1:1", "").await.0.starts_with("HTTP/1.1 502 "));
    assert_eq!(proxy.connects().len(), 6);
    assert_eq!(proxy.connects()[5], "127.0.0.1:1");
}
