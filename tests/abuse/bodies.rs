//! Bodies that are not finished, of people who have shown no token.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::{Target, eventually};
use super::world::{GROWTH_BYTES, Stop, World};

/// Connections at a time.
const CONNECTIONS: usize = 800;
/// Bytes of each body, of which the last one never comes.
const BODY: usize = 255 * 1024;

/// How a body says how long it is.
#[derive(Clone, Copy)]
enum Length {
    Announced,
    Chunked,
}

/// Nobody who has shown no token has a body kept. What the HTTP library reads ahead of a connection before anybody sees the
/// request is 128 KiB, held until the connection is closed a second later: that is what a burst may cost for a moment.
const READ_AHEAD: u64 = 128 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_without_a_token_cost_the_others_nothing() {
    let world = World::new().await;
    let before = world.server.process().resident_bytes();
    for (path, length, status) in [
        ("/auth/login", Length::Announced, "413"),
        ("/auth/refresh", Length::Chunked, "413"),
        ("/conversations", Length::Announced, "401"),
    ] {
        let name = format!("800 bodies to {path}");
        let stop = Stop::default();
        let attack = bodies(world.server.target().clone(), path, length, stop.clone());
        let answers = world.under_at_most(&name, attack, &stop, CONNECTIONS as u64 * READ_AHEAD).await;
        eprintln!("{name}: {answers:?}");
        assert!(answers.contains_key(status), "{name}: {answers:?}");
        assert!(answers.keys().all(|answer| [status, "none"].contains(&answer.as_str())), "{name}: {answers:?}");
    }
    let now = || world.server.process().resident_bytes();
    eventually("the memory has come back", async || now() <= before + GROWTH_BYTES).await;
}

/// Opens so many connections, each of which sends all of its body but the last byte; the statuses that came.
async fn bodies(target: Target, path: &'static str, length: Length, stop: Stop) -> BTreeMap<String, u64> {
    let connections: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (target, stop) = (target.clone(), stop.clone());
            tokio::spawn(async move { body(&target, path, length, &stop).await.unwrap_or_else(|| "none".to_owned()) })
        })
        .collect();
    let mut answers = BTreeMap::new();
    for connection in connections {
        *answers.entry(connection.await.expect("a connection ends well")).or_insert(0) += 1;
    }
    answers
}

/// Sends one body that is never finished, and waits for what the server says; the status.
async fn body(target: &Target, path: &str, length: Length, stop: &Stop) -> Option<String> {
    let mut stream = TcpStream::connect(target.address).await.ok()?;
    let said = match length {
        Length::Announced => format!("content-length: {}", BODY + 1),
        Length::Chunked => "transfer-encoding: chunked".to_owned(),
    };
    let head = format!(
        "POST /api/v1{path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n{said}\r\n\r\n",
        target.address
    );
    stream.write_all(head.as_bytes()).await.ok()?;
    if matches!(length, Length::Chunked) {
        stream.write_all(format!("{:x}\r\n", BODY + 1).as_bytes()).await.ok()?;
    }
    // the server may close while it is written to; what it said can be read nevertheless
    let _ = stream.write_all(&vec![b' '; BODY]).await;
    let mut answer = [0; 12];
    loop {
        let read = tokio::time::timeout(Duration::from_millis(100), stream.read_exact(&mut answer)).await;
        match read {
            Ok(read) => return read.ok().map(|_| String::from_utf8_lossy(&answer[9..]).into_owned()),
            Err(_) if stop.is_over() => return None,
            Err(_) => {}
        }
    }
}
