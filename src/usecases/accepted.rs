//! Noting that an access token was accepted, by its generation: what the next refresh is judged by. The note is committed
//! before the call or the socket goes on, so that a refresh on whichever node sees it. It is made once a refresh.

use super::transact;
use crate::app::App;
use crate::domain::ids::LoginId;
use crate::error::{Error, Result};
use crate::store::gate::Class;
use crate::store::logins;

/// Writes down that an access token of `generation` was accepted. Calls that come at once are written together.
pub async fn note(app: &App, login_id: LoginId, generation: i64) -> Result<()> {
    let outcome = app.accepted().note(login_id, generation);
    let owner = app.clone();
    app.detached(async move {
        let Some(accepted) = owner.accepted().take().await else { return Ok(()) };
        let newest = accepted.newest();
        let work = transact::work(move |tx| {
            let newest = newest.clone();
            Box::pin(async move { Ok(logins::accepted(tx.conn(), &newest).await?) })
        });
        let mut turn = owner.db().turn(Class::Accepted).await;
        transact::committed(&owner, &mut turn, &work).await?.deliver(&owner, |()| ());
        accepted.written(owner.accepted());
        Ok(())
    })
    .await?;
    outcome.await.map_err(|_| Error::unavailable("your sign-in could not be written down; try again"))
}
