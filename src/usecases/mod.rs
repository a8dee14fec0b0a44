//! Use cases: one function is one thing a caller may do, the same for REST and WebSocket. A use case knows neither: it
//! takes a caller and an input that was read, and returns a resource or an error.
//!
//! `transact` is the only way to change anything durable: it alone commits, and then informs delivery.

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

/// Who acts. Made by `logins::authenticate` alone, from a token that was checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Caller {
    /// The user.
    pub user_id: UserId,
    /// The login the token belongs to.
    pub login_id: LoginId,
    /// User or admin.
    pub role: UserRole,
}
