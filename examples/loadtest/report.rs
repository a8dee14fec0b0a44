//! What came of a run: one list of figures, shown as a table and as JSON.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use crate::measure::{Cost, Counters, Latency};

/// The figures of a run, in the order in which they are told.
#[derive(Debug, Default)]
pub struct Report {
    figures: Vec<(String, Value)>,
    wrong: u64,
}

impl Report {
    /// The head of a report.
    pub fn new(scenario: &str) -> Self {
        let mut report = Self::default();
        report.add("scenario", scenario);
        report
    }

    /// Adds a figure; its name tells the unit.
    pub fn add(&mut self, name: &str, value: impl Into<Value>) {
        self.figures.push((name.to_owned(), value.into()));
    }

    /// Adds a figure where it is known, with two digits behind the point.
    pub fn add_known(&mut self, name: &str, value: Option<f64>) {
        self.add(name, value.map(|value| (value * 100.0).round() / 100.0));
    }

    /// Adds the quantiles of a latency.
    pub fn add_latency(&mut self, name: &str, latency: &Latency) {
        for (label, share) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999), ("max", 1.0)] {
            let value = latency.quantile(share).map(|value| (value * 1000.0).round() / 1000.0);
            self.add(&format!("{name}_ms_{label}"), value);
        }
    }

    /// Adds what was wrong: nothing should be.
    pub fn add_faults(&mut self, counters: &Counters, expected: u64) {
        let lost = expected.saturating_sub(counters.delivered.get());
        let errors = counters.errors.borrow();
        for (name, count) in
            [("lost", lost), ("doubled", counters.doubled.get()), ("out_of_order", counters.disordered.get())]
        {
            self.add(name, count);
            self.wrong += count;
        }
        let refused: u64 = errors.values().sum();
        let unanswered = counters.sent.get().saturating_sub(counters.acknowledged.get() + refused);
        self.add("unanswered", unanswered);
        self.wrong += unanswered + refused;
        self.add("errors", json!(*errors));
    }

    /// Adds what the run cost over `seconds`, and for each thousand of `count` messages.
    pub fn add_cost(&mut self, cost: &Cost, seconds: f64, count: u64) {
        let mib = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64 / (1024.0 * 1024.0));
        let thousands = count as f64 / 1000.0;
        self.add_known("server_cpu_cores", cost.server_cpu.map(|cpu| cpu / seconds));
        let per_thousand = cost.server_cpu.filter(|_| count > 0).map(|cpu| cpu / thousands * 1000.0);
        self.add_known("server_cpu_ms_per_1000_messages", per_thousand);
        self.add_known("own_cpu_cores", Some(cost.own_cpu / seconds));
        let share = cost.server_cpu.map(|cpu| 100.0 * cost.own_cpu / (cost.own_cpu + cpu).max(f64::EPSILON));
        self.add_known("own_cpu_share_percent", share);
        self.add_known("server_rss_mib_before", mib(cost.resident_before));
        self.add_known("server_rss_mib_peak", mib(cost.resident_peak));
        self.add_known("server_rss_mib_after", mib(cost.resident_after));
    }

    /// True when nothing was lost, doubled, out of order, refused or left without an answer.
    pub fn is_sound(&self) -> bool {
        self.wrong == 0
    }

    /// For people: one figure a line. What is not known is a dash.
    pub fn table(&self) -> String {
        let width = self.figures.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        let mut table = String::new();
        for (name, value) in &self.figures {
            let shown = match value {
                Value::Null => "-".to_owned(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            writeln!(table, "{name:width$}  {shown}").expect("writing to a string");
        }
        table
    }

    /// For programs: one object.
    pub fn json(&self) -> String {
        let object: Map<String, Value> = self.figures.iter().cloned().collect();
        Value::Object(object).to_string()
    }
}
