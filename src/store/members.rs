//! The statements of participants of conversations, with their roles and read marks.

use crate::domain::ids::{ConversationId, Rev, Seq, UserId};
use crate::domain::roles::Role;
use crate::domain::time::Timestamp;
use crate::protocol::users::UserBrief;
use crate::store::dialect::{self, Column};
use sea_orm::{ConnectionTrait, DbErr, QueryResult, Value};
use std::collections::HashMap;
use uuid::Uuid;

/// A participant as stored.
#[derive(Clone, Debug)]
pub struct ParticipantRow {
    pub user: UserBrief,
    pub role: Role,
    pub joined_at: Timestamp,
    pub last_read_seq: Seq,
    /// Whether the user lets other users see the read mark.
    pub shares_receipts: bool,
}

const COLUMNS: &str =
    "p.role, p.joined_at, p.last_read_seq, u.id, u.username, u.display_name, u.avatar_url, u.share_read_receipts";

fn participant(row: &QueryResult) -> Result<ParticipantRow, DbErr> {
    Ok(ParticipantRow {
        user: brief(row)?,
        role: Role::from_stored(&row.try_get::<String>("", "role")?),
        joined_at: Timestamp(row.try_get("", "joined_at")?),
        last_read_seq: Seq(row.try_get("", "last_read_seq")?),
        shares_receipts: row.try_get("", "share_read_receipts")?,
    })
}

fn brief(row: &QueryResult) -> Result<UserBrief, DbErr> {
    Ok(UserBrief {
        id: UserId(row.try_get("", "id")?),
        username: row.try_get("", "username")?,
        display_name: row.try_get("", "display_name")?,
        avatar_url: row.try_get("", "avatar_url")?,
    })
}

/// Returns the role of a user in a conversation, or `None` if the user is not in it now.
pub async fn role(
    conn: &impl ConnectionTrait,
    conversation: ConversationId,
    user: UserId,
) -> Result<Option<Role>, DbErr> {
    let statement = dialect::plain(
        conn,
        "SELECT p.role FROM participants p JOIN conversations c ON c.id = p.conversation_id
         WHERE p.conversation_id = $1 AND p.user_id = $2 AND p.left_at IS NULL AND c.deleted_at IS NULL",
        vec![conversation.into(), user.into()],
    );
    let row = dialect::one(conn, statement).await?;
    row.map(|row| Ok(Role::from_stored(&row.try_get::<String>("", "role")?))).transpose()
}

/// Returns the roles of those of `users` who are in the conversation now.
pub async fn roles(
    conn: &impl ConnectionTrait,
    conversation: ConversationId,
    users: &[UserId],
) -> Result<HashMap<UserId, Role>, DbErr> {
    let ids: Vec<Uuid> = users.iter().map(|id| id.0).collect();
    let text =
        "SELECT user_id, role FROM participants WHERE user_id IN ({set}) AND conversation_id = $2 AND left_at IS NULL";
    let rows = dialect::all(conn, dialect::over_ids(conn, text, &ids, vec![conversation.into()])).await?;
    rows.iter()
        .map(|row| {
            let role: String = row.try_get("", "role")?;
            Ok((UserId(row.try_get("", "user_id")?), Role::from_stored(&role)))
        })
        .collect()
}

/// Returns the ids of all participants.
pub async fn ids(conn: &impl ConnectionTrait, conversation: ConversationId) -> Result<Vec<UserId>, DbErr> {
    let text = "SELECT user_id FROM participants WHERE conversation_id = $1 AND left_at IS NULL ORDER BY user_id";
    let rows = dialect::all(conn, dialect::plain(conn, text, vec![conversation.into()])).await?;
    rows.iter().map(|row| Ok(UserId(row.try_get("", "user_id")?))).collect()
}

/// Returns at most `limit` participants in the order in which they joined. `after` is the last one of the previous
/// page.
pub async fn page(
    conn: &impl ConnectionTrait,
    conversation: ConversationId,
    after: Option<(Timestamp, UserId)>,
    limit: u64,
) -> Result<Vec<ParticipantRow>, DbErr> {
    let (at, id) = after.map_or((i64::MIN, Uuid::nil()), |(at, id)| (at.0, id.0));
    let text = format!(
        "SELECT {COLUMNS} FROM participants p JOIN users u ON u.id = p.user_id
         WHERE p.conversation_id = $1 AND p.left_at IS NULL AND (p.joined_at > $2 OR (p.joined_at = $2 AND p.user_id > $3))
         ORDER BY p.joined_at, p.user_id LIMIT $4"
    );
    let values = vec![conversation.into(), at.into(), id.into(), (limit as i64).into()];
    let rows = dialect::all(conn, dialect::plain(conn, &text, values)).await?;
    rows.iter().map(participant).collect()
}

