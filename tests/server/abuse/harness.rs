//! The stage: a server with its limits, bystanders who go on as if nothing happened, somebody who keeps asking for
//! `/health`, and a look at the server's memory; first while all is quiet, then while an attack runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::task::JoinHandle;

use super::attacks::Stop;
use super::bystanders::{Had, live};
use crate::support::{Target, TestServer, TestUser};

/// What the server may grow by under an attack.
pub const GROWTH_BYTES: u64 = 64 * 1024 * 1024;
/// Bystanders, in one group.
const BYSTANDERS: usize = 4;
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
        Self::with(&[]).await
    }

    /// [`Self::new`] with these settings besides.
    pub async fn with(settings: &[(&str, &str)]) -> Self {
        let mut builder = TestServer::builder()
            .set("GREENROOM_LIMIT_SENDS_PER_SECOND", "20")
            .set("GREENROOM_LIMIT_API_PER_SECOND", "100");
        for (name, value) in settings {
            builder = builder.set(name, *value);
        }
        let server = builder.start().await;
        let mut bystanders = Vec::new();
        for number in 0..BYSTANDERS {
            bystanders.push(server.user(&format!("bystander-{number}")).await);
        }
        let others: Vec<&TestUser> = bystanders[1..].iter().collect();
        let group = bystanders[0].group("in peace", &others).await;
        Self { server, bystanders, group }
    }

    /// Those who want to use it in peace.
    pub fn bystanders(&self) -> &[TestUser] {
        &self.bystanders
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
        let (before, now) = (&quiet.had, &under.had);
        eprintln!(
            "{name}: p50 {} -> {} ms, p99 {} -> {} ms (x{:.1}), {} messages, all else p99 {} -> {} ms, \
             health {} -> {} ms, memory {} + {} MiB",
            ms(&before.sends, 0.5),
            ms(&now.sends, 0.5),
            ms(&before.sends, 0.99),
            ms(&now.sends, 0.99),
            ms(&now.sends, 0.99) / ms(&before.sends, 0.99).max(0.1),
            now.sends.len(),
            ms(&before.others, 0.99),
            ms(&now.others, 0.99),
            quiet.health_ms,
            under.health_ms,
            quiet.most_bytes >> 20,
            growth >> 20,
        );
        for seen in [quiet, under] {
            assert_eq!(seen.had.refused, [""; 0], "{name}: bystanders were refused or kept waiting");
            assert_eq!(seen.unhealthy, [""; 0], "{name}: /health was not 200");
        }
        assert!(growth <= GROWTH_BYTES, "{name}: the server grew by {} MiB", growth >> 20);
        found
    }

    /// Watches the bystanders, health and memory while `work` runs, and at least so long.
    async fn watch<T>(&self, least: Duration, work: impl Future<Output = T>) -> (Seen, T) {
        let stop = Stop::default();
        let most_bytes = Arc::new(AtomicU64::new(0));
        let living: Vec<_> = self
            .bystanders
            .iter()
            .map(|user| tokio::spawn(live(user.clone(), self.group.clone(), stop.clone())))
            .collect();
        let asking = tokio::spawn(ask(self.server.target().clone(), stop.clone()));
        let measuring = self.measure(most_bytes.clone(), stop.clone());
        let (done, ()) = tokio::join!(work, tokio::time::sleep(least));
        stop.set();
        let mut seen = Seen::default();
        for living in living {
            seen.had.add(living.await.expect("a bystander ends well"));
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
                most_bytes.fetch_max(crate::support::process::resident_bytes(process), Ordering::Relaxed);
                tokio::time::sleep(LOOK).await;
            }
        })
    }
}

/// How long an attack lasts.
pub fn seconds() -> Duration {
    let asked = std::env::var("GREENROOM_ABUSE_SECONDS").ok().and_then(|text| text.parse().ok());
    asked.map_or(ATTACK, Duration::from_secs)
}

/// What was seen from outside.
#[derive(Default)]
struct Seen {
    had: Had,
    health_ms: u64,
    unhealthy: Vec<String>,
    most_bytes: u64,
}

fn ms(took: &Histogram<u64>, quantile: f64) -> f64 {
    took.value_at_quantile(quantile) as f64 / 1000.0
}

/// Asks for `/health`, each time on a connection of its own as a load balancer does; the longest answer in
/// milliseconds, and every answer that was not 200.
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
