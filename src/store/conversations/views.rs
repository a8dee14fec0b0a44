//! The statements that read conversations as their participants see them: one, those of a list, and the number of
//! unread messages.

use crate::domain::accounts::UserRole;
use crate::domain::content::MessageKind;
use crate::domain::ids::{ClassId, ConversationId, MessageId, Rev, Seq, UserId};
use crate::domain::limits;
use crate::domain::roles::{ConversationKind, Role};
use crate::domain::text::preview;
use crate::domain::time::Timestamp;
use crate::protocol::conversations::{ClassBrief, LastMessage, UnreadCount};
use crate::protocol::settings::{NotifyLevel, OwnView};
use crate::protocol::users::UserBrief;
use crate::store::dialect;
use crate::store::messages::hidden;
use sea_orm::{ConnectionTrait, DbErr, QueryResult, Value};
use serde::{Deserialize, Serialize};
use std::fmt::Write;
use uuid::Uuid;

// `pinned` and `activity` are the sort key of a user's list. Both are computed, so no index contains them. `lm` is the
// newest message that the user has not hidden.
const VIEW: &str = "SELECT c.id, c.kind, c.name, c.description, c.avatar_url, c.created_by, c.created_at, c.updated_at,
            c.last_seq, c.last_rev, c.member_count, COALESCE(c.last_message_at, c.created_at) AS activity,
            p.role, p.last_read_seq, c.last_count - p.last_read_count - {hidden} AS unread, p.muted_until, p.archived_seq, p.notify,
            CASE WHEN p.pinned_at IS NULL THEN 0 ELSE 1 END AS pinned,
            cl.id AS class_id, cl.archived_at AS class_archived_at,
            lm.id AS lm_id, lm.seq AS lm_seq, lm.sender_id AS lm_sender_id, lm.kind AS lm_kind, lm.content AS lm_content,
            lm.deleted_at AS lm_deleted_at, lm.created_at AS lm_created_at,
            o.id AS o_id, o.username AS o_username, o.display_name AS o_display_name, o.avatar_url AS o_avatar_url,
            o.external_id AS o_external_id, o.role AS o_role, o.last_seen_at AS o_last_seen_at, o.created_at AS o_created_at,
            CASE WHEN EXISTS (SELECT 1 FROM blocks b WHERE (b.blocker_id = p.user_id AND b.blocked_id = o.id)
                                                        OR (b.blocker_id = o.id AND b.blocked_id = p.user_id))
                 THEN 1 ELSE 0 END AS blocked
     FROM participants p
     JOIN conversations c ON c.id = p.conversation_id AND c.deleted_at IS NULL
     LEFT JOIN classes cl ON cl.id = c.class_id
     {last}
     LEFT JOIN users o ON o.id = CASE WHEN c.direct_low = p.user_id THEN c.direct_high ELSE c.direct_low END";

/// Returns the statement [`VIEW`], which finds the newest message by index, for one conversation at a time. The LATERAL
/// join forces PostgreSQL to do so: it would otherwise read all messages and all hidden messages once. SQLite has no
/// other way.
fn view_statement(conn: &impl ConnectionTrait) -> String {
    let newest = "FROM messages s WHERE s.conversation_id = c.id AND NOT EXISTS (
                      SELECT 1 FROM hidden_messages h
                      WHERE h.user_id = p.user_id AND h.conversation_id = s.conversation_id AND h.seq = s.seq)
                  ORDER BY s.seq DESC LIMIT 1";
    let last = if dialect::is_postgres(conn) {
        format!("LEFT JOIN LATERAL (SELECT s.* {newest}) lm ON TRUE")
    } else {
        format!("LEFT JOIN messages lm ON lm.conversation_id = c.id AND lm.seq = (SELECT s.seq {newest})")
    };
    VIEW.replace("{last}", &last).replace("{hidden}", &hidden::unread_count_query("p.last_read_seq"))
}

