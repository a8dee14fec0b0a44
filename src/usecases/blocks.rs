//! What users do with blocks: creating, listing and deleting them. A block works in both directions: the two users
//! exchange no direct messages, and neither sees presence, typing or receipts of the other, also in groups that both
//! are in.

use crate::app::App;
use crate::domain::accounts::AccountStatus;
use crate::domain::caller::Caller;
use crate::domain::ids::{ConversationId, UserId};
use crate::domain::limits;
use crate::domain::names::UserRef;
use crate::domain::stream::Stream;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::protocol::blocks::{Block, BlockStatus};
use crate::protocol::events::Event;
use crate::protocol::settings::ConversationSettings;
use crate::store::blocks::{self, PairBlocks};
use crate::store::conversations::views;
use crate::store::db::pools::ReadPool;
use crate::store::{conversations, users};
use crate::work::read::read;
use crate::work::transact::transact_for;
use crate::work::tx::Tx;
use crate::work::{access, presence, typing};

/// How often a change of a block is attempted. A second attempt is needed if the two users get a direct conversation
/// meanwhile. This can happen only once.
const MAX_ATTEMPTS: usize = 2;

/// The result of a transaction that creates or deletes a block.
#[derive(Clone, Debug)]
struct BlockChange {
    /// The caller's block after the transaction, if there is one.
    block: Option<Block>,
    /// Whether the transaction created or deleted it.
    changed: bool,
}

/// The result of [`create`].
#[derive(Debug)]
pub struct CreatedBlock {
    pub block: Block,
    /// False if the block existed before.
    pub is_new: bool,
}

/// Creates a block of a user. If it exists already, nothing changes.
pub async fn create(app: &App, caller: &Caller, user: &UserRef) -> Result<CreatedBlock> {
    let outcome = set_block(app, caller, user, true).await?;
    let block = outcome.block.ok_or_else(Error::user_not_found)?;
    Ok(CreatedBlock { block, is_new: outcome.changed })
}

/// Deletes a block. If there is none, nothing changes.
pub async fn delete(app: &App, caller: &Caller, user: &UserRef) -> Result<()> {
    set_block(app, caller, user, false).await.map(|_| ())
}

async fn set_block(app: &App, caller: &Caller, user: &UserRef, blocked: bool) -> Result<BlockChange> {
    let (me, user) = (caller.user_id, user.clone());
    let other = read(app, ReadPool::Ordinary, move |conn| {
        Box::pin(async move { Ok(users::by_ref(conn, &user).await?.ok_or_else(Error::user_not_found)?.id) })
    })
    .await?;
    if other == me {
        let unchanged = BlockChange { block: None, changed: false };
        return if blocked { Err(Error::self_block()) } else { Ok(unchanged) };
    }
    for _ in 0..MAX_ATTEMPTS {
        // The direct conversation of two users is never removed, so the id that is found here stays valid.
        let direct = read(app, ReadPool::Ordinary, move |conn| {
            Box::pin(async move { Ok(conversations::get_direct_id(conn, me, other).await?) })
        })
        .await?;
        let outcome =
            transact_for(app, me, limits::FEW_ROWS, move |tx| Box::pin(set_block_in(tx, me, other, direct, blocked)))
                .await?;
        if let Some(outcome) = outcome {
            return Ok(outcome);
        }
    }
    Err(Error::unavailable("The two of you are just starting a conversation; try again."))
}

/// Sets or removes the block. Returns `None` if the two users got a direct conversation after `direct` was read. That
/// conversation must be locked before the users, so the calling function has to start again.
async fn set_block_in(
    tx: &mut Tx,
    me: UserId,
    other: UserId,
    direct: Option<ConversationId>,
    blocked: bool,
) -> Result<Option<BlockChange>> {
    if let Some(direct) = direct {
        tx.lock_conversations(&[direct]).await?;
    }
    tx.lock_users(&[me, other]).await?;
    if direct.is_none() && conversations::get_direct_id(tx.conn(), me, other).await?.is_some() {
        return Ok(None);
    }
    access::get_active_user(tx, me).await?;
    if blocked && !tx.has_user(other) {
        return Err(Error::user_not_found());
    }
    let before = blocks::between(tx.conn(), me, other).await?;
    let changed = if blocked {
        blocks::insert(tx.conn(), me, other, tx.now()).await?
    } else {
        blocks::delete(tx.conn(), me, other).await?
    };
    // Each of the two may block the other, and one block is enough to separate them.
    if changed && !before.by_second {
        if let Some(direct) = direct {
            append_settings(tx, me, other, direct).await?;
        }
        if users::have_common_conversation(tx.conn(), me, other).await? {
            tx.after_commit(move |app| notify_separation(app, me, other, blocked));
        }
    }
    Ok(Some(BlockChange { block: blocks::get(tx.conn(), me, other).await?, changed }))
}

/// Informs the two users of a direct conversation whether they may send messages there.
async fn append_settings(tx: &mut Tx, me: UserId, other: UserId, direct: ConversationId) -> Result<()> {
    for (user, view) in views::list_views(tx.conn(), &[me, other], direct, tx.now()).await? {
        if tx.has_user(user) {
            tx.append(
                Stream::User(user),
                &Event::ConversationSettings(ConversationSettings { conversation_id: direct, my: view.my }),
            );
        }
    }
    Ok(())
}

/// Notifies each of two users who share a conversation that the other one is not visible any more, or is visible again.
fn notify_separation(app: &App, me: UserId, other: UserId, separated: bool) {
    if !separated {
        presence::notify_visible(app, me, other);
        return;
    }
    presence::notify_hidden(app, me, other);
    typing::hide_from(app, me, other);
    typing::hide_from(app, other, me);
}

/// Lists the caller's blocks after the cursor `after`, newest first, and returns the cursor of the next page if there
/// is one.
pub async fn list(
    app: &App,
    caller: &Caller,
    after: Option<(Timestamp, UserId)>,
    limit: u64,
) -> Result<(Vec<Block>, Option<(Timestamp, UserId)>)> {
    let me = caller.user_id;
    let mut blocks = read(app, ReadPool::Ordinary, move |conn| {
        Box::pin(async move { Ok(blocks::list(conn, me, after, limit + 1).await?) })
    })
    .await?;
    let more = blocks.len() as u64 > limit;
    blocks.truncate(limit as usize);
    let next = blocks.last().filter(|_| more).map(|block| (block.created_at, block.user.id));
    Ok((blocks, next))
}

/// Returns which of the caller and a user blocks the other, and whether the caller can send direct messages to the
/// user.
pub async fn get_status(app: &App, caller: &Caller, user: UserRef) -> Result<BlockStatus> {
    let me = caller.user_id;
    let (user, between) = read(app, ReadPool::Ordinary, move |conn| {
        Box::pin(async move {
            let user = users::by_ref(conn, &user).await?.ok_or_else(Error::user_not_found)?;
            let between = blocks::between(conn, me, user.id).await?;
            Ok((user, between))
        })
    })
    .await?;
    let PairBlocks { by_first: is_blocked, by_second: is_blocked_by } = between;
    let reachable = user.id != me && user.status != AccountStatus::Deleted;
    Ok(BlockStatus { is_blocked, is_blocked_by, can_send_message: reachable && !between.is_any() })
}
