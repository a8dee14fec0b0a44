//! Attackers that more than one test needs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::stream::{SplitStream, StreamExt};
use futures_util::{FutureExt, SinkExt};
use reqwest::Method;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::support::rest::Body;
use crate::support::socket::{Auth, ConnectOptions, connect, upgrade};
use crate::support::{Target, TestUser};

/// Frames that are written before one looks whether the connection still stands.
const BATCH: usize = 64;
/// Calls on their way at a time: more than a user may have running.
const CALLS: usize = 64;
/// Connections being opened at a time.
const HANDSHAKES: usize = 16;
/// How long one waits before one tries again to reach a server that is down.
const PAUSE: Duration = Duration::from_millis(20);
/// Bytes of each body, of which the last one never comes.
const BODY: usize = 255 * 1024;

/// How a body says how long it is.
#[derive(Clone, Copy)]
pub enum Length {
    /// In its head.
    Announced,
    /// Not at all.
    Chunked,
}

/// Set when an attack is to end.
#[derive(Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// It is over.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What an attacker got.
#[derive(Debug, Default)]
pub struct Loot {
    /// Frames written, as far as the connection took them.
    pub sent: u64,
    /// Connections opened.
    pub connections: u64,
    /// Answers by type, errors by code.
    pub answers: BTreeMap<String, u64>,
    /// Closing codes; 0 where none came.
    pub closes: BTreeMap<u16, u64>,
}

impl Loot {
    /// How often an answer of this type, or an error of this code, came.
    pub fn of(&self, answer: &str) -> u64 {
        self.answers.get(answer).copied().unwrap_or(0)
    }

    /// Two attackers' together.
    pub fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.connections += other.connections;
        for (answer, count) in other.answers {
            *self.answers.entry(answer).or_default() += count;
        }
        for (code, count) in other.closes {
            *self.closes.entry(code).or_default() += count;
        }
    }

    fn note(&mut self, text: &str) {
        let frame: Value = serde_json::from_str(text).unwrap_or_default();
        let kind = match frame["payload"]["code"].as_str() {
            Some(code) => code,
            None => frame["type"].as_str().unwrap_or("none"),
        };
        *self.answers.entry(kind.to_owned()).or_default() += 1;
    }
}

/// Floods one socket after another with frames as fast as they are taken, and reads all answers.
pub async fn flood<F: Into<Message> + 'static>(
    user: TestUser,
    frame: impl Fn(u64) -> F + Send + Sync + 'static,
    stop: Stop,
) -> Loot {
    let mut loot = Loot::default();
    let written = AtomicU64::new(0);
    while !stop.is_over() {
        let Some(stream) = open(&user.target, &user.access_token).await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        loot.connections += 1;
        let (mut outgoing, incoming) = stream.split();
        let writing = async {
            while !stop.is_over() {
                for _ in 0..BATCH {
                    let number = written.fetch_add(1, Ordering::Relaxed);
                    if outgoing.feed(frame(number).into()).await.is_err() {
                        return;
                    }
                }
                if outgoing.flush().await.is_err() {
                    return;
                }
                tokio::task::yield_now().await;
            }
            let _ = outgoing.close().await;
        };
        // whichever half ends first: the connection is over when there is nothing more to read
        let reading = read(incoming, u64::MAX, &mut loot);
        tokio::pin!(writing, reading);
        let mut writing = writing.fuse();
        let mut reading = reading.fuse();
        loop {
            tokio::select! {
                () = &mut reading => break,
                () = &mut writing => {}
            }
        }
    }
    loot.sent = written.load(Ordering::Relaxed);
    loot
}

/// Opens a connection that presents `token`; none while the server does not take it.
pub async fn open(target: &Target, token: &str) -> Option<WebSocketStream<TcpStream>> {
    let options = ConnectOptions { subscribe_none: true, ..ConnectOptions::default() };
    upgrade(target, token, options, connect(target).await.ok()?).await.ok()
}

/// Reads so many frames that are no errors, or to the end.
pub async fn read(mut incoming: SplitStream<WebSocketStream<TcpStream>>, mut frames: u64, loot: &mut Loot) {
    while frames > 0 {
        let code = match incoming.next().await {
            Some(Ok(Message::Text(text))) => {
                loot.note(&text);
                frames -= u64::from(!text.contains("\"error\""));
                continue;
            }
            Some(Ok(Message::Close(close))) => close.map_or(0, |close| close.code.into()),
            Some(Ok(_)) => continue,
            Some(Err(_)) | None => 0,
        };
        *loot.closes.entry(code).or_default() += 1;
        return;
    }
}

/// Opens connections as fast as they are answered.
pub async fn handshakes(user: TestUser, auth: Auth, stop: Stop) -> Loot {
    let shaking: Vec<_> =
        (0..HANDSHAKES).map(|_| tokio::spawn(shake(user.clone(), auth.clone(), stop.clone()))).collect();
    let mut all = Loot::default();
    for shaking in shaking {
        all.add(shaking.await.expect("it ends well"));
    }
    all
}

