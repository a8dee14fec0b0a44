//! Telling how far a run is, on the error output: one line that is rewritten where somebody watches a terminal, and now
//! and then a line where the output goes to a file.

use std::cell::Cell;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Between two lines of a file.
const PAUSE: Duration = Duration::from_secs(2);

thread_local! {
    /// When a line was last written.
    static WRITTEN: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Tells how far the run is.
pub fn tell(text: &str) {
    let mut errors = std::io::stderr();
    // Progress is a courtesy: that it cannot be written must not end the run.
    if errors.is_terminal() {
        let _ = write!(errors, "\r\x1b[K{text}").and_then(|()| errors.flush());
    } else if WRITTEN.get().is_none_or(|written| written.elapsed() >= PAUSE) {
        WRITTEN.set(Some(Instant::now()));
        let _ = writeln!(errors, "{text}");
    }
}

/// Leaves the line as it is; what is told next begins another.
pub fn end_line() {
    let mut errors = std::io::stderr();
    if errors.is_terminal() {
        let _ = writeln!(errors);
    }
}
