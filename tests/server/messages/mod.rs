//! Messages: sending, listing, editing and deleting them, marks, mentions, pins, reactions and unread counts.

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
