//! Reading outside a transaction: on the runtime of the database, with its deadline, and refused at once while the
//! database is away. What is read here may have changed a moment later, so nothing that a change depends on is.

use super::Caller;
use crate::app::App;
use crate::error::Result;
use crate::store::pools::Share;
use crate::store::reading::Reads;
use sea_orm::DatabaseConnection;
use std::pin::Pin;

/// The future of some reading.
pub type Reading<'r, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'r>>;

/// Runs `work` with a connection for reading what `share` says.
pub async fn read<T, W>(app: &App, share: Share, work: W) -> Result<T>
where
    T: Send + 'static,
    W: for<'r> FnOnce(&'r Reads) -> Reading<'r, T> + Send + 'static,
{
    let owner = app.clone();
    app.detached(async move { work(owner.db().read(share)).await }).await
}

/// Runs `work`, which may take long, in one of the caller's turns at heavy reading.
pub async fn heavy<T, W>(app: &App, caller: &Caller, work: W) -> Result<T>
where
    T: Send + 'static,
    W: for<'r> FnOnce(&'r DatabaseConnection) -> Reading<'r, T> + Send + 'static,
{
    let (owner, user) = (app.clone(), caller.user_id);
    app.detached(async move {
        let turn = owner.db().heavy(user).await?;
        work(turn.conn()).await
    })
    .await
}
