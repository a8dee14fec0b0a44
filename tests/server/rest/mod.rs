//! Rules that hold for every call over REST: conventions, bad input, cursors and rate limits.

mod bad_input;
mod conventions;
mod cursors;
mod rate_limits;
