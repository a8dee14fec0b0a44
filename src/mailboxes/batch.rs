//! Events of one stream that are sent together.

use crate::domain::ids::Rev;
use crate::domain::limits;
use crate::domain::stream::Stream;
use crate::protocol::envelope::Envelope;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Events of one stream in the order of their revisions, without a gap. A socket writes them in one write.
#[derive(Debug)]
pub struct Batch {
    pub envelopes: Vec<Envelope>,
    /// The sum of the lengths of all texts.
    pub bytes: usize,
}

impl Batch {
    /// Creates a batch of these events.
    pub fn new(envelopes: Vec<Envelope>) -> Arc<Self> {
        let bytes = envelopes.iter().map(|envelope| envelope.text.len()).sum();
        Arc::new(Self { envelopes, bytes })
    }

    /// Returns the events of a commit as one batch for each stream.
    pub fn by_stream(events: Vec<Envelope>) -> Vec<Arc<Self>> {
        let mut streams: BTreeMap<Stream, Vec<Envelope>> = BTreeMap::new();
        for event in events {
            streams.entry(event.stream).or_default().push(event);
        }
        streams.into_values().map(Self::new).collect()
    }

    /// Returns the stream of the events; `None` if there are none.
    pub fn stream(&self) -> Option<Stream> {
        self.envelopes.first().map(|envelope| envelope.stream)
    }

    /// Returns the events after `after` up to `last`: `None` if there are none, the batch itself if it is all of them.
    #[inline]
    pub fn between(self: &Arc<Self>, after: Rev, last: Rev) -> Option<Arc<Self>> {
        let wanted = |envelope: &&Envelope| envelope.rev > after && envelope.rev <= last;
        if self.envelopes.first().as_ref().is_some_and(wanted) && self.last_rev() <= last {
            return Some(self.clone());
        }
        let chunk: Vec<Envelope> = self.envelopes.iter().filter(wanted).cloned().collect();
        (!chunk.is_empty()).then(|| Self::new(chunk))
    }

    /// Returns the same events in batches of at most [`limits::PING_EVERY_BYTES`]. A single larger event is a batch by
    /// itself.
    pub fn chunks(self: &Arc<Self>) -> Vec<Arc<Self>> {
        if self.bytes <= limits::PING_EVERY_BYTES {
            return vec![self.clone()];
        }
        let (mut chunks, mut chunk, mut bytes) = (Vec::new(), Vec::new(), 0);
        for envelope in &self.envelopes {
            if bytes > 0 && bytes + envelope.text.len() > limits::PING_EVERY_BYTES {
                chunks.push(std::mem::take(&mut chunk));
                bytes = 0;
            }
            bytes += envelope.text.len();
            chunk.push(envelope.clone());
        }
        chunks.push(chunk);
        chunks.into_iter().map(Self::new).collect()
    }

    /// Returns the revision of the last event; 0 if there is none.
    #[inline]
    pub fn last_rev(&self) -> Rev {
        self.envelopes.last().map_or(Rev(0), |envelope| envelope.rev)
    }
}
