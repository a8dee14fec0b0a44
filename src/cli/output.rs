//! Prints the result of a command and its error.

use super::CommandError;
use crate::telemetry;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

/// Writes `text` and a line break to the standard output. It is no error if the reader has closed the pipe, as in
/// `greenroom user list | head`.
pub(super) fn print_line(text: &str) -> Result<(), CommandError> {
    let mut output = io::stdout().lock();
    match writeln!(output, "{text}").and_then(|()| output.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Writes an error to the error output in one line, and returns the exit status.
pub(super) fn print_error(text: &str, status: u8) -> ExitCode {
    let text = text.replace(['\r', '\n'], " ");
    // The line follows the lines of the log. If the error output is closed, the line is lost.
    telemetry::error_output().write_line(format!("greenroom: {text}\n").as_bytes());
    ExitCode::from(status)
}