/// Opens one connection after another and waits for the first word of the server on each.
async fn shake(user: TestUser, auth: Auth, stop: Stop) -> Loot {
    let mut loot = Loot::default();
    while !stop.is_over() {
        let target: &Target = &user.target;
        let options = ConnectOptions { auth: auth.clone(), ..ConnectOptions::default() };
        let Ok(stream) = connect(target).await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let Ok(stream) = upgrade(target, &user.access_token, options, stream).await else { continue };
        loot.connections += 1;
        let (outgoing, incoming) = stream.split();
        read(incoming, 1, &mut loot).await;
        drop(outgoing);
    }
    loot
}

/// Calls `path` again and again; how often which status came.
pub async fn calls(user: TestUser, path: &'static str, stop: Stop) -> BTreeMap<u16, u64> {
    let callers: Vec<_> = (0..CALLS)
        .map(|_| {
            let (user, stop) = (user.clone(), stop.clone());
            tokio::spawn(async move {
                let mut answers = BTreeMap::new();
                while !stop.is_over() {
                    let token = Some(user.access_token.as_str());
                    match user.target.try_call(Method::GET, path, token, Body::None).await {
                        Ok(answer) => *answers.entry(answer.status).or_insert(0) += 1,
                        Err(_) => tokio::time::sleep(PAUSE).await,
                    }
                }
                answers
            })
        })
        .collect();
    let mut answers = BTreeMap::new();
    for caller in callers {
        for (status, count) in caller.await.expect("a caller ends well") {
            *answers.entry(status).or_insert(0) += count;
        }
    }
    answers
}

/// Opens so many connections, each of which sends all of its body but the last byte; the statuses that came.
pub async fn bodies(
    target: Target,
    connections: usize,
    path: &'static str,
    token: Option<&'static str>,
    length: Length,
    stop: Stop,
) -> BTreeMap<String, u64> {
    let connections: Vec<_> = (0..connections)
        .map(|_| {
            let (target, stop) = (target.clone(), stop.clone());
            tokio::spawn(
                async move { body(&target, path, token, length, &stop).await.unwrap_or_else(|| "none".to_owned()) },
            )
        })
        .collect();
    let mut answers = BTreeMap::new();
    for connection in connections {
        *answers.entry(connection.await.expect("a connection ends well")).or_insert(0) += 1;
    }
    answers
}

/// Makes one group after another, and waits as long as the server says where it is refused; how often which answer
/// came.
pub async fn groups(maker: TestUser, group: Value, stop: Stop) -> BTreeMap<u16, u64> {
    let mut answers = BTreeMap::new();
    while !stop.is_over() {
        let token = Some(maker.access_token.as_str());
        let answer = maker.target.try_call(Method::POST, "/conversations", token, Body::Json(group.clone())).await;
        let Ok(answer) = answer else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        *answers.entry(answer.status).or_insert(0) += 1;
        let wait = answer.headers.get("retry-after").and_then(|seconds| seconds.to_str().ok()?.parse().ok());
        if let Some(seconds) = wait {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
        }
    }
    answers
}

/// Opens `connections` at once and sends `bytes` of a head that never ends on each; what the server says, by status.
pub async fn heads(target: Target, connections: usize, bytes: usize, stop: Stop) -> BTreeMap<String, u64> {
    let connections: Vec<_> = (0..connections)
        .map(|_| {
            let (target, stop) = (target.clone(), stop.clone());
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(target.address).await.ok()?;
                let begun = format!("GET /api/v1/users/me HTTP/1.1\r\nhost: {}\r\nx-long: ", target.address);
                stream.write_all(begun.as_bytes()).await.ok()?;
                let _ = stream.write_all(&vec![b'x'; bytes]).await;
                status(&mut stream, &stop).await
            })
        })
        .collect();
    let mut answers = BTreeMap::new();
    for connection in connections {
        let said = connection.await.expect("a connection ends well");
        *answers.entry(said.unwrap_or_else(|| "none".to_owned())).or_insert(0) += 1;
    }
    answers
}

/// Sends one body that is never finished, and waits for what the server says; the status.
async fn body(target: &Target, path: &str, token: Option<&str>, length: Length, stop: &Stop) -> Option<String> {
    let mut stream = TcpStream::connect(target.address).await.ok()?;
    let said = match length {
        Length::Announced => format!("content-length: {}", BODY + 1),
        Length::Chunked => "transfer-encoding: chunked".to_owned(),
    };
    let token = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    let head = format!(
        "POST /api/v1{path} HTTP/1.1\r\nhost: {}\r\n{token}content-type: application/json\r\n{said}\r\n\r\n",
        target.address
    );
    stream.write_all(head.as_bytes()).await.ok()?;
    if matches!(length, Length::Chunked) {
        stream.write_all(format!("{:x}\r\n", BODY + 1).as_bytes()).await.ok()?;
    }
    // the server may close while it is written to; what it said can be read nevertheless
    let _ = stream.write_all(&vec![b' '; BODY]).await;
    status(&mut stream, stop).await
}

/// The status that the server answers with, if it does before it is over.
async fn status(stream: &mut TcpStream, stop: &Stop) -> Option<String> {
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
