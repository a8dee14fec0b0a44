//! What the framework reads a connection through: a few kilobytes at a time, and no first head that does not end. It would
//! read 128 KiB ahead of a request before anybody has looked at its head, and hundreds of connections would take that at
//! once.

use crate::domain::limits;
use actix_web::rt::net::{ActixStream, Ready, TcpStream};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes after which what has come is looked at before more is read: as many as the framework's buffer has at first.
const STEP: usize = 8 * 1024;

/// What is said to a head that is too large: no handler sees such a request.
const HEAD_TOO_LARGE: &str = "HTTP/1.1 431 Request Header Fields Too Large\r\n\
    connection: close\r\n\
    content-type: application/problem+json\r\n\
    content-length: 143\r\n\r\n\
    {\"type\":\"about:blank\",\"title\":\"Too large\",\"status\":431,\"code\":\"payload_too_large\",\
    \"detail\":\"the headers of a request have at most 16384 bytes\"}";

/// What was read of a connection before its first call: a head that may never be whole. Later heads are not counted, as what
/// is left of an earlier body comes before them; what waits too long for one is closed by the sweep of connections.
#[derive(Debug, Default)]
pub struct Reading {
    called: AtomicBool,
    bytes: AtomicUsize,
}

impl Reading {
    /// The first head was whole.
    pub fn called(&self) {
        self.called.store(true, Ordering::Relaxed);
    }

    fn note(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Whether what came so far holds more than a head may, and no head.
    fn is_too_much(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) > limits::HEAD_BYTES && !self.called.load(Ordering::Relaxed)
    }
}

/// A TCP connection that pretends to be empty after every [`STEP`] bytes, and asks to be read again at once. In
/// between the framework takes a head out of what came, hands a body on, or sees that nobody wants it.
pub struct PacedStream {
    stream: TcpStream,
    reading: Arc<Reading>,
    /// Bytes read in this step.
    read: usize,
}

impl PacedStream {
    /// Wraps `stream`.
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, reading: Arc::default(), read: 0 }
    }

    /// The connection itself.
    pub fn tcp(&self) -> &TcpStream {
        &self.stream
    }

    /// What is read of it before its first call.
    pub fn reading(&self) -> &Arc<Reading> {
        &self.reading
    }
}

impl AsyncRead for PacedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.read >= STEP {
            self.read = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        // whatever came in the step before was looked at by now
        if self.read == 0 && self.reading.is_too_much() {
            // no answer is under way that this could get into; a client whose window is full does not hear it
            let _ = self.stream.try_write(HEAD_TOO_LARGE.as_bytes());
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "the head of a request is too large")));
        }
        let before = buf.filled().len();
        let Poll::Ready(result) = Pin::new(&mut self.stream).poll_read(cx, buf) else {
            self.read = 0;
            return Poll::Pending;
        };
        let bytes = buf.filled().len() - before;
        self.read += bytes;
        self.reading.note(bytes);
        Poll::Ready(result)
    }
}

impl AsyncWrite for PacedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl ActixStream for PacedStream {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_read_ready(&self.stream, cx)
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_write_ready(&self.stream, cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_too_large_until_it_is_whole() {
        let reading = Reading::default();
        reading.note(limits::HEAD_BYTES);
        assert!(!reading.is_too_much());
        reading.note(1);
        assert!(reading.is_too_much());
        reading.called();
        assert!(!reading.is_too_much(), "what follows is a body");
    }

    #[test]
    fn what_is_said_to_a_large_head_is_a_whole_answer() {
        let (head, body) = HEAD_TOO_LARGE.split_once("\r\n\r\n").expect("a head and a body");
        assert!(
            head.contains(&format!("content-length: {}\r\n", body.len())) || head.ends_with(&body.len().to_string())
        );
        let problem: serde_json::Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(problem["status"], 431);
        assert!(body.contains(&limits::HEAD_BYTES.to_string()));
    }
}
