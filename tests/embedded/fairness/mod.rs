//! The work of one user delays no other user, and a wait for a connection is `busy` and not an outage of the database.

mod account_writes;
mod connections;
mod health;
mod large_groups;
mod locks;
mod reads;
mod search;
mod writes;
