//! Proof that the database holds another history than before, from what this node has handed out.

use crate::app::App;
use crate::domain::ids::Rev;
use crate::domain::stream::Stream;
use crate::error::Result;
use crate::store::pools::Share;
use crate::store::{history, log};
use std::time::Instant;

/// Begins a new epoch if `stream` does not reach `reached`, which a room had handed out at the moment `since`: a revision
/// that was committed and is not there any more. What a *client* claims to hold proves nothing, because anybody can claim
/// anything; a client that is ahead is reset by itself.
pub async fn doubt(app: &App, stream: Stream, reached: Rev, since: Instant) -> Result<()> {
    let known = app.db().history();
    let epoch = known.epoch();
    if !known.was_settled(since) {
        // the room may be of the history before
        return Ok(());
    }
    let heads = log::heads(app.db().read(Share::Log), &[stream]).await?;
    let last = heads.first().map_or(Rev(0), |(_, last)| *last);
    if last < reached {
        tracing::warn!(?stream, last = last.0, reached = reached.0, "rows that were committed are gone");
        history::change(app.db(), &epoch, known.newest().id).await?;
    }
    Ok(())
}