/// Returns those of `users` who are in the conversation, in the order in which they joined.
pub async fn by_users(
    conn: &impl ConnectionTrait,
    conversation: ConversationId,
    users: &[UserId],
) -> Result<Vec<ParticipantRow>, DbErr> {
    let ids: Vec<Uuid> = users.iter().map(|id| id.0).collect();
    let text = format!(
        "SELECT {COLUMNS} FROM participants p JOIN users u ON u.id = p.user_id
         WHERE p.user_id IN ({{set}}) AND p.conversation_id = $2 AND p.left_at IS NULL ORDER BY p.joined_at, p.user_id"
    );
    let rows = dialect::all(conn, dialect::over_ids(conn, &text, &ids, vec![conversation.into()])).await?;
    rows.iter().map(participant).collect()
}

/// A participant to insert.
#[derive(Clone, Copy, Debug)]
pub struct NewParticipant {
    pub user_id: UserId,
    pub role: Role,
}

/// The point at which the view of a new participant begins.
#[derive(Clone, Copy, Debug)]
pub struct ViewStart {
    pub joined_at: Timestamp,
    /// The user can sync events after this revision only.
    pub joined_rev: Rev,
    pub last_read_seq: Seq,
    /// The running count of messages at `last_read_seq`, without system messages.
    pub last_read_count: i64,
}

// A user who joins again begins like a new participant. `former_read_seq` keeps the old read mark, so that messages
// which the user read before keep the status `seen` for their authors.
const REJOIN: &str = "ON CONFLICT (conversation_id, user_id) DO UPDATE SET role = excluded.role,
             joined_at = excluded.joined_at, joined_rev = excluded.joined_rev, left_at = NULL, left_rev = NULL,
             former_read_seq = CASE WHEN participants.read_at IS NULL THEN participants.former_read_seq
                                    ELSE participants.last_read_seq END,
             last_read_seq = excluded.last_read_seq, last_read_count = excluded.last_read_count, read_at = NULL,
             muted_until = NULL, archived_seq = NULL, pinned_at = NULL, notify = 'all'";

/// Inserts participants. A user who was in the conversation before gets the same row again, with a new view. The
/// calling function changes `member_count` of the conversation.
pub async fn insert(
    conn: &impl ConnectionTrait,
    conversation: ConversationId,
    participants: &[NewParticipant],
    start: ViewStart,
) -> Result<(), DbErr> {
    if participants.is_empty() {
        return Ok(());
    }
    let columns = vec![
        Column::Uuid(participants.iter().map(|participant| participant.user_id.0).collect()),
        Column::Text(participants.iter().map(|participant| participant.role.as_str().to_owned()).collect()),
    ];
    let mut values: Vec<Value> = dialect::rows(conn, columns);
    values.extend([
        conversation.into(),
        start.joined_at.into(),
        start.joined_rev.into(),
        start.last_read_seq.into(),
        start.last_read_count.into(),
    ]);
    let postgres = format!(
        "INSERT INTO participants (conversation_id, user_id, role, joined_at, joined_rev, last_read_seq, last_read_count)
         SELECT $3::uuid, u, r, $4::bigint, $5::bigint, $6::bigint, $7::bigint FROM unnest($1::uuid[], $2::text[]) AS t(u, r) ORDER BY u
         {REJOIN}"
    );
    // Without the WHERE, SQLite parses ON CONFLICT as the ON of a join.
    let sqlite = format!(
        "INSERT INTO participants (conversation_id, user_id, role, joined_at, joined_rev, last_read_seq, last_read_count)
         SELECT $2, unhex(value ->> 0), value ->> 1, $3, $4, $5, $6 FROM jsonb_each($1) WHERE true {REJOIN}"
    );
    dialect::run(conn, dialect::statement(conn, &postgres, &sqlite, values)).await?;
    Ok(())
}

/// Stores that a user left the conversation at this time and revision. The calling function changes `member_count` of
/// the conversation.
pub async fn leave(
    conn: &impl ConnectionTrait,
    conversation: ConversationId,
    user: UserId,
    at: Timestamp,
    rev: Rev,
) -> Result<(), DbErr> {
    let statement = dialect::plain(
        conn,
        "UPDATE participants SET left_at = $3, left_rev = $4
         WHERE conversation_id = $1 AND user_id = $2",
        vec![conversation.into(), user.into(), at.into(), rev.into()],
    );
    dialect::run(conn, statement).await?;
    Ok(())
}

/// The facts that a subscription to a conversation needs. One statement reads them together.
#[derive(Clone, Copy, Debug)]
pub struct Membership {
    pub conversation_id: ConversationId,
    /// The newest revision of the conversation.
    pub last_rev: Rev,
    /// The user can sync events after this revision only.
    pub joined_rev: Rev,
    pub last_read_seq: Seq,
}

