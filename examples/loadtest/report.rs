//! The report of a run: one list of figures, printed as a table and as JSON.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use crate::measurement::{Cost, Counters, Latency};

/// The figures of a run, in the order in which they are printed.
#[derive(Debug, Default)]
pub struct Report {
    figures: Vec<(String, Value)>,
    fault_count: u64,
}

impl Report {
    /// Returns a report that contains only the name of the scenario.
    pub fn new(scenario: &str) -> Self {
        let mut report = Self::default();
        report.add("scenario", scenario);
        report
    }

    /// Adds a figure. Its name contains the unit.
    pub fn add(&mut self, name: &str, value: impl Into<Value>) {
        self.figures.push((name.to_owned(), value.into()));
    }

    /// Adds a figure with two decimals, or null if it is not known.
    pub fn add_rounded(&mut self, name: &str, value: Option<f64>) {
        self.add(name, value.map(|value| (value * 100.0).round() / 100.0));
    }

    /// Adds the quantiles of a latency.
    pub fn add_latency(&mut self, name: &str, latency: &Latency) {
        for (label, share) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999), ("max", 1.0)] {
            let value = latency.quantile(share).map(|value| (value * 1000.0).round() / 1000.0);
            self.add(&format!("{name}_ms_{label}"), value);
        }
    }

    /// Adds the numbers of lost, doubled and unordered deliveries, of which `expected` should have arrived, and the
    /// errors.
    pub fn add_faults(&mut self, counters: &Counters, expected: u64) {
        let lost = expected.saturating_sub(counters.delivered.get());
        for (name, count) in
            [("lost", lost), ("doubled", counters.doubled.get()), ("out_of_order", counters.disordered.get())]
        {
            self.add(name, count);
            self.fault_count += count;
        }
        self.add_errors(counters);
    }

    /// Adds the errors, and the number of messages or requests without an answer.
    pub fn add_errors(&mut self, counters: &Counters) {
        let errors = counters.errors.borrow();
        let refused: u64 = errors.values().sum();
        let unanswered = counters.sent.get().saturating_sub(counters.acknowledged.get() + refused);
        self.add("unanswered", unanswered);
        self.fault_count += unanswered + refused;
        self.add("errors", json!(*errors));
    }

    /// Adds the cost of a measurement of `seconds`, in all and for each of the `count` things that were measured. `unit`
    /// is the name of such a thing.
    pub fn add_cost(&mut self, cost: &Cost, seconds: f64, unit: &str, count: u64) {
        let mib = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64 / (1024.0 * 1024.0));
        let together = cost.server_and_database_cpu();
        let each = |cpu: Option<f64>| cpu.filter(|_| count > 0).map(|cpu| cpu * 1e6 / count as f64);
        self.add_rounded("server_cpu_cores", cost.server_cpu.map(|cpu| cpu / seconds));
        self.add_rounded("database_cpu_cores", cost.database_cpu.map(|cpu| cpu / seconds));
        self.add_rounded("own_cpu_cores", Some(cost.own_cpu / seconds));
        let share = together.map(|cpu| 100.0 * cost.own_cpu / (cost.own_cpu + cpu).max(f64::EPSILON));
        self.add_rounded("own_cpu_share_percent", share);
        self.add_rounded(&format!("server_cpu_us_per_{unit}"), each(cost.server_cpu));
        self.add_rounded(&format!("database_cpu_us_per_{unit}"), each(cost.database_cpu));
        self.add_rounded(&format!("cpu_us_per_{unit}"), each(together));
        self.add_rounded("server_rss_mib_before", mib(cost.resident_before));
        self.add_rounded("server_rss_mib_peak", mib(cost.resident_peak));
        self.add_rounded("server_rss_mib_after", mib(cost.resident_after));
    }

    /// Returns true if there were no errors, and no lost, doubled, unordered or unanswered messages.
    pub fn has_no_faults(&self) -> bool {
        self.fault_count == 0
    }

    /// Returns the table for readers, with one figure in each line. A figure that is not known is a dash.
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

    /// Returns the JSON object for programs.
    pub fn json(&self) -> String {
        let object: Map<String, Value> = self.figures.iter().cloned().collect();
        Value::Object(object).to_string()
    }
}
