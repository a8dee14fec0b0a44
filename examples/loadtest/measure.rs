//! The clock of a run, its counters, and who watches the server meanwhile.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::options::Options;
use crate::progress;
use crate::target::{Target, own_cpu_seconds};

/// How long after the end the tool waits for what is still on its way.
const GRACE: Duration = Duration::from_secs(10);
/// Between two looks at the server.
const LOOK: Duration = Duration::from_millis(100);

/// When what happens. Times are nanoseconds since the load began; only what was due between `from` and `until` counts
/// for latency.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    began: Instant,
    /// Measuring begins.
    pub from: u64,
    /// Measuring and sending end.
    pub until: u64,
}

impl Clock {
    /// The load begins now.
    pub fn start(options: &Options) -> Self {
        let second = 1_000_000_000;
        let from = options.warmup * second;
        Self { began: Instant::now(), from, until: from + options.seconds * second }
    }

    /// Nanoseconds since the load began.
    pub fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    /// The instant of a time.
    pub fn instant(&self, at: u64) -> tokio::time::Instant {
        (self.began + Duration::from_nanos(at)).into()
    }

    /// True when this time lies in the measured part.
    pub fn measures(&self, at: u64) -> bool {
        (self.from..self.until).contains(&at)
    }

    /// True when nothing more is to be sent.
    pub fn is_over(&self) -> bool {
        self.now() >= self.until
    }
}

/// What all clients of a run count together.
#[derive(Debug, Default)]
pub struct Counters {
    /// Messages put on the wire.
    pub sent: Cell<u64>,
    /// Messages acknowledged.
    pub acknowledged: Cell<u64>,
    /// Events received, over all sockets.
    pub delivered: Cell<u64>,
    /// Acknowledgements that arrived while measuring.
    pub acknowledged_measured: Cell<u64>,
    /// Events that arrived while measuring.
    pub delivered_measured: Cell<u64>,
    /// Events that a socket got twice.
    pub doubled: Cell<u64>,
    /// Events that came after a later one, or behind a gap.
    pub disordered: Cell<u64>,
    /// Refusals by code, and sockets that broke.
    pub errors: RefCell<BTreeMap<String, u64>>,
    /// From due to acknowledged, in nanoseconds.
    pub acknowledgement: Latency,
    /// From due to received by a socket.
    pub delivery: Latency,
    /// From due to put on the wire: how late the tool itself was.
    pub lateness: Latency,
}

/// Durations in nanoseconds, to three digits, up to a minute.
#[derive(Debug)]
pub struct Latency(RefCell<Histogram<u64>>);

impl Default for Latency {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1_000, 60_000_000_000, 3).expect("the bounds are in order");
        Self(RefCell::new(histogram))
    }
}

impl Latency {
    /// Notes one; what lies beyond the bounds counts as the bound.
    pub fn note(&self, nanoseconds: u64) {
        self.0.borrow_mut().saturating_record(nanoseconds);
    }

    /// The duration that this share of all does not exceed, in milliseconds; none when there were none.
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

    /// Counts a refusal or a broken socket.
    pub fn error(&self, what: &str) {
        *self.errors.borrow_mut().entry(what.to_owned()).or_default() += 1;
    }

    /// A socket that has `held` gets the event `rev`.
    pub fn event(&self, held: &mut Option<u64>, rev: u64) {
        match *held {
            Some(held) if rev == held => Self::add(&self.doubled),
            Some(held) if rev != held + 1 => Self::add(&self.disordered),
            _ => (),
        }
        *held = Some(held.map_or(rev, |held| held.max(rev)));
    }
}

/// What the server and the tool cost while measuring.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// Processor time of the server, in seconds.
    pub server_cpu: Option<f64>,
    /// Processor time of the tool, in seconds.
    pub own_cpu: f64,
    /// Resident memory of the server when measuring began, in bytes.
    pub resident_before: Option<u64>,
    /// The most it had.
    pub resident_peak: Option<u64>,
    /// What it had at the end.
    pub resident_after: Option<u64>,
}

/// Watches a run from its beginning: tells its progress, takes the costs of the measured part, and returns when
/// everything that `expected` (a function of the acknowledged messages) names was delivered, or the grace is over.
pub async fn watch(target: &Target, clock: Clock, counters: &Rc<Counters>, expected: impl Fn(u64) -> u64) -> Cost {
    tokio::time::sleep_until(clock.instant(clock.from)).await;
    let (server_cpu, own_cpu) = (target.cpu_seconds(), own_cpu_seconds());
    let resident_before = target.resident_bytes();
    let mut resident_peak = resident_before;
    while !clock.is_over() {
        tokio::time::sleep(LOOK).await;
        resident_peak = resident_peak.max(target.resident_bytes());
        tell(clock, counters);
    }
    let cost = Cost {
        server_cpu: target.cpu_seconds().zip(server_cpu).map(|(after, before)| after - before),
        own_cpu: own_cpu_seconds() - own_cpu,
        resident_before,
        resident_peak,
        resident_after: None,
    };
    let until = Instant::now() + GRACE;
    let is_whole = || {
        let acknowledged = counters.acknowledged.get();
        let refused: u64 = counters.errors.borrow().values().sum();
        acknowledged + refused >= counters.sent.get() && counters.delivered.get() >= expected(acknowledged)
    };
    while !is_whole() && Instant::now() < until {
        tokio::time::sleep(LOOK).await;
    }
    // A little longer, in which whatever is delivered twice has its chance to show.
    tokio::time::sleep(LOOK * 5).await;
    tell(clock, counters);
    progress::end_line();
    let resident_after = target.resident_bytes();
    Cost { resident_after, resident_peak: cost.resident_peak.max(resident_after), ..cost }
}

fn tell(clock: Clock, counters: &Counters) {
    progress::tell(&format!(
        "{:5.1} s: {} sent, {} acknowledged, {} delivered",
        clock.now() as f64 / 1e9,
        counters.sent.get(),
        counters.acknowledged.get(),
        counters.delivered.get(),
    ));
}