/// A conversation as stored for a participant. The store does not know the presence of the peer.
#[derive(Clone, Debug)]
pub struct ConversationRow {
    pub id: ConversationId,
    pub kind: ConversationKind,
    pub name: Option<String>,
    pub description: Option<String>,
    pub avatar_url: Option<String>,
    pub class: Option<ClassBrief>,
    pub created_by: Option<UserId>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub last_seq: Seq,
    pub last_rev: Rev,
    /// The newest message that the participant has not hidden.
    pub last_message: Option<LastMessage>,
    pub member_count: i64,
    pub unread_count: i64,
    pub my: OwnView,
    /// The other participant of a direct conversation.
    pub peer: Option<PeerRow>,
    pub sort_key: ConversationSortKey,
}

/// The other participant of a direct conversation as stored.
#[derive(Clone, Debug)]
pub struct PeerRow {
    pub brief: UserBrief,
    pub external_id: Option<String>,
    pub role: UserRole,
    pub last_seen_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

/// The sort key of a conversation in a participant's list: pinned conversations first, then the newest message first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ConversationSortKey {
    pub pinned: bool,
    /// When the newest message was sent, or the conversation created if it has no message. In milliseconds.
    pub activity: i64,
    pub id: Uuid,
}

fn read_row(row: &QueryResult, now: Timestamp) -> Result<ConversationRow, DbErr> {
    let id = ConversationId(row.try_get("", "id")?);
    let last_seq = Seq(row.try_get("", "last_seq")?);
    let muted_until = row.try_get::<Option<i64>>("", "muted_until")?.map(Timestamp).filter(|until| *until > now);
    let muted_until = muted_until.map(|until| until.min(Timestamp::FAR_FUTURE));
    let archived_seq: Option<i64> = row.try_get("", "archived_seq")?;
    let pinned = row.try_get::<i32>("", "pinned")? == 1;
    let notify: String = row.try_get("", "notify")?;
    Ok(ConversationRow {
        id,
        kind: ConversationKind::from_stored(&row.try_get::<String>("", "kind")?),
        name: row.try_get("", "name")?,
        description: row.try_get("", "description")?,
        avatar_url: row.try_get("", "avatar_url")?,
        class: match row.try_get::<Option<Uuid>>("", "class_id")? {
            Some(class) => Some(ClassBrief {
                id: ClassId(class),
                archived: row.try_get::<Option<i64>>("", "class_archived_at")?.is_some(),
            }),
            None => None,
        },
        created_by: row.try_get::<Option<Uuid>>("", "created_by")?.map(UserId),
        created_at: Timestamp(row.try_get("", "created_at")?),
        updated_at: Timestamp(row.try_get("", "updated_at")?),
        last_seq,
        last_rev: Rev(row.try_get("", "last_rev")?),
        last_message: read_last_message(row)?,
        member_count: row.try_get("", "member_count")?,
        unread_count: row.try_get::<i64>("", "unread")?.max(0),
        my: OwnView {
            role: Role::from_stored(&row.try_get::<String>("", "role")?),
            last_read_seq: Seq(row.try_get("", "last_read_seq")?),
            muted_until,
            archived: archived_seq.is_some_and(|seq| last_seq.0 <= seq || muted_until.is_some()),
            pinned,
            notify: match notify.as_str() {
                "mentions" => NotifyLevel::Mentions,
                "none" => NotifyLevel::None,
                _ => NotifyLevel::All,
            },
            blocked: row.try_get::<i32>("", "blocked")? == 1,
        },
        peer: read_peer(row)?,
        sort_key: ConversationSortKey { pinned, activity: row.try_get("", "activity")?, id: id.0 },
    })
}

fn read_last_message(row: &QueryResult) -> Result<Option<LastMessage>, DbErr> {
    let Some(id) = row.try_get::<Option<Uuid>>("", "lm_id")? else { return Ok(None) };
    let deleted = row.try_get::<Option<i64>>("", "lm_deleted_at")?.is_some();
    let content: String = row.try_get("", "lm_content")?;
    Ok(Some(LastMessage {
        id: MessageId(id),
        seq: Seq(row.try_get("", "lm_seq")?),
        sender_id: row.try_get::<Option<Uuid>>("", "lm_sender_id")?.map(UserId),
        kind: MessageKind::from_stored(&row.try_get::<String>("", "lm_kind")?),
        content: if deleted { String::new() } else { preview(&content, limits::PREVIEW_CHARS) },
        created_at: Timestamp(row.try_get("", "lm_created_at")?),
    }))
}

