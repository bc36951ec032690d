//! HTTP by hand over plain sockets, so that nothing is hidden or repaired.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use testkit::fake_iam::FakeIam;

pub const GRANT: &str = "urn%3Aibm%3Aparams%3Aoauth%3Agrant-type%3Aapikey";
pub const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\nAccept: application/json\r\n";

/// What came back, to the end of the connection.
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
    pub broken: Option<ErrorKind>,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    pub fn token(&self) -> String {
        self.json()["access_token"].as_str().expect("a token").to_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

pub fn talk(mut stream: impl Read + Write, request: &str) -> Reply {
    stream.write_all(request.as_bytes()).expect("the request is sent");
    let mut bytes = Vec::new();
    let broken = (&mut stream).take(11 << 20).read_to_end(&mut bytes).err().map(|error| error.kind());
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Reply { status, head, body: bytes[end..].to_vec(), broken }
}

pub fn send(to: SocketAddr, request_line: &str, headers: &str, body: &str) -> Reply {
    let stream = TcpStream::connect(to).expect("a connection");
    talk(stream, &request(request_line, headers, body))
}

pub fn request(request_line: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{request_line} HTTP/1.1\r\nHost: iam\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    )
}

pub fn form_of(key: &str) -> String {
    format!("grant_type={GRANT}&apikey={key}&response_type=cloud_iam")
}

pub fn exchange(iam: &FakeIam, key: &str) -> Reply {
    send(iam.address(), "POST /identity/token", FORM, &form_of(key))
}

pub fn epoch() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    since.as_secs().try_into().expect("before the sun dies")
}

/// Waits for something that another thread does, at most 20 s.
pub fn wait_until(mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < deadline, "it never happened");
        thread::sleep(Duration::from_millis(5));
    }
}
