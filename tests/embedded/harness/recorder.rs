//! An actor that gets events and frames instead of the hub, and records them.

use actix::prelude::*;
use greenroom::domain::stream::Stream;
use greenroom::mailboxes::{Committed, Ephemeral};
use std::sync::{Arc, Mutex};

/// A delivered event.
#[derive(Clone, Debug)]
pub struct Delivered {
    pub stream: Stream,
    pub rev: i64,
    /// The text of its frame.
    pub text: String,
}

/// The record of everything that was delivered.
#[derive(Clone, Default)]
pub struct Recorded {
    /// The events of all streams, in the order of their delivery.
    pub events: Arc<Mutex<Vec<Delivered>>>,
    /// The texts of the ephemeral frames.
    pub frames: Arc<Mutex<Vec<String>>>,
}

/// The actor that gets events and frames.
pub struct Recorder(pub Recorded);

impl Actor for Recorder {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(1 << 20);
    }
}

impl Handler<Committed> for Recorder {
    type Result = ();

    fn handle(&mut self, Committed(batches): Committed, _: &mut Self::Context) {
        let mut events = self.0.events.lock().unwrap();
        for frame in batches.iter().flat_map(|batch| &batch.envelopes) {
            events.push(Delivered { stream: frame.stream, rev: frame.rev.0, text: frame.text.to_string() });
        }
    }
}

impl Handler<Ephemeral> for Recorder {
    type Result = ();

    fn handle(&mut self, frame: Ephemeral, _: &mut Self::Context) {
        self.0.frames.lock().unwrap().push(frame.text.to_string());
    }
}
