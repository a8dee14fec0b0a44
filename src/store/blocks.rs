//! The statements of blocks between users. A row has one direction, but its effect has both: the server sends neither
//! user ephemeral frames about the other.

use crate::domain::ids::{ConversationId, UserId};
use crate::domain::limits;
use crate::domain::time::Timestamp;
use crate::protocol::blocks::Block;
use crate::protocol::users::UserBrief;
use crate::store::dialect::{self, Column};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// The blocks between two users, by the user who made them.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct PairBlocks {
    /// The first user has blocked the second.
    pub by_first: bool,
    /// The second user has blocked the first.
    pub by_second: bool,
}

impl PairBlocks {
    /// Returns whether at least one of the two users has blocked the other.
    pub fn is_any(self) -> bool {
        self.by_first || self.by_second
    }
}

/// Returns the blocks between two users.
pub async fn between(conn: &impl ConnectionTrait, first: UserId, second: UserId) -> Result<PairBlocks, DbErr> {
    let statement = dialect::plain(
        conn,
        "SELECT blocker_id FROM blocks
         WHERE (blocker_id = $1 AND blocked_id = $2) OR (blocker_id = $2 AND blocked_id = $1)",
        vec![first.into(), second.into()],
    );
    let mut blocks = PairBlocks::default();
    for row in dialect::all(conn, statement).await? {
        if UserId(row.try_get("", "blocker_id")?) == first {
            blocks.by_first = true;
        } else {
            blocks.by_second = true;
        }
    }
    Ok(blocks)
}

/// Returns the participants of a conversation that `user` has blocked, or that have blocked `user`.
pub async fn list_blocked_participants(
    conn: &impl ConnectionTrait,
    user: UserId,
    conversation: ConversationId,
) -> Result<HashSet<UserId>, DbErr> {
    // A scalar subquery leaves PostgreSQL no other plan than to look up each blocked user. As a join it may read all
    // participants in the order of their ids, if the conversation was small when the plan was made.
    let side = |own: &str, other: &str| {
        format!(
            "SELECT {other} AS user_id FROM blocks b
             WHERE {own} = $1 AND COALESCE((SELECT 1 FROM participants p WHERE p.conversation_id = $2
                                              AND p.user_id = b.{other} AND p.left_at IS NULL LIMIT 1), 0) = 1"
        )
    };
    let text = format!("{} UNION {}", side("blocker_id", "blocked_id"), side("blocked_id", "blocker_id"));
    let statement = dialect::plain(conn, &text, vec![user.into(), conversation.into()]);
    let rows = dialect::all(conn, statement).await?;
    rows.iter().map(|row| Ok(UserId(row.try_get("", "user_id")?))).collect()
}

/// The participants of a conversation that must not get the receipts of one participant.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ReceiptExclusions {
    /// Users with a block in either direction. They get no receipts.
    pub blocked: Vec<UserId>,
    /// Users who do not share what they read. They get no read receipts.
    pub not_sharing: Vec<UserId>,
}

/// Returns for each of these participants which other participants must not get their receipts. A participant without
/// exclusions has no entry. The conversations must have at most [`limits::STATUS_MEMBERS`] members; larger ones have no
/// receipts.
///
/// The server calls this very often. It therefore reads the participants of each conversation once, and a second time
/// only for a participant who has a block.
pub async fn receipt_exclusions(
    conn: &impl ConnectionTrait,
    pairs: &[(ConversationId, UserId)],
) -> Result<HashMap<(ConversationId, UserId), ReceiptExclusions>, DbErr> {
    let mut exclusions: HashMap<_, ReceiptExclusions> = HashMap::new();
    if pairs.is_empty() {
        return Ok(exclusions);
    }
    let not_sharing = list_not_sharing(conn, pairs).await?;
    for (conversation, user) in pairs {
        if let Some(not_sharing) = not_sharing.get(conversation) {
            exclusions.entry((*conversation, *user)).or_default().not_sharing.clone_from(not_sharing);
        }
    }
    for (pair, viewer) in list_blocked_pairs(conn, pairs).await? {
        exclusions.entry(pair).or_default().blocked.push(viewer);
    }
    Ok(exclusions)
}

/// Returns the participants of each conversation who do not share what they read.
async fn list_not_sharing(
    conn: &impl ConnectionTrait,
    pairs: &[(ConversationId, UserId)],
) -> Result<HashMap<ConversationId, Vec<UserId>>, DbErr> {
    let mut ids: Vec<Uuid> = pairs.iter().map(|pair| pair.0.0).collect();
    ids.sort_unstable();
    ids.dedup();
    let max = limits::STATUS_MEMBERS;
    let statement = dialect::statement(
        conn,
        // LIMIT stops PostgreSQL from joining with whole tables: a plan that it made while they were small would do so.
        &format!(
            "SELECT m.c, v.id AS viewer FROM unnest($1::uuid[]) AS m(c)
             CROSS JOIN LATERAL (SELECT user_id FROM participants WHERE conversation_id = m.c AND left_at IS NULL
                                 LIMIT {max}) p
             CROSS JOIN LATERAL (SELECT id, share_read_receipts FROM users WHERE id = p.user_id LIMIT 1) v
             WHERE NOT v.share_read_receipts"
        ),
        "SELECT m.c, v.id AS viewer FROM (SELECT unhex(value ->> 0) AS c FROM jsonb_each($1)) AS m
         CROSS JOIN participants p ON p.conversation_id = m.c AND p.left_at IS NULL
         CROSS JOIN users v ON v.id = p.user_id WHERE NOT v.share_read_receipts",
        dialect::rows(conn, vec![Column::Uuid(ids)]),
    );
    let mut found: HashMap<ConversationId, Vec<UserId>> = HashMap::new();
    for row in dialect::all(conn, statement).await? {
        found.entry(ConversationId(row.try_get("", "c")?)).or_default().push(UserId(row.try_get("", "viewer")?));
    }
    Ok(found)
}

