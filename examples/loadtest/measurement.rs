//! The measurement of a run: its clock, the counters of its clients, and the processor time and memory of the server.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::options::Options;
use crate::processes::own_cpu_seconds;
use crate::progress;
use crate::target::Target;

/// How long the tool waits, after sending has ended, for answers and deliveries that are under way.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// The time between two samples of the memory of the server.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(100);

/// The clock of a run. Its times are nanoseconds since the load began.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
    /// The end of the warm-up. Only messages and requests that are due from here on count for latency.
    pub from: u64,
    /// The end of the measurement. Nothing is sent after it.
    pub until: u64,
}

impl Clock {
    /// Returns a clock that begins now.
    pub fn start(options: &Options) -> Self {
        let second = 1_000_000_000;
        let from = options.warmup * second;
        Self { started: Instant::now(), from, until: from + options.seconds * second }
    }

    /// Returns the nanoseconds since the load began.
    pub fn now(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    /// Converts a time of this clock into an instant.
    pub fn instant(&self, time: u64) -> tokio::time::Instant {
        (self.started + Duration::from_nanos(time)).into()
    }

    /// Returns true if `time` is inside the measured part of the run.
    pub fn is_measured(&self, time: u64) -> bool {
        (self.from..self.until).contains(&time)
    }

    /// Returns true if nothing more is to be sent.
    pub fn is_over(&self) -> bool {
        self.now() >= self.until
    }
}

/// The counters that all clients of a run share.
#[derive(Debug, Default)]
pub struct Counters {
    /// Messages that were sent, or requests.
    pub sent: Cell<u64>,
    /// Messages that were acknowledged, or requests that were answered without an error.
    pub acknowledged: Cell<u64>,
    /// Message events that were received, over all sockets.
    pub delivered: Cell<u64>,
    /// The part of `acknowledged` that arrived while measuring.
    pub acknowledged_measured: Cell<u64>,
    /// The part of `delivered` that arrived while measuring.
    pub delivered_measured: Cell<u64>,
    /// Messages that were both acknowledged and received by the other user, the later of the two while measuring.
    pub completed_measured: Cell<u64>,
    /// Events that one socket received twice.
    pub doubled: Cell<u64>,
    /// Events that arrived after a later one, or after a gap.
    pub disordered: Cell<u64>,
    /// Refused messages by error code, wrong answers, and sockets that failed.
    pub errors: RefCell<BTreeMap<String, u64>>,
    /// The time from the due time of a message to its acknowledgement, or from a request to its answer.
    pub acknowledgement: Latency,
    /// The time from the due time of a message until one socket receives it.
    pub delivery: Latency,
    /// The time from the due time of a message until the tool sends it.
    pub lateness: Latency,
}

/// A histogram of durations up to a minute, in nanoseconds, with a precision of three digits.
#[derive(Debug)]
pub struct Latency(RefCell<Histogram<u64>>);

impl Default for Latency {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1_000, 60_000_000_000, 3).expect("the bounds are in order");
        Self(RefCell::new(histogram))
    }
}

impl Latency {
    /// Adds a duration. One that is out of bounds counts as the bound.
    pub fn record(&self, nanoseconds: u64) {
        self.0.borrow_mut().saturating_record(nanoseconds);
    }

    /// Returns a quantile in milliseconds, or `None` if no duration was recorded.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let histogram = self.0.borrow();
        (!histogram.is_empty()).then(|| histogram.value_at_quantile(share) as f64 / 1e6)
    }
}

impl Counters {
    /// Adds one to a counter.
    pub fn add(counter: &Cell<u64>) {
        counter.set(counter.get() + 1);
    }

    /// Counts one error under its description.
    pub fn add_error(&self, description: &str) {
        *self.errors.borrow_mut().entry(description.to_owned()).or_default() += 1;
    }

    /// Counts the event `rev` as doubled or out of order if it does not follow `last_rev`, the last revision that the
    /// same socket received. Updates `last_rev`.
    pub fn check_order(&self, last_rev: &mut Option<u64>, rev: u64) {
        match *last_rev {
            Some(last) if rev == last => Self::add(&self.doubled),
            Some(last) if rev != last + 1 => Self::add(&self.disordered),
            _ => (),
        }
        *last_rev = Some(last_rev.map_or(rev, |last| last.max(rev)));
    }
}

/// The processor time and memory that the measured part of a run used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// Processor time of the server, in seconds. `None` if its process is not known.
    pub server_cpu: Option<f64>,
    /// Processor time of the processes of the database, in seconds. `None` if they are not known.
    pub database_cpu: Option<f64>,
    /// Processor time of the tool, in seconds.
    pub own_cpu: f64,
    /// Resident memory of the server at the beginning of the measurement, in bytes.
    pub resident_before: Option<u64>,
    /// The greatest resident memory of the server, in bytes.
    pub resident_peak: Option<u64>,
    /// Resident memory of the server at the end, in bytes.
    pub resident_after: Option<u64>,
}

impl Cost {
    /// Returns the processor time of the server and its database together, in seconds, if both are known.
    pub fn server_and_database_cpu(&self) -> Option<f64> {
        Some(self.server_cpu? + self.database_cpu?)
    }
}

/// Observes a run from its beginning to its end, shows its progress, and returns the cost of its measured part.
///
/// `expected` returns the number of deliveries that belong to a number of acknowledged messages. After sending has
/// ended, this function waits until all of them have arrived, for [`DRAIN_TIMEOUT`] at most.
pub async fn observe(target: &Target, clock: Clock, counters: &Rc<Counters>, expected: impl Fn(u64) -> u64) -> Cost {
    tokio::time::sleep_until(clock.instant(clock.from)).await;
    let cpu = (target.cpu_seconds(), target.database_cpu_seconds(), own_cpu_seconds());
    let resident_before = target.resident_bytes();
    let mut resident_peak = resident_before;
    while !clock.is_over() {
        tokio::time::sleep(SAMPLE_INTERVAL).await;
        resident_peak = resident_peak.max(target.resident_bytes());
        show_progress(clock, counters);
    }
    let cost = Cost {
        server_cpu: target.cpu_seconds().zip(cpu.0).map(|(after, before)| after - before),
        database_cpu: target.database_cpu_seconds().zip(cpu.1).map(|(after, before)| after - before),
        own_cpu: own_cpu_seconds() - cpu.2,
        resident_before,
        resident_peak,
        resident_after: None,
    };
    let until = Instant::now() + DRAIN_TIMEOUT;
    let is_complete = || {
        let acknowledged = counters.acknowledged.get();
        let refused: u64 = counters.errors.borrow().values().sum();
        acknowledged + refused >= counters.sent.get() && counters.delivered.get() >= expected(acknowledged)
    };
    while !is_complete() && Instant::now() < until {
        tokio::time::sleep(SAMPLE_INTERVAL).await;
    }
    // Wait a little longer, so that an event that is delivered twice is noticed.
    tokio::time::sleep(SAMPLE_INTERVAL * 5).await;
    show_progress(clock, counters);
    progress::end_line();
    let resident_after = target.resident_bytes();
    Cost { resident_after, resident_peak: cost.resident_peak.max(resident_after), ..cost }
}

fn show_progress(clock: Clock, counters: &Counters) {
    let delivered = match counters.delivered.get() {
        0 => String::new(),
        count => format!(", {count} delivered"),
    };
    progress::show(&format!(
        "{:5.1} s: {} sent, {} acknowledged{delivered}",
        clock.now() as f64 / 1e9,
        counters.sent.get(),
        counters.acknowledged.get(),
    ));
}