fn read_peer(row: &QueryResult) -> Result<Option<PeerRow>, DbErr> {
    let Some(id) = row.try_get::<Option<Uuid>>("", "o_id")? else { return Ok(None) };
    Ok(Some(PeerRow {
        brief: UserBrief {
            id: UserId(id),
            username: row.try_get("", "o_username")?,
            display_name: row.try_get("", "o_display_name")?,
            avatar_url: row.try_get("", "o_avatar_url")?,
        },
        external_id: row.try_get("", "o_external_id")?,
        role: UserRole::from_stored(&row.try_get::<String>("", "o_role")?),

        last_seen_at: row.try_get::<Option<i64>>("", "o_last_seen_at")?.map(Timestamp),
        created_at: Timestamp(row.try_get("", "o_created_at")?),
    }))
}

/// Returns a conversation as `user` sees it. `None` if the user is not a participant.
pub async fn get_view(
    conn: &impl ConnectionTrait,
    user: UserId,
    id: ConversationId,
    now: Timestamp,
) -> Result<Option<ConversationRow>, DbErr> {
    let text =
        format!("{} WHERE p.user_id = $1 AND p.conversation_id = $2 AND p.left_at IS NULL", view_statement(conn));
    let row = dialect::one(conn, dialect::plain(conn, &text, vec![user.into(), id.into()])).await?;
    row.map(|row| read_row(&row, now)).transpose()
}

/// Returns a conversation as each of `users` sees it. Users who are not participants are left out.
pub async fn list_views(
    conn: &impl ConnectionTrait,
    users: &[UserId],
    id: ConversationId,
    now: Timestamp,
) -> Result<Vec<(UserId, ConversationRow)>, DbErr> {
    let ids: Vec<Uuid> = users.iter().map(|id| id.0).collect();
    let text = format!(
        "SELECT v.*, w.user_id AS viewer FROM participants w JOIN ({} WHERE p.conversation_id = $2) v ON v.viewer_id = w.user_id
         WHERE w.conversation_id = $2 AND w.user_id IN ({{set}}) AND w.left_at IS NULL",
        view_statement(conn)
    )
    .replace("SELECT c.id,", "SELECT p.user_id AS viewer_id, c.id,");
    let rows = dialect::all(conn, dialect::over_ids(conn, &text, &ids, vec![id.into()])).await?;
    rows.iter().map(|row| Ok((UserId(row.try_get("", "viewer")?), read_row(row, now)?))).collect()
}

/// Selects which conversations of a user to list.
#[derive(Clone, Copy, Default, Debug)]
pub struct ConversationFilter {
    pub kind: Option<ConversationKind>,
    /// True: only archived conversations. False: only the others.
    pub archived: bool,
    /// `Some(true)`: only conversations with unread messages. `Some(false)`: only those without. `None`: both.
    pub unread: Option<bool>,
}

