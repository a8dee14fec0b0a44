//! The attacks that several tests use.

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

/// Frames that are written before the attacker flushes them and sees whether the connection is open.
const BATCH: usize = 64;
/// Calls of one user under way at a time: more than a user may run.
const CALLS: usize = 64;
/// Connections that one user opens at a time.
const HANDSHAKES: usize = 16;
/// Attempts of each of these connections at least, however slow the machine is. All together are more than the burst
/// that a user has and what the user's bucket gains meanwhile.
const MIN_ATTEMPTS: usize = 16;
/// The pause before the next attempt to reach a server that is down.
const PAUSE: Duration = Duration::from_millis(20);
/// Bytes that are sent of each body. One more is announced and never sent.
const BODY_BYTES: usize = 255 * 1024;

/// How a request states the length of its body.
#[derive(Clone, Copy)]
pub enum Length {
    /// The head contains the length.
    Announced,
    /// The head contains no length; each chunk contains its own.
    Chunked,
}

/// The signal that ends an attack.
#[derive(Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Returns whether the attack must end.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Makes the attack end.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What an attacker sent and received.
#[derive(Debug, Default)]
pub struct AttackResult {
    /// The frames that the connections accepted.
    pub sent: u64,
    /// The connections that were opened.
    pub connections: u64,
    /// The number of answers by type, and of errors by code.
    pub answers: BTreeMap<String, u64>,
    /// The number of closed connections by close code; 0 stands for no code.
    pub closes: BTreeMap<u16, u64>,
}

impl AttackResult {
    /// Returns the number of answers of this type or of errors with this code.
    pub fn count(&self, answer: &str) -> u64 {
        self.answers.get(answer).copied().unwrap_or(0)
    }

    /// Adds the result of another attacker.
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

    fn record(&mut self, text: &str) {
        let frame: Value = serde_json::from_str(text).unwrap_or_default();
        let kind = match frame["payload"]["code"].as_str() {
            Some(code) => code,
            None => frame["type"].as_str().unwrap_or("none"),
        };
        *self.answers.entry(kind.to_owned()).or_default() += 1;
    }
}

