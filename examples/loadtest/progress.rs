//! Shows the progress of a run on standard error: one line that is overwritten on a terminal, and a line every two
//! seconds otherwise.

use std::cell::Cell;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// The shortest time between two lines when standard error is not a terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(2);

thread_local! {
    static LAST_LINE_AT: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Shows `text` as the progress of the run.
pub fn show(text: &str) {
    let mut stderr = std::io::stderr();
    // A failed write is ignored, because the run is useful without its progress.
    if stderr.is_terminal() {
        let _ = write!(stderr, "\r\x1b[K{text}").and_then(|()| stderr.flush());
    } else if LAST_LINE_AT.get().is_none_or(|at| at.elapsed() >= LINE_INTERVAL) {
        LAST_LINE_AT.set(Some(Instant::now()));
        let _ = writeln!(stderr, "{text}");
    }
}

/// Keeps the line on the terminal as it is, so that the next text begins a new line.
pub fn end_line() {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        let _ = writeln!(stderr);
    }
}
