//! Clients below the level of messages: one that writes bytes that are no WebSocket frames, one that never reads, and one
//! that reads slowly.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Interval;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::socket::{ConnectOptions, connect, upgrade};
use super::{DEADLINE, TestUser};

/// An open session whose bytes the test writes by hand.
#[derive(Debug)]
pub struct RawSocket {
    stream: TcpStream,
}

impl RawSocket {
    /// Signs in properly; from then on everything is up to the test.
    pub async fn open(user: &TestUser) -> Self {
        let stream = connect(&user.target).await.expect("the server is up");
        let stream = upgrade(&user.target, &user.access_token, ConnectOptions::default(), stream).await;
        Self { stream: stream.expect("the upgrade succeeds").into_inner() }
    }

    /// Writes bytes as they are.
    pub async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the bytes go out");
    }

    /// Writes the bytes this many times, or until the server has ended the connection.
    pub async fn write_until_ended(&mut self, bytes: &[u8], times: usize) {
        for _ in 0..times {
            if self.stream.write_all(bytes).await.is_err() {
                return;
            }
        }
    }

    /// Waits until the server has ended the connection, by a close or by a reset.
    pub async fn until_ended(&mut self) {
        let mut buffer = [0; 4096];
        let reading = async { while matches!(self.stream.read(&mut buffer).await, Ok(1..)) {} };
        tokio::time::timeout(DEADLINE, reading).await.expect("the server ends the connection");
    }
}

/// A session that signed in and then never reads again, with as small a receive buffer as the kernel gives.
#[derive(Debug)]
pub struct StalledSocket {
    _stream: WebSocketStream<TcpStream>,
}

impl StalledSocket {
    /// Opens it; nothing is read after the handshake, not even `auth.success`.
    pub async fn open(user: &TestUser) -> Self {
        Self { _stream: through_a_small_window(user, ConnectOptions::default()).await }
    }
}

/// A connection with as small a receive buffer as the kernel gives.
async fn through_a_small_window(user: &TestUser, options: ConnectOptions) -> WebSocketStream<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    // Before connecting: the window is agreed on in the first packets.
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    socket.connect(&user.target.address.into()).expect("the server is up");
    socket.set_nonblocking(true).expect("a non-blocking socket");
    let stream = TcpStream::from_std(socket.into()).expect("a stream of the runtime");
    upgrade(&user.target, &user.access_token, options, stream).await.expect("the upgrade succeeds")
}

/// A session that reads without a pause and answers every ping, but only so many bytes a second, through as small a
/// receive buffer as the kernel gives.
#[derive(Debug)]
pub struct SlowSocket {
    stream: WebSocketStream<Slowly>,
}

impl SlowSocket {
    /// Opens it, subscribed to nothing.
    pub async fn open(user: &TestUser, bytes_per_second: usize) -> Self {
        let options = ConnectOptions { subscribe_none: true, ..ConnectOptions::default() };
        let stream = through_a_small_window(user, options).await.into_inner();
        let tick = tokio::time::interval(std::time::Duration::from_millis(100));
        let slowly = Slowly { stream, tick, at_once: bytes_per_second / 10 };
        Self { stream: WebSocketStream::from_raw_socket(slowly, Role::Client, None).await }
    }

    /// Sends a frame.
    pub async fn send(&mut self, frame: &Value) {
        self.stream.send(Message::text(frame.to_string())).await.expect("the frame goes out");
    }

    /// The next frame, however long it takes to come through.
    pub async fn frame(&mut self) -> Value {
        loop {
            match self.stream.next().await.expect("the connection stands").expect("the connection stands") {
                Message::Text(text) => return serde_json::from_str(&text).expect("JSON"),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

/// A stream of which so many bytes are read at each tick.
#[derive(Debug)]
struct Slowly {
    stream: TcpStream,
    tick: Interval,
    at_once: usize,
}

impl AsyncRead for Slowly {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        ready!(self.tick.poll_tick(cx));
        let mut bytes = vec![0; self.at_once.min(buffer.remaining())];
        let mut few = ReadBuf::new(&mut bytes);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut few))?;
        buffer.put_slice(few.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Slowly {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
