//! The two outputs of a command: what was asked for, and what went wrong.

use super::Failure;
use crate::telemetry;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

/// Writes `text` and a line break. Whoever reads may have heard enough (`greenroom user list | head`): no error.
pub(super) fn line(text: &str) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    match writeln!(output, "{text}").and_then(|()| output.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Tells what went wrong, in one line, and how the program ends.
pub(super) fn complain(what: &str, status: u8) -> ExitCode {
    let what = what.replace(['\r', '\n'], " ");
    // behind the log's own lines, and with the error output gone there is nobody left to tell
    telemetry::errors().line(format!("greenroom: {what}\n").as_bytes());
    ExitCode::from(status)
}
