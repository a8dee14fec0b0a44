//! Use cases: each function is one action of a caller, the same for REST and WebSocket. A use case knows neither of the
//! two. It takes a caller and a parsed input, and returns a resource or an error.
//!
//! `transact` is the only way to make durable changes: only this module commits, and then delivers the events.

pub mod accepted;
pub mod accounts;
pub mod blocks;
pub mod conversations;
pub mod deletions;
pub mod edits;
pub mod groups;
pub mod history;
pub mod logins;
pub mod marks;
pub mod members;
mod mentions;
pub mod messages;
pub mod operator;
mod passwords;
pub mod pins;
pub mod presence;
pub mod reactions;
mod read;
pub mod receipts;
pub mod refresh;
mod rights;
pub mod sessions;
pub mod settings;
pub mod statistics;
mod system_messages;
pub mod transact;
pub mod typing;
pub mod users;
pub mod writer;
mod writer_batch;

use crate::domain::ids::{LoginId, UserId};
use crate::protocol::resources::UserRole;

/// The user who acts. Only `logins` creates it, from a token or ticket that was checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Caller {
    pub user_id: UserId,
    pub login_id: LoginId,
    /// The role on the server.
    pub role: UserRole,
}
