//! Presence: who may see whom, and who is told when it changes.

use super::Caller;
use crate::app::App;
use crate::domain::ids::UserId;
use crate::domain::limits;
use crate::domain::stream::Stream;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::messages::PresenceChanged;
use crate::protocol::resources::PresenceStatus;
use crate::protocol::server::ServerFrame;
use crate::store::{dialect, participants, users};
use bytestring::ByteString;

/// Those of `users` whose presence the caller may watch: who shares a conversation, with no block in between.
pub async fn visible(app: &App, caller: &Caller, users: Vec<UserId>) -> Result<Vec<UserId>> {
    if users.len() > limits::IDS_IN_COMMAND {
        return Err(Error::invalid("user_ids", "must have at most 1000 items"));
    }
    let seen = users::visible_to(app.db().read(), caller.user_id, &users).await?;
    Ok(users.into_iter().filter(|id| seen.contains(id)).collect())
}

/// Tells the user's direct peers that the user came, went away or left; leaving is also written down. Answers with the
/// frame, for whoever watches the user.
pub async fn announce(app: &App, changed: PresenceChanged) -> Result<ByteString> {
    let now = Timestamp::now();
    if changed.status != PresenceStatus::Away {
        remember(app, changed.user_id, now).await?;
    }
    let frame = ServerFrame::PresenceUpdate {
        user_id: changed.user_id,
        status: changed.status,
        last_seen_at: Some(now),
    };
    let peers = participants::direct_peers(app.db().read(), changed.user_id).await?;
    app.tell(peers.into_iter().map(Stream::User).collect(), &frame, None);
    Ok(frame.text(None))
}

/// Writes down when the user was last there. It is no event and touches no stream, so it needs no transaction of ours.
async fn remember(app: &App, user: UserId, now: Timestamp) -> Result<()> {
    let _turn = app.db().turn(crate::store::db::Class::Other).await;
    let conn = app.db().write();
    let statement =
        dialect::plain(conn, "UPDATE users SET last_seen_at = $2 WHERE id = $1", vec![user.into(), now.into()]);
    dialect::run(conn, statement).await?;
    Ok(())
}
