//! Several nodes on one PostgreSQL database.

mod catch_up;
mod failover;
mod two_nodes;
