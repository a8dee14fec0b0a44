//! The relay: every reader processes each log row once and in order, even if readers die at any point. A row that fails
//! delays only its own stream. Retention removes no row that a reader has not processed.

mod appending;
mod bulk_changes;
mod failing_bulk_changes;
mod failing_rows;
mod harness;
mod killed_readers;
mod lags;
mod log_order;
mod pages;
mod recording_reader;
mod retention;
mod timeouts;
