//! The store runs all SQL of the server, and is the only module that imports `entity`.
//!
//! A function takes a connection and the ids that limit its rows, so that it runs inside and outside a transaction
//! alike. Statements that differ between SQLite and PostgreSQL are chosen with [`dialect`].

pub mod accounts;
pub mod assemble;
pub mod blocks;
pub mod conversations;
pub mod db;
pub mod dialect;
pub mod edits;
pub mod failure;
pub mod fair_queue;
pub mod groups;
pub mod hidden;
pub mod history;
mod large_writes;
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
pub mod target_messages;
pub mod transaction;
pub mod user_words;
pub mod users;
pub mod write_queue;
pub mod writes;

pub use failure::{FailureKind, failure_kind};
