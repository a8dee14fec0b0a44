//! Delivery: the actors between a commit and the connection of a client.
//!
//! | actor | how many | owns |
//! |---|---|---|
//! | `socket` | one per WebSocket | the conversion between bytes and frames, the pings |
//! | `session` | one per connection | the identity, the lanes, the subscriptions, the count of unacknowledged bytes |
//! | `room` | one per stream that has subscribers | the subscribers and the order of the events (module `order`) |
//! | `hub` | one | which room belongs to which stream |
//! | `presence` | one | the live sessions of each user |
//!
//! Two tasks read the log: `log_reader` reads events that a room lacks, and `catch_up` finds events that were not
//! delivered.

pub mod catch_up;
pub mod following;
pub mod frame_limit;
pub mod hub;
pub mod log_reader;
pub mod order;
pub mod pings;
pub mod presence;
pub mod room;
pub mod session;
pub mod socket;
