//! The assembler: it makes the resources that need more than one row from the rows of the store.
//!
//! A part of a resource can come from another table, from the presence registry, or from what the viewer may see. Only
//! the functions here make such resources, and each makes a whole one. So no list, notification or feed can contain a
//! message without its mentions, or a conversation without the presence of the peer. A test of the architecture keeps
//! the construction of these resources out of all other modules.

pub mod conversations;
pub mod members;
pub mod messages;
pub mod new_messages;
pub mod users;
