//! How use cases and parts of the server read outside a transaction: with a deadline, and refused immediately while the
//! database is unavailable. A result may be outdated a moment later, so no change may depend on it.
//!
//! A use case may be called from any task, and the calling code may stop waiting for it: one read, or one transaction,
//! runs to its end. A use case of several steps puts them into [`App::run_with_deadline`], so that all of them run.

use crate::app::App;
use crate::domain::caller::Caller;
use crate::error::Result;
use crate::store::db::pools::ReadPool;
use crate::store::db::reading::ReadConnection;
use sea_orm::DatabaseConnection;
use std::pin::Pin;

/// The result of the work of a read. It borrows the connection.
pub type ReadFuture<'r, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'r>>;

/// Runs `work` with a connection of `pool`.
pub async fn read<T, W>(app: &App, pool: ReadPool, work: W) -> Result<T>
where
    T: Send + 'static,
    W: for<'r> FnOnce(&'r ReadConnection) -> ReadFuture<'r, T> + Send + 'static,
{
    let owned_app = app.clone();
    app.run_with_deadline(async move { work(owned_app.db().read(pool)).await }).await
}

/// Runs `work` with a connection of `pool`, for a part of the server and in the task of the calling function.
pub async fn read_as_server<'a, T, F>(
    app: &'a App,
    pool: ReadPool,
    work: impl FnOnce(&'a ReadConnection) -> F,
) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    app.db().run(work(app.db().read(pool))).await
}

/// Runs `work`, which may take long. It waits for one of the caller's permits for heavy reads.
pub async fn read_heavy<T, W>(app: &App, caller: &Caller, work: W) -> Result<T>
where
    T: Send + 'static,
    W: for<'r> FnOnce(&'r DatabaseConnection) -> ReadFuture<'r, T> + Send + 'static,
{
    let (owned_app, user) = (app.clone(), caller.user_id);
    app.run_with_deadline(async move {
        let permit = owned_app.db().heavy(user).await?;
        work(permit.conn()).await
    })
    .await
}
