//! What nodes share: who is there, who types, how often one may. Each here in process; a second form over Redis takes the
//! same place. Nothing is ever authorised from what stands here.

pub mod accepted;
pub mod attempts;
pub mod ended;
pub mod hashing;
pub mod presence;
pub mod sign_ins;
pub mod typing;
mod windows;