/// Floods one socket after another with frames, as fast as the server reads them, and reads all answers.
pub async fn flood<F: Into<Message> + 'static>(
    user: TestUser,
    frame: impl Fn(u64) -> F + Send + Sync + 'static,
    stop: Stop,
) -> AttackResult {
    let mut result = AttackResult::default();
    let written = AtomicU64::new(0);
    while !stop.is_set() {
        let Some(stream) = open_socket(&user.target, &user.access_token).await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        result.connections += 1;
        let (mut outgoing, incoming) = stream.split();
        let writing = async {
            while !stop.is_set() {
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
        // Either half may end first. The connection has ended when there is no more to read.
        let reading = read_frames(incoming, u64::MAX, &mut result);
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
    result.sent = written.load(Ordering::Relaxed);
    result
}

/// Opens a socket with this token. Returns `None` if the server does not accept it.
async fn open_socket(target: &Target, token: &str) -> Option<WebSocketStream<TcpStream>> {
    let options = ConnectOptions { subscribe_none: true, ..ConnectOptions::default() };
    upgrade(target, token, options, connect(target).await.ok()?).await.ok()
}

/// Reads until this number of frames that are no errors has come, or until the connection ends.
async fn read_frames(
    mut incoming: SplitStream<WebSocketStream<TcpStream>>,
    mut frames: u64,
    result: &mut AttackResult,
) {
    while frames > 0 {
        let code = match incoming.next().await {
            Some(Ok(Message::Text(text))) => {
                result.record(&text);
                frames -= u64::from(!text.contains("\"error\""));
                continue;
            }
            Some(Ok(Message::Close(close))) => close.map_or(0, |close| close.code.into()),
            Some(Ok(_)) => continue,
            Some(Err(_)) | None => 0,
        };
        *result.closes.entry(code).or_default() += 1;
        return;
    }
}

/// Opens connections as fast as the server answers, several at a time.
pub async fn open_connections(user: TestUser, auth: Auth, stop: Stop) -> AttackResult {
    let tasks: Vec<_> = (0..HANDSHAKES)
        .map(|_| tokio::spawn(open_connections_in_turn(user.clone(), auth.clone(), stop.clone())))
        .collect();
    let mut total = AttackResult::default();
    for task in tasks {
        total.add(task.await.expect("the task does not panic"));
    }
    total
}

/// Opens one connection after another, and waits for the first frame of the server on each.
async fn open_connections_in_turn(user: TestUser, auth: Auth, stop: Stop) -> AttackResult {
    let mut result = AttackResult::default();
    let mut attempts = 0;
    while !stop.is_set() || attempts < MIN_ATTEMPTS {
        attempts += 1;
        let target: &Target = &user.target;
        let options = ConnectOptions { auth: auth.clone(), ..ConnectOptions::default() };
        let Ok(stream) = connect(target).await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let Ok(stream) = upgrade(target, &user.access_token, options, stream).await else { continue };
        result.connections += 1;
        let (outgoing, incoming) = stream.split();
        read_frames(incoming, 1, &mut result).await;
        drop(outgoing);
    }
    result
}

/// Calls `path` again and again, and returns the number of answers by status.
pub async fn repeat_call(user: TestUser, path: &'static str, stop: Stop) -> BTreeMap<u16, u64> {
    let tasks: Vec<_> = (0..CALLS)
        .map(|_| {
            let (user, stop) = (user.clone(), stop.clone());
            tokio::spawn(async move {
                let mut answers = BTreeMap::new();
                while !stop.is_set() {
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
    for task in tasks {
        for (status, count) in task.await.expect("the task does not panic") {
            *answers.entry(status).or_insert(0) += count;
        }
    }
    answers
}

/// Opens `connections`, sends all of a body except its last byte on each, and returns the number of answers by status.
pub async fn send_unfinished_bodies(
    target: Target,
    connections: usize,
    path: &'static str,
    token: Option<&'static str>,
    length: Length,
    stop: Stop,
) -> BTreeMap<String, u64> {
    let tasks: Vec<_> = (0..connections)
        .map(|_| {
            let (target, stop) = (target.clone(), stop.clone());
            tokio::spawn(async move {
                let status = send_unfinished_body(&target, path, token, length, &stop).await;
                status.unwrap_or_else(|| "none".to_owned())
            })
        })
        .collect();
    let mut answers = BTreeMap::new();
    for task in tasks {
        *answers.entry(task.await.expect("the task does not panic")).or_insert(0) += 1;
    }
    answers
}

/// Creates one group after another, and returns the number of answers by status. After a refusal it waits as long as
/// the server demands.
pub async fn create_groups(creator: TestUser, group: Value, stop: Stop) -> BTreeMap<u16, u64> {
    let mut answers = BTreeMap::new();
    while !stop.is_set() {
        let token = Some(creator.access_token.as_str());
        let answer = creator.target.try_call(Method::POST, "/conversations", token, Body::Json(group.clone())).await;
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

/// Opens `connections` together, sends `bytes` of a head that never ends on each, and returns the number of answers by
/// status.
pub async fn send_unfinished_heads(
    target: Target,
    connections: usize,
    bytes: usize,
    stop: Stop,
) -> BTreeMap<String, u64> {
    let tasks: Vec<_> = (0..connections)
        .map(|_| {
            let (target, stop) = (target.clone(), stop.clone());
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(target.address).await.ok()?;
                let start = format!("GET /api/v1/users/me HTTP/1.1\r\nhost: {}\r\nx-long: ", target.address);
                stream.write_all(start.as_bytes()).await.ok()?;
                let _ = stream.write_all(&vec![b'x'; bytes]).await;
                wait_for_status(&mut stream, &stop).await
            })
        })
        .collect();
    let mut answers = BTreeMap::new();
    for task in tasks {
        let status = task.await.expect("the task does not panic");
        *answers.entry(status.unwrap_or_else(|| "none".to_owned())).or_insert(0) += 1;
    }
    answers
}

/// Sends one body without its last byte, and returns the status of the answer.
async fn send_unfinished_body(
    target: &Target,
    path: &str,
    token: Option<&str>,
    length: Length,
    stop: &Stop,
) -> Option<String> {
    let mut stream = TcpStream::connect(target.address).await.ok()?;
    let length_header = match length {
        Length::Announced => format!("content-length: {}", BODY_BYTES + 1),
        Length::Chunked => "transfer-encoding: chunked".to_owned(),
    };
    let token = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    let head = format!(
        "POST /api/v1{path} HTTP/1.1\r\nhost: {}\r\n{token}content-type: application/json\r\n{length_header}\r\n\r\n",
        target.address
    );
    stream.write_all(head.as_bytes()).await.ok()?;
    if matches!(length, Length::Chunked) {
        stream.write_all(format!("{:x}\r\n", BODY_BYTES + 1).as_bytes()).await.ok()?;
    }
    // The server may close the connection during the write. Its answer can be read nevertheless.
    let _ = stream.write_all(&vec![b' '; BODY_BYTES]).await;
    wait_for_status(&mut stream, stop).await
}

/// Waits for an answer of the server and returns its status, or `None` if the attack ends before.
async fn wait_for_status(stream: &mut TcpStream, stop: &Stop) -> Option<String> {
    let mut answer = [0; 12];
    loop {
        match tokio::time::timeout(Duration::from_millis(100), stream.read_exact(&mut answer)).await {
            Ok(read) => return read.ok().map(|_| String::from_utf8_lossy(&answer[9..]).into_owned()),
            Err(_) if stop.is_set() => return None,
            Err(_) => {}
        }
    }
}
