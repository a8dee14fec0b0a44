//! The relay: every row of the log has one place, every reader reads it once, whoever dies and wherever; a row that fails
//! holds up its own stream alone; nothing goes that somebody has not read. On SQLite always, and on PostgreSQL where
//! `GREENROOM_TEST_POSTGRES` names a server.

// A test stops by panicking. Both harnesses, from inside and from outside, bring the same generator.
#![allow(clippy::unwrap_used, clippy::duplicate_mod)]

#[path = "relay/failing.rs"]
mod failing;
#[path = "inside/mod.rs"]
mod inside;
#[path = "relay/killed.rs"]
mod killed;
#[path = "relay/order.rs"]
mod order;
#[path = "relay/retained.rs"]
mod retained;
mod support;
#[path = "relay/world.rs"]
mod world;
