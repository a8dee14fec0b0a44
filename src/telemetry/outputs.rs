//! Writes lines for the operator to the outputs of the process.
//!
//! A separate thread writes the lines of each output. So the code that logs never waits for the program that reads the
//! output. If an output is closed, full or stopped, its lines are lost and the server continues.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::Duration;

/// The size of the lines that wait for one output. A further line is lost.
const WAITING_BYTES: usize = 1024 * 1024;
/// The time that the end of the program waits for each output to accept the last lines.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

static ERROR_OUTPUT: LazyLock<OutputLines> = LazyLock::new(|| OutputLines::start("error output", io::stderr()));
static STANDARD_OUTPUT: LazyLock<OutputLines> = LazyLock::new(|| OutputLines::start("output", io::stdout()));

/// Returns the error output, for the log and for the reason why the program ends.
pub fn error_output() -> &'static OutputLines {
    &ERROR_OUTPUT
}

/// Returns the standard output of a server, which must continue even if no program reads it. A command of the CLI
/// writes to the standard output directly, because it may wait for its reader.
pub fn standard_output() -> &'static OutputLines {
    &STANDARD_OUTPUT
}

/// Waits until both outputs have accepted all lines so far, at most one second for each. Without this call the last
/// lines of a process may be lost.
pub fn flush() {
    for output in [&ERROR_OUTPUT, &STANDARD_OUTPUT] {
        if let Some(output) = LazyLock::get(output) {
            output.flush(FLUSH_TIMEOUT);
        }
    }
}

/// The queue of lines for one output, which a separate thread writes.
pub struct OutputLines {
    jobs: Sender<OutputJob>,
    counts: Arc<LineCounts>,
}

enum OutputJob {
    Line(Vec<u8>),
    /// The thread answers when all earlier lines are written or lost.
    Flush(SyncSender<()>),
}

#[derive(Default)]
struct LineCounts {
    waiting_bytes: AtomicUsize,
    lost_lines: AtomicU64,
}

impl OutputLines {
    fn start(name: &str, output: impl Write + Send + 'static) -> Self {
        let (jobs, queue) = mpsc::channel();
        let counts = Arc::new(LineCounts::default());
        let thread_counts = counts.clone();
        // If the thread cannot start, the receiver of the queue is dropped and every line is lost.
        let _ = thread::Builder::new().name(name.to_owned()).spawn(move || write_jobs(output, &queue, &thread_counts));
        Self { jobs, counts }
    }

    /// Adds a line, which includes its line break, to the queue and returns immediately.
    pub fn write_line(&self, line: &[u8]) {
        let before = self.counts.waiting_bytes.fetch_add(line.len(), Ordering::Relaxed);
        let fits = before + line.len() <= WAITING_BYTES;
        if !fits || self.jobs.send(OutputJob::Line(line.to_vec())).is_err() {
            self.counts.waiting_bytes.fetch_sub(line.len(), Ordering::Relaxed);
            self.counts.lost_lines.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until all lines so far are written or lost, at most for `timeout`.
    fn flush(&self, timeout: Duration) {
        let (done, done_receiver) = mpsc::sync_channel(1);
        if self.jobs.send(OutputJob::Flush(done)).is_ok() {
            let _ = done_receiver.recv_timeout(timeout);
        }
    }
}

impl Write for &OutputLines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_line(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_jobs(mut output: impl Write, queue: &Receiver<OutputJob>, counts: &LineCounts) {
    for job in queue {
        match job {
            OutputJob::Line(line) => {
                let written = output.write_all(&line).and_then(|()| output.flush());
                counts.waiting_bytes.fetch_sub(line.len(), Ordering::Relaxed);
                if written.is_err() {
                    counts.lost_lines.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                let lost = counts.lost_lines.swap(0, Ordering::Relaxed);
                if lost > 0 {
                    tracing::warn!(lost, "lines were lost, because the output did not accept them");
                }
            }
            OutputJob::Flush(done) => drop(done.send(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// An output that accepts or refuses each line as the test decides, and waits for the decision.
    struct ControlledOutput {
        accepts: Receiver<bool>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for ControlledOutput {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.accepts.recv() {
                Ok(true) => {
                    self.written.lock().expect("no test panics with it").extend_from_slice(bytes);
                    Ok(bytes.len())
                }
                _ => Err(io::ErrorKind::StorageFull.into()),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn controlled_output() -> (OutputLines, Sender<bool>, Arc<Mutex<Vec<u8>>>) {
        let (accept, accepts) = mpsc::channel();
        let written = Arc::default();
        (OutputLines::start("a test", ControlledOutput { accepts, written: Arc::clone(&written) }), accept, written)
    }

    #[test]
    fn a_line_that_the_output_refuses_is_lost_and_counted() {
        let (lines, accept, written) = controlled_output();
        for answer in [false, true, false] {
            accept.send(answer).expect("the thread waits");
        }
        for line in [b"one\n", b"two\n", b"six\n"] {
            lines.write_line(line);
        }
        lines.flush(Duration::from_secs(20));
        assert_eq!(*written.lock().expect("no panic"), b"two\n");
        assert_eq!(
            lines.counts.lost_lines.load(Ordering::Relaxed),
            1,
            "the first lost line was logged after the second line was written"
        );
        assert_eq!(lines.counts.waiting_bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_stopped_output_blocks_no_caller_and_a_bounded_number_of_bytes_waits() {
        let (lines, accept, written) = controlled_output();
        let line = [b'a'; 1024];
        for _ in 0..2 * WAITING_BYTES / line.len() {
            lines.write_line(&line);
        }
        assert_eq!(lines.counts.waiting_bytes.load(Ordering::Relaxed), WAITING_BYTES);
        assert_eq!(lines.counts.lost_lines.load(Ordering::Relaxed), (WAITING_BYTES / line.len()) as u64);
        for _ in 0..=WAITING_BYTES / line.len() {
            accept.send(true).expect("the thread waits");
        }
        lines.flush(Duration::from_secs(20));
        assert_eq!(written.lock().expect("no panic").len(), WAITING_BYTES, "the waiting lines are written");
    }
}
