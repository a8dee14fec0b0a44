//! Starts the log of this process, and defines how it is written.

mod failures;
mod outputs;

pub use failures::FailureFlag;
pub(crate) use failures::log_failure;
pub use outputs::{OutputLines, error_output, flush, standard_output};

use crate::config::{LogFormat, LogOutputSettings};
use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::PanicHookInfo;
use std::thread;
use tracing_subscriber::EnvFilter;

/// Starts logging to the error output, without colours. A panic becomes a line of the log. Only the first call in a
/// process has an effect and returns true.
pub fn init(log: &LogOutputSettings) -> bool {
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&log.filter))
        .with_ansi(false)
        // Otherwise it would print that it cannot print, which panics.
        .log_internal_errors(false)
        .with_writer(error_output);
    let started = match log.format {
        LogFormat::Text => subscriber.try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    }
    .is_ok();
    if started {
        std::panic::set_hook(Box::new(log_panic));
    }
    started
}

/// Logs a panic. The default hook would write to the error output directly and wait for the program that reads it.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let text = panic.payload_as_str().unwrap_or("no text");
    let at = panic.location().map(ToString::to_string);
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    tracing::error!(at, thread = thread::current().name(), backtrace, "panic: {text}");
}
