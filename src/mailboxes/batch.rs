//! Events of one stream that are sent together.

use crate::domain::ids::Rev;
use crate::domain::limits;
use crate::protocol::events::Frame;
use std::sync::Arc;

/// Events of one stream in the order of their revisions, without a gap. A socket writes them at once.
#[derive(Debug)]
pub struct Batch {
    pub frames: Vec<Frame>,
    /// The length of all texts.
    pub bytes: usize,
}

impl Batch {
    /// A batch of these events.
    pub fn new(frames: Vec<Frame>) -> Arc<Self> {
        let bytes = frames.iter().map(|frame| frame.text.len()).sum();
        Arc::new(Self { frames, bytes })
    }

    /// The events after `after` up to `last`; none if there are none, the batch itself if it is all of them.
    pub fn between(self: &Arc<Self>, after: Rev, last: Rev) -> Option<Arc<Self>> {
        let wanted = |frame: &&Frame| frame.rev > after && frame.rev <= last;
        if self.frames.first().as_ref().is_some_and(wanted) && self.last_rev() <= last {
            return Some(self.clone());
        }
        let part: Vec<Frame> = self.frames.iter().filter(wanted).cloned().collect();
        (!part.is_empty()).then(|| Self::new(part))
    }

    /// The same events in batches of at most [`limits::PING_EVERY_BYTES`], one event aside.
    pub fn parts(self: &Arc<Self>) -> Vec<Arc<Self>> {
        if self.bytes <= limits::PING_EVERY_BYTES {
            return vec![self.clone()];
        }
        let (mut parts, mut part, mut bytes) = (Vec::new(), Vec::new(), 0);
        for frame in &self.frames {
            if bytes > 0 && bytes + frame.text.len() > limits::PING_EVERY_BYTES {
                parts.push(std::mem::take(&mut part));
                bytes = 0;
            }
            bytes += frame.text.len();
            part.push(frame.clone());
        }
        parts.push(part);
        parts.into_iter().map(Self::new).collect()
    }

    /// The revision of the last event; 0 when there is none.
    pub fn last_rev(&self) -> Rev {
        self.frames.last().map_or(Rev(0), |frame| frame.rev)
    }
}
