//! Use cases: each function is one action of a caller, the same for REST and WebSocket. A use case knows neither of the
//! two. It takes a caller and a parsed input, and returns a resource or an error.
//!
//! It changes nothing and reads nothing but through [`crate::work`].

pub mod accounts;
pub mod blocks;
pub mod conversations;
pub mod deletions;
pub mod edits;
pub mod groups;
pub mod logins;
pub mod marks;
pub mod members;
pub mod messages;
pub mod operator;
pub mod pins;
pub mod presence;
pub mod reactions;
pub mod receipts;
pub mod refresh;
pub mod sessions;
pub mod settings;
pub mod statistics;
pub mod typing;
pub mod users;
