//! The tables of Greenroom: their columns and relations. Each module has the name of its table.
//!
//! This crate has no rules, queries or conversions. Only the module `store` of the server uses it.
//!
//! Times (`*_at`, `*_until`) are milliseconds since 1970 (UTC). Values from a fixed list are plain strings: the
//! database checks them, and the domain types of the server define their meaning. Hashes are bytes. JSON is text.

// Only columns whose name does not explain them have a comment.
#![allow(missing_docs)]

pub mod blocks;
pub mod bulk_changes;
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
