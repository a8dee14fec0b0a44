//! A client that reads pages over one HTTP connection, and what the scenarios with such clients report.

use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::Result;
use crate::measurement::{Clock, Cost, Counters};
use crate::options::Options;
use crate::report::Report;
use crate::socket::error_code;

/// A request without an answer after this time is an error.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// A client with one HTTP connection, which stays open.
pub struct PageReader {
    http: reqwest::Client,
    access_token: String,
}

impl PageReader {
    /// Creates a client of the user with this token.
    pub fn new(access_token: &str) -> Result<Self> {
        let http = reqwest::Client::builder().no_proxy().timeout(REQUEST_TIMEOUT).pool_max_idle_per_host(1).build()?;
        Ok(Self { http, access_token: access_token.to_owned() })
    }

    /// Reads one page. Fails if the answer is no success, or has another form.
    pub async fn read<T: DeserializeOwned>(&self, url: &str) -> Result<T> {
        let request = self.http.get(url).bearer_auth(&self.access_token);
        // Addresses of requests are not in these errors, so that equal errors are counted together.
        let answer = request.send().await.map_err(reqwest::Error::without_url)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(reqwest::Error::without_url)?;
        if !status.is_success() {
            return Err(format!("{} {}", status.as_u16(), error_code(&String::from_utf8_lossy(&body))).into());
        }
        Ok(serde_json::from_slice(&body)?)
    }
}

/// Counts a page that was read now. Its latency began at `start`.
pub fn count_page(counters: &Counters, clock: Clock, start: u64) {
    let now = clock.now();
    Counters::add(&counters.acknowledged);
    if clock.is_measured(now) {
        Counters::add(&counters.acknowledged_measured);
    }
    if clock.is_measured(start) {
        counters.acknowledgement.record(now.saturating_sub(start));
    }
}

/// Adds what was measured to a report.
pub fn report_pages(report: &mut Report, options: &Options, counters: &Counters, cost: &Cost) {
    let (seconds, measured) = (options.seconds as f64, counters.acknowledged_measured.get());
    report.add("seconds", options.seconds);
    report.add("requests", counters.sent.get());
    report.add_rounded("requests_per_second", Some(measured as f64 / seconds));
    report.add_latency("request", &counters.acknowledgement);
    report.add_errors(counters);
    report.add_cost(cost, seconds, "request", measured);
}
