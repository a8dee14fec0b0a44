//! What a client can rely on, area by area, told as sentences. Every test has a server of its own and talks to it over
//! the network only. Tests that need PostgreSQL (two servers on one database) are left out of a plain `cargo test` and
//! run with `--include-ignored` in the PostgreSQL pass.

// A test stops by panicking.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod accounts;
mod bad_input;
mod blocks;
mod catching_up;
mod context;
mod conventions;
mod conversations;
mod cursors;
mod deletions;
mod delivery;
mod edits;
mod emptied;
mod failover;
mod first_sync;
mod frames;
mod group_temp_ids;
mod handshake;
mod hiding;
mod large;
mod limits;
mod logins;
mod marks;
mod matrix;
mod members;
mod mentions;
mod messages;
mod names;
mod nodes;
mod paging;
mod pins;
mod races;
mod reactions;
mod receipts;
mod restored;
mod roles;
mod settings;
mod signals;
mod signing_in;
mod slow;
mod statistics;
mod sync;
mod tokens;
mod unread;
mod witness;
