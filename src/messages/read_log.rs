//! Reads of the log that rooms ask for.

use super::ToRoom;
use crate::domain::ids::{Rev, SessionId, UserId};
use crate::domain::stream::Stream;
use crate::protocol::events::Frame;
use actix::prelude::Recipient;

/// Why a room reads the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReadFor {
    /// For one session.
    Replay {
        /// Whose session it is.
        user: UserId,
        /// The session.
        session: SessionId,
        /// Tells the reads of a room apart.
        number: u64,
    },
    /// For the room itself: a revision is missing.
    Hole,
    /// To find out whether the stream still reaches what the room has handed out, as was doubted at this moment. It is not
    /// answered: a stream that does not is of another history, and all rooms end.
    Doubt(std::time::Instant),
}

/// A read of the log, for the log's reader. One that nobody answers has failed.
#[derive(Debug)]
pub struct ReadLog {
    /// Where.
    pub stream: Stream,
    /// All after this.
    pub after: Rev,
    /// At most so many.
    pub limit: u64,
    /// Why.
    pub purpose: ReadFor,
    /// Who asks, until it is answered.
    room: Option<Recipient<ToRoom>>,
}

impl ReadLog {
    /// Asked by `room`.
    pub fn new(stream: Stream, after: Rev, limit: u64, purpose: ReadFor, room: Recipient<ToRoom>) -> Self {
        Self { stream, after, limit, purpose, room: Some(room) }
    }

    /// Who waits for it; nobody in particular when it is for the room and all who follow.
    pub fn user(&self) -> Option<UserId> {
        match self.purpose {
            ReadFor::Replay { user, .. } => Some(user),
            ReadFor::Hole | ReadFor::Doubt(_) => None,
        }
    }

    /// Hands the room what was read.
    pub fn answer(mut self, frames: Vec<Frame>) {
        self.reply(Some(frames));
    }

    fn reply(&mut self, frames: Option<Vec<Frame>>) {
        if let Some(room) = self.room.take() {
            // attach: a replay waits for this answer, and a room that is gone needs none
            room.do_send(ToRoom::Read { purpose: self.purpose, frames });
        }
    }
}

impl Drop for ReadLog {
    fn drop(&mut self) {
        self.reply(None);
    }
}
