//! The types and rules of the project that need no input or output. A rule that needs a database or a socket is
//! elsewhere.

pub mod accounts;
pub mod address;
pub mod caller;
pub mod characters;
pub mod codes;
pub mod content;
pub mod emoji;
pub mod floor;
pub mod ids;
pub mod invisible;
pub mod json_text;
pub mod limits;
pub mod links;
pub mod mentions;
pub mod names;
pub mod passwords;
pub mod precis;
pub mod roles;
pub mod sealed;
pub mod search;
pub mod stream;
pub mod text;
pub mod time;
pub mod tokens;