const MEMBERSHIP: &str = "SELECT c.id, c.last_rev, p.joined_rev, p.last_read_seq,
            (SELECT value FROM meta WHERE key = 'epoch') AS epoch FROM participants p
     JOIN conversations c ON c.id = p.conversation_id";

fn membership(row: &QueryResult) -> Result<Membership, DbErr> {
    Ok(Membership {
        conversation_id: ConversationId(row.try_get("", "id")?),
        last_rev: Rev(row.try_get("", "last_rev")?),
        joined_rev: Rev(row.try_get("", "joined_rev")?),
        last_read_seq: Seq(row.try_get("", "last_read_seq")?),
    })
}

/// Returns the user's memberships in `conversations`, and the epoch that their revisions belong to. The epoch is `None`
/// if there are no memberships.
pub async fn memberships(
    conn: &impl ConnectionTrait,
    user: UserId,
    conversations: &[ConversationId],
) -> Result<(Vec<Membership>, Option<String>), DbErr> {
    let ids: Vec<Uuid> = conversations.iter().map(|id| id.0).collect();
    let text = format!(
        "{MEMBERSHIP} WHERE c.id IN ({{set}}) AND p.user_id = $2 AND p.left_at IS NULL AND c.deleted_at IS NULL"
    );
    let rows = dialect::all(conn, dialect::over_ids(conn, &text, &ids, vec![user.into()])).await?;
    let epoch = rows.first().map(|row| row.try_get("", "epoch")).transpose()?;
    Ok((rows.iter().map(membership).collect::<Result<_, _>>()?, epoch))
}

/// Returns the ids of all conversations that the user is in.
pub async fn conversations_of(conn: &impl ConnectionTrait, user: UserId) -> Result<Vec<ConversationId>, DbErr> {
    let statement = dialect::plain(
        conn,
        "SELECT p.conversation_id FROM participants p JOIN conversations c ON c.id = p.conversation_id
         WHERE p.user_id = $1 AND p.left_at IS NULL AND c.deleted_at IS NULL",
        vec![user.into()],
    );
    let rows = dialect::all(conn, statement).await?;
    rows.iter().map(|row| Ok(ConversationId(row.try_get("", "conversation_id")?))).collect()
}

/// Returns the direct peers of `users` as pairs of a user and a peer. Pairs with a block between them are left out.
pub async fn direct_peers(conn: &impl ConnectionTrait, users: &[UserId]) -> Result<Vec<(UserId, UserId)>, DbErr> {
    if users.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = users.iter().map(|user| user.0).collect();
    let text = "SELECT p.user_id AS user_id, o.user_id AS peer_id FROM participants p
         JOIN conversations c ON c.id = p.conversation_id AND c.kind = 'direct' AND c.deleted_at IS NULL
         JOIN participants o ON o.conversation_id = c.id AND o.user_id <> p.user_id
         WHERE p.user_id IN ({set}) AND p.left_at IS NULL
           AND NOT EXISTS (SELECT 1 FROM blocks b WHERE (b.blocker_id = p.user_id AND b.blocked_id = o.user_id)
                                                     OR (b.blocker_id = o.user_id AND b.blocked_id = p.user_id))";
    let rows = dialect::all(conn, dialect::over_ids(conn, text, &ids, Vec::new())).await?;
    rows.iter().map(|row| Ok((UserId(row.try_get("", "user_id")?), UserId(row.try_get("", "peer_id")?)))).collect()
}

/// Returns the user who becomes the owner when the owner leaves: the admin who joined first, else the first with the
/// role `member`, else the first observer. `None` if the group is empty.
pub async fn next_owner(conn: &impl ConnectionTrait, conversation: ConversationId) -> Result<Option<UserId>, DbErr> {
    let statement = dialect::plain(
        conn,
        "SELECT user_id FROM participants WHERE conversation_id = $1 AND left_at IS NULL
         ORDER BY CASE role WHEN 'admin' THEN 0 WHEN 'member' THEN 1 ELSE 2 END, joined_at, user_id LIMIT 1",
        vec![conversation.into()],
    );
    dialect::one(conn, statement).await?.map(|row| Ok(UserId(row.try_get("", "user_id")?))).transpose()
}

/// Stores the role of a participant.
pub async fn set_role(
    conn: &impl ConnectionTrait,
    conversation: ConversationId,
    user: UserId,
    role: Role,
) -> Result<(), DbErr> {
    let statement = dialect::plain(
        conn,
        "UPDATE participants SET role = $3 WHERE conversation_id = $1 AND user_id = $2",
        vec![conversation.into(), user.into(), role.as_str().into()],
    );
    dialect::run(conn, statement).await?;
    Ok(())
}
