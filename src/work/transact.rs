//! How use cases and parts of the server make durable changes: in transactions only. Every transaction keeps these
//! rules, which this file enforces:
//!
//! 1. *Lock first*: the class, then conversations by id, then users by id. Only later statements read what a decision
//!    depends on.
//! 2. *It cannot be cancelled*: it runs in a task of its own. From BEGIN until its events are delivered, no state
//!    belongs to a task that may disappear.
//! 3. *It ends*: see [`crate::domain::limits::TRANSACTION_TIMEOUT`].
//! 4. *It owns its connection*. The connection returns to the pool only after a COMMIT or ROLLBACK that succeeded: see
//!    [`crate::store::db::transaction`].
//! 5. Its events are appended while their streams are locked, so revisions count 1, 2, 3 … in the order of commits.

use super::tx::{Delivery, Tx};
use crate::app::App;
use crate::domain::limits;
use crate::error::{Error, Result};
use crate::store::db::failure::{FailureKind, failure_kind};
use crate::store::db::kept::KeptConnections;
use crate::store::db::write_queue::{ServerWriter, WriteOwner, WriteTurn};
use crate::store::messages::single_send;
use sea_orm::DbErr;
use std::pin::Pin;

/// The future of the work of a transaction.
pub type WorkFuture<'t, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 't>>;

/// The result of a committed attempt, and its events and marks, which must still be delivered.
#[must_use = "events that are not delivered reach no client before the catch-up finds them"]
pub(crate) struct Commit<T> {
    result: T,
    delivery: Delivery,
    changed_rows: u64,
}

impl<T> Commit<T> {
    /// Calls `answer` first and then delivers the events and the marks, so that the sender knows the result before
    /// other users get the events.
    pub(crate) fn deliver<R>(self, app: &App, answer: impl FnOnce(T) -> R) -> R {
        let answered = answer(self.result);
        self.delivery.run(app);
        answered
    }
}

/// Why an attempt did not commit.
pub(crate) enum AbortReason {
    /// The work returned an error; nothing was committed.
    Refused(Error),
    /// The database failed. Nothing was committed that this process can see ([`Transaction::commit`]).
    Failed(DbErr),
    /// The COMMIT got no answer, so it may have happened.
    Unknown(DbErr),
    /// The transaction was large and stopped because sends waited; nothing was committed.
    Yielded,
}

impl From<AbortReason> for Error {
    fn from(reason: AbortReason) -> Self {
        match reason {
            AbortReason::Refused(error) => error,
            AbortReason::Failed(error) | AbortReason::Unknown(error) => error.into(),
            AbortReason::Yielded => Error::overloaded("the transaction yielded to sends"),
        }
    }
}

/// Runs `work` in a transaction, commits, delivers its events and returns its result. `work` may run again after a
/// deadlock or a serialisation failure, so it must not change anything outside the transaction.
///
/// The transaction is charged to `owner` for about `rows` rows. If it changes more rows, these are charged after the
/// commit. Turns are fair by user and charged by rows ([`crate::store::db::write_queue`]). If no task waits for the
/// result any more, the transaction still runs to its end.
pub async fn transact_for<T, W>(app: &App, owner: impl Into<WriteOwner>, rows: usize, work: W) -> Result<T>
where
    T: Send + 'static,
    W: for<'t> Fn(&'t mut Tx) -> WorkFuture<'t, T> + Send + Sync + 'static,
{
    let (owned_app, owner) = (app.clone(), owner.into());
    app.run_with_deadline(async move {
        let mut turn = owned_app.db().take_owner_turn(owner, rows).await?;
        let commit = commit_with_retries(&owned_app, &mut turn, &work).await?;
        turn.charge_rows(commit.changed_rows);
        Ok(commit.deliver(&owned_app, |result| result))
    })
    .await
}

/// Runs `work` like [`transact_for`], but as a part of the server that writes for all users together, and in the task
/// of the calling function. If that task ends before the COMMIT, the database rolls back. If it ends during the COMMIT,
/// the catch-up delivers the events.
pub(crate) async fn transact_as<T>(
    app: &App,
    writer: ServerWriter,
    work: &(impl for<'t> Fn(&'t mut Tx) -> WorkFuture<'t, T> + Send + Sync),
) -> Result<T> {
    // The deadline of the transaction does not include the wait for the turn.
    let mut turn = app.db().take_server_turn(writer).await;
    let attempts = async {
        let commit = commit_with_retries(app, &mut turn, work).await?;
        Ok(commit.deliver(app, |result| result))
    };
    app.db().run(attempts).await
}

