//! Blocks: one user wants to hear nothing of another. It works both ways: no direct messages, and nothing of the moment
//! (presence, typing, receipts) passes between the two, in shared groups either.

use super::read::read;
use super::transact::{Tx, transact_for};
use super::{Caller, presence, rights, typing};
use crate::app::App;
use crate::domain::ids::{ConversationId, UserId};
use crate::domain::limits;
use crate::domain::names::UserRef;
use crate::domain::stream::Stream;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::protocol::events::Event;
use crate::protocol::resources::{Block, BlockStatus};
use crate::store::blocks::{self, Between};
use crate::store::pools::Share;
use crate::store::users::Status;
use crate::store::{conversations, users};

/// How often a block is tried anew because the two got a direct conversation meanwhile. They get one once.
const ATTEMPTS: usize = 2;

/// What a transaction about a block found and did.
#[derive(Clone, Debug)]
struct Outcome {
    /// The block, if it stands now.
    block: Option<Block>,
    /// Whether the call changed it.
    changed: bool,
    /// Whether any block, in either direction, came between the two or went.
    parted: bool,
}

/// A block that was asked for, and whether it was made now.
#[derive(Debug)]
pub struct Made {
    /// The block.
    pub block: Block,
    /// Whether it is new.
    pub new: bool,
}

/// Blocks a user.
pub async fn add(app: &App, caller: &Caller, user: &UserRef) -> Result<Made> {
    let outcome = change(app, caller, user, true).await?;
    let block = outcome.block.ok_or_else(Error::user_not_found)?;
    Ok(Made { block, new: outcome.changed })
}

/// Takes a block back; one that is not there is no error.
pub async fn remove(app: &App, caller: &Caller, user: &UserRef) -> Result<()> {
    change(app, caller, user, false).await.map(|_| ())
}

async fn change(app: &App, caller: &Caller, user: &UserRef, on: bool) -> Result<Outcome> {
    let me = caller.user_id;
    let other = users::by_ref(app.db().read(Share::Ordinary), user).await?.ok_or_else(Error::user_not_found)?.id;
    if other == me {
        let nothing = Outcome { block: None, changed: false, parted: false };
        return if on { Err(Error::self_block()) } else { Ok(nothing) };
    }
    for _ in 0..ATTEMPTS {
        // a pair keeps its conversation for ever, so what is found here needs no second look
        let direct = conversations::direct_of(app.db().read(Share::Ordinary), me, other).await?;
        let outcome =
            transact_for(app, me, limits::FEW_ROWS, move |tx| Box::pin(change_in(tx, me, other, direct, on))).await?;
        if let Some(outcome) = outcome {
            if outcome.parted {
                show(app, me, other, on).await?;
            }
            return Ok(outcome);
        }
    }
    Err(Error::unavailable("the two are just meeting; try again"))
}

/// `None` when the two got a direct conversation after `direct` was read: it has to be locked before the users.
async fn change_in(
    tx: &mut Tx,
    me: UserId,
    other: UserId,
    direct: Option<ConversationId>,
    on: bool,
) -> Result<Option<Outcome>> {
    if let Some(direct) = direct {
        tx.lock_conversations(&[direct]).await?;
    }
    tx.lock_users(&[me, other]).await?;
    if direct.is_none() && conversations::direct_of(tx.conn(), me, other).await?.is_some() {
        return Ok(None);
    }
    rights::account(tx, me).await?;
    if on && !tx.has_user(other) {
        return Err(Error::user_not_found());
    }
    let before = blocks::between(tx.conn(), me, other).await?;
    let changed = if on {
        blocks::insert(tx.conn(), me, other, tx.now()).await?
    } else {
        blocks::delete(tx.conn(), me, other).await?
    };
    let parted = changed && !before.is_blocked;
    if parted && let Some(direct) = direct {
        for (user, view) in conversations::views_of(tx.conn(), &[me, other], direct, tx.now()).await? {
            if tx.has_user(user) {
                tx.append(Stream::User(user), &Event::ConversationSettings { conversation_id: direct, my: view.my });
            }
        }
    }
    Ok(Some(Outcome { block: blocks::get(tx.conn(), me, other).await?, changed, parted }))
}

/// Shows each of two who share a conversation the other's going, or return.
async fn show(app: &App, me: UserId, other: UserId, parted: bool) -> Result<()> {
    if !users::meet(app.db().read(Share::Ordinary), me, other).await? {
        return Ok(());
    }
    if !parted {
        presence::show(app, me, other);
        return Ok(());
    }
    presence::hide(app, me, other);
    typing::hide(app, me, other);
    typing::hide(app, other, me);
    Ok(())
}

/// The caller's blocks, the newest first, after a place.
pub async fn list(
    app: &App,
    caller: &Caller,
    after: Option<(Timestamp, UserId)>,
    limit: u64,
) -> Result<(Vec<Block>, Option<(Timestamp, UserId)>)> {
    let me = caller.user_id;
    let mut blocks = read(app, Share::Ordinary, move |conn| {
        Box::pin(async move { Ok(blocks::page(conn, me, after, limit + 1).await?) })
    })
    .await?;
    let more = blocks.len() as u64 > limit;
    blocks.truncate(limit as usize);
    let next = blocks.last().filter(|_| more).map(|block| (block.created_at, block.user.id));
    Ok((blocks, next))
}

/// What stands between the caller and a user.
pub async fn status(app: &App, caller: &Caller, user: UserRef) -> Result<BlockStatus> {
    let me = caller.user_id;
    let (user, between) = read(app, Share::Ordinary, move |conn| {
        Box::pin(async move {
            let user = users::by_ref(conn, &user).await?.ok_or_else(Error::user_not_found)?;
            let between = blocks::between(conn, me, user.id).await?;
            Ok((user, between))
        })
    })
    .await?;
    let Between { blocks: is_blocked, is_blocked: is_blocked_by } = between;
    let reachable = user.id != me && user.status != Status::Deleted;
    Ok(BlockStatus { is_blocked, is_blocked_by, can_send_message: reachable && !between.stands() })
}
