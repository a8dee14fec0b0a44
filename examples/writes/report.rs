//! The report: a table for readers, and a JSON object for programs.

use crate::application::{CONVERSATIONS, USERS};
use crate::load::Figures;
use crate::options::Options;
use crate::{BATCHES_OF_ONE, GROUP_COMMIT};
use serde_json::{Value, json};
use std::fmt::Write;

/// The figures of all measurements.
#[derive(Default)]
pub struct Report(Vec<Row>);

struct Row {
    database: &'static str,
    path: &'static str,
    senders: u32,
    figures: Figures,
}

impl Report {
    /// Adds the figures of one measurement.
    pub fn add(&mut self, database: &'static str, path: &'static str, senders: u32, figures: Figures) {
        self.0.push(Row { database, path, senders, figures });
    }

    /// Returns true if no send was refused.
    pub fn has_no_errors(&self) -> bool {
        self.0.iter().all(|row| row.figures.errors == 0)
    }

    /// Returns the speed of group commit divided by that of batches of one with the same database and senders.
    /// `None` if the row is not one of group commit, or if batches of one were not measured.
    fn ratio(&self, grouped: &Row) -> Option<f64> {
        let is_comparable = |row: &&Row| {
            row.path == BATCHES_OF_ONE && row.database == grouped.database && row.senders == grouped.senders
        };
        let single = self.0.iter().find(is_comparable)?;
        (grouped.path == GROUP_COMMIT).then(|| grouped.figures.per_second / single.figures.per_second)
    }

    /// Returns the table for readers.
    pub fn table(&self) -> String {
        let mut table = String::new();
        let head = ["database", "path", "senders", "sends/s", "p50 ms", "p99 ms", "batch", "cores", "ratio"];
        let rows = self.0.iter().map(|row| {
            let figures = &row.figures;
            let optional = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.2}"));
            [
                row.database.to_owned(),
                row.path.to_owned(),
                row.senders.to_string(),
                format!("{:.0}", figures.per_second),
                format!("{:.2}", figures.p50_ms),
                format!("{:.2}", figures.p99_ms),
                optional(figures.mean_batch),
                optional(figures.cores),
                optional(self.ratio(row)),
            ]
        });
        for row in std::iter::once(head.map(str::to_owned)).chain(rows) {
            let [database, path, rest @ ..] = &row;
            write!(table, "{database:<11}{path:<16}").expect("writing to a string");
            for cell in rest {
                write!(table, "{cell:>10}").expect("writing to a string");
            }
            table.push('\n');
        }
        table
    }

    /// Returns the JSON object for programs.
    pub fn json(&self, options: &Options) -> Value {
        let round = |value: f64| (value * 1000.0).round() / 1000.0;
        let rows = self.0.iter().map(|row| {
            let figures = &row.figures;
            json!({
                "database": row.database,
                "path": row.path,
                "senders": row.senders,
                "sends_per_second": figures.per_second.round(),
                "ack_ms_p50": round(figures.p50_ms),
                "ack_ms_p99": round(figures.p99_ms),
                "mean_batch": figures.mean_batch.map(round),
                "own_cpu_cores": figures.cores.map(round),
                "errors": figures.errors,
                "group_commit_over_batches_of_one": self.ratio(row).map(round),
            })
        });
        json!({
            "seconds": options.seconds,
            "conversations": CONVERSATIONS,
            "users": USERS,
            "runs": rows.collect::<Vec<_>>(),
        })
    }
}
