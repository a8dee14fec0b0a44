//! The closed loop: each sender sends its next message when the last one is acknowledged.

use crate::application::{Application, CONVERSATIONS, MEMBERS};
use futures_util::future::join_all;
use greenroom::app::App;
use greenroom::protocol::messages::NewMessage;
use greenroom::protocol::sends::CheckedSend;
use greenroom::usecases::messages;
use hdrhistogram::Histogram;
use std::cell::{Cell, RefCell};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// The time of load before the measurement.
const WARM_UP: Duration = Duration::from_secs(1);
/// The text of every message.
const CONTENT: &str = "A message of the usual length, which is about as long as what people write to each other here.";

/// The figures of one measurement.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Acknowledged sends a second.
    pub per_second: f64,
    /// A quantile of the time from the call to the acknowledgement, in milliseconds.
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// The mean number of sends in a commit. `None` for pgbench, which commits each one.
    pub mean_batch: Option<f64>,
    /// The processor cores that this process used, without those of the processes of PostgreSQL. `None` if not known.
    pub cores: Option<f64>,
    /// The number of refused sends.
    pub errors: u64,
}

/// Measures `senders` senders for `seconds` seconds.
pub async fn run(application: &Application, senders: u32, seconds: u64) -> Figures {
    let app = &application.embedded.app;
    let started = Instant::now();
    let (from, until) = (WARM_UP, WARM_UP + Duration::from_secs(seconds));
    let latency = RefCell::new(Histogram::<u64>::new_with_bounds(1_000, 60_000_000_000, 3).expect("bounds in order"));
    let (acknowledged, errors) = (Cell::new(0_u64), Cell::new(0_u64));
    let sender = async |number: u32| {
        // Each sender of each run has another sequence, because a send with a `temp_id` that was used before is
        // repeated.
        let mut random = Random((u64::from(senders) << 32) + u64::from(number));
        while started.elapsed() < until {
            let sent = Instant::now();
            let outcome = send(app, &mut random).await;
            let now = started.elapsed();
            if let Err(error) = outcome {
                errors.set(errors.get() + 1);
                eprintln!("writes: a send was refused: {error}");
            } else if now >= from && now < until {
                acknowledged.set(acknowledged.get() + 1);
                latency.borrow_mut().saturating_record(sent.elapsed().as_nanos() as u64);
            }
        }
    };
    let observation = async {
        tokio::time::sleep(from).await;
        let before = (counters(application), cpu_seconds());
        tokio::time::sleep_until((started + until).into()).await;
        let after = (counters(application), cpu_seconds());
        let (sends, batches) = (after.0.0 - before.0.0, after.0.1 - before.0.1);
        let cores = after.1.zip(before.1).map(|(after, before)| (after - before) / seconds as f64);
        (sends as f64 / batches.max(1) as f64, cores)
    };
    let (_, (mean_batch, cores)) = tokio::join!(join_all((0..senders).map(sender)), observation);
    let latency = latency.into_inner();
    let quantile = |share: f64| latency.value_at_quantile(share) as f64 / 1e6;
    Figures {
        per_second: acknowledged.get() as f64 / seconds as f64,
        p50_ms: quantile(0.5),
        p99_ms: quantile(0.99),
        mean_batch: Some(mean_batch),
        cores,
        errors: errors.get(),
    }
}

async fn send(app: &App, random: &mut Random) -> greenroom::error::Result<()> {
    let conversation = random.below(CONVERSATIONS);
    let caller = Application::member(conversation, random.below(MEMBERS));
    let new = NewMessage {
        content: Some(CONTENT.to_owned()),
        temp_id: Some(format!("{:016x}{:016x}", random.next(), random.next())),
        ..NewMessage::default()
    };
    let send = CheckedSend::parse(&caller, Application::conversation_id(conversation), new)?;
    messages::send(app, send).await.map(drop)
}

/// Returns the numbers of sends and batches since the start of the application.
fn counters(application: &Application) -> (u64, u64) {
    let stats = &application.embedded.stats;
    (stats.sends.load(Ordering::Relaxed), stats.batches.load(Ordering::Relaxed))
}

/// Returns the processor time of this process in seconds, or `None` without `/proc`.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The fields follow the name in parentheses. Their unit is a hundredth of a second.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some(ticks / 100.0)
}

/// `SplitMix64`, a generator that spreads the sends evenly enough over the conversations.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
