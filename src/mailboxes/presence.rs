//! Messages to the presence actor, which knows the live sessions of every user on this node.

use super::{CloseSession, SessionHandle};
use crate::domain::ids::{SessionId, UserId};
use crate::protocol::presence::{OwnPresence, PresenceStatus};
use actix::prelude::{Message, Recipient};
use bytestring::ByteString;
use std::collections::HashSet;

/// The inputs of the presence actor.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub enum ToPresence {
    /// A session is authenticated. If its user has too many, the oldest is closed.
    Opened(SessionHandle, Recipient<CloseSession>),
    Closed(UserId, SessionId),
    /// The client set the presence of its user.
    Set(UserId, SessionId, OwnPresence),
    /// A session watches these users. Whether it may see them was checked.
    Watch(SessionId, Vec<UserId>),
    Unwatch(SessionId, Vec<UserId>),
    /// The direct peers were notified of these changes, and the watchers are next. The error has the users for whom
    /// this failed.
    Announced(Result<Vec<PresenceAnnounced>, Vec<UserId>>),
    /// Closes every session, spread over this many milliseconds.
    Drain(u64),
}

/// A user became online, away or offline.
#[derive(Clone, Debug)]
pub struct PresenceChanged {
    pub user_id: UserId,
    pub status: PresenceStatus,
    /// Users with a session that watches this user.
    pub watchers: HashSet<UserId>,
}

/// A change of which the direct peers of the user were notified.
#[derive(Debug)]
pub struct PresenceAnnounced {
    pub user_id: UserId,
    pub status: PresenceStatus,
    /// The frame that they got.
    pub text: ByteString,
    /// Watchers who may see the user and were not notified as peers.
    pub watchers: HashSet<UserId>,
}
