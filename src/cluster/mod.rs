//! What each node keeps in memory for itself: the bus, presence, typing, the limits on signing in, and the logins that
//! it knows to have ended.
//!
//! Every node of a cluster has its own copy, which it does not share yet. The module has its name because the nodes
//! will exchange this state here, in the background. No right to read or write is ever decided from it.

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
