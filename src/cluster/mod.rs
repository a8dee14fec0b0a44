//! What nodes share: the bus, presence, typing, and the limits on signing in.
//!
//! Each part keeps its state in the memory of one process. An implementation over Redis can replace it later. No right
//! to read or write is ever decided from this state.

pub mod accepted;
pub mod attempts;
pub mod bus;
pub mod catch_up;
pub mod ended;
pub mod hashing;
pub mod last_seen;
pub mod presence;
pub mod sign_ins;
pub mod typing;
mod windows;
