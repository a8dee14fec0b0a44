//! The closed loop: so many senders, each sending its next message when the last one is acknowledged.

use crate::stage::{CONVERSATIONS, MEMBERS, Stage};
use futures_util::future::join_all;
use greenroom::app::App;
use greenroom::usecases::messages::{self, Draft};
use hdrhistogram::Histogram;
use std::cell::{Cell, RefCell};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Before measuring.
const WARM_UP: Duration = Duration::from_secs(1);
/// What is said.
const CONTENT: &str = "A message of the usual length, which is about as long as what people write to each other here.";

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Sends acknowledged a second.
    pub per_second: f64,
    /// From the call to the acknowledgement, in milliseconds.
    pub p50: f64,
    pub p99: f64,
    /// Sends in a commit; none for pgbench, which has always one.
    pub batch: Option<f64>,
    /// Processor cores that this process used; the database's own are not in it where it is another process.
    pub cores: Option<f64>,
    /// Sends refused.
    pub errors: u64,
}

/// Measures for so many seconds.
pub async fn run(stage: &Stage, senders: u32, seconds: u64) -> Figures {
    let app = &stage.embedded.app;
    let began = Instant::now();
    let (from, until) = (WARM_UP, WARM_UP + Duration::from_secs(seconds));
    let latency = RefCell::new(Histogram::<u64>::new_with_bounds(1_000, 60_000_000_000, 3).expect("bounds in order"));
    let (acknowledged, errors) = (Cell::new(0_u64), Cell::new(0_u64));
    let sender = async |number: u32| {
        // its own sequence in every run: what was sent before would be a repetition
        let mut random = Random((u64::from(senders) << 32) + u64::from(number));
        while began.elapsed() < until {
            let sent = Instant::now();
            let outcome = send(app, &mut random).await;
            let now = began.elapsed();
            if let Err(error) = outcome {
                errors.set(errors.get() + 1);
                eprintln!("writes: a send was refused: {error}");
            } else if now >= from && now < until {
                acknowledged.set(acknowledged.get() + 1);
                latency.borrow_mut().saturating_record(sent.elapsed().as_nanos() as u64);
            }
        }
    };
    let watch = async {
        tokio::time::sleep(from).await;
        let before = (counters(stage), cpu_seconds());
        tokio::time::sleep_until((began + until).into()).await;
        let after = (counters(stage), cpu_seconds());
        let (sends, batches) = (after.0.0 - before.0.0, after.0.1 - before.0.1);
        let cores = after.1.zip(before.1).map(|(after, before)| (after - before) / seconds as f64);
        (sends as f64 / batches.max(1) as f64, cores)
    };
    let (_, (batch, cores)) = tokio::join!(join_all((0..senders).map(sender)), watch);
    let latency = latency.into_inner();
    let quantile = |share: f64| latency.value_at_quantile(share) as f64 / 1e6;
    Figures {
        per_second: acknowledged.get() as f64 / seconds as f64,
        p50: quantile(0.5),
        p99: quantile(0.99),
        batch: Some(batch),
        cores,
        errors: errors.get(),
    }
}

async fn send(app: &App, random: &mut Random) -> greenroom::error::Result<()> {
    let conversation = random.below(CONVERSATIONS);
    let caller = Stage::member(conversation, random.below(MEMBERS));
    let draft = Draft {
        content: Some(CONTENT.to_owned()),
        temp_id: Some(format!("{:016x}{:016x}", random.next(), random.next())),
        ..Draft::default()
    };
    messages::send(app, &caller, Stage::conversation(conversation), draft).await.map(drop)
}

/// Sends and batches so far.
fn counters(stage: &Stage) -> (u64, u64) {
    let stats = &stage.embedded.stats;
    (stats.sends.load(Ordering::Relaxed), stats.batches.load(Ordering::Relaxed))
}

/// Processor time of this process, where `/proc` tells it.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // after the name in brackets; the kernel counts in hundredths
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some(ticks / 100.0)
}

/// `SplitMix64`: even enough for picking conversations.
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
