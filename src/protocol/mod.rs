//! The wire format: the frames and bodies that clients and the server send, without the connections that carry them.

pub mod accounts;
pub mod client;
pub mod conversations;
pub mod events;
pub mod json;
pub mod redaction;
pub mod resources;
pub mod server;
