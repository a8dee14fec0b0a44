//! Clients that behave as no WebSocket library does: one writes any bytes, one never reads, and one reads slowly.

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

/// An open session on which the test writes any bytes.
#[derive(Debug)]
pub struct RawSocket {
    stream: TcpStream,
}

impl RawSocket {
    /// Opens the session with a correct handshake. The test writes all further bytes.
    pub async fn open(user: &TestUser) -> Self {
        let stream = connect(&user.target).await.expect("the server is up");
        let stream = upgrade(&user.target, &user.access_token, ConnectOptions::default(), stream).await;
        Self { stream: stream.expect("the upgrade succeeds").into_inner() }
    }

    /// Writes these bytes.
    pub async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the bytes are sent");
    }

    /// Writes the bytes `times` times, or until the server has ended the connection.
    pub async fn write_until_ended(&mut self, bytes: &[u8], times: usize) {
        for _ in 0..times {
            if self.stream.write_all(bytes).await.is_err() {
                return;
            }
        }
    }

    /// Waits until the server has closed or reset the connection.
    pub async fn wait_for_end(&mut self) {
        let mut buffer = [0; 4096];
        let reading = async { while matches!(self.stream.read(&mut buffer).await, Ok(1..)) {} };
        tokio::time::timeout(DEADLINE, reading).await.expect("the server ends the connection");
    }
}

/// A session that never reads, with the smallest receive buffer that the kernel allows.
#[derive(Debug)]
pub struct StalledSocket {
    _stream: WebSocketStream<TcpStream>,
}

impl StalledSocket {
    /// Opens the session. It does not even read `auth.success`.
    pub async fn open(user: &TestUser) -> Self {
        Self { _stream: connect_with_small_buffer(user, ConnectOptions::default()).await }
    }
}

/// Opens a connection with the smallest receive buffer that the kernel allows.
async fn connect_with_small_buffer(user: &TestUser, options: ConnectOptions) -> WebSocketStream<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    // The size is set before connecting, because the first packets negotiate the window.
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    socket.connect(&user.target.address.into()).expect("the server is up");
    socket.set_nonblocking(true).expect("a non-blocking socket");
    let stream = TcpStream::from_std(socket.into()).expect("a stream of the runtime");
    upgrade(&user.target, &user.access_token, options, stream).await.expect("the upgrade succeeds")
}

/// A session that reads a limited number of bytes a second and answers every ping, with the smallest receive buffer
/// that the kernel allows.
#[derive(Debug)]
pub struct SlowSocket {
    stream: WebSocketStream<SlowStream>,
}

impl SlowSocket {
    /// Opens the session with `subscribe=none`.
    pub async fn open(user: &TestUser, bytes_per_second: usize) -> Self {
        let options = ConnectOptions { subscribe_none: true, ..ConnectOptions::default() };
        let stream = connect_with_small_buffer(user, options).await.into_inner();
        let tick = tokio::time::interval(std::time::Duration::from_millis(100));
        let slow = SlowStream { stream, tick, bytes_per_tick: bytes_per_second / 10 };
        Self { stream: WebSocketStream::from_raw_socket(slow, Role::Client, None).await }
    }

    /// Sends a frame.
    pub async fn send(&mut self, frame: &Value) {
        self.stream.send(Message::text(frame.to_string())).await.expect("the frame is sent");
    }

    /// Returns the next frame, without a timeout.
    pub async fn frame(&mut self) -> Value {
        loop {
            match self.stream.next().await.expect("the connection is open").expect("the connection is open") {
                Message::Text(text) => return serde_json::from_str(&text).expect("JSON"),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

/// A stream that reads a limited number of bytes at each tick.
#[derive(Debug)]
struct SlowStream {
    stream: TcpStream,
    tick: Interval,
    bytes_per_tick: usize,
}

impl AsyncRead for SlowStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        ready!(self.tick.poll_tick(cx));
        let mut bytes = vec![0; self.bytes_per_tick.min(buffer.remaining())];
        let mut part = ReadBuf::new(&mut bytes);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut part))?;
        buffer.put_slice(part.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for SlowStream {
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