/// Lists at most `limit` conversations of a user that come after the sort key `after`.
pub async fn list(
    conn: &impl ConnectionTrait,
    user: UserId,
    filter: ConversationFilter,
    after: Option<ConversationSortKey>,
    limit: u64,
    now: Timestamp,
) -> Result<Vec<ConversationRow>, DbErr> {
    let archived = "(p.archived_seq IS NOT NULL AND (c.last_seq <= p.archived_seq OR COALESCE(p.muted_until, 0) > $2))";
    let mut ids = format!(
        "SELECT c.id FROM participants p JOIN conversations c ON c.id = p.conversation_id AND c.deleted_at IS NULL
         WHERE p.user_id = $1 AND p.left_at IS NULL AND {}{archived}",
        if filter.archived { "" } else { "NOT " }
    );
    let mut values: Vec<Value> = vec![user.into(), now.into(), (limit as i64).into()];
    if let Some(kind) = filter.kind {
        values.push(kind.as_str().into());
        let _ = write!(ids, " AND c.kind = ${}", values.len());
    }
    if let Some(unread) = filter.unread {
        let hidden = hidden::unread_count_query("p.last_read_seq");
        // The two stored counts decide most conversations, for which the hidden messages need not be counted.
        let _ = if unread {
            write!(ids, " AND c.last_count > p.last_read_count AND c.last_count - p.last_read_count > {hidden}")
        } else {
            write!(ids, " AND (c.last_count <= p.last_read_count OR c.last_count - p.last_read_count <= {hidden})")
        };
    }
    if let Some(key) = after {
        let first = values.len() + 1;
        values.extend([i64::from(key.pinned).into(), key.activity.into(), key.id.into()]);
        let _ = write!(
            ids,
            " AND (CASE WHEN p.pinned_at IS NULL THEN 0 ELSE 1 END, COALESCE(c.last_message_at, c.created_at), c.id)
                  < (CAST(${first} AS integer), ${}, ${})",
            first + 1,
            first + 2
        );
    }
    ids.push_str(
        " ORDER BY CASE WHEN p.pinned_at IS NULL THEN 0 ELSE 1 END DESC, COALESCE(c.last_message_at, c.created_at) DESC, c.id DESC
         LIMIT $3",
    );
    // A user may be in a thousand conversations: sort them with two rows for each, and read the rest for the page only.
    let text = format!(
        "{} WHERE p.user_id = $1 AND p.conversation_id IN ({ids}) ORDER BY pinned DESC, activity DESC, c.id DESC",
        view_statement(conn)
    );
    let rows = dialect::all(conn, dialect::plain(conn, &text, values)).await?;
    rows.iter().map(|row| read_row(row, now)).collect()
}

/// Returns the unread totals over all conversations of a user at `now`, including archived ones. A conversation that is
/// muted then counts for its mentions alone. A message that mentions the user by name and with all members counts once.
pub async fn get_unread_count(conn: &impl ConnectionTrait, user: UserId, now: Timestamp) -> Result<UnreadCount, DbErr> {
    // Compare with NULL instead of using NOT EXISTS: PostgreSQL turns the latter into a join that reads all rows of the
    // table for each conversation.
    let absent = |table: &str, seq: &str| {
        format!(
            "(SELECT t.seq FROM {table} t WHERE t.user_id = p.user_id AND t.conversation_id = p.conversation_id
              AND t.seq = {seq} LIMIT 1) IS NULL"
        )
    };
    let text = format!(
        "SELECT CAST(COALESCE(sum(CASE WHEN u.loud THEN u.unread END), 0) AS bigint) AS messages,
                count(CASE WHEN u.loud AND u.unread > 0 THEN 1 END) AS conversations,
                CAST(COALESCE(sum(u.named + u.with_all), 0) AS bigint) AS mentions
         FROM (SELECT COALESCE(p.muted_until, 0) <= $2 AS loud,
                      c.last_count - p.last_read_count - {hidden} AS unread,
                      (SELECT count(*) FROM mentions n
                       WHERE n.user_id = p.user_id AND n.conversation_id = p.conversation_id
                         AND n.seq > p.last_read_seq AND {named_shown}) AS named,
                      (SELECT count(*) FROM messages m
                       WHERE m.conversation_id = p.conversation_id AND m.seq > p.last_read_seq AND m.mentions_all
                         AND m.sender_id <> p.user_id AND {shown} AND {unnamed}) AS with_all
               FROM participants p JOIN conversations c ON c.id = p.conversation_id AND c.deleted_at IS NULL
               WHERE p.user_id = $1 AND p.left_at IS NULL AND c.last_count > p.last_read_count) u",
        hidden = hidden::unread_count_query("p.last_read_seq"),
        named_shown = absent("hidden_messages", "n.seq"),
        shown = absent("hidden_messages", "m.seq"),
        unnamed = absent("mentions", "m.seq"),
    );
    let Some(row) = dialect::one(conn, dialect::plain(conn, &text, vec![user.into(), now.into()])).await? else {
        return Ok(UnreadCount { messages: 0, conversations: 0, mentions: 0 });
    };
    Ok(UnreadCount {
        messages: row.try_get("", "messages")?,
        conversations: row.try_get("", "conversations")?,
        mentions: row.try_get("", "mentions")?,
    })
}