/// Runs a statement that is a transaction of its own, as a part of the server that writes for all users together, and
/// in the task of the calling function.
pub(crate) async fn write_as_server<T>(
    app: &App,
    writer: ServerWriter,
    write: impl AsyncFnOnce(&KeptConnections) -> Result<T>,
) -> Result<T> {
    let db = app.db();
    db.run(async {
        let _turn = db.take_server_turn(writer).await;
        write(db.write()?).await
    })
    .await
}

/// Makes at most four attempts: repeats after a deadlock or a serialisation failure. The calling function holds `turn`
/// and runs in a task that cannot be cancelled.
pub(crate) async fn commit_with_retries<T>(
    app: &App,
    turn: &mut WriteTurn,
    work: &(impl for<'t> Fn(&'t mut Tx) -> WorkFuture<'t, T> + Send + Sync),
) -> Result<Commit<T>> {
    let (mut attempts, mut yields) = (0, 0);
    loop {
        attempts += 1;
        let may_yield = turn.is_large() && yields < limits::LARGE_YIELDS;
        match run_attempt(app, work, may_yield).await {
            Ok(commit) => return Ok(commit),
            Err(AbortReason::Yielded) => {
                attempts -= 1;
                yields += 1;
                turn.requeue(app.db()).await;
            }
            Err(reason) if attempts < 4 && is_retryable(&reason) => {}
            Err(reason) => return Err(reason.into()),
        }
    }
}

fn is_retryable(reason: &AbortReason) -> bool {
    match reason {
        AbortReason::Refused(error) => error
            .cause()
            .and_then(|cause| cause.downcast_ref::<DbErr>())
            .is_some_and(|cause| failure_kind(cause) == FailureKind::Retry),
        AbortReason::Failed(error) => failure_kind(error) == FailureKind::Retry,
        AbortReason::Unknown(_) | AbortReason::Yielded => false,
    }
}

/// Gives a closure the type of a transaction's work, which the compiler cannot infer for a closure in a variable.
pub(crate) fn typed_work<T, W>(work: W) -> W
where
    W: for<'t> Fn(&'t mut Tx) -> WorkFuture<'t, T> + Send + Sync + 'static,
{
    work
}

/// Runs one attempt. If `may_yield` is true, it stops when sends wait. The calling function holds the turn to write and
/// runs in a task that cannot be cancelled.
pub(crate) async fn run_attempt<T>(
    app: &App,
    work: &(impl for<'t> Fn(&'t mut Tx) -> WorkFuture<'t, T> + Send + Sync),
    may_yield: bool,
) -> Result<Commit<T>, AbortReason> {
    let conn = app.db().begin().await.map_err(AbortReason::Refused)?;
    if may_yield {
        conn.yield_to_sends();
    }
    let mut tx = Tx::new(conn);
    let done = async {
        let result = work(&mut tx).await.map_err(AbortReason::Refused)?;
        let last = tx.take_single_send();
        tx.flush().await.map_err(AbortReason::Failed)?;
        Ok((result, last))
    };
    let (result, last) = match done.await {
        Ok(done) => done,
        Err(reason) => {
            let (conn, _) = tx.into_parts();
            let yielded = conn.has_yielded();
            conn.rollback().await;
            return Err(if yielded { AbortReason::Yielded } else { reason });
        }
    };
    let (conn, delivery) = tx.into_parts();
    let changed_rows = conn.changed_rows().await + last.as_ref().map_or(0, |_| single_send::ROWS);
    if let Err(error) = conn.commit_with(last).await {
        // The commit may have happened. Then only the log contains its events.
        app.wake_catch_up();
        let is_unknown = failure_kind(&error) == FailureKind::Unreachable;
        return Err(if is_unknown { AbortReason::Unknown(error) } else { AbortReason::Failed(error) });
    }
    Ok(Commit { result, delivery, changed_rows })
}
