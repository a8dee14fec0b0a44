//! A WebSocket client that keeps every frame: a task reads all the time, and so answers the pings of the server. The
//! frames wait in order until the test reads them.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::client::ClientRequestBuilder};

use super::user::text;
use super::{DEADLINE, Target};

/// How the client sends its token.
#[derive(Clone, Debug, Default)]
pub enum Auth {
    /// `Sec-WebSocket-Protocol: greenroom.v1, bearer.<token>`, as browsers do.
    #[default]
    Subprotocol,
    /// `?token=`.
    Query,
    /// `?ticket=` with this ticket.
    Ticket(String),
    /// `Authorization: Bearer`.
    Header,
    /// The first frame is `auth`.
    FirstFrame,
    /// The client sends no token.
    None,
}

/// The options of a handshake.
#[derive(Clone, Debug, Default)]
pub struct ConnectOptions {
    pub auth: Auth,
    /// Sends `subscribe=none`.
    pub subscribe_none: bool,
    /// The `Origin` header, which browsers send.
    pub origin: Option<String>,
}

/// The reason why a session did not open.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// The HTTP status of the answer to the handshake.
    Http(u16),
    /// The connection ended before `auth.success`, with this closing code if there was one.
    Closed(Option<u16>),
}

/// The connection has ended, with this closing code if there was one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Closed(pub Option<u16>);

/// One session of a client.
pub struct TestSocket {
    /// The payload of `auth.success`; `Null` before.
    pub auth_success: Value,
    outgoing: UnboundedSender<Message>,
    incoming: UnboundedReceiver<Result<Value, Closed>>,
    unread: VecDeque<Value>,
    closed: Option<Closed>,
    commands: u64,
}

impl TestSocket {
    /// Opens the connection and waits for `auth.success`.
    pub async fn open(target: &Target, token: &str, options: ConnectOptions) -> Result<Self, Refusal> {
        let first_frame = matches!(options.auth, Auth::FirstFrame);
        let subscribe_none = options.subscribe_none;
        let mut socket = Self::handshake(target, token, options).await?;
        if first_frame {
            let mut payload = json!({ "token": token });
            if subscribe_none {
                payload["subscribe"] = json!("none");
            }
            socket.send(json!({ "type": "auth", "id": "first", "payload": payload }));
        }
        let frame = socket.try_frame().await.map_err(|Closed(code)| Refusal::Closed(code))?;
        if frame["type"] == "error" {
            let Closed(code) = socket.wait_for_close().await;
            eprintln!("the socket was refused: {frame}");
            return Err(Refusal::Closed(code));
        }
        assert_eq!(frame["type"], "auth.success", "the first frame is {frame}");
        socket.auth_success = frame["payload"].clone();
        Ok(socket)
    }

    /// Opens the connection without waiting for `auth.success`.
    pub async fn handshake(target: &Target, token: &str, options: ConnectOptions) -> Result<Self, Refusal> {
        let stream = upgrade(target, token, options, connect(target).await?).await?;
        let (outgoing, commands) = mpsc::unbounded_channel();
        let (frames, incoming) = mpsc::unbounded_channel();
        tokio::spawn(forward_frames(stream, commands, frames));
        Ok(Self { auth_success: Value::Null, outgoing, incoming, unread: VecDeque::new(), closed: None, commands: 0 })
    }

    /// Returns the id of this session, from `auth.success`.
    pub fn session_id(&self) -> String {
        text(&self.auth_success["session_id"])
    }

    /// Sends one frame.
    pub fn send(&self, frame: Value) {
        self.send_raw(Message::text(frame.to_string()));
    }

    /// Sends a text frame, which need not be JSON.
    pub fn send_text(&self, text: impl Into<String>) {
        self.send_raw(Message::text(text.into()));
    }

    /// Sends any WebSocket message, for example a raw frame.
    pub fn send_raw(&self, message: Message) {
        // If the connection has ended, the next read reports it.
        let _ = self.outgoing.send(message);
    }

    /// Sends a command with an id and returns the frame that answers it.
    pub async fn command(&mut self, kind: &str, payload: Value) -> Value {
        let id = self.start(kind, payload);
        self.wait_for(&format!("the answer to {kind}"), |frame| frame["id"] == id.as_str()).await
    }

    /// Sends a command and returns its id without waiting for the answer.
    pub fn start(&mut self, kind: &str, payload: Value) -> String {
        self.commands += 1;
        let id = format!("command-{}", self.commands);
        self.send(json!({ "type": kind, "id": id, "payload": payload }));
        id
    }

