//! `sync`: the events that a client missed, and databases that turn out to have another history.

pub mod emptied_log;
pub mod first_sync;
pub mod large_events;
pub mod missed_events;
pub mod restored;
