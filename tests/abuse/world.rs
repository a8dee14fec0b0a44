//! The stage: a server with its limits, bystanders who talk, somebody who keeps asking for `/health`, and a look at the
//! server's memory; first while all is quiet, then while an attack runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::json;
use tokio::task::JoinHandle;

use super::attacks::Stop;
use super::support::{Target, TestServer, TestUser};

/// What the server may grow by under an attack.
pub const GROWTH_BYTES: u64 = 64 * 1024 * 1024;
/// Bystanders, in one group.
const BYSTANDERS: usize = 4;
/// Messages of one bystander, a second: well within what a user may send.
const PER_SECOND: u32 = 10;
/// How long an attack lasts, where nothing else is asked for.
const ATTACK: Duration = Duration::from_secs(3);
/// How often memory and health are looked at.
const LOOK: Duration = Duration::from_millis(50);

/// A server, and those who want to use it in peace.
pub struct World {
    /// The server under attack.
    pub server: TestServer,
    bystanders: Vec<TestUser>,
    group: String,
}

impl World {
    /// A server with the limits that it has by default, but for signing in: everybody here comes from one address.
    pub async fn new() -> Self {
        let server = TestServer::builder()
            .set("GREENROOM_LIMIT_SENDS_PER_SECOND", "20")
            .set("GREENROOM_LIMIT_API_PER_SECOND", "100")
            .start()
            .await;
        let mut bystanders = Vec::new();
        for number in 0..BYSTANDERS {
            bystanders.push(server.user(&format!("bystander-{number}")).await);
        }
        let others: Vec<&TestUser> = bystanders[1..].iter().collect();
        let group = bystanders[0].group("in peace", &others).await;
        Self { server, bystanders, group }
    }

    /// Lets `attack` run, which is to end soon after it is told to, and judges what others had of it. Answers with what
    /// the attack found out.
    pub async fn under<T: Send + 'static>(
        &self,
        name: &str,
        attack: impl Future<Output = T> + Send + 'static,
        stop: &Stop,
    ) -> T {
        let quiet = self.watch(seconds() / 2, async {}).await.0;
        let stopping = stop.clone();
        let attack = async move {
            let attack = tokio::spawn(attack);
            tokio::time::sleep(seconds()).await;
            stopping.set();
            attack.await.expect("the attack ends well")
        };
        let (under, found) = self.watch(Duration::ZERO, attack).await;
        let growth = under.most_bytes.saturating_sub(quiet.most_bytes);
        eprintln!(
            "{name}: p50 {} -> {} ms, p99 {} -> {} ms (x{:.1}), {} messages, health {} -> {} ms, memory {} + {} MiB",
            quiet.ms(0.5),
            under.ms(0.5),
            quiet.ms(0.99),
            under.ms(0.99),
            under.ms(0.99) / quiet.ms(0.99).max(0.1),
            under.took.len(),
            quiet.health_ms,
            under.health_ms,
            quiet.most_bytes >> 20,
            growth >> 20,
        );
        for seen in [quiet, under] {
            assert_eq!(seen.refused, [""; 0], "{name}: messages of bystanders were refused");
            assert_eq!(seen.unhealthy, [""; 0], "{name}: /health was not 200");
        }
        assert!(growth <= GROWTH_BYTES, "{name}: the server grew by {} MiB", growth >> 20);
        found
    }

    /// Watches the bystanders, health and memory while `work` runs, and at least so long.
    async fn watch<T>(&self, least: Duration, work: impl Future<Output = T>) -> (Seen, T) {
        let stop = Stop::default();
        let most_bytes = Arc::new(AtomicU64::new(0));
        let talking: Vec<_> = self
            .bystanders
            .iter()
            .map(|user| tokio::spawn(talk(user.clone(), self.group.clone(), stop.clone())))
            .collect();
        let asking = tokio::spawn(ask(self.server.target().clone(), stop.clone()));
        let measuring = self.measure(most_bytes.clone(), stop.clone());
        let (done, ()) = tokio::join!(work, tokio::time::sleep(least));
        stop.set();
        let mut seen = Seen { most_bytes: 0, ..Seen::default() };
        for talking in talking {
            let (took, refused) = talking.await.expect("a bystander ends well");
            seen.took.add(took).expect("one scale");
            seen.refused.extend(refused);
        }
        (seen.health_ms, seen.unhealthy) = asking.await.expect("asking ends well");
        measuring.await.expect("measuring ends well");
        seen.most_bytes = most_bytes.load(Ordering::Relaxed);
        (seen, done)
    }

    fn measure(&self, most_bytes: Arc<AtomicU64>, stop: Stop) -> JoinHandle<()> {
        let process = self.server.process().id();
        tokio::spawn(async move {
            while !stop.is_over() {
                most_bytes.fetch_max(super::support::process::resident_bytes(process), Ordering::Relaxed);
                tokio::time::sleep(LOOK).await;
            }
        })
    }
}

/// How long an attack lasts.
fn seconds() -> Duration {
    let asked = std::env::var("GREENROOM_ABUSE_SECONDS").ok().and_then(|text| text.parse().ok());
    asked.map_or(ATTACK, Duration::from_secs)
}

/// What was seen from outside.
struct Seen {
    took: Histogram<u64>,
    refused: Vec<String>,
    health_ms: u64,
    unhealthy: Vec<String>,
    most_bytes: u64,
}

impl Default for Seen {
    fn default() -> Self {
        let took = Histogram::new(3).expect("three digits");
        Self { took, refused: Vec::new(), health_ms: 0, unhealthy: Vec::new(), most_bytes: 0 }
    }
}

impl Seen {
    fn ms(&self, quantile: f64) -> f64 {
        self.took.value_at_quantile(quantile) as f64 / 1000.0
    }
}

/// A bystander: says something ten times a second and waits for the answer; how long each took in microseconds, and what
/// was refused.
async fn talk(user: TestUser, group: String, stop: Stop) -> (Histogram<u64>, Vec<String>) {
    let (mut took, mut refused) = (Histogram::new(3).expect("three digits"), Vec::new());
    let mut socket = user.connect_unsubscribed().await;
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / PER_SECOND);
    while !stop.is_over() {
        ticks.tick().await;
        let begun = Instant::now();
        let answer = socket.command("message.send", json!({ "conversation_id": group, "content": "in peace" })).await;
        took.record(begun.elapsed().as_micros() as u64).expect("it fits");
        if answer["type"] != "message.sent" {
            refused.push(answer.to_string());
        }
    }
    (took, refused)
}

/// Asks for `/health`, each time on a connection of its own as a load balancer does; the longest answer in milliseconds,
/// and every answer that was not 200.
async fn ask(target: Target, stop: Stop) -> (u64, Vec<String>) {
    let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().expect("a client");
    let (mut longest, mut unhealthy) = (0, Vec::new());
    while !stop.is_over() {
        let begun = Instant::now();
        match client.get(format!("{}/health", target.origin)).send().await {
            Ok(answer) if answer.status() == 200 => {}
            Ok(answer) => unhealthy.push(format!("{}", answer.status())),
            Err(error) => unhealthy.push(error.to_string()),
        }
        longest = longest.max(begun.elapsed().as_millis() as u64);
        tokio::time::sleep(LOOK).await;
    }
    (longest, unhealthy)
}