    /// Sends a command and returns the payload of the answer, which must have the type `answer`.
    pub async fn accepted(&mut self, kind: &str, payload: Value, answer: &str) -> Value {
        let frame = self.command(kind, payload).await;
        assert_eq!(frame["type"], answer, "{kind} was answered by {frame}");
        frame["payload"].clone()
    }

    /// Sends a command and returns the payload of the error, which must have this code.
    pub async fn refused(&mut self, kind: &str, payload: Value, code: &str) -> Value {
        let frame = self.command(kind, payload).await;
        assert_eq!(frame["type"], "error", "{kind} was answered by {frame}");
        assert_eq!(frame["payload"]["code"], code, "{kind} was answered by {frame}");
        assert!(frame["payload"]["detail"].is_string(), "an error has a detail: {frame}");
        frame["payload"].clone()
    }

    /// Sends a text message and returns the payload of `message.sent`.
    pub async fn send_message(&mut self, conversation: &str, content: &str) -> Value {
        let payload = json!({ "conversation_id": conversation, "content": content });
        self.accepted("message.send", payload, "message.sent").await
    }

    /// Returns the next frame of this type. Other frames stay unread, in their order.
    pub async fn expect(&mut self, kind: &str) -> Value {
        self.wait_for(kind, |frame| frame["type"] == kind).await
    }

    /// Returns the next frame that `wanted` accepts. Other frames stay unread, in their order.
    pub async fn wait_for(&mut self, what: &str, mut wanted: impl FnMut(&Value) -> bool) -> Value {
        if let Some(position) = self.unread.iter().position(&mut wanted) {
            return self.unread.remove(position).expect("the position was just found");
        }
        loop {
            match self.receive(DEADLINE).await {
                Some(Ok(frame)) if wanted(&frame) => return frame,
                Some(Ok(frame)) => self.unread.push_back(frame),
                Some(Err(closed)) => panic!("waiting for {what}: {closed:?}; unread frames: {:#?}", self.unread),
                None => panic!("{what} did not come within {DEADLINE:?}; unread frames: {:#?}", self.unread),
            }
        }
    }

    /// Returns all frames up to the first one that `marker` accepts, which is included. A test that expects no frame of
    /// some kind searches them, so it does not have to wait for a fixed time.
    pub async fn frames_until(&mut self, what: &str, mut marker: impl FnMut(&Value) -> bool) -> Vec<Value> {
        let mut frames = Vec::new();
        loop {
            let frame = self.frame(what).await;
            let found = marker(&frame);
            frames.push(frame);
            if found {
                return frames;
            }
        }
    }

    /// Sends a `ping` and returns all frames that came before its answer.
    pub async fn frames_until_pong(&mut self) -> Vec<Value> {
        let id = self.start("ping", json!({}));
        let mut frames = self.frames_until("pong", |frame| frame["id"] == id.as_str()).await;
        let pong = frames.pop().expect("the marker is last");
        assert_eq!(pong["type"], "pong", "ping was answered by {pong}");
        frames
    }

    /// Checks that the session answers a `ping`. Frames that come before the answer stay unread.
    pub async fn assert_alive(&mut self) {
        self.accepted("ping", json!({}), "pong").await;
    }

    /// Returns the next frame.
    pub async fn frame(&mut self, what: &str) -> Value {
        self.try_frame().await.unwrap_or_else(|closed| panic!("waiting for {what}: {closed:?}"))
    }

    /// Returns the next frame, or an error if the connection has ended.
    pub async fn try_frame(&mut self) -> Result<Value, Closed> {
        if let Some(frame) = self.unread.pop_front() {
            return Ok(frame);
        }
        self.receive(DEADLINE).await.unwrap_or_else(|| panic!("no frame within {DEADLINE:?}"))
    }

    /// Returns the next frame if one comes within `timeout`.
    pub async fn poll_frame(&mut self, timeout: Duration) -> Option<Result<Value, Closed>> {
        match self.unread.pop_front() {
            Some(frame) => Some(Ok(frame)),
            None => self.receive(timeout).await,
        }
    }

