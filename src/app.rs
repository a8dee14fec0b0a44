//! The dependencies of the use cases: the settings, the database, the queues of the writers, the state that each node
//! keeps in memory, and the bus. This module imports no actor, which avoids circular dependencies.

use crate::admission::{Admission, Payer};
use crate::cluster::accepted::AcceptedGenerations;
use crate::cluster::attempts::PasswordLimits;
use crate::cluster::bus::Bus;
use crate::cluster::ended::EndedLogins;
use crate::cluster::hashing::HashingQueue;
use crate::cluster::last_seen::LastSeenTimes;
use crate::cluster::presence::PresenceTable;
use crate::cluster::sign_ins::SignInLimits;
use crate::cluster::typing::TypingTable;
use crate::config::Settings;
use crate::domain::ids::UserId;
use crate::domain::stream::Stream;
use crate::domain::tokens::Keys;
use crate::error::{Error, Result};
use crate::mailboxes::{Ephemeral, MarkCause, MarkJob, MarkWork, MovedMarks, SendJob, SendSender};
use crate::protocol::envelope::Envelope;
use crate::protocol::server::ServerFrame;
use crate::store::db::Db;
use crate::store::db::reading::{self, ReadPermits};
use crate::supervision::{Part, Supervision};
use std::pin::Pin;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};

/// The application, which every use case gets as an argument. Cloning it is cheap.
#[derive(Clone)]
pub struct App(Arc<AppFields>);

/// The fields of [`App`], which `startup` creates.
pub struct AppFields {
    pub settings: Arc<Settings>,
    pub admission: Admission,
    pub supervision: Supervision,
    pub data: DatabaseFields,
    pub delivery: DeliveryFields,
    pub sign_in: SignInFields,
    pub live_state: LiveStateFields,
}

/// The database and its threads.
pub struct DatabaseFields {
    pub db: Db,
    /// Everything that waits for the database runs on this runtime, so that no connection depends on a thread that is
    /// busy with sockets.
    pub runtime: Handle,
}

/// The queues of the writer of sends and of the marks writer, and the bus that delivers committed changes to the subscribers.
pub struct DeliveryFields {
    pub sends: SendSender,
    pub marks: mpsc::Sender<MarkJob>,
    pub bus: Bus,
    /// Wakes the relay when events were committed.
    pub log_grew: Arc<Notify>,
}

/// The keys of tokens, and what the node remembers of logins and passwords.
pub struct SignInFields {
    pub keys: Keys,
    pub accepted: AcceptedGenerations,
    pub ended_logins: EndedLogins,
    pub password_limits: Arc<PasswordLimits>,
    pub limits: SignInLimits,
    pub hashing: HashingQueue,
}

/// Presence and typing, which are never stored as events.
pub struct LiveStateFields {
    pub presence: PresenceTable,
    pub last_seen: LastSeenTimes,
    pub typing: TypingTable,
}

impl App {
    /// Creates the application from its fields.
    pub fn new(fields: AppFields) -> Self {
        Self(Arc::new(fields))
    }

    /// Returns the settings of the operator.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Returns the database with its connection pools.
    pub fn db(&self) -> &Db {
        &self.0.data.db
    }

    /// Returns the keys that sign and check tokens.
    pub fn keys(&self) -> &Keys {
        &self.0.sign_in.keys
    }

    /// Returns the presence of the users.
    pub fn presence(&self) -> &PresenceTable {
        &self.0.live_state.presence
    }

    /// Returns the times when users were last seen that are not yet stored in the database.
    pub fn last_seen(&self) -> &LastSeenTimes {
        &self.0.live_state.last_seen
    }

    /// Returns which sessions are typing, and where.
    pub fn typing(&self) -> &TypingTable {
        &self.0.live_state.typing
    }

    /// Returns the admission, which charges callers and limits what they have under way.
    pub fn admission(&self) -> &Admission {
        &self.0.admission
    }

    /// Returns the limits on password attempts: the recent wrong passwords, and the attempts that are still being
    /// hashed, by account and by address.
    pub fn password_limits(&self) -> &Arc<PasswordLimits> {
        &self.0.sign_in.password_limits
    }

    /// Returns the limits for registering, signing in and refreshing.
    pub fn sign_in_limits(&self) -> &SignInLimits {
        &self.0.sign_in.limits
    }

    /// Returns the queue for hashing passwords.
    pub fn hashing(&self) -> &HashingQueue {
        &self.0.sign_in.hashing
    }

    /// Returns the queue of accepted token generations that are not yet written to the database.
    pub fn accepted_generations(&self) -> &AcceptedGenerations {
        &self.0.sign_in.accepted
    }

    /// Returns the logins that are known to have ended.
    pub fn ended_logins(&self) -> &EndedLogins {
        &self.0.sign_in.ended_logins
    }

    /// Returns the supervision, which counts failures by part.
    pub fn supervision(&self) -> &Supervision {
        &self.0.supervision
    }

    /// Returns the epoch of all revisions, as far as this node knows it. It changes when the database holds another
    /// history.
    pub fn epoch(&self) -> String {
        self.0.data.db.history().epoch().to_string()
    }

    /// Sets the epoch that was read from the database, unless it has ended for this process.
    pub fn set_epoch(&self, epoch: &str) {
        self.0.data.db.history().set_epoch(epoch);
    }

