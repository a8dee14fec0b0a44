//! What a use case may touch: the settings, the database, the queues of the writers, what nodes share, and, through
//! recipients, delivery. It knows no actor, which keeps the house free of circles.

use crate::admission::Admission;
use crate::cluster::accepted::AcceptedBook;
use crate::cluster::attempts::AttemptBook;
use crate::cluster::ended::EndedLogins;
use crate::cluster::hashing::HashingQueue;
use crate::cluster::presence::PresenceBook;
use crate::cluster::sign_ins::SignInLimits;
use crate::cluster::typing::TypingBook;
use crate::config::Settings;
use crate::domain::ids::{ConversationId, UserId};
use crate::domain::stream::Stream;
use crate::domain::tokens::Keys;
use crate::error::{Error, Result};
use crate::mailboxes::{Batch, Committed, Ephemeral, MarkJob, SendJob};
use crate::protocol::server::ServerFrame;
use crate::store::db::Db;
use crate::store::reading::{self, Places};
use crate::supervision::{Part, Supervision};
use actix::prelude::Recipient;
use std::pin::Pin;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};

/// The application, cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// What [`App`] is made of; `startup` puts it together.
pub struct Parts {
    /// What the operator said.
    pub settings: Arc<Settings>,
    /// The database.
    pub db: Db,
    /// Signs and checks tokens.
    pub keys: Keys,
    /// Who is there.
    pub presence: PresenceBook,
    /// Who types.
    pub typing: TypingBook,
    /// What a caller may ask, and has under way.
    pub admission: Admission,
    /// Generations of access tokens that were just accepted.
    pub accepted: AcceptedBook,
    /// Logins that were found to have ended.
    pub ended_logins: EndedLogins,
    /// Wrong passwords, and attempts that are still being hashed, by account and by address.
    pub attempts: Arc<AttemptBook>,
    /// How often one may register, sign in and refresh.
    pub sign_in_limits: SignInLimits,
    /// The queue before the hashing of passwords.
    pub hashing: HashingQueue,
    /// The queues of the writers; a conversation always goes to the same one.
    pub writers: Vec<mpsc::Sender<SendJob>>,
    /// The queue of marks.
    pub marks: mpsc::Sender<MarkJob>,
    /// Where commits are delivered.
    pub deliver: Recipient<Committed>,
    /// Where frames without a revision go.
    pub ephemeral: Recipient<Ephemeral>,
    /// Wakes the catch-up when something could not be delivered.
    pub catch_up: Arc<Notify>,
    /// What fails in the node, by name.
    pub supervision: Supervision,
    /// Wakes the relay when something was committed.
    pub log_grew: Arc<Notify>,
    /// The runtime on which everything that waits for the database runs, so that no connection depends on a thread that
    /// is busy writing to sockets.
    pub runtime: Handle,
}

impl App {
    /// Of its parts.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// What the operator said.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// The database.
    pub fn db(&self) -> &Db {
        &self.0.db
    }

    /// Signs and checks tokens.
    pub fn keys(&self) -> &Keys {
        &self.0.keys
    }

    /// Who is there.
    pub fn presence(&self) -> &PresenceBook {
        &self.0.presence
    }

    /// Who types.
    pub fn typing(&self) -> &TypingBook {
        &self.0.typing
    }

    /// What a caller may ask, and has under way.
    pub fn admission(&self) -> &Admission {
        &self.0.admission
    }

    /// Wrong passwords, and attempts that are still being hashed, by account and by address.
    pub fn attempts(&self) -> &Arc<AttemptBook> {
        &self.0.attempts
    }

    /// How often one may register, sign in and refresh.
    pub fn sign_in_limits(&self) -> &SignInLimits {
        &self.0.sign_in_limits
    }

    /// The queue before the hashing of passwords.
    pub fn hashing(&self) -> &HashingQueue {
        &self.0.hashing
    }

    /// Generations of access tokens that were just accepted.
    pub fn accepted(&self) -> &AcceptedBook {
        &self.0.accepted
    }

    /// Logins that were found to have ended.
    pub fn ended_logins(&self) -> &EndedLogins {
        &self.0.ended_logins
    }

    /// What fails in the node, by name.
    pub fn supervision(&self) -> &Supervision {
        &self.0.supervision
    }

    /// The epoch all revisions belong to, as far as this node knows: another one when the database holds another history.
    pub fn epoch(&self) -> String {
        self.0.db.history().epoch().to_string()
    }

    /// The places at which `user` reads, for [`reading::on_behalf`].
    pub fn places_of(&self, user: UserId) -> Places {
        self.0.admission.reads(user, self.0.db.places_of_a_user())
    }

