//! Every actor message and every job of the writers, so that no actor imports another: a room knows recipients, a
//! session knows a mailbox, and neither knows what is behind it.

mod answer;
mod batch;
mod read_log;

pub use answer::answer;
pub use batch::Batch;
pub use read_log::{ReadFor, ReadLog};

use crate::domain::codes::Close;
use crate::domain::ids::{ConversationId, MessageId, Rev, Seq, SessionId, UserId};
use crate::domain::stream::Stream;
use crate::error::Result;
use crate::protocol::client::OwnPresence;
use crate::protocol::events::Frame;
use crate::protocol::resources::{Message as MessageResource, PresenceStatus, ReadMark};
use actix::prelude::{Message, Recipient};
use bytes::Bytes;
use bytestring::ByteString;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::time::Instant;

// --- to the hub ---------------------------------------------------------------------------------------------------

/// What a transaction committed, by stream.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct Committed(pub Vec<(Stream, Arc<Batch>)>);

/// A frame without a revision for whoever listens to these streams now.
#[derive(Message, Clone, Debug)]
#[rtype(result = "()")]
pub struct Ephemeral {
    /// To whom.
    pub streams: Vec<Stream>,
    /// What.
    pub text: ByteString,
    /// Whose sessions do not get it.
    pub except: Arc<[UserId]>,
}

/// Starts the rooms of these streams that do not run yet, and keeps them all for the subscription that follows. Answers
/// with a room for each, in the same order; fails when the hub does.
#[derive(Message, Debug)]
#[rtype(result = "Result<Vec<Recipient<ToRoom>>>")]
pub struct OpenRooms(pub Vec<Stream>);

/// The log reaches these revisions; whoever is behind reads it.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct Heard(pub Vec<(Stream, Rev)>);

/// Ends all rooms, and has their sessions come back: what they know belongs to another history.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct EndRooms;

/// Which streams have a room here, in no order.
#[derive(Message, Debug)]
#[rtype(result = "Vec<Stream>")]
pub struct OpenStreams;

/// A room that has been empty for a while asks whether it may stop.
#[derive(Message, Debug)]
#[rtype(result = "bool")]
pub struct Retire(pub Stream);

// --- to a room ----------------------------------------------------------------------------------------------------

/// What a room is told.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub enum ToRoom {
    /// Events, in any order, any number of times.
    Deliver(Arc<Batch>),
    /// The log reaches this revision.
    Heard(Rev),
    /// A frame without a revision, and whose sessions do not get it.
    Ephemeral(ByteString, Arc<[UserId]>),
    /// What the room knows is not to be relied on: all who follow, or still come, are sent away.
    End,
    /// A session wants all after a revision.
    Subscribe(Subscription),
    /// A session wants no more.
    Unsubscribe(SessionId),
    /// A session has room for the next page of its replay.
    Continue(SessionId),
    /// What a read of the log brought; `None` if it failed.
    Read {
        /// What for.
        purpose: ReadFor,
        /// The events after the revision asked for, without a gap.
        frames: Option<Vec<Frame>>,
    },
}

/// A subscription whose right was checked in the database. One that no room takes, because it ended, sends its session
/// back, so that nobody waits for it.
#[derive(Debug)]
pub struct Subscription {
    /// To what.
    pub stream: Stream,
    /// Who.
    pub session: SessionHandle,
    /// All after this.
    pub from: Rev,
    /// The stream's revision when membership was checked.
    pub head: Rev,
    /// Whether a room has taken it.
    pub taken: bool,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if !self.taken {
            self.session.give(self.stream, RoomEvent::Gone);
        }
    }
}

// --- to a session -------------------------------------------------------------------------------------------------

/// How a room reaches a session. A full mailbox means that the session is too slow.
#[derive(Clone, Debug)]
pub struct SessionHandle {
    /// The session.
    pub id: SessionId,
    /// Whose it is.
    pub user_id: UserId,
    /// Its mailbox.
    pub mailbox: Recipient<FromRoom>,
    /// Which of its subscriptions this is for.
    pub subscription: u64,
    /// Set when something could not be delivered; the session closes as soon as it sees it.
    pub overrun: Arc<AtomicBool>,
}

impl SessionHandle {
    /// Hands `event` over without waiting. A session whose mailbox is full or gone is marked and gets nothing more.
    pub fn give(&self, stream: Stream, event: RoomEvent) -> bool {
        let given = self.mailbox.try_send(FromRoom { stream, subscription: self.subscription, event }).is_ok();
        if !given {
            self.overrun.store(true, Ordering::Relaxed);
        }
        given
    }
}

/// What a room tells a session.
#[derive(Message, Clone, Debug)]
#[rtype(result = "()")]
pub struct FromRoom {
    /// Which room.
    pub stream: Stream,
    /// For which of the session's subscriptions, the newest that the room knows.
    pub subscription: u64,
    /// What.
    pub event: RoomEvent,
}

/// See [`FromRoom`].
#[derive(Clone, Debug)]
pub enum RoomEvent {
    /// Live events.
    Frames(Arc<Batch>),
    /// A page of a replay; the session asks for the next when it has room.
    Page(Arc<Batch>),
    /// A frame without a revision.
    Ephemeral(ByteString),
    /// The replay is over: live events follow from this revision.
    Attached(Rev),
    /// The log cannot bridge the gap; live events follow from this revision.
    Reset(Rev),
    /// The user left after the right was checked, when the stream stood at this revision: nothing (more) comes for a
    /// subscription with that right.
    Left(Rev),
    /// The room is gone, or the log lacks what it missed: who may follow must be read again, so the client comes back.
    Gone,
}

