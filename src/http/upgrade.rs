//! Requests that ask for another protocol: they are answered like all others, and a WebSocket then gets a task of its
//! own size.
//!
//! The framework keeps two buffers of 8 KiB and the state of its parser for as long as it serves a connection. An idle
//! WebSocket needs none of them. So the framework hands the connection over, and only what [`send_body`] needs is kept.

use super::paced_connection::PacedConnection;
use crate::domain::limits;
use actix_codec::{Encoder, Framed};
use actix_http::body::MessageBody;
use actix_http::h1::{Codec, Message};
use actix_http::{ConnectionType, Payload, Request, Response, StatusCode};
use actix_service::Service;
use actix_web::body::{BoxBody, EitherBody};
use actix_web::error::PayloadError;
use actix_web::rt::net::TcpStream;
use bytes::{Buf, Bytes, BytesMut};
use futures_util::Stream;
use socket2::SockRef;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// Answers a request that asks for another protocol, with the same service as all other requests. If the service does
/// not accept the other protocol, the connection ends after the answer, because the client may go on in that protocol.
pub async fn answer<S, B>(
    app: Rc<S>,
    request: (Request, Framed<PacedConnection, Codec>),
) -> Result<(), actix_web::Error>
where
    S: Service<Request, Error: Into<Response<BoxBody>>, Response: Into<Response<B>>>,
    B: MessageBody + 'static,
{
    let (mut request, framed) = request;
    let mut parts = framed.into_parts();
    let (tcp, successor) = parts.io.into_parts();
    let tcp = Rc::new(tcp);
    let received = ReceivedBytes { tcp: tcp.clone(), first: Bytes::copy_from_slice(&parts.read_buf) };
    *request.payload() = Payload::Stream { payload: Box::pin(received) };
    let mut response = match app.call(request).await {
        Ok(response) => response.into().map_body(|_, body| EitherBody::left(body)),
        Err(error) => error.into().map_body(|_, body| EitherBody::right(body)),
    };
    let is_accepted = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    if !is_accepted {
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    let (head, body) = response.into_parts();
    parts.codec.encode(Message::Item((head, body.size())), &mut parts.write_buf)?;
    // The answer may follow earlier ones, which are in the buffer too. It is copied, so that the buffer is freed.
    let unsent = Unsent { first: Bytes::copy_from_slice(&parts.write_buf), more: VecDeque::new(), bytes: 0 };
    // The bytes of a WebSocket are sent as they are; the body of another answer is encoded.
    let codec = (!is_accepted).then(|| Box::new(parts.codec));
    successor.set(async move {
        // An error means that the connection has ended.
        let _ = send_body(&tcp, body, codec, unsent).await;
        let _ = SockRef::from(&*tcp).shutdown(Shutdown::Write);
        // If bytes of the client were not read at the end, it might not get the last ones of the server.
        let _ = Box::pin(tokio::time::timeout(limits::CLOSE_DEADLINE, discard(&tcp))).await;
    });
    Ok(())
}

/// Bytes that the kernel has not taken yet. Without any it has no memory of its own.
struct Unsent {
    first: Bytes,
    more: VecDeque<Bytes>,
    /// The bytes in `more`.
    bytes: usize,
}

impl Unsent {
    fn push(&mut self, chunk: Bytes) {
        if self.first.is_empty() {
            self.first = chunk;
        } else {
            self.bytes += chunk.len();
            self.more.push_back(chunk);
        }
    }

    fn is_full(&self) -> bool {
        self.first.len() + self.bytes >= limits::WRITE_BUFFER_BYTES
    }

    /// Passes bytes to the kernel. Returns whether it has taken all of them.
    fn write_to(&mut self, tcp: &TcpStream, cx: &mut Context<'_>) -> io::Result<bool> {
        while !self.first.is_empty() {
            let Poll::Ready(writable) = tcp.poll_write_ready(cx) else { return Ok(false) };
            writable?;
            match tcp.try_write(&self.first) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => self.first.advance(written),
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            }
            if self.first.is_empty() {
                self.first = self.more.pop_front().unwrap_or_default();
                self.bytes -= self.first.len();
                if self.more.is_empty() {
                    self.more = VecDeque::new();
                }
            }
        }
        Ok(true)
    }
}

/// Sends what is unsent, then the chunks of `body` until it ends. While too many bytes are unsent, the body waits: it is
/// not polled for another chunk.
async fn send_body(
    tcp: &TcpStream,
    body: impl MessageBody,
    mut codec: Option<Box<Codec>>,
    mut unsent: Unsent,
) -> io::Result<()> {
    let mut body = std::pin::pin!(body);
    let mut has_ended = false;
    poll_fn(|cx| {
        loop {
            let all_sent = unsent.write_to(tcp, cx)?;
            if has_ended && all_sent {
                return Poll::Ready(Ok(()));
            }
            if has_ended || unsent.is_full() {
                return Poll::Pending;
            }
            let chunk = ready!(body.as_mut().poll_next(cx)).transpose();
            let chunk = chunk.map_err(|_| io::Error::from(ErrorKind::BrokenPipe))?;
            has_ended = chunk.is_none();
            match &mut codec {
                None => chunk.into_iter().for_each(|chunk| unsent.push(chunk)),
                Some(codec) => {
                    let mut encoded = BytesMut::new();
                    codec.encode(Message::Chunk(chunk), &mut encoded)?;
                    unsent.push(encoded.freeze());
                }
            }
        }
    })
    .await
}

