//! Proves from what this node has sent that the database now holds another history.

use super::read::read_as_server;
use crate::app::App;
use crate::domain::ids::Rev;
use crate::domain::stream::Stream;
use crate::error::Result;
use crate::store::db::epoch;
use crate::store::db::pools::ReadPool;
use crate::store::log;
use std::time::Instant;

/// Begins a new epoch if `stream` does not reach the revision `reached` any more. A room had sent this revision at the
/// moment `since`, so it was committed and is lost now. A revision that a *client* claims to have proves nothing,
/// because clients can claim anything. The server resets only such a client.
pub async fn check_history(app: &App, stream: Stream, reached: Rev, since: Instant) -> Result<()> {
    let known = app.db().history();
    let epoch = known.epoch();
    if !known.was_epoch_stable(since) {
        // The room may belong to the previous history.
        return Ok(());
    }
    let heads = read_as_server(app, ReadPool::Log, async |conn| Ok(log::list_heads(conn, &[stream]).await?)).await?;
    let last = heads.first().map_or(Rev(0), |(_, last)| *last);
    if last < reached {
        tracing::warn!(
            ?stream,
            last = last.0,
            reached = reached.0,
            "committed events are missing in the database; a new epoch begins"
        );
        app.db().run(epoch::change_epoch(app.db(), &epoch, known.newest_row().id)).await?;
    }
    Ok(())
}
