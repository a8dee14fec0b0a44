//! A filter before the WebSocket codec: it reads the length in the header of each frame and bounds what the codec
//! buffers.
//!
//! The codec of actix checks the length only when a frame is complete, so a header that announces a gigabyte would make
//! it buffer a gigabyte. The codec also buffers all bytes that have arrived before it returns a frame, so many small
//! frames would fill its buffer. Therefore the filter passes no more bytes while the codec has a complete frame.

use actix_web::error::PayloadError;
use actix_web::web::Bytes;
use futures_util::Stream;
use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// What the filter has found in the bytes of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameStatus {
    Valid,
    /// A frame announced more bytes than the limit. Nothing after it is read.
    TooLarge,
    /// Reading from the connection failed.
    ConnectionLost,
}

/// The state that a socket shares with its filter.
#[derive(Debug)]
pub struct FrameLimitState {
    status: Cell<FrameStatus>,
    /// Complete frames that the codec has and the socket has not handled.
    unhandled_frames: Cell<u64>,
}

impl FrameLimitState {
    /// Returns what the filter has found so far.
    pub fn status(&self) -> FrameStatus {
        self.status.get()
    }

    /// Notes that the socket handles a frame.
    pub fn note_handled(&self) {
        self.unhandled_frames.set(self.unhandled_frames.get().saturating_sub(1));
    }
}

impl Default for FrameLimitState {
    fn default() -> Self {
        Self { status: Cell::new(FrameStatus::Valid), unhandled_frames: Cell::new(0) }
    }
}

/// The bytes of a connection up to the first frame whose payload is longer than `limit` bytes.
pub struct FrameLimit<S> {
    bytes: S,
    limit: u64,
    state: Rc<FrameLimitState>,
    header: [u8; 14],
    /// Bytes of the current header that have arrived.
    header_bytes: usize,
    /// Bytes of the current payload that have not arrived.
    missing_payload_bytes: u64,
}

impl<S> FrameLimit<S> {
    /// Returns a filter of `bytes` that reports through `state`. `limit` is in bytes.
    pub fn new(bytes: S, limit: usize, state: Rc<FrameLimitState>) -> Self {
        Self { bytes, limit: limit as u64, state, header: [0; 14], header_bytes: 0, missing_payload_bytes: 0 }
    }

    /// Reads the frame headers in `chunk` and counts the complete frames. Returns false if a frame is too large.
    fn scan(&mut self, mut chunk: &[u8]) -> bool {
        while !chunk.is_empty() {
            if self.missing_payload_bytes > 0 {
                let skipped = self.missing_payload_bytes.min(chunk.len() as u64);
                self.missing_payload_bytes -= skipped;
                chunk = &chunk[skipped as usize..];
                if self.missing_payload_bytes == 0 {
                    self.count_frame();
                }
                continue;
            }
            self.header[self.header_bytes] = chunk[0];
            self.header_bytes += 1;
            chunk = &chunk[1..];
            if let Some(length) = payload_length(&self.header[..self.header_bytes]) {
                if length > self.limit {
                    return false;
                }
                self.header_bytes = 0;
                self.missing_payload_bytes = length;
                if length == 0 {
                    self.count_frame();
                }
            }
        }
        true
    }

    fn count_frame(&self) {
        self.state.unhandled_frames.set(self.state.unhandled_frames.get() + 1);
    }
}

/// Returns the payload length in bytes that a header announces (RFC 6455, section 5.2). `None` if the header is not
/// complete.
fn payload_length(header: &[u8]) -> Option<u64> {
    let second = *header.get(1)?;
    let extended = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    if header.len() < 2 + extended + mask {
        return None;
    }
    if extended == 0 {
        return Some(u64::from(second & 0x7f));
    }
    Some(header[2..2 + extended].iter().fold(0, |length, byte| length << 8 | u64::from(*byte)))
}

impl<S: Stream<Item = Result<Bytes, PayloadError>> + Unpin> Stream for FrameLimit<S> {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let is_too_large = self.state.status.get() == FrameStatus::TooLarge;
        if is_too_large || self.state.unhandled_frames.get() > 0 {
            // After a frame that is too large, nothing is read until the session closes the connection. Otherwise the
            // codec has a complete frame: it returns that now, and polls again when the frame is handled.
            return Poll::Pending;
        }
        match Pin::new(&mut self.bytes).poll_next(context) {
            Poll::Ready(Some(Ok(chunk))) if !self.scan(&chunk) => {
                self.state.status.set(FrameStatus::TooLarge);
                Poll::Ready(Some(Err(PayloadError::Overflow)))
            }
            Poll::Ready(Some(Err(error))) => {
                self.state.status.set(FrameStatus::ConnectionLost);
                Poll::Ready(Some(Err(error)))
            }
            polled => polled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    fn filter() -> FrameLimit<()> {
        FrameLimit::new((), 65_536, Rc::default())
    }

    /// Returns a masked text frame with a payload of `length` bytes. Its header has the shortest form.
    fn frame(length: usize) -> Vec<u8> {
        let mut bytes = vec![0x81];
        match length {
            0..126 => bytes.push(0x80 + length as u8),
            126..65_536 => {
                bytes.push(0xfe);
                bytes.extend((length as u16).to_be_bytes());
            }
            _ => {
                bytes.push(0xff);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        bytes.extend([1, 2, 3, 4]);
        bytes.resize(bytes.len() + length, b'x');
        bytes
    }

    #[test]
    fn frames_up_to_the_limit_pass_in_chunks_of_any_size() {
        let bytes: Vec<u8> = [0, 1, 125, 126, 65_535, 65_536, 5].into_iter().flat_map(frame).collect();
        for size in [1, 2, 3, 7, 1000, bytes.len()] {
            let mut filter = filter();
            assert!(bytes.chunks(size).all(|chunk| filter.scan(chunk)), "chunks of {size} bytes");
            assert_eq!((filter.missing_payload_bytes, filter.header_bytes), (0, 0));
            assert_eq!(filter.state.unhandled_frames.get(), 7, "each frame is counted once");
        }
    }

    #[test]
    fn no_more_bytes_pass_while_the_codec_has_a_complete_frame() {
        let (whole, part) = (frame(5), frame(5)[..3].to_vec());
        let chunks = [[whole.clone(), part].concat(), whole[3..].to_vec(), whole].map(|chunk| Ok(Bytes::from(chunk)));
        let state = Rc::new(FrameLimitState::default());
        let mut filter = FrameLimit::new(futures_util::stream::iter(chunks), 65_536, state.clone());
        let mut next = || Pin::new(&mut filter).poll_next(&mut Context::from_waker(Waker::noop())).is_ready();
        assert!(next() && !next(), "the codec has a complete frame");
        state.note_handled();
        assert!(next() && !next(), "the next chunk completes a partial frame");
        state.note_handled();
        assert!(next());
        assert_eq!(state.unhandled_frames.get(), 1);
    }

    #[test]
    fn a_frame_that_is_too_large_is_found_by_its_header() {
        let mut header = frame(65_537);
        header.truncate(14);
        assert!(!filter().scan(&header));
        let mut huge = vec![0x81, 0xff];
        huge.extend(u64::MAX.to_be_bytes());
        huge.extend([0; 4]);
        assert!(!filter().scan(&huge));
    }
}
