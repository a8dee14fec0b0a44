//! The wire, all of it: what clients send, what the server sends, and what both talk about. Nothing here knows where a
//! frame came from or goes to.

pub mod accounts;
pub mod client;
pub mod conversations;
pub mod events;
pub mod json;
pub mod redaction;
pub mod resources;
pub mod server;