    /// Returns the read permits of `payer`, for [`reading::with_permits`].
    pub fn database_read_permits(&self, payer: impl Into<Payer>) -> ReadPermits {
        self.0.admission.database_read_permits(payer, self.0.data.db.read_permits_per_user())
    }

    /// Runs `work` on the runtime of the database, even if the calling function stops waiting, until it ends or reaches
    /// its deadline. It is refused immediately while the database is unavailable.
    pub async fn run_with_deadline<T, W>(&self, work: W) -> Result<T>
    where
        T: Send + 'static,
        W: Future<Output = Result<T>> + Send + 'static,
    {
        let db = self.0.data.db.clone();
        // Put the future into a box, so that futures that contain it stay small.
        let guarded: Pin<Box<dyn Future<Output = Result<T>> + Send>> = Box::pin(async move { db.run(work).await });
        self.run_without_deadline(guarded).await
    }

    /// Does the same as [`Self::run_with_deadline`] for work of several transactions. It has no deadline itself; each
    /// of its transactions has one.
    pub async fn run_without_deadline<T, W>(&self, work: W) -> Result<T>
    where
        T: Send + 'static,
        W: Future<Output = Result<T>> + Send + 'static,
    {
        let (part, permits) = (self.use_cases_part(), reading::current_permits());
        let work = reading::with_permits(permits, async move { part.catch_panic_in(work).await });
        match self.0.data.runtime.spawn(work).await {
            Ok(outcome) => outcome.unwrap_or_else(|panicked| Err(Error::internal(panicked))),
            Err(ended) => Err(Error::internal(ended)),
        }
    }

    /// Runs `work`, which computes and does not wait, on a thread that serves no client.
    pub async fn compute<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let part = self.use_cases_part();
        let computed = self.0.data.runtime.spawn_blocking(move || part.catch_panic(work)).await;
        computed.map_err(Error::internal)?.map_err(Error::internal)
    }

    /// Starts `work` on the runtime of the database. No task waits for it.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let part = self.use_cases_part();
        // Tasks that run for ever have a part of their own, which counts their panics first.
        self.0.data.runtime.spawn(async move { part.catch_panic_in(work).await });
    }

    /// Returns the part for the work of callers. A panic fails only this work, and is counted.
    fn use_cases_part(&self) -> Part {
        self.0.supervision.part("use_cases")
    }

    /// Delivers what a commit has changed: its events over the bus, and its marks to the marks writer, which notifies
    /// of those that sends have moved. Wakes the relay.
    pub fn deliver(&self, events: Vec<Envelope>, marks: &[MovedMarks]) {
        if !events.is_empty() {
            self.0.delivery.log_grew.notify_one();
            self.0.delivery.bus.deliver(events);
        }
        for mark in marks {
            match mark.cause {
                MarkCause::Send { previous_read_seq: Some(previous_read_seq) } => self.enqueue_mark(MarkJob {
                    conversation_id: mark.conversation_id,
                    user_id: mark.user_id,
                    work: MarkWork::NotifyAfterSend { previous_read_seq },
                    answer: None,
                }),
                MarkCause::Send { previous_read_seq: None } | MarkCause::Request => {}
            }
        }
    }

    /// Returns what is notified when this node has committed events. Only one task waits for it.
    pub fn log_grew(&self) -> Arc<Notify> {
        self.0.delivery.log_grew.clone()
    }

    /// Returns the runtime for everything that waits for the database.
    pub fn runtime(&self) -> &Handle {
        &self.0.data.runtime
    }

    /// Makes the catch-up read the log immediately, because some events may not be delivered.
    pub fn wake_catch_up(&self) {
        self.0.delivery.bus.catch_up_schedule().wake();
    }

    /// Sends a frame without a revision to the sessions that follow `streams`, except those of one user. Best effort.
    pub fn notify(&self, streams: Vec<Stream>, frame: &ServerFrame, except: Option<UserId>) {
        self.notify_except(streams, frame, except.into_iter().collect());
    }

    /// Does the same as [`Self::notify`] with any number of excluded users.
    pub fn notify_except(&self, streams: Vec<Stream>, frame: &ServerFrame, except: Arc<[UserId]>) {
        self.0.delivery.bus.notify(Ephemeral { streams, text: frame.text(None), except });
    }

    /// Sends ephemeral frames that were made before a commit and wait for it. Best effort.
    pub fn notify_all(&self, frames: Vec<Ephemeral>) {
        for frame in frames {
            self.0.delivery.bus.notify(frame);
        }
    }

    /// Puts a send into the queue of the writer. The answer of the job is called in any case, and
    /// is the only result. If the queue is full, it is called immediately with `unavailable`.
    pub fn enqueue_send(&self, job: SendJob) {
        if let Err(refused) = self.0.delivery.sends.send(job) {
            (refused.answer)(Err(Error::unavailable("Too many sends are waiting; try again.")));
        }
    }

    /// Puts a mark into the queue of the marks writer. If the queue is full, the answer of the job, if it has one, is
    /// called with `unavailable`.
    pub fn enqueue_mark(&self, job: MarkJob) {
        if let Err(full) = self.0.delivery.marks.try_send(job)
            && let Some(answer) = full.into_inner().answer
        {
            answer(Err(Error::unavailable("Too many marks are waiting; try again.")));
        }
    }
}
