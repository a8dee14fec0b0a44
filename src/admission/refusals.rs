//! How often something was refused. Counted, because a flood that is refused must not become a flood in the log: there one
//! line a minute says how much it was.

use super::Kind;
use crate::domain::codes::Code;
use crate::error::Error;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// At most one line within this.
const LINE: Duration = Duration::from_mins(1);

/// The counters; each only grows.
#[derive(Debug)]
pub struct Refusals {
    limited: [AtomicU64; Kind::COUNT],
    sign_ins: AtomicU64,
    busy: AtomicU64,
    strangers: AtomicU64,
    unavailable: AtomicU64,
    told: Mutex<(Instant, Counts)>,
}

/// What the counters said at one time.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counts {
    /// REST calls over their limit.
    pub calls: u64,
    /// Sends over theirs, whatever they came over.
    pub sends: u64,
    /// Other commands over theirs.
    pub commands: u64,
    /// Handshakes over theirs.
    pub handshakes: u64,
    /// Sign-ins, registrations, refreshes and tried passwords over theirs.
    pub sign_ins: u64,
    /// Calls and commands of somebody who had too much under way, and passwords that found no place in their queue.
    pub busy: u64,
    /// Calls without a good token that nobody could be charged for: none at all, a body too large, or one that is no JSON.
    pub strangers: u64,
    /// Calls and commands that came while the database was away or too slow, or the server had too much to do for them.
    pub unavailable: u64,
}

impl Default for Refusals {
    fn default() -> Self {
        let told = Mutex::new((Instant::now(), Counts::default()));
        let [sign_ins, busy, strangers, unavailable] = std::array::from_fn(|_| AtomicU64::new(0));
        Self { limited: std::array::from_fn(|_| AtomicU64::new(0)), sign_ins, busy, strangers, unavailable, told }
    }
}

impl Refusals {
    /// Something of `kind` was over its limit.
    pub fn limited(&self, kind: Kind) {
        self.limited[kind as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Somebody wanted to sign in, or the like, too often.
    pub fn sign_in(&self) {
        self.sign_ins.fetch_add(1, Ordering::Relaxed);
    }

    /// Somebody without a good token was refused.
    pub fn stranger(&self) {
        self.strangers.fetch_add(1, Ordering::Relaxed);
    }

    /// Somebody had too much under way.
    pub fn busy(&self) {
        self.busy.fetch_add(1, Ordering::Relaxed);
    }

    /// Somebody was answered with `error`; whether it is counted here. What is `busy` for a limit's sake is counted there.
    pub fn answered(&self, error: &Error) -> bool {
        let counts = error.is_passing() && (error.code() == Code::Unavailable || error.cause().is_some());
        if counts {
            self.unavailable.fetch_add(1, Ordering::Relaxed);
        }
        counts
    }

    /// How much it is by now.
    pub fn counts(&self) -> Counts {
        let limited = |kind: Kind| self.limited[kind as usize].load(Ordering::Relaxed);
        Counts {
            calls: limited(Kind::Call),
            sends: limited(Kind::Send),
            commands: limited(Kind::Command),
            handshakes: limited(Kind::Handshake),
            sign_ins: self.sign_ins.load(Ordering::Relaxed),
            busy: self.busy.load(Ordering::Relaxed),
            strangers: self.strangers.load(Ordering::Relaxed),
            unavailable: self.unavailable.load(Ordering::Relaxed),
        }
    }

    /// Writes the line, if one is due and something was refused since the last.
    pub fn tell(&self) {
        let Ok(mut told) = self.told.try_lock() else { return };
        let (at, before) = *told;
        let now = self.counts();
        if at.elapsed() < LINE || now == before {
            return;
        }
        *told = (Instant::now(), now);
        tracing::info!(
            calls = now.calls - before.calls,
            sends = now.sends - before.sends,
            commands = now.commands - before.commands,
            handshakes = now.handshakes - before.handshakes,
            sign_ins = now.sign_ins - before.sign_ins,
            busy = now.busy - before.busy,
            strangers = now.strangers - before.strangers,
            unavailable = now.unavailable - before.unavailable,
            "refused since the last such line"
        );
    }
}