/// Reads and drops bytes until the client ends the connection.
async fn discard(tcp: &TcpStream) {
    let mut received = ReceivedBytes { tcp, first: Bytes::new() };
    while let Some(Ok(_)) = poll_fn(|cx| Pin::new(&mut received).poll_next(cx)).await {}
}

/// The bytes that a client sends after the head of its request.
struct ReceivedBytes<T> {
    tcp: T,
    /// The bytes that were read together with the head.
    first: Bytes,
}

impl<T: std::ops::Deref<Target = TcpStream> + Unpin> Stream for ReceivedBytes<T> {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if !self.first.is_empty() {
            return Poll::Ready(Some(Ok(std::mem::take(&mut self.first))));
        }
        loop {
            ready!(self.tcp.poll_read_ready(cx))?;
            // The buffer is on the stack, and the bytes are copied out of it, so that an idle connection has none.
            let mut buffer = [0; limits::SOCKET_READ_BYTES];
            match self.tcp.try_read(&mut buffer) {
                Ok(0) => return Poll::Ready(Some(Err(PayloadError::Incomplete(None)))),
                Ok(read) => return Poll::Ready(Some(Ok(Bytes::copy_from_slice(&buffer[..read])))),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::body::BodyStream;
    use futures_util::StreamExt;
    use std::cell::Cell;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    const CHUNK_BYTES: usize = 1000;
    const CHUNKS: usize = 4000;
    const KERNEL_BUFFER_BYTES: usize = 16 * 1024;

    /// Returns both ends of a connection for which the kernel holds few bytes.
    async fn connection() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port of the loopback is free");
        SockRef::from(&listener).set_recv_buffer_size(KERNEL_BUFFER_BYTES).expect("the size is allowed");
        let address = listener.local_addr().expect("the listener is bound");
        let (client, server) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (client, (server, _)) = (client.expect("the listener accepts"), server.expect("the client connects"));
        SockRef::from(&client).set_send_buffer_size(KERNEL_BUFFER_BYTES).expect("the size is allowed");
        (client, server)
    }

    #[actix_web::test]
    async fn all_bytes_arrive_in_order_and_the_body_waits_for_the_reader() {
        let (sender, mut reader) = connection().await;
        let (produced, most_waiting, received) = (Cell::new(0), Cell::new(0), Cell::new(0));
        let chunks = futures_util::stream::iter(0..CHUNKS).map(|number| {
            produced.set(produced.get() + CHUNK_BYTES);
            most_waiting.set(most_waiting.get().max(produced.get() - received.get()));
            Ok::<_, io::Error>(Bytes::from(vec![number as u8; CHUNK_BYTES]))
        });
        let unsent = Unsent { first: Bytes::from_static(b"head"), more: VecDeque::new(), bytes: 0 };
        let send = async {
            send_body(&sender, BodyStream::new(chunks), None, unsent).await.expect("the reader stays connected");
            SockRef::from(&sender).shutdown(Shutdown::Write).expect("the socket is connected");
        };
        let read = async {
            let (mut bytes, mut buffer) = (Vec::new(), [0; CHUNK_BYTES]);
            loop {
                let count = reader.read(&mut buffer).await.expect("the sender ends the connection in order");
                if count == 0 {
                    return bytes;
                }
                bytes.extend_from_slice(&buffer[..count]);
                received.set(bytes.len());
                // The sender runs in between, as often as it can.
                tokio::task::yield_now().await;
            }
        };
        let ((), bytes) = tokio::join!(send, read);
        let expected = (0..CHUNKS).flat_map(|number| vec![number as u8; CHUNK_BYTES]);
        assert!(bytes.into_iter().eq(b"head".iter().copied().chain(expected)));
        // The kernel uses twice the size that was asked for, on each side.
        let bound = limits::WRITE_BUFFER_BYTES + CHUNK_BYTES + 4 * KERNEL_BUFFER_BYTES;
        assert!(most_waiting.get() < 2 * bound, "{} bytes waited", most_waiting.get());
    }

    #[actix_web::test]
    async fn a_connection_that_the_client_ends_ends_the_body() {
        let (sender, reader) = connection().await;
        drop(reader);
        let chunks = futures_util::stream::repeat_with(|| Ok::<_, io::Error>(Bytes::from_static(&[0; CHUNK_BYTES])));
        let unsent = Unsent { first: Bytes::new(), more: VecDeque::new(), bytes: 0 };
        assert!(send_body(&sender, BodyStream::new(chunks), None, unsent).await.is_err());
    }
}
