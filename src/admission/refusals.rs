//! Counts of refused calls and commands.
//!
//! Refusals are counted and not logged one by one, because many refused calls must not become as many log lines. The
//! log has at most one line a minute with the counts.

use super::ChargeKind;
use crate::domain::codes::Code;
use crate::error::Error;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The shortest time between two log lines.
const LOG_INTERVAL: Duration = Duration::from_mins(1);

/// The counters of this node. They only grow.
#[derive(Debug)]
pub struct Refusals {
    limited: [AtomicU64; ChargeKind::COUNT],
    sign_ins: AtomicU64,
    busy: AtomicU64,
    uncharged: AtomicU64,
    unavailable: AtomicU64,
    /// The time of the last log line, and the counts at that time.
    last_logged: Mutex<(Instant, RefusalCounts)>,
}

/// The values of the counters at one time.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct RefusalCounts {
    /// REST calls over their limit.
    pub calls: u64,
    /// Sends over their limit, by REST and by socket.
    pub sends: u64,
    /// Other commands over their limit.
    pub commands: u64,
    /// Handshakes over their limit.
    pub handshakes: u64,
    /// Sign-ins, registrations, token refreshes and password attempts over their limit.
    pub sign_ins: u64,
    /// Calls and commands of callers who had too many under way, and passwords for which the hashing queue was full.
    pub busy: u64,
    /// Refused calls that no user was charged for: those without a valid token, with a body that is too large, or with
    /// a body that is not JSON.
    pub uncharged: u64,
    /// Calls and commands that the server could not process: the database did not answer or was too slow, or the server
    /// was overloaded.
    pub unavailable: u64,
}

impl Default for Refusals {
    fn default() -> Self {
        let last_logged = Mutex::new((Instant::now(), RefusalCounts::default()));
        let [sign_ins, busy, uncharged, unavailable] = std::array::from_fn(|_| AtomicU64::new(0));
        let limited = std::array::from_fn(|_| AtomicU64::new(0));
        Self { limited, sign_ins, busy, uncharged, unavailable, last_logged }
    }
}

impl Refusals {
    /// Counts a call or command of `kind` over its limit.
    pub fn count_limited(&self, kind: ChargeKind) {
        self.limited[kind as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a sign-in, registration, token refresh or password attempt over its limit.
    pub fn count_sign_in(&self) {
        self.sign_ins.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a refused call that no user was charged for.
    pub fn count_uncharged(&self) {
        self.uncharged.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a refusal of a caller who had too many calls or commands under way.
    pub fn count_busy(&self) {
        self.busy.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an error answer if it says that the server could not process the request. Returns whether it was counted.
    /// A `busy` error that comes from a limit is not counted here; [`Self::count_busy`] counts it.
    pub fn count_if_unavailable(&self, error: &Error) -> bool {
        let is_counted = error.is_temporary() && (error.code() == Code::Unavailable || error.cause().is_some());
        if is_counted {
            self.unavailable.fetch_add(1, Ordering::Relaxed);
        }
        is_counted
    }

    /// Returns the counts since the start of the server.
    pub fn counts(&self) -> RefusalCounts {
        let limited = |kind: ChargeKind| self.limited[kind as usize].load(Ordering::Relaxed);
        RefusalCounts {
            calls: limited(ChargeKind::Call),
            sends: limited(ChargeKind::Send),
            commands: limited(ChargeKind::Command),
            handshakes: limited(ChargeKind::Handshake),
            sign_ins: self.sign_ins.load(Ordering::Relaxed),
            busy: self.busy.load(Ordering::Relaxed),
            uncharged: self.uncharged.load(Ordering::Relaxed),
            unavailable: self.unavailable.load(Ordering::Relaxed),
        }
    }

    /// Writes the log line if a minute has passed and at least one request was refused since the last line.
    pub fn log_if_due(&self) {
        let Ok(mut last_logged) = self.last_logged.try_lock() else { return };
        let (at, before) = *last_logged;
        let now = self.counts();
        if at.elapsed() < LOG_INTERVAL || now == before {
            return;
        }
        *last_logged = (Instant::now(), now);
        tracing::info!(
            calls = now.calls - before.calls,
            sends = now.sends - before.sends,
            commands = now.commands - before.commands,
            handshakes = now.handshakes - before.handshakes,
            sign_ins = now.sign_ins - before.sign_ins,
            busy = now.busy - before.busy,
            strangers = now.uncharged - before.uncharged,
            unavailable = now.unavailable - before.unavailable,
            "refused requests since the last line of this kind"
        );
    }
}