/// What the socket tells its session.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub enum FromSocket {
    /// A text frame.
    Text(ByteString),
    /// A frame that is refused, and whether the connection can go on.
    Refused(crate::error::Error, Option<Close>),
    /// The client asks for a pong that carries the same.
    Ping(Bytes),
    /// The client answered the ping that carried this count of bytes, or sent what is no answer to one of ours.
    Pong(Option<u64>),
    /// The connection ended.
    Closed,
}

/// A session must close, for the given reason.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub struct CloseSession(pub Close);

// --- to a socket --------------------------------------------------------------------------------------------------

/// What a session tells its socket.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub enum ToSocket {
    /// One text frame.
    Text(ByteString),
    /// Several, in one write.
    Batch(Arc<Batch>),
    /// A ping that carries the count of bytes handed over so far.
    Ping(u64),
    /// The answer to a ping of the client's.
    Pong(Bytes),
    /// The last message.
    Close(Close),
}

// --- to presence --------------------------------------------------------------------------------------------------

/// What sessions tell the presence registry.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub enum ToPresence {
    /// A session is authenticated; the oldest goes when there are too many.
    Opened(SessionHandle, Recipient<CloseSession>),
    /// A session ended.
    Closed(UserId, SessionId),
    /// A session says whether its user is there.
    Set(UserId, SessionId, OwnPresence),
    /// A session watches these users, who were checked to be visible to it.
    Watch(SessionId, Vec<UserId>),
    /// A session watches them no more.
    Unwatch(SessionId, Vec<UserId>),
    /// Direct peers were told of these changes, and watchers who may see them are told now; or of these users nobody could
    /// be told.
    Announced(std::result::Result<Vec<PresenceTold>, Vec<UserId>>),
    /// Every session closes, spread over the time given in milliseconds.
    Drain(u64),
}

/// A user came, went away or left.
#[derive(Clone, Debug)]
pub struct PresenceChanged {
    /// Who.
    pub user_id: UserId,
    /// What now.
    pub status: PresenceStatus,
    /// Whose sessions watch the user.
    pub watchers: HashSet<UserId>,
}

/// A change that was told to the user's direct peers.
#[derive(Debug)]
pub struct PresenceTold {
    /// Who.
    pub user_id: UserId,
    /// What they were told.
    pub status: PresenceStatus,
    /// The frame.
    pub text: ByteString,
    /// Those who watch the user, may see the user, and have not been told.
    pub watchers: HashSet<UserId>,
}

// --- to the writers -----------------------------------------------------------------------------------------------

/// Takes the outcome of a send, made by [`answer`]. The writer calls it in the order of commits and never waits for it.
pub type Answer = Box<dyn FnOnce(Result<Sent>) + Send + Sync>;

/// A send, read and checked as far as it can be without the database.
pub struct SendJob {
    /// Made before the batch, so that a send whose outcome is unknown can be looked up.
    pub message_id: MessageId,
    /// Where.
    pub conversation_id: ConversationId,
    /// Who.
    pub sender_id: UserId,
    /// Its kind.
    pub kind: crate::domain::content::MessageKind,
    /// Its text.
    pub content: String,
    /// What its kind needs.
    pub data: Option<serde_json::Value>,
    /// What it answers.
    pub reply_to_id: Option<MessageId>,
    /// The client's own id of it.
    pub temp_id: Option<String>,
    /// The hash of what the client sent, in hexadecimal.
    pub body_hash: String,
    /// How often its conversation was locked by somebody else.
    pub skipped: u32,
    /// Its commit was not answered, so it may be stored: it is looked up by its id, under its conversation's lock, until
    /// this moment. It stays so until it is answered, however often it is skipped meanwhile.
    pub unknown_until: Option<Instant>,
    /// Where the outcome goes.
    pub answer: Answer,
}

/// A send that is committed.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The revision of its `message.new`.
    pub rev: Rev,
    /// The message as it is now.
    pub message: MessageResource,
    /// Whether it had been committed before.
    pub replayed: bool,
    /// Where the sender's read mark stood, if sending moved it past messages that were unread.
    pub read_from: Option<Seq>,
}

/// Takes the outcome of a mark, made by [`answer`]. The writer of marks calls it and never waits for it.
pub type MarkAnswer = Box<dyn FnOnce(Result<ReadMark>) + Send + Sync>;

/// A mark to move.
pub struct MarkJob {
    /// Where.
    pub conversation_id: ConversationId,
    /// Whose.
    pub user_id: UserId,
    /// Which mark, and how far.
    pub mark: Mark,
    /// Where the outcome goes, if anybody waits for it.
    pub answer: Option<MarkAnswer>,
}

/// See [`MarkJob`]. A mark beyond the end is the end, and none ever moves back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mark {
    /// Read up to this place.
    Read(Seq),
    /// Delivered up to this place.
    Delivered(Seq),
    /// A send moved the read mark from this place: nothing is left to write, and others are to be told.
    Sent(Seq),
    /// The user has hidden a message: nothing is left to write, and the user's sessions are told what is unread.
    Hidden,
}
