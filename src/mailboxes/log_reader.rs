//! Reads of the log that rooms ask for.

use super::{ToRoom, send_always};
use crate::domain::ids::{Rev, SessionId, UserId};
use crate::domain::stream::Stream;
use crate::protocol::envelope::Envelope;
use actix::prelude::Recipient;
use std::time::Instant;

/// Why a room reads the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReadPurpose {
    /// The next page of a session's replay.
    Replay {
        user: UserId,
        session: SessionId,
        /// The number of this read among the reads of the room.
        number: u64,
    },
    /// The room misses a revision.
    Gap,
    /// The room has suspected since this moment that the database holds another history. The read has no answer. If the
    /// stream does not reach as far as the room, all rooms end.
    Verify(Instant),
}

/// A read of the log. If it is dropped without an answer, the room learns that it failed.
#[derive(Debug)]
pub struct ReadLog {
    pub stream: Stream,
    /// Events after this revision are read.
    pub after: Rev,
    pub purpose: ReadPurpose,
    /// The room, until it has its answer.
    room: Option<Recipient<ToRoom>>,
}

impl ReadLog {
    /// Creates a read. `room` gets the answer, also if the read fails.
    pub fn new(stream: Stream, after: Rev, purpose: ReadPurpose, room: Recipient<ToRoom>) -> Self {
        Self { stream, after, purpose, room: Some(room) }
    }

    /// Returns the user who is charged for the read; `None` if it serves all subscribers of the room.
    pub fn user(&self) -> Option<UserId> {
        match self.purpose {
            ReadPurpose::Replay { user, .. } => Some(user),
            ReadPurpose::Gap | ReadPurpose::Verify(_) => None,
        }
    }

    /// Sends the events that were read to the room.
    pub fn send_answer(mut self, envelopes: Vec<Envelope>) {
        self.reply(Some(envelopes));
    }

    fn reply(&mut self, envelopes: Option<Vec<Envelope>>) {
        if let Some(room) = self.room.take() {
            send_always(&room, ToRoom::Read { purpose: self.purpose, envelopes });
        }
    }
}

impl Drop for ReadLog {
    fn drop(&mut self) {
        self.reply(None);
    }
}
