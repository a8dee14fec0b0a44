//! What the framework reads a connection through: a few kilobytes at a time, and no head that does not end. It would read
//! 128 KiB ahead of a request before anybody has looked at its head, and hundreds of connections would take that at once.

use crate::domain::limits;
use actix_web::rt::net::{ActixStream, Ready, TcpStream};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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

/// What is read of a connection while no call is under way on it.
#[derive(Debug, Default)]
pub struct Reading {
    calls: AtomicUsize,
    /// Bytes since the last call: those of a head that is not whole, and of what came with it.
    bytes: AtomicUsize,
}

impl Reading {
    /// A head was whole: what follows belongs to its call.
    pub fn begin_call(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// The call is over, and the next head begins.
    pub fn end_call(&self) {
        self.bytes.store(0, Ordering::Relaxed);
        self.calls.fetch_sub(1, Ordering::Relaxed);
    }

    /// Notes what was read; false when a head has become too large.
    fn take(&self, bytes: usize) -> bool {
        self.calls.load(Ordering::Relaxed) > 0
            || self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes <= limits::HEAD_BYTES
    }
}

/// A TCP connection that says "nothing more for now" after every [`STEP`] bytes, and asks to be read again at once. In
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

    /// What is read of it without a call.
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
        let before = buf.filled().len();
        let Poll::Ready(result) = Pin::new(&mut self.stream).poll_read(cx, buf) else {
            self.read = 0;
            return Poll::Pending;
        };
        let bytes = buf.filled().len() - before;
        self.read += bytes;
        if !self.reading.take(bytes) {
            // no answer is under way that this could get into; a client whose window is full does not hear it
            let _ = self.stream.try_write(HEAD_TOO_LARGE.as_bytes());
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "the head of a request is too large")));
        }
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
    fn a_head_is_counted_until_it_is_whole_and_the_next_one_anew() {
        let reading = Reading::default();
        assert!(reading.take(limits::HEAD_BYTES));
        reading.begin_call();
        assert!(reading.take(1_000_000), "a body is none of its business");
        reading.end_call();
        assert!(reading.take(limits::HEAD_BYTES) && !reading.take(1));
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
