//! The TCP connection as the framework reads it: a few kilobytes at a time, and with a limit for the
//! first head.
//!
//! Without it, the framework reads up to 128 KiB before it looks at the head of a request, and hundreds of connections
//! would need that memory at the same time.

use super::successor::Successor;
use crate::domain::limits;
use actix_web::rt::net::{ActixStream, Ready, TcpStream};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Returns the answer to a head that is too large. No handler gets such a request, so the answer is written here.
fn head_too_large() -> String {
    let body = format!(
        "{{\"type\":\"about:blank\",\"title\":\"Too large\",\"status\":431,\"code\":\"payload_too_large\",\
         \"detail\":\"The headers of a request have at most {} bytes. Send less.\"}}",
        limits::HEAD_BYTES
    );
    format!(
        "HTTP/1.1 431 Request Header Fields Too Large\r\n\
         connection: close\r\n\
         content-type: application/problem+json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Counts the bytes of a connection until its first head is complete. The head may never be.
///
/// Later heads are not counted, because the rest of an earlier body may come before them. A connection that waits too
/// long for the end of a later head is closed by
/// [`Connections::close_idle`](super::connections::Connections::close_idle).
#[derive(Debug, Default)]
pub struct HeadProgress {
    is_complete: AtomicBool,
    bytes: AtomicUsize,
}

impl HeadProgress {
    /// Ends the count, because the first head is complete.
    pub fn complete(&self) {
        self.is_complete.store(true, Ordering::Relaxed);
    }

    fn add_bytes(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Returns true if the first head is not complete and has more bytes than a head may have.
    fn is_too_large(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) > limits::HEAD_BYTES && !self.is_complete.load(Ordering::Relaxed)
    }
}

/// A TCP connection that reports `Pending` after every [`limits::READ_STEP_BYTES`] bytes and wakes its task
/// immediately. In between, the framework parses a head, passes a body on, or drops a body that no handler reads.
pub struct PacedConnection {
    tcp: TcpStream,
    head_progress: Arc<HeadProgress>,
    /// The number of bytes that were read since the last `Pending`.
    step_bytes: usize,
    successor: Successor,
}

impl PacedConnection {
    /// Creates the paced connection from a connection that was just accepted. `successor` is for the time after the
    /// framework.
    pub fn new(tcp: TcpStream, successor: Successor) -> Self {
        Self { tcp, head_progress: Arc::default(), step_bytes: 0, successor }
    }

    /// Returns the TCP connection, and what its task does when the framework does not serve it any more.
    pub fn into_parts(self) -> (TcpStream, Successor) {
        (self.tcp, self.successor)
    }

    /// Returns the TCP connection.
    pub fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    /// Returns the counter of the bytes of the first request head.
    pub fn head_progress(&self) -> &Arc<HeadProgress> {
        &self.head_progress
    }
}

impl AsyncRead for PacedConnection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.step_bytes >= limits::READ_STEP_BYTES {
            self.step_bytes = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        // The framework has processed the bytes of the step before, so it would have found a complete head.
        if self.step_bytes == 0 && self.head_progress.is_too_large() {
            // No other answer is being written before the first call; a client whose window is full does not get this
            // one.
            let _ = self.tcp.try_write(head_too_large().as_bytes());
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "the head of a request is too large")));
        }
        let before = buf.filled().len();
        let Poll::Ready(result) = Pin::new(&mut self.tcp).poll_read(cx, buf) else {
            self.step_bytes = 0;
            return Poll::Pending;
        };
        let bytes = buf.filled().len() - before;
        self.step_bytes += bytes;
        self.head_progress.add_bytes(bytes);
        Poll::Ready(result)
    }
}

impl AsyncWrite for PacedConnection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

impl ActixStream for PacedConnection {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_read_ready(&self.tcp, cx)
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_write_ready(&self.tcp, cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_too_large_until_it_is_complete() {
        let head = HeadProgress::default();
        head.add_bytes(limits::HEAD_BYTES);
        assert!(!head.is_too_large());
        head.add_bytes(1);
        assert!(head.is_too_large());
        head.complete();
        assert!(!head.is_too_large(), "a body follows");
    }

    #[test]
    fn the_answer_to_a_large_head_is_complete() {
        let answer = head_too_large();
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(
            head.contains(&format!("content-length: {}\r\n", body.len())) || head.ends_with(&body.len().to_string())
        );
        let problem: serde_json::Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(problem["status"], 431);
        assert!(body.contains(&limits::HEAD_BYTES.to_string()));
    }
}
