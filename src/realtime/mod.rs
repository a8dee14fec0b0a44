//! Delivery: the actors between a commit and a client's socket.
//!
//! | actor | how many | owns |
//! |---|---|---|
//! | `socket` | one a WebSocket | bytes to frames and back |
//! | `session` | one a connection | identity, lanes, its rooms, what is handed out and not yet read |
//! | `room` | one a stream with a live session | subscribers and the order of events, which `order` keeps |
//! | `hub` | one | which room serves which stream |
//! | `presence` | one | who is there |
//!
//! Beside them two tasks read the log: `log_reader` for rooms that lack something, `catch_up` for what delivery missed.

pub mod catch_up;
pub mod frame_limit;
pub mod hub;
pub mod log_reader;
pub mod order;
pub mod presence;
pub mod room;
pub mod session;
pub mod socket;