/// Returns each of these participants with each other participant of the conversation that has a block with them, in
/// either direction.
async fn list_blocked_pairs(
    conn: &impl ConnectionTrait,
    pairs: &[(ConversationId, UserId)],
) -> Result<Vec<((ConversationId, UserId), UserId)>, DbErr> {
    let columns = vec![
        Column::Uuid(pairs.iter().map(|pair| pair.0.0).collect()),
        Column::Uuid(pairs.iter().map(|pair| pair.1.0).collect()),
    ];
    let is_blocked = "EXISTS (SELECT 1 FROM blocks b WHERE (b.blocker_id = m.u AND b.blocked_id = p.user_id)
                                       OR (b.blocker_id = p.user_id AND b.blocked_id = m.u))";
    let max = limits::STATUS_MEMBERS;
    let statement = dialect::statement(
        conn,
        &format!(
            "SELECT m.c, m.u, p.user_id AS viewer FROM unnest($1::uuid[], $2::uuid[]) AS m(c, u)
             CROSS JOIN LATERAL (SELECT 1 FROM blocks WHERE blocker_id = m.u OR blocked_id = m.u LIMIT 1) any_block
             CROSS JOIN LATERAL (SELECT user_id FROM participants WHERE conversation_id = m.c AND left_at IS NULL
                                 LIMIT {max}) p
             WHERE {is_blocked}"
        ),
        &format!(
            "SELECT m.c, m.u, p.user_id AS viewer
             FROM (SELECT unhex(value ->> 0) AS c, unhex(value ->> 1) AS u FROM jsonb_each($1)) AS m
             CROSS JOIN participants p ON p.conversation_id = m.c AND p.left_at IS NULL
             WHERE (EXISTS (SELECT 1 FROM blocks WHERE blocker_id = m.u)
                    OR EXISTS (SELECT 1 FROM blocks WHERE blocked_id = m.u)) AND {is_blocked}"
        ),
        dialect::rows(conn, columns),
    );
    let rows = dialect::all(conn, statement).await?;
    rows.iter()
        .map(|row| {
            let pair = (ConversationId(row.try_get("", "c")?), UserId(row.try_get("", "u")?));
            Ok((pair, UserId(row.try_get("", "viewer")?)))
        })
        .collect()
}

/// Inserts a block. Returns false if it existed already.
pub async fn insert(conn: &impl ConnectionTrait, user: UserId, other: UserId, at: Timestamp) -> Result<bool, DbErr> {
    let statement = dialect::plain(
        conn,
        "INSERT INTO blocks (blocker_id, blocked_id, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        vec![user.into(), other.into(), at.into()],
    );
    Ok(dialect::run(conn, statement).await?.rows_affected() > 0)
}

/// Deletes a block. Returns false if there was none.
pub async fn delete(conn: &impl ConnectionTrait, user: UserId, other: UserId) -> Result<bool, DbErr> {
    let text = "DELETE FROM blocks WHERE blocker_id = $1 AND blocked_id = $2";
    let statement = dialect::plain(conn, text, vec![user.into(), other.into()]);
    Ok(dialect::run(conn, statement).await?.rows_affected() > 0)
}

const BLOCK: &str = "SELECT b.created_at, u.id, u.username, u.display_name, u.avatar_url
     FROM blocks b JOIN users u ON u.id = b.blocked_id WHERE b.blocker_id = $1";

fn block_from_row(row: &QueryResult) -> Result<Block, DbErr> {
    Ok(Block {
        user: UserBrief {
            id: UserId(row.try_get("", "id")?),
            username: row.try_get("", "username")?,
            display_name: row.try_get("", "display_name")?,
            avatar_url: row.try_get("", "avatar_url")?,
        },
        created_at: Timestamp(row.try_get("", "created_at")?),
    })
}

/// Returns the block that `user` has made against `other`. `None` if there is none.
pub async fn get(conn: &impl ConnectionTrait, user: UserId, other: UserId) -> Result<Option<Block>, DbErr> {
    let text = format!("{BLOCK} AND b.blocked_id = $2");
    let row = dialect::one(conn, dialect::plain(conn, &text, vec![user.into(), other.into()])).await?;
    row.as_ref().map(block_from_row).transpose()
}

/// Lists at most `limit` blocks that `user` has made, newest first. `after` is the creation time and the blocked user
/// of the last block of the page before.
pub async fn list(
    conn: &impl ConnectionTrait,
    user: UserId,
    after: Option<(Timestamp, UserId)>,
    limit: u64,
) -> Result<Vec<Block>, DbErr> {
    let (at, id) = after.map_or((i64::MAX, Uuid::max()), |(at, id)| (at.0, id.0));
    let text = format!(
        "{BLOCK} AND (b.created_at, b.blocked_id) < ($2, $3) ORDER BY b.created_at DESC, b.blocked_id DESC LIMIT $4"
    );
    let values = vec![user.into(), at.into(), id.into(), (limit as i64).into()];
    let rows = dialect::all(conn, dialect::plain(conn, &text, values)).await?;
    rows.iter().map(block_from_row).collect()
}
