//! Greenroom is an actor-based realtime chat and notification server.
//!
//! The list shows the modules in groups. The modules of a group use only modules of their own and of earlier groups. A
//! test in `tests/architecture/` checks this rule.
//!
//! 1. [`config`], [`telemetry`], [`supervision`]: the settings, the log output, and the restart of parts that panic
//! 2. [`domain`]: types and rules without input or output
//! 3. [`error`]: the error type of the whole project
//! 4. [`protocol`]: the frames, events and resources on the wire
//! 5. [`mailboxes`]: the messages of all actors
//! 6. [`store`], [`cluster`]: the SQL statements, and the state that each node keeps in memory
//! 7. [`admission`]: the limits of each caller
//! 8. [`app`]: everything that a use case needs
//! 9. [`work`]: what the use cases run on: reads, transactions, the writers, access rights and the assembler
//! 10. [`usecases`]: one function for each action of a caller
//! 11. [`realtime`], [`relay`]: the sockets, sessions, rooms, hub and presence, and the readers of the log
//! 12. [`http`]: the HTTP routes, which read a request, call a use case and answer
//! 13. [`backends`], [`startup`]: the choice of the database, the start and the stop
//! 14. [`cli`]: the commands of the program
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
pub mod work;
