//! Messages: sending, reading, changing and deleting them, and what is counted about them.

pub mod context;
pub mod deletions;
pub mod edits;
pub mod hiding;
pub mod marks;
pub mod mentions;
pub mod pages;
pub mod pins;
pub mod reactions;
pub mod receipts;
pub mod sending;
pub mod unread;
