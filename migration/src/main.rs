//! Starts migrations.
fn main() {}
