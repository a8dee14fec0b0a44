//! Who has blocked whom. A block is one way in the table and works both ways: nothing of the moment passes between the two.

use super::dialect::{self, Column};
use crate::domain::ids::{ConversationId, UserId};
use crate::domain::limits;
use crate::domain::time::Timestamp;
use crate::protocol::resources::{Block, UserBrief};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// The blocks between one user and another.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Between {
    /// The one has blocked the other.
    pub blocks: bool,
    /// The other has blocked the one.
    pub is_blocked: bool,
}

impl Between {
    /// Whether there is any.
    pub fn stands(self) -> bool {
        self.blocks || self.is_blocked
    }
}

/// The blocks between `one` and `other`.
pub async fn between(conn: &impl ConnectionTrait, one: UserId, other: UserId) -> Result<Between, DbErr> {
    let statement = dialect::plain(
        conn,
        "SELECT blocker_id FROM blocks
         WHERE (blocker_id = $1 AND blocked_id = $2) OR (blocker_id = $2 AND blocked_id = $1)",
        vec![one.into(), other.into()],
    );
    let mut between = Between::default();
    for row in dialect::all(conn, statement).await? {
        if UserId(row.try_get("", "blocker_id")?) == one {
            between.blocks = true;
        } else {
            between.is_blocked = true;
        }
    }
    Ok(between)
}

/// Those in the conversation who are apart from `user` by a block in either direction.
pub async fn apart(
    conn: &impl ConnectionTrait,
    user: UserId,
    conversation: ConversationId,
) -> Result<HashSet<UserId>, DbErr> {
    let statement = dialect::plain(
        conn,
        "SELECT p.user_id FROM blocks b JOIN participants p ON p.conversation_id = $2 AND p.user_id = b.blocked_id
         WHERE b.blocker_id = $1 AND p.left_at IS NULL
         UNION
         SELECT p.user_id FROM blocks b JOIN participants p ON p.conversation_id = $2 AND p.user_id = b.blocker_id
         WHERE b.blocked_id = $1 AND p.left_at IS NULL",
        vec![user.into(), conversation.into()],
    );
    let rows = dialect::all(conn, statement).await?;
    rows.iter().map(|row| Ok(UserId(row.try_get("", "user_id")?))).collect()
}

/// Who in a conversation is not told of a participant's receipts.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Untold {
    /// Apart by a block: told of none.
    pub apart: Vec<UserId>,
    /// Does not share reads, so sees none.
    pub unsharing: Vec<UserId>,
}

/// For each of these participants, who of the others in the conversation is not told of its receipts. Of conversations
/// small enough that others are told at all. Asked all the time, so each conversation is looked through once, and once more
/// only for whoever has a block.
pub async fn untold(
    conn: &impl ConnectionTrait,
    pairs: &[(ConversationId, UserId)],
) -> Result<HashMap<(ConversationId, UserId), Untold>, DbErr> {
    let mut untold: HashMap<_, Untold> = HashMap::new();
    if pairs.is_empty() {
        return Ok(untold);
    }
    let unsharing = unsharing(conn, pairs).await?;
    for (conversation, user) in pairs {
        if let Some(unsharing) = unsharing.get(conversation) {
            untold.entry((*conversation, *user)).or_default().unsharing.clone_from(unsharing);
        }
    }
    for (pair, viewer) in parted(conn, pairs).await? {
        untold.entry(pair).or_default().apart.push(viewer);
    }
    Ok(untold)
}

