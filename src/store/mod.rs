//! The store runs all SQL of the server, and is the only module that imports `entity`.
//!
//! A function takes a connection and the ids that limit its rows, so that it runs inside and outside a transaction
//! alike. Statements that differ between SQLite and PostgreSQL are chosen with [`dialect`]. A noun has one file or
//! folder with the same name as in `protocol`, `usecases` and `http`; [`db`] has the connections and the queues, and
//! [`locks`] the rows that a transaction locks first.

pub mod accounts;
pub mod blocks;
pub mod bound_rows;
pub mod bulk_changes;
pub mod conversations;
pub mod db;
pub mod dialect;
pub mod locks;
pub mod log;
pub mod logins;
pub mod marks;
pub mod members;
pub mod messages;
pub mod meta;
pub mod pins;
pub mod prepared;
pub mod reactions;
pub mod receipts;
pub mod sessions;
pub mod settings;
pub mod statistics;
pub mod table_write;
pub mod users;
