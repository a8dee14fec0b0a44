//! The intake of a socket: it reads ahead of the codec how long each frame says it is. The codec looks at the limit only
//! when a frame is whole, so a header that announces a gigabyte would have it gather one. And it takes all that has come
//! before it gives one frame out: a flood of small frames would pile up in it, so nothing more is passed on while a whole
//! frame waits there.

use actix_web::error::PayloadError;
use actix_web::web::Bytes;
use futures_util::Stream;
use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// What became of a connection's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameOutcome {
    /// Nothing is wrong with them.
    Sound,
    /// A frame announced more than is taken; nothing after it is read.
    TooLarge,
    /// The connection broke.
    Lost,
}

/// What a socket and its intake tell each other.
#[derive(Debug)]
pub struct FrameWatch {
    outcome: Cell<FrameOutcome>,
    /// Whole frames that were passed on and are not yet handled.
    ahead: Cell<u64>,
}

impl FrameWatch {
    /// What became of the connection's bytes.
    pub fn outcome(&self) -> FrameOutcome {
        self.outcome.get()
    }

    /// The socket handles a frame.
    pub fn handled(&self) {
        self.ahead.set(self.ahead.get().saturating_sub(1));
    }
}

impl Default for FrameWatch {
    fn default() -> Self {
        Self { outcome: Cell::new(FrameOutcome::Sound), ahead: Cell::new(0) }
    }
}

/// The bytes of a connection, up to the first frame that announces more than `limit`.
pub struct FrameLimit<S> {
    bytes: S,
    limit: u64,
    watch: Rc<FrameWatch>,
    header: [u8; 14],
    gathered: usize,
    /// Bytes of the current frame's payload that are still to come.
    payload: u64,
}

impl<S> FrameLimit<S> {
    /// Of `bytes`; what becomes of them is told through `watch`.
    pub fn new(bytes: S, limit: usize, watch: Rc<FrameWatch>) -> Self {
        Self { bytes, limit: limit as u64, watch, header: [0; 14], gathered: 0, payload: 0 }
    }

    /// Follows frames through `chunk`, and counts those that are whole; false when one announces too much.
    fn follow(&mut self, mut chunk: &[u8]) -> bool {
        while !chunk.is_empty() {
            if self.payload > 0 {
                let skipped = self.payload.min(chunk.len() as u64);
                self.payload -= skipped;
                chunk = &chunk[skipped as usize..];
                if self.payload == 0 {
                    self.whole();
                }
                continue;
            }
            self.header[self.gathered] = chunk[0];
            self.gathered += 1;
            chunk = &chunk[1..];
            if let Some(length) = announced(&self.header[..self.gathered]) {
                if length > self.limit {
                    return false;
                }
                self.gathered = 0;
                self.payload = length;
                if length == 0 {
                    self.whole();
                }
            }
        }
        true
    }

    fn whole(&self) {
        self.watch.ahead.set(self.watch.ahead.get() + 1);
    }
}

/// The length of the payload that a whole header announces (RFC 6455, section 5.2); `None` while it is not whole.
fn announced(header: &[u8]) -> Option<u64> {
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
        let closing = self.watch.outcome.get() == FrameOutcome::TooLarge;
        if closing || self.watch.ahead.get() > 0 {
            // the session closes the connection, and until then nothing more is read; or the codec has a whole frame, gives
            // it out now, and asks again when it is handled
            return Poll::Pending;
        }
        match Pin::new(&mut self.bytes).poll_next(context) {
            Poll::Ready(Some(Ok(chunk))) if !self.follow(&chunk) => {
                self.watch.outcome.set(FrameOutcome::TooLarge);
                Poll::Ready(Some(Err(PayloadError::Overflow)))
            }
            Poll::Ready(Some(Err(error))) => {
                self.watch.outcome.set(FrameOutcome::Lost);
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

    fn intake() -> FrameLimit<()> {
        FrameLimit::new((), 65_536, Rc::default())
    }

    /// A masked text frame of `length` bytes, its header in the shortest form.
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
    fn frames_up_to_the_limit_pass_however_they_are_cut() {
        let bytes: Vec<u8> = [0, 1, 125, 126, 65_535, 65_536, 5].into_iter().flat_map(frame).collect();
        for cut in [1, 2, 3, 7, 1000, bytes.len()] {
            let mut intake = intake();
            assert!(bytes.chunks(cut).all(|chunk| intake.follow(chunk)), "cut into {cut}");
            assert_eq!((intake.payload, intake.gathered), (0, 0));
            assert_eq!(intake.watch.ahead.get(), 7, "each is counted once, however it is cut");
        }
    }

    #[test]
    fn nothing_more_is_taken_while_a_whole_frame_waits() {
        let (whole, part) = (frame(5), frame(5)[..3].to_vec());
        let chunks = [[whole.clone(), part].concat(), whole[3..].to_vec(), whole].map(|chunk| Ok(Bytes::from(chunk)));
        let watch = Rc::new(FrameWatch::default());
        let mut intake = FrameLimit::new(futures_util::stream::iter(chunks), 65_536, watch.clone());
        let mut next = || Pin::new(&mut intake).poll_next(&mut Context::from_waker(Waker::noop())).is_ready();
        assert!(next() && !next(), "the codec has a whole frame");
        watch.handled();
        assert!(next() && !next(), "a part of one is completed by the next chunk");
        watch.handled();
        assert!(next());
        assert_eq!(watch.ahead.get(), 1);
    }

    #[test]
    fn a_frame_too_large_is_known_by_its_header() {
        let mut header = frame(65_537);
        header.truncate(14);
        assert!(!intake().follow(&header));
        let mut huge = vec![0x81, 0xff];
        huge.extend(u64::MAX.to_be_bytes());
        huge.extend([0; 4]);
        assert!(!intake().follow(&huge));
    }
}
