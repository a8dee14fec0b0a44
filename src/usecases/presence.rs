//! Presence: who may see whom, and who is told when it changes.

use super::Caller;
use crate::app::App;
use crate::domain::ids::UserId;
use crate::domain::limits;
use crate::domain::stream::Stream;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::messages::PresenceChanged;
use crate::protocol::server::ServerFrame;
use crate::store::{participants, sessions, users};
use bytestring::ByteString;

/// Those of `users` whose presence the caller may watch: who shares a conversation, with no block in between.
pub async fn visible(app: &App, caller: &Caller, users: Vec<UserId>) -> Result<Vec<UserId>> {
    if users.len() > limits::IDS_IN_COMMAND {
        return Err(Error::invalid("user_ids", "must have at most 1000 items"));
    }
    let seen = users::visible_to(app.db().read(), caller.user_id, &users).await?;
    Ok(users.into_iter().filter(|id| seen.contains(id)).collect())
}

/// Tells the user's direct peers that the user came, went away or left, and writes down when the user was last there.
/// Answers with the frame and whom it was sent, for whoever else watches the user.
pub async fn announce(app: &App, changed: PresenceChanged) -> Result<(ByteString, Vec<UserId>)> {
    let now = Timestamp::now();
    remember(app, changed.user_id, now).await?;
    let frame =
        ServerFrame::PresenceUpdate { user_id: changed.user_id, status: changed.status, last_seen_at: Some(now) };
    let peers = participants::direct_peers(app.db().read(), changed.user_id).await?;
    app.tell(peers.iter().copied().map(Stream::User).collect(), &frame, None);
    Ok((frame.text(None), peers))
}

/// Writes down when the user was last there. It is no event and touches no stream, so it needs no transaction of ours.
async fn remember(app: &App, user: UserId, now: Timestamp) -> Result<()> {
    let _turn = app.db().turn(crate::store::db::Class::Other).await;
    Ok(sessions::touch(app.db().write(), user, now).await?)
}