    /// Waits until the server closes the connection. Frames that come before stay unread.
    pub async fn wait_for_close(&mut self) -> Closed {
        let started = Instant::now();
        loop {
            match self.receive(DEADLINE).await {
                Some(Ok(frame)) => self.unread.push_back(frame),
                Some(Err(closed)) => return closed,
                None => panic!("not closed within {DEADLINE:?}; unread frames: {:#?}", self.unread),
            }
            assert!(started.elapsed() < DEADLINE * 3, "the server sends frames and does not close the connection");
        }
    }

    /// Waits until the server closes the connection, with this code.
    pub async fn expect_close(&mut self, code: u16) {
        let closed = self.wait_for_close().await;
        assert_eq!(closed, Closed(Some(code)), "frames before it: {:#?}", self.unread);
    }

    /// Returns the frames that have come and that the test has not read.
    pub fn unread_frames(&self) -> impl Iterator<Item = &Value> {
        self.unread.iter()
    }

    async fn receive(&mut self, timeout: Duration) -> Option<Result<Value, Closed>> {
        if let Some(closed) = self.closed {
            return Some(Err(closed));
        }
        let received = tokio::time::timeout(timeout, self.incoming.recv()).await.ok()?;
        let received = received.unwrap_or(Err(Closed(None)));
        if let Err(closed) = received {
            self.closed = Some(closed);
        }
        Some(received)
    }
}

impl fmt::Debug for TestSocket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TestSocket")
            .field("auth_success", &self.auth_success)
            .field("unread", &self.unread)
            .finish_non_exhaustive()
    }
}

/// Opens a TCP connection; returns an error if the server is down.
pub async fn connect(target: &Target) -> Result<TcpStream, Refusal> {
    let stream = TcpStream::connect(target.address).await.map_err(|_| Refusal::Closed(None))?;
    stream.set_nodelay(true).map_err(|_| Refusal::Closed(None))?;
    Ok(stream)
}

/// Makes the WebSocket handshake on an open connection.
pub async fn upgrade(
    target: &Target,
    token: &str,
    options: ConnectOptions,
    stream: TcpStream,
) -> Result<WebSocketStream<TcpStream>, Refusal> {
    let mut query = Vec::new();
    match &options.auth {
        Auth::Query => query.push(format!("token={token}")),
        Auth::Ticket(ticket) => query.push(format!("ticket={ticket}")),
        Auth::Subprotocol | Auth::Header | Auth::FirstFrame | Auth::None => (),
    }
    if options.subscribe_none && !matches!(options.auth, Auth::FirstFrame) {
        query.push("subscribe=none".to_owned());
    }
    let uri = format!("ws://{}/ws?{}", target.address, query.join("&"));
    let mut request = ClientRequestBuilder::new(uri.parse().expect("an address"));
    match options.auth {
        Auth::Subprotocol => {
            request = request.with_sub_protocol("greenroom.v1").with_sub_protocol(format!("bearer.{token}"));
        }
        Auth::Header => request = request.with_header("Authorization", format!("Bearer {token}")),
        Auth::Query | Auth::Ticket(_) | Auth::FirstFrame | Auth::None => (),
    }
    if let Some(origin) = options.origin {
        request = request.with_header("Origin", origin);
    }
    match client_async(request, stream).await {
        Ok((stream, _)) => Ok(stream),
        Err(Error::Http(response)) => Err(Refusal::Http(response.status().as_u16())),
        Err(Error::Io(_) | Error::ConnectionClosed | Error::Protocol(ProtocolError::HandshakeIncomplete)) => {
            Err(Refusal::Closed(None))
        }
        Err(error) => panic!("the upgrade is no proper WebSocket handshake: {error}"),
    }
}

/// Moves frames in both directions until the connection ends. Reading never waits for the test.
async fn forward_frames(
    mut stream: WebSocketStream<TcpStream>,
    mut commands: UnboundedReceiver<Message>,
    frames: UnboundedSender<Result<Value, Closed>>,
) {
    let mut code = None;
    loop {
        tokio::select! {
            message = stream.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    let frame = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"));
                    // Sending fails if the test has ended.
                    let _ = frames.send(Ok(frame));
                }
                Some(Ok(Message::Close(close))) => code = close.map(|close| close.code.into()),
                Some(Ok(_)) => (),
                Some(Err(_)) | None => break,
            },
            command = commands.recv() => {
                let Some(message) = command else {
                    let _ = stream.close(None).await;
                    break;
                };
                // A failed connection is reported when it is read next, together with the closing code.
                let _ = stream.send(message).await;
            }
        }
    }
    let _ = frames.send(Err(Closed(code)));
}
