//! The recent events of one stream, for subscribers that are a little behind. Bounded in number and bytes; it may have
//! holes, and never answers across one.

use crate::domain::ids::{MessageId, Rev};
use crate::messages::Batch;
use crate::protocol::events::Frame;
use std::collections::VecDeque;
use std::sync::Arc;

/// Events kept.
const FRAMES: usize = 256;
/// Bytes of them.
const BYTES: usize = 256 * 1024;

/// The newest events, the oldest first.
#[derive(Default)]
pub(super) struct Ring {
    frames: VecDeque<Frame>,
    bytes: usize,
}

impl Ring {
    /// Keeps an event that has just gone out.
    pub fn push(&mut self, frame: &Frame) {
        self.bytes += frame.text.len();
        self.frames.push_back(frame.clone());
        while self.frames.len() > FRAMES || self.bytes > BYTES {
            match self.frames.pop_front() {
                Some(oldest) => self.bytes -= oldest.text.len(),
                None => break,
            }
        }
    }

    /// Forgets whatever shows a message, itself or quoted: its text is no longer what the log says.
    pub fn forget(&mut self, message: MessageId) {
        let gone = Some(message);
        self.frames.retain(|kept| kept.message_id != gone && kept.quoted_id != gone);
        self.bytes = self.frames.iter().map(|kept| kept.text.len()).sum();
    }

    /// The events after `after` up to `head`, the newest that went out, if there are any and all of them are still here.
    pub fn between(&self, after: Rev, head: Rev) -> Option<Arc<Batch>> {
        let frames: Vec<Frame> = self.frames.iter().filter(|frame| frame.rev > after).cloned().collect();
        let whole = frames.len() as i64 == head.0 - after.0;
        (whole && !frames.is_empty()).then(|| Batch::new(frames))
    }
}
