//! Clients that misbehave below the level of messages: bytes that are no WebSocket frames, and one that never reads.

use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;

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
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        // Before connecting: the window is agreed on in the first packets.
        socket.set_recv_buffer_size(4096).expect("a small buffer");
        socket.connect(&user.target.address.into()).expect("the server is up");
        socket.set_nonblocking(true).expect("a non-blocking socket");
        let stream = TcpStream::from_std(socket.into()).expect("a stream of the runtime");
        let stream = upgrade(&user.target, &user.access_token, ConnectOptions::default(), stream).await;
        Self { _stream: stream.expect("the upgrade succeeds") }
    }
}
