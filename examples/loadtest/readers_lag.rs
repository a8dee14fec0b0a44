//! How far the readers of the log are behind: the age of the oldest message that is acknowledged and not counted yet in
//! the statistics of its conversation, as a user sees them.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use serde::Deserialize;

use crate::Result;
use crate::measurement::{Clock, Counters, Latency};
use crate::target::Target;
use crate::users::RegisteredUser;

/// The pause between two calls.
const CALL_INTERVAL: Duration = Duration::from_millis(100);

/// The acknowledgements of one conversation, which is watched.
#[derive(Debug, Default)]
pub struct ReadersLag {
    acknowledged_at: RefCell<Vec<u64>>,
    /// The lag at each answer.
    pub lag: Latency,
}

/// The part of an answer that the tool reads.
#[derive(Deserialize)]
struct Statistics {
    messages: usize,
}

impl ReadersLag {
    /// Starts to watch a conversation that had no messages before this run.
    pub fn start(
        target: &Target,
        user: &RegisteredUser,
        conversation_id: &str,
        clock: Clock,
        counters: &Rc<Counters>,
    ) -> Rc<Self> {
        let readers_lag = Rc::new(Self::default());
        let url = target.api(&format!("/conversations/{conversation_id}/stats"));
        let (token, http) = (user.access_token.clone(), target.http.clone());
        tokio::task::spawn_local(Rc::clone(&readers_lag).watch(url, token, http, clock, Rc::clone(counters)));
        readers_lag
    }

    /// Notes that one more message of the watched conversation was acknowledged.
    pub fn note_acknowledged(&self, now: u64) {
        self.acknowledged_at.borrow_mut().push(now);
    }

    /// Reads the statistics of the conversation again and again, as one of its users, until the measurement is over.
    async fn watch(
        self: Rc<Self>,
        url: String,
        access_token: String,
        http: reqwest::Client,
        clock: Clock,
        counters: Rc<Counters>,
    ) {
        while !clock.is_over() {
            tokio::time::sleep(CALL_INTERVAL).await;
            let counted = match read_count(&http, &url, &access_token).await {
                Ok(counted) => counted,
                Err(error) => {
                    counters.add_error(&error.to_string());
                    return;
                }
            };
            // The time of the call itself is in the lag, because a user sees the old count until the answer arrives.
            let now = clock.now();
            let oldest = self.acknowledged_at.borrow().get(counted).copied();
            if clock.is_measured(now) {
                self.lag.record(oldest.map_or(0, |acknowledged_at| now - acknowledged_at));
            }
        }
    }
}

async fn read_count(http: &reqwest::Client, url: &str, access_token: &str) -> Result<usize> {
    let answer = http.get(url).bearer_auth(access_token).send().await.map_err(reqwest::Error::without_url)?;
    let status = answer.status();
    if !status.is_success() {
        return Err(format!("the statistics were answered with {}", status.as_u16()).into());
    }
    let statistics: Statistics = answer.json().await.map_err(reqwest::Error::without_url)?;
    Ok(statistics.messages)
}