/// Who in each conversation does not share reads.
async fn unsharing(
    conn: &impl ConnectionTrait,
    pairs: &[(ConversationId, UserId)],
) -> Result<HashMap<ConversationId, Vec<UserId>>, DbErr> {
    let mut ids: Vec<Uuid> = pairs.iter().map(|pair| pair.0.0).collect();
    ids.sort_unstable();
    ids.dedup();
    let most = limits::STATUS_MEMBERS;
    let statement = dialect::statement(
        conn,
        // LIMIT keeps PostgreSQL from joining with whole tables, by a plan made when they were small
        &format!(
            "SELECT m.c, v.id AS viewer FROM unnest($1::uuid[]) AS m(c)
             CROSS JOIN LATERAL (SELECT user_id FROM participants WHERE conversation_id = m.c AND left_at IS NULL
                                 LIMIT {most}) p
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

/// Each of these participants with each of the others in the conversation from whom a block parts it.
async fn parted(
    conn: &impl ConnectionTrait,
    pairs: &[(ConversationId, UserId)],
) -> Result<Vec<((ConversationId, UserId), UserId)>, DbErr> {
    let columns = vec![
        Column::Uuid(pairs.iter().map(|pair| pair.0.0).collect()),
        Column::Uuid(pairs.iter().map(|pair| pair.1.0).collect()),
    ];
    let apart = "EXISTS (SELECT 1 FROM blocks b WHERE (b.blocker_id = m.u AND b.blocked_id = p.user_id)
                                       OR (b.blocker_id = p.user_id AND b.blocked_id = m.u))";
    let most = limits::STATUS_MEMBERS;
    let statement = dialect::statement(
        conn,
        &format!(
            "SELECT m.c, m.u, p.user_id AS viewer FROM unnest($1::uuid[], $2::uuid[]) AS m(c, u)
             CROSS JOIN LATERAL (SELECT 1 FROM blocks WHERE blocker_id = m.u OR blocked_id = m.u LIMIT 1) any_block
             CROSS JOIN LATERAL (SELECT user_id FROM participants WHERE conversation_id = m.c AND left_at IS NULL
                                 LIMIT {most}) p
             WHERE {apart}"
        ),
        &format!(
            "SELECT m.c, m.u, p.user_id AS viewer
             FROM (SELECT unhex(value ->> 0) AS c, unhex(value ->> 1) AS u FROM jsonb_each($1)) AS m
             CROSS JOIN participants p ON p.conversation_id = m.c AND p.left_at IS NULL
             WHERE (EXISTS (SELECT 1 FROM blocks WHERE blocker_id = m.u)
                    OR EXISTS (SELECT 1 FROM blocks WHERE blocked_id = m.u)) AND {apart}"
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

/// Inserts a block; false when it was there.
pub async fn insert(conn: &impl ConnectionTrait, user: UserId, other: UserId, at: Timestamp) -> Result<bool, DbErr> {
    let statement = dialect::plain(
        conn,
        "INSERT INTO blocks (blocker_id, blocked_id, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        vec![user.into(), other.into(), at.into()],
    );
    Ok(dialect::run(conn, statement).await?.rows_affected() > 0)
}

/// Removes a block; false when there was none.
pub async fn delete(conn: &impl ConnectionTrait, user: UserId, other: UserId) -> Result<bool, DbErr> {
    let text = "DELETE FROM blocks WHERE blocker_id = $1 AND blocked_id = $2";
    let statement = dialect::plain(conn, text, vec![user.into(), other.into()]);
    Ok(dialect::run(conn, statement).await?.rows_affected() > 0)
}

const BLOCK: &str = "SELECT b.created_at, u.id, u.username, u.display_name, u.avatar_url
     FROM blocks b JOIN users u ON u.id = b.blocked_id WHERE b.blocker_id = $1";

fn block(row: &QueryResult) -> Result<Block, DbErr> {
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

/// One block, if it is there.
pub async fn get(conn: &impl ConnectionTrait, user: UserId, other: UserId) -> Result<Option<Block>, DbErr> {
    let text = format!("{BLOCK} AND b.blocked_id = $2");
    let row = dialect::one(conn, dialect::plain(conn, &text, vec![user.into(), other.into()])).await?;
    row.as_ref().map(block).transpose()
}

/// The user's blocks, the newest first, at most `limit`, after the given place.
pub async fn page(
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
    rows.iter().map(block).collect()
}
