//! What the operator sees: the log of this process. Who logs what is decided where it happens; here is only how a line
//! looks and how it reaches an output. A line that an output does not take is lost, and nothing else happens: nobody who
//! logs waits for whoever reads, and an output that is closed, full or stopped ends nothing.

use crate::config::{Log, LogFormat};
use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, Write};
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::Duration;
use tracing_subscriber::EnvFilter;

/// Bytes of lines that wait for an output whose reader has stopped; a line beyond them is lost.
const WAITING_BYTES: usize = 1024 * 1024;
/// How long the end of the program waits for an output to take the last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

static ERRORS: LazyLock<Lines> = LazyLock::new(|| Lines::start("error output", io::stderr()));
static ANSWERS: LazyLock<Lines> = LazyLock::new(|| Lines::start("output", io::stdout()));

/// The error output: the log, and why the program ends.
pub fn errors() -> &'static Lines {
    &ERRORS
}

/// The standard output of a server, which runs on whether or not somebody reads it. A command that ends by itself writes
/// there itself, because its reader may take all the time it needs.
pub fn answers() -> &'static Lines {
    &ANSWERS
}

/// Waits until both outputs have taken what was written so far, for a second at most. Without it the last lines of a
/// process may not come out.
pub fn flush() {
    for output in [&ERRORS, &ANSWERS] {
        if let Some(output) = LazyLock::get(output) {
            output.flush(LAST_LINES);
        }
    }
}

/// Tells of what failed with an [`Error`](crate::error::Error), as one tells of a fault; quietly where it passes by itself.
macro_rules! failed {
    ($level:ident, $error:expr, $($told:tt)+) => {
        if $error.is_passing() {
            tracing::debug!(error = %$error, $($told)+)
        } else {
            tracing::$level!(error = %$error, $($told)+)
        }
    };
}
pub(crate) use failed;

/// Something that is tried again and again, and told of when it begins to fail and when it no longer does.
#[derive(Default, Debug)]
pub struct Trouble(AtomicBool);

impl Trouble {
    /// It failed; whether that is news.
    pub fn failed(&self) -> bool {
        !self.0.swap(true, Ordering::Relaxed)
    }

    /// It succeeded; whether that is news.
    pub fn is_over(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

/// Starts logging to the error output, without colours; a panic becomes a line of the log. Only the first call in a
/// process has an effect; it returns whether it was this one.
pub fn init(log: &Log) -> bool {
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&log.filter))
        .with_ansi(false)
        // else it would print that it cannot print, which panics
        .log_internal_errors(false)
        .with_writer(errors);
    let started = match log.format {
        LogFormat::Text => subscriber.try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    }
    .is_ok();
    if started {
        std::panic::set_hook(Box::new(panicked));
    }
    started
}

/// The usual hook writes to the error output itself, and would wait there for whoever reads it.
fn panicked(panic: &PanicHookInfo<'_>) {
    let said = panic.payload_as_str().unwrap_or("no text");
    let at = panic.location().map(ToString::to_string);
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    tracing::error!(at, thread = thread::current().name(), backtrace, "panic: {said}");
}

/// The lines that wait for one output, and the thread that writes them.
pub struct Lines {
    jobs: Sender<Job>,
    counts: Arc<Counts>,
}

enum Job {
    Line(Vec<u8>),
    /// Answered when everything before it has been written, or lost.
    Flush(SyncSender<()>),
}

#[derive(Default)]
struct Counts {
    waiting_bytes: AtomicUsize,
    lost_lines: AtomicU64,
}

impl Lines {
    fn start(name: &str, output: impl Write + Send + 'static) -> Self {
        let (jobs, queue) = mpsc::channel();
        let counts = Arc::new(Counts::default());
        let theirs = counts.clone();
        // without a thread the queue is gone and every line is lost
        let _ = thread::Builder::new().name(name.to_owned()).spawn(move || write_out(output, &queue, &theirs));
        Self { jobs, counts }
    }

    /// Hands over a line, its line break included, and returns at once.
    pub fn line(&self, line: &[u8]) {
        let before = self.counts.waiting_bytes.fetch_add(line.len(), Ordering::Relaxed);
        let fits = before + line.len() <= WAITING_BYTES;
        if !fits || self.jobs.send(Job::Line(line.to_vec())).is_err() {
            self.counts.waiting_bytes.fetch_sub(line.len(), Ordering::Relaxed);
            self.counts.lost_lines.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until all lines so far are written or lost, at most for `limit`.
    fn flush(&self, limit: Duration) {
        let (done, when_done) = mpsc::sync_channel(1);
        if self.jobs.send(Job::Flush(done)).is_ok() {
            let _ = when_done.recv_timeout(limit);
        }
    }
}

impl Write for &Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_out(mut output: impl Write, queue: &Receiver<Job>, counts: &Counts) {
    for job in queue {
        match job {
            Job::Line(line) => {
                let written = output.write_all(&line).and_then(|()| output.flush());
                counts.waiting_bytes.fetch_sub(line.len(), Ordering::Relaxed);
                if written.is_err() {
                    counts.lost_lines.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                let lost = counts.lost_lines.swap(0, Ordering::Relaxed);
                if lost > 0 {
                    tracing::warn!(lost, "lines were lost, because nobody took them from the output");
                }
            }
            Job::Flush(done) => drop(done.send(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// An output that takes a line when it is told to, or never.
    struct Gate {
        open: Receiver<bool>,
        taken: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.open.recv() {
                Ok(true) => {
                    self.taken.lock().expect("no test panics with it").extend_from_slice(bytes);
                    Ok(bytes.len())
                }
                _ => Err(io::ErrorKind::StorageFull.into()),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gate() -> (Lines, Sender<bool>, Arc<Mutex<Vec<u8>>>) {
        let (open, opened) = mpsc::channel();
        let taken = Arc::default();
        (Lines::start("a test", Gate { open: opened, taken: Arc::clone(&taken) }), open, taken)
    }

    #[test]
    fn what_an_output_does_not_take_is_lost_and_counted() {
        let (lines, open, taken) = gate();
        for answer in [false, true, false] {
            open.send(answer).expect("the thread waits");
        }
        for line in [b"one\n", b"two\n", b"six\n"] {
            lines.line(line);
        }
        lines.flush(Duration::from_secs(20));
        assert_eq!(*taken.lock().expect("no panic"), b"two\n");
        assert_eq!(
            lines.counts.lost_lines.load(Ordering::Relaxed),
            1,
            "the first was told when the second came through"
        );
        assert_eq!(lines.counts.waiting_bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn an_output_that_stopped_holds_nobody_and_a_bounded_number_of_bytes() {
        let (lines, open, taken) = gate();
        let line = [b'a'; 1024];
        for _ in 0..2 * WAITING_BYTES / line.len() {
            lines.line(&line);
        }
        assert_eq!(lines.counts.waiting_bytes.load(Ordering::Relaxed), WAITING_BYTES);
        assert_eq!(lines.counts.lost_lines.load(Ordering::Relaxed), (WAITING_BYTES / line.len()) as u64);
        for _ in 0..=WAITING_BYTES / line.len() {
            open.send(true).expect("the thread waits");
        }
        lines.flush(Duration::from_secs(20));
        assert_eq!(taken.lock().expect("no panic").len(), WAITING_BYTES, "what waited comes out");
    }
}
