//! What the use cases run on: reads and transactions, the writers, access rights, and the parts of a change that
//! several use cases share.
//!
//! `transact` is the only way to make durable changes: only this module commits, and then delivers the events. `read`
//! is the only way for a use case to read outside a transaction. `assemble` is the only way from the rows of the store
//! to messages, conversations, users and participants for clients. `views` is the only way to read what the list of
//! conversations shows.

pub mod accepted;
pub mod access;
pub mod assemble;
pub mod bulk_changes;
pub mod conversations;
pub mod history;
pub mod last_seen;
pub mod marks_writer;
pub mod mentions;
pub mod pages;
pub mod passwords;
pub mod presence;
pub mod read;
mod send_gather;
mod send_queue;
pub mod system_messages;
pub mod transact;
pub mod tx;
pub mod typing;
pub mod unchecked_caller;
pub mod views;
pub mod writer;
pub mod writer_batch;
pub mod writer_stats;
