//! What the operator sees: the log of this process. Who logs what is decided where it happens; here is only how a line
//! looks and where it goes.

use crate::config::{Log, LogFormat};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Starts logging to `sink`, without colours. Only the first call in a process has an effect; it returns whether it was
/// this one.
pub fn init<S>(log: &Log, sink: S) -> bool
where
    S: for<'line> MakeWriter<'line> + Send + Sync + 'static,
{
    let subscriber =
        tracing_subscriber::fmt().with_env_filter(EnvFilter::new(&log.filter)).with_ansi(false).with_writer(sink);
    match log.format {
        LogFormat::Text => subscriber.try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    }
    .is_ok()
}
