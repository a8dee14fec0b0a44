//! Parts of the library that need no database, so these tests run once and not once for each database.

mod config;
mod following;
mod order;
