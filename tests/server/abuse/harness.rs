//! The test of an attack: a server with its default limits, the other users, a client that calls `/health` all the
//! time, and a measurement of the server's memory. They run first without an attack and then during one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::task::JoinHandle;

use super::attacks::Stop;
use super::other_users::{Measurements, exchange_messages};
use crate::support::{Target, TestServer, TestUser};

/// The growth of the server's memory that an attack may cause.
pub const GROWTH_BYTES: u64 = 64 * 1024 * 1024;
/// The number of other users, who are all in one group.
const OTHER_USERS: usize = 4;
/// How long an attack lasts by default.
const ATTACK_DURATION: Duration = Duration::from_secs(3);
/// The pause between two measurements of memory, or of health.
const MEASUREMENT_INTERVAL: Duration = Duration::from_millis(50);

/// A server for an attack, and the users who do not attack it.
pub struct AttackTest {
    /// The server under attack.
    pub server: TestServer,
    other_users: Vec<TestUser>,
    group: String,
}

impl AttackTest {
    /// Starts a server with its default limits, except those on signing in: all users here have one address.
    pub async fn new() -> Self {
        Self::with(&[]).await
    }

    /// Starts a server as [`Self::new`] does, and with these settings.
    pub async fn with(settings: &[(&str, &str)]) -> Self {
        let mut builder = TestServer::builder()
            .set("GREENROOM_LIMIT_SENDS_PER_SECOND", "20")
            .set("GREENROOM_LIMIT_API_PER_SECOND", "100");
        for (name, value) in settings {
            builder = builder.set(name, *value);
        }
        let server = builder.start().await;
        let mut other_users = Vec::new();
        for number in 0..OTHER_USERS {
            other_users.push(server.user(&format!("other-user-{number}")).await);
        }
        let members: Vec<&TestUser> = other_users[1..].iter().collect();
        let group = other_users[0].group("other users", &members).await;
        Self { server, other_users, group }
    }

    /// Returns the users who do not attack.
    pub fn other_users(&self) -> &[TestUser] {
        &self.other_users
    }

    /// Runs `attack`, which must end soon after `stop` is set, and compares what the other users measured with the
    /// limits. Returns the result of the attack.
    pub async fn run_attack<T: Send + 'static>(
        &self,
        name: &str,
        attack: impl Future<Output = T> + Send + 'static,
        stop: &Stop,
    ) -> T {
        let baseline = self.measure(attack_duration() / 2, async {}).await.0;
        let stop = stop.clone();
        let attack = async move {
            let attack = tokio::spawn(attack);
            tokio::time::sleep(attack_duration()).await;
            stop.set();
            attack.await.expect("the attack does not panic")
        };
        let (under_attack, result) = self.measure(Duration::ZERO, attack).await;
        let growth = under_attack.most_bytes.saturating_sub(baseline.most_bytes);
        let (before, now) = (&baseline.other_users, &under_attack.other_users);
        eprintln!(
            "{name}: p50 {} -> {} ms, p99 {} -> {} ms (x{:.1}), {} messages, other calls p99 {} -> {} ms, \
             health {} -> {} ms, memory {} + {} MiB",
            ms(&before.sends, 0.5),
            ms(&now.sends, 0.5),
            ms(&before.sends, 0.99),
            ms(&now.sends, 0.99),
            ms(&now.sends, 0.99) / ms(&before.sends, 0.99).max(0.1),
            now.sends.len(),
            ms(&before.others, 0.99),
            ms(&now.others, 0.99),
            baseline.health_ms,
            under_attack.health_ms,
            baseline.most_bytes >> 20,
            growth >> 20,
        );
        for observations in [baseline, under_attack] {
            assert_eq!(
                observations.other_users.refused, [""; 0],
                "{name}: other users were refused or waited too long"
            );
            assert_eq!(observations.unhealthy, [""; 0], "{name}: /health was not 200");
        }
        assert!(growth <= GROWTH_BYTES, "{name}: the server grew by {} MiB", growth >> 20);
        result
    }

    /// Measures the other users, health and memory while `work` runs, and for at least `min_duration`.
    async fn measure<T>(&self, min_duration: Duration, work: impl Future<Output = T>) -> (Observations, T) {
        let stop = Stop::default();
        let most_bytes = Arc::new(AtomicU64::new(0));
        let users: Vec<_> = self
            .other_users
            .iter()
            .map(|user| tokio::spawn(exchange_messages(user.clone(), self.group.clone(), stop.clone())))
            .collect();
        let health = tokio::spawn(measure_health(self.server.target().clone(), stop.clone()));
        let memory = self.measure_memory(most_bytes.clone(), stop.clone());
        let (output, ()) = tokio::join!(work, tokio::time::sleep(min_duration));
        stop.set();
        let mut observations = Observations::default();
        for user in users {
            observations.other_users.add(user.await.expect("the task does not panic"));
        }
        (observations.health_ms, observations.unhealthy) = health.await.expect("the task does not panic");
        memory.await.expect("the task does not panic");
        observations.most_bytes = most_bytes.load(Ordering::Relaxed);
        (observations, output)
    }

    fn measure_memory(&self, most_bytes: Arc<AtomicU64>, stop: Stop) -> JoinHandle<()> {
        let process = self.server.process().id();
        tokio::spawn(async move {
            while !stop.is_set() {
                most_bytes.fetch_max(crate::support::process::resident_bytes(process), Ordering::Relaxed);
                tokio::time::sleep(MEASUREMENT_INTERVAL).await;
            }
        })
    }
}

/// Returns how long an attack lasts.
pub fn attack_duration() -> Duration {
    let seconds = std::env::var("GREENROOM_ABUSE_SECONDS").ok().and_then(|text| text.parse().ok());
    seconds.map_or(ATTACK_DURATION, Duration::from_secs)
}

/// What was measured over one period.
#[derive(Default)]
struct Observations {
    other_users: Measurements,
    /// The longest time of a call to `/health`.
    health_ms: u64,
    /// Each answer of `/health` that was not 200.
    unhealthy: Vec<String>,
    /// The largest size of the server's memory.
    most_bytes: u64,
}

fn ms(times: &Histogram<u64>, quantile: f64) -> f64 {
    times.value_at_quantile(quantile) as f64 / 1000.0
}

/// Calls `/health`, each time on a connection of its own as a load balancer does. Returns the longest time of a call in
/// milliseconds, and every answer that was not 200.
async fn measure_health(target: Target, stop: Stop) -> (u64, Vec<String>) {
    let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().expect("a client");
    let (mut longest_ms, mut unhealthy) = (0, Vec::new());
    while !stop.is_set() {
        let started = Instant::now();
        match client.get(format!("{}/health", target.origin)).send().await {
            Ok(answer) if answer.status() == 200 => {}
            Ok(answer) => unhealthy.push(format!("{}", answer.status())),
            Err(error) => unhealthy.push(error.to_string()),
        }
        longest_ms = longest_ms.max(started.elapsed().as_millis() as u64);
        tokio::time::sleep(MEASUREMENT_INTERVAL).await;
    }
    (longest_ms, unhealthy)
}
