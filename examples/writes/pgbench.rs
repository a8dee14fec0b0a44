//! The benchmark of PostgreSQL, for comparison. Each message is one transaction with the three statements that every
//! message needs (update the conversation, insert the message, append the event) on the same tables, without any other
//! check.

use crate::Result;
use crate::application::{CONVERSATIONS, MEMBERS, USERS};
use crate::database::NewDatabase;
use crate::load::Figures;
use hdrhistogram::Histogram;
use std::fmt::Write;
use std::fs;
use std::process::{Command, Stdio};

/// Returns true if `pgbench` is on the PATH.
pub fn is_installed() -> bool {
    let found = Command::new("pgbench").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    found.is_ok_and(|status| status.success())
}

/// Measures `clients` clients for `seconds` seconds. `payload_bytes` is the size of an event.
pub fn run(database: &NewDatabase, payload_bytes: usize, clients: u32, seconds: u64) -> Result<Figures> {
    let NewDatabase::Postgres { url, .. } = database else {
        return Err("pgbench needs PostgreSQL".into());
    };
    let folder = tempfile::TempDir::with_prefix("greenroom-pgbench-")?;
    let file = folder.path().join("send.sql");
    fs::write(&file, script(payload_bytes))?;
    let output = Command::new("pgbench")
        .args(["--no-vacuum", "--protocol=prepared", "--log"])
        .arg(format!("--log-prefix={}", folder.path().join("log").display()))
        .arg(format!("--client={clients}"))
        .arg(format!("--jobs={}", clients.min(2)))
        .arg(format!("--time={seconds}"))
        .arg("--file")
        .arg(&file)
        .arg(url)
        .output()?;
    if !output.status.success() {
        return Err(format!("pgbench: {}", String::from_utf8_lossy(&output.stderr).trim()).into());
    }
    let summary = String::from_utf8(output.stdout)?;
    let per_second = summary
        .lines()
        .find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok())
        .ok_or("the output of pgbench contains no tps")?;
    let mut latency = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3)?;
    for entry in fs::read_dir(folder.path())? {
        let path = entry?.path();
        if path == file {
            continue;
        }
        for line in fs::read_to_string(path)?.lines() {
            // The third field is the latency in microseconds.
            if let Some(time) = line.split(' ').nth(2).and_then(|field| field.parse().ok()) {
                latency.saturating_record(time);
            }
        }
    }
    let quantile = |share: f64| latency.value_at_quantile(share) as f64 / 1e3;
    Ok(Figures { per_second, p50_ms: quantile(0.5), p99_ms: quantile(0.99), mean_batch: None, cores: None, errors: 0 })
}

/// Returns the transaction of one message, in the language of `pgbench`.
fn script(payload_bytes: usize) -> String {
    let id = |prefix: &str, number: &str| {
        format!("('01900000-0000-7000-{prefix}-' || lpad(to_hex(cast({number} as int)), 12, '0'))::uuid")
    };
    let (conversation, user) = (id("8000", ":c"), id("9000", ":u"));
    let mut script = String::new();
    writeln!(
        script,
        "\\set c random(0, {})
\\set u (:c * {MEMBERS} + random(0, {})) % {USERS}
BEGIN;
UPDATE conversations SET last_seq = last_seq + 1, last_count = last_count + 1, last_rev = last_rev + 1,
  last_message_at = 1800000000000 WHERE id = {conversation}
  RETURNING last_seq AS s, last_count AS n, last_rev AS r \\gset
INSERT INTO messages (id, conversation_id, seq, count, rev, sender_id, kind, content, temp_id, body_hash, created_at)
  VALUES (gen_random_uuid(), {conversation}, :s, :n, :r, {user}, 'text', repeat('x', 94), md5(random()::text),
  decode(repeat('ab', 32), 'hex'), 1800000000000) RETURNING id AS m \\gset
INSERT INTO outbox (stream_kind, stream_id, rev, event_type, message_id, payload, created_at)
  VALUES (0, {conversation}, :r, 'message.new', :m, repeat('x', {payload_bytes}), 1800000000000);
COMMIT;",
        CONVERSATIONS - 1,
        MEMBERS - 1,
    )
    .expect("writing to a string");
    script
}
