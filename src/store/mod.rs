//! The store: every statement the house runs, and the only importer of `entity`. Functions take what they are scoped to
//! and a connection, so that the same one runs inside and outside a transaction. What differs between SQLite and
//! PostgreSQL is told apart in [`dialect`] and nowhere else.

pub mod accounts;
pub mod blocks;
pub mod conversations;
pub mod db;
pub mod dialect;
pub mod edits;
pub mod failure;
pub mod gate;
pub mod groups;
pub mod hidden;
pub mod history;
pub mod hydrate;
mod large;
pub mod log;
pub mod logins;
pub mod marks;
pub mod mentions;
pub mod messages;
pub mod meta;
pub mod participants;
pub mod pins;
pub mod pools;
pub mod reactions;
pub mod readers;
pub mod reading;
pub mod receipts;
pub mod sessions;
pub mod settings;
pub mod statistics;
pub mod targets;
pub mod transaction;
pub mod turns;
pub mod user_words;
pub mod users;
pub mod writes;

pub use failure::{Failure, failure};
