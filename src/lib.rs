//! Greenroom: an actor-based realtime chat and notification server.
//!
//! The modules stand in the order in which a message passes them, and each group uses only those
//! before it (a test in `tests/architecture.rs` holds the rule):
//!
//! 1. [`config`], [`telemetry`], [`supervision`]: what the operator says, what the operator sees, what failed
//! 2. [`domain`]: words and rules; no input or output
//! 3. [`error`]: the one error type
//! 4. [`protocol`]: the wire, all of it: frames, events, resources
//! 5. [`store`], [`cluster`]: SQL and what nodes share
//! 6. [`admission`]: what a caller may ask, and has under way
//! 7. [`mailboxes`]: every actor message
//! 8. [`app`]: what a use case may touch
//! 9. [`usecases`]: one function = one thing a caller may do
//! 10. [`realtime`], [`relay`]: sockets, sessions, rooms, the hub, presence; what reads the log besides
//! 11. [`http`]: thin; extract, call the use case, answer
//! 12. [`backends`], [`startup`]: wiring and orderly stop
//! 13. [`cli`]: what a person starts
//!
//! `docs/architecture.md` follows one message through these files by name.

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

pub mod admission;
pub mod app;
pub mod backends;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod domain;
pub mod error;
pub mod http;
pub mod mailboxes;
pub mod protocol;
pub mod realtime;
pub mod relay;
pub mod startup;
pub mod store;
pub mod supervision;
pub mod telemetry;
pub mod usecases;
