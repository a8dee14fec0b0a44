//! How use cases record that an access token was accepted, by its generation, on which the answer to the next refresh
//! depends. The record is committed before the call or the socket continues, so that a refresh on any node reads it.
//! Each refresh leads to one record.

use super::transact;
use crate::app::App;
use crate::domain::ids::LoginId;
use crate::error::{Error, Result};
use crate::store::db::write_queue::ServerWriter;
use crate::store::logins;

/// Stores that an access token of `generation` was accepted. Concurrent calls are written in one transaction. Fails
/// with `unavailable` if the write fails.
pub async fn record_generation(app: &App, login_id: LoginId, generation: i64) -> Result<()> {
    let outcome = app.accepted_generations().add(login_id, generation);
    let owned_app = app.clone();
    app.run_with_deadline(async move {
        let Some(accepted) = owned_app.accepted_generations().take_batch().await else { return Ok(()) };
        let newest = accepted.newest();
        let work = transact::typed_work(move |tx| {
            let newest = newest.clone();
            Box::pin(async move { Ok(logins::record_accepted(tx.conn(), &newest).await?) })
        });
        let mut turn = owned_app.db().take_server_turn(ServerWriter::AcceptedTokens).await;
        transact::commit_with_retries(&owned_app, &mut turn, &work).await?.deliver(&owned_app, |()| ());
        accepted.confirm(owned_app.accepted_generations());
        Ok(())
    })
    .await?;
    outcome.await.map_err(|_| Error::unavailable("Your sign-in could not be saved; try again."))
}