    /// Runs `work` to its end on the runtime of the database, whether or not the caller waits for it; refused at once
    /// while the database is away, and given up when it hangs.
    pub async fn detached<T, W>(&self, work: W) -> Result<T>
    where
        T: Send + 'static,
        W: Future<Output = Result<T>> + Send + 'static,
    {
        let db = self.0.db.clone();
        // in a place of its own, because a future that holds this one holds no more than that then
        let guarded: Pin<Box<dyn Future<Output = Result<T>> + Send>> = Box::pin(async move { db.guard(work).await });
        self.to_its_end(guarded).await
    }

    /// [`Self::detached`] for what is longer than a transaction: it has no deadline, and each of its parts has its own.
    pub async fn to_its_end<T, W>(&self, work: W) -> Result<T>
    where
        T: Send + 'static,
        W: Future<Output = Result<T>> + Send + 'static,
    {
        let (part, places) = (self.use_cases(), reading::places());
        let work = reading::on_behalf(places, async move { part.attempt(work).await });
        match self.0.runtime.spawn(work).await {
            Ok(outcome) => outcome.unwrap_or_else(|panicked| Err(Error::internal(panicked))),
            Err(ended) => Err(Error::internal(ended)),
        }
    }

    /// Runs `work`, which computes and does not wait, on a thread that serves nobody.
    pub async fn compute<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let part = self.use_cases();
        let computed = self.0.runtime.spawn_blocking(move || part.catch(work)).await;
        computed.map_err(Error::internal)?.map_err(Error::internal)
    }

    /// Starts `work` on the runtime of the database; nobody waits for it.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let part = self.use_cases();
        // what runs for ever has a part of its own, which notes its panics before this one could
        self.0.runtime.spawn(async move { part.attempt(work).await });
    }

    /// What callers have done: a panic in it fails one of them, and is counted.
    fn use_cases(&self) -> Part {
        self.0.supervision.part("use_cases")
    }

    /// Hands what was committed to the rooms. What they cannot take, the catch-up brings them from the log.
    pub fn deliver(&self, committed: Vec<(Stream, Arc<Batch>)>) {
        if !committed.is_empty() {
            self.0.log_grew.notify_one();
        }
        if !committed.is_empty() && self.0.deliver.try_send(Committed(committed)).is_err() {
            self.wake_catch_up();
        }
    }

    /// Notified when this node has committed events; one task waits for it.
    pub fn log_grew(&self) -> Arc<Notify> {
        self.0.log_grew.clone()
    }

    /// The runtime on which everything that waits for the database runs.
    pub fn runtime(&self) -> &Handle {
        &self.0.runtime
    }

    /// Has the log looked through at once: it may hold what was not delivered.
    pub fn wake_catch_up(&self) {
        self.0.catch_up.notify_one();
    }

    /// Sends a frame without a revision to whoever listens to `streams`; best effort.
    pub fn tell(&self, streams: Vec<Stream>, frame: &ServerFrame, except: Option<UserId>) {
        self.tell_others(streams, frame, except.into_iter().collect());
    }

    /// [`Self::tell`] with any number of users whose sessions do not get it.
    pub fn tell_others(&self, streams: Vec<Stream>, frame: &ServerFrame, except: Arc<[UserId]>) {
        let _ = self.0.ephemeral.try_send(Ephemeral { streams, text: frame.text(None), except });
    }

    /// Puts a send in the queue of its conversation's writer. Whatever becomes of it, its answer is called, and is the only
    /// way to hear of it; where the queue is full it is `unavailable` at once.
    pub fn enqueue_send(&self, job: SendJob) {
        let writer = writer_of(job.conversation_id, self.0.writers.len());
        if let Err(full) = self.0.writers[writer].try_send(job) {
            (full.into_inner().answer)(Err(Error::unavailable("too many sends are waiting; try again")));
        }
    }

    /// Puts a mark in the queue of marks; as [`Self::enqueue_send`], where anybody waits for an answer.
    pub fn enqueue_mark(&self, job: MarkJob) {
        if let Err(full) = self.0.marks.try_send(job)
            && let Some(answer) = full.into_inner().answer
        {
            answer(Err(Error::unavailable("too many marks are waiting; try again")));
        }
    }
}

/// Which of `writers` a conversation belongs to.
fn writer_of(conversation: ConversationId, writers: usize) -> usize {
    // the low half of a UUIDv7 is random
    (conversation.0.as_u64_pair().1 % writers.max(1) as u64) as usize
}
