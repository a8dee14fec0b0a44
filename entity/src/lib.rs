//! The tables of Greenroom, one in each module and under the table's own name: columns and relations, nothing else.
//! No rule, no query and no conversion lives here; the only user of this crate is the server's `store`.
//!
//! Times (`*_at`, `*_until`) are milliseconds since 1970. Words out of a fixed list are plain strings, which the
//! database checks and the server's domain types give their meaning. Hashes are bytes, JSON is text.

// Most columns and relations say everything in their names; those that do not are documented.
#![allow(missing_docs)]

pub mod blocks;
pub mod class_members;
pub mod classes;
pub mod conversation_statistics;
pub mod conversations;
pub mod hidden_messages;
pub mod logins;
pub mod mentions;
pub mod message_edits;
pub mod message_links;
pub mod messages;
pub mod meta;
pub mod notification_settings;
pub mod notifications;
pub mod outbox;
pub mod participants;
pub mod push_subscriptions;
pub mod reactions;
pub mod reader_failures;
pub mod readers;
pub mod refresh_tokens;
pub mod sender_statistics;
pub mod tickets;
pub mod uploads;
pub mod user_words;
pub mod users;
