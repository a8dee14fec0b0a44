//! The statements that read conversations as their participants see them: one, and those of a list.

use crate::domain::accounts::{AccountStatus, UserRole};
use crate::domain::content::MessageKind;
use crate::domain::ids::{ClassId, ConversationId, LoginId, MessageId, Rev, Seq, UserId};
use crate::domain::limits;
use crate::domain::roles::{ConversationKind, Role};
use crate::domain::text::preview;
use crate::domain::time::Timestamp;
use crate::protocol::conversations::{ClassBrief, LastMessage};
use crate::protocol::settings::{NotifyLevel, OwnView};
use crate::protocol::users::UserBrief;
use crate::store::accounts::AccountState;
use crate::store::dialect;
use crate::store::logins::LoginState;
use crate::store::messages::hidden;
use sea_orm::{ConnectionTrait, DbErr, QueryResult, TryGetable, Value};
use serde::{Deserialize, Serialize};
use std::fmt::Write;
use uuid::Uuid;

// `pinned` and `activity` are the sort key of a user's list. Both are computed, so no index contains them. `lm` is the
// newest message that the user has not hidden. `read_row` reads the columns in this order.
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
                 THEN 1 ELSE 0 END AS blocked,
            p.user_id AS viewer
     FROM {memberships} AND c.deleted_at IS NULL
     LEFT JOIN {class} ON cl.id = c.class_id
     {last}
     LEFT JOIN {peer} ON o.id = CASE WHEN c.direct_low = p.user_id THEN c.direct_high ELSE c.direct_low END";

/// The number of columns of [`VIEW`].
const VIEW_COLUMNS: usize = 38;

/// Returns the statement [`VIEW`], which finds the newest message by index, for one conversation at a time. The LATERAL
/// join forces PostgreSQL to do so: it would otherwise read all messages and all hidden messages once. On SQLite the row
/// id leaves no other way.
fn view_statement(conn: &impl ConnectionTrait) -> String {
    let newest = "FROM messages s WHERE s.conversation_id = c.id AND NOT EXISTS (
                      SELECT 1 FROM hidden_messages h
                      WHERE h.user_id = p.user_id AND h.conversation_id = s.conversation_id AND h.seq = s.seq)
                  ORDER BY s.seq DESC LIMIT 1";
    let last = if dialect::is_postgres(conn) {
        format!("LEFT JOIN LATERAL (SELECT s.* {newest}) lm ON TRUE")
    } else {
        format!("LEFT JOIN messages lm ON lm.rowid = (SELECT s.rowid {newest})")
    };
    let by_key = |table, alias| dialect::by_key(dialect::is_postgres(conn), table, alias);
    VIEW.replace("{memberships}", &memberships(conn))
        .replace("{class}", &by_key("classes", "cl"))
        .replace("{peer}", &by_key("users", "o"))
        .replace("{last}", &last)
        .replace("{hidden}", &hidden::unread_count_query("p.last_read_seq"))
}

/// Returns the join of participants with their conversations, which begins with the participants.
fn memberships(conn: &impl ConnectionTrait) -> String {
    let is_postgres = dialect::is_postgres(conn);
    // On SQLite CROSS JOIN fixes the order. With the statistics of a few conversations it would read all of them first.
    let join = if is_postgres { "JOIN" } else { "CROSS JOIN" };
    let conversations = dialect::by_key(is_postgres, "conversations", "c");
    format!("participants p {join} {conversations} ON c.id = p.conversation_id")
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

/// Reads the columns of a row one after another, by their index. A page has thousands of columns, and to find each by
/// its name takes longer than to read it.
struct Columns<'r> {
    row: &'r QueryResult,
    next: usize,
}

impl Columns<'_> {
    fn next<T: TryGetable>(&mut self) -> Result<T, DbErr> {
        self.next += 1;
        self.row.try_get_by_index(self.next - 1)
    }

    fn next_time(&mut self) -> Result<Option<Timestamp>, DbErr> {
        Ok(self.next::<Option<i64>>()?.map(Timestamp))
    }

    fn next_word(&mut self) -> Result<String, DbErr> {
        self.next()
    }

    fn next_user(&mut self) -> Result<Option<UserId>, DbErr> {
        Ok(self.next::<Option<Uuid>>()?.map(UserId))
    }
}

/// Reads the columns of [`VIEW`] up to `blocked`. The next column is `viewer`.
fn read_row(columns: &mut Columns<'_>, now: Timestamp) -> Result<ConversationRow, DbErr> {
    let id = ConversationId(columns.next()?);
    let kind = ConversationKind::from_stored(&columns.next_word()?);
    let (name, description, avatar_url) = (columns.next()?, columns.next()?, columns.next()?);
    let created_by = columns.next_user()?;
    let (created_at, updated_at) = (Timestamp(columns.next()?), Timestamp(columns.next()?));
    let (last_seq, last_rev) = (Seq(columns.next()?), Rev(columns.next()?));
    let (member_count, activity) = (columns.next()?, columns.next()?);
    let role = Role::from_stored(&columns.next_word()?);
    let last_read_seq = Seq(columns.next()?);
    let unread_count = columns.next::<i64>()?.max(0);
    let muted_until = columns.next_time()?.filter(|until| *until > now);
    let muted_until = muted_until.map(|until| until.min(Timestamp::FAR_FUTURE));
    let archived_seq: Option<i64> = columns.next()?;
    let notify = match columns.next_word()?.as_str() {
        "mentions" => NotifyLevel::Mentions,
        "none" => NotifyLevel::None,
        _ => NotifyLevel::All,
    };
    let pinned = columns.next::<i32>()? == 1;
    let (class_id, class_archived_at) = (columns.next::<Option<Uuid>>()?, columns.next_time()?);
    let class = class_id.map(|class| ClassBrief { id: ClassId(class), archived: class_archived_at.is_some() });
    let last_message = read_last_message(columns)?;
    let peer = read_peer(columns)?;
    let blocked = columns.next::<i32>()? == 1;
    let archived = archived_seq.is_some_and(|seq| last_seq.0 <= seq || muted_until.is_some());
    Ok(ConversationRow {
        id,
        kind,
        name,
        description,
        avatar_url,
        class,
        created_by,
        created_at,
        updated_at,
        last_seq,
        last_rev,
        last_message,
        member_count,
        unread_count,
        my: OwnView { role, last_read_seq, muted_until, archived, pinned, notify, blocked },
        peer,
        sort_key: ConversationSortKey { pinned, activity, id: id.0 },
    })
}

fn read_last_message(columns: &mut Columns<'_>) -> Result<Option<LastMessage>, DbErr> {
    let (id, seq) = (columns.next::<Option<Uuid>>()?, columns.next::<Option<i64>>()?);
    let sender_id = columns.next_user()?;
    let (kind, content) = (columns.next::<Option<String>>()?, columns.next::<Option<String>>()?);
    let (deleted_at, created_at) = (columns.next_time()?, columns.next_time()?);
    let (Some(id), Some(seq), Some(kind), Some(created_at)) = (id, seq, kind, created_at) else { return Ok(None) };
    let content = content.filter(|_| deleted_at.is_none()).unwrap_or_default();
    Ok(Some(LastMessage {
        id: MessageId(id),
        seq: Seq(seq),
        sender_id,
        kind: MessageKind::from_stored(&kind),
        content: preview(&content, limits::PREVIEW_CHARS),
        created_at,
    }))
}

fn read_peer(columns: &mut Columns<'_>) -> Result<Option<PeerRow>, DbErr> {
    let id = columns.next_user()?;
    let (username, display_name) = (columns.next::<Option<String>>()?, columns.next::<Option<String>>()?);
    let (avatar_url, external_id) = (columns.next()?, columns.next()?);
    let role: Option<String> = columns.next()?;
    let (last_seen_at, created_at) = (columns.next_time()?, columns.next_time()?);
    let (Some(id), Some(username), Some(display_name), Some(role), Some(created_at)) =
        (id, username, display_name, role, created_at)
    else {
        return Ok(None);
    };
    Ok(Some(PeerRow {
        brief: UserBrief { id, username, display_name, avatar_url },
        external_id,
        role: UserRole::from_stored(&role),
        last_seen_at,
        created_at,
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
    row.map(|row| read_row(&mut Columns { row: &row, next: 0 }, now)).transpose()
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
        "SELECT v.* FROM participants w JOIN ({} WHERE p.conversation_id = $2) v ON v.viewer = w.user_id
         WHERE w.conversation_id = $2 AND w.user_id IN ({{set}}) AND w.left_at IS NULL",
        view_statement(conn)
    );
    let rows = dialect::all(conn, dialect::over_ids(conn, &text, &ids, vec![id.into()])).await?;
    rows.iter()
        .map(|row| {
            let mut columns = Columns { row, next: 0 };
            let view = read_row(&mut columns, now)?;
            Ok((UserId(columns.next()?), view))
        })
        .collect()
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

/// What the statement of a list has found.
#[derive(Debug, Default)]
pub struct ListedConversations {
    /// The state of the login in the arguments. `None` if there is no such login.
    pub login: Option<LoginState>,
    pub rows: Vec<ConversationRow>,
}

/// Lists at most `limit` conversations of a user that come after the sort key `after`, and reads the state of `login`
/// in the same statement.
pub async fn list(
    conn: &impl ConnectionTrait,
    user: UserId,
    login: Option<LoginId>,
    filter: ConversationFilter,
    after: Option<ConversationSortKey>,
    limit: u64,
    now: Timestamp,
) -> Result<ListedConversations, DbErr> {
    let archived = "(p.archived_seq IS NOT NULL AND (c.last_seq <= p.archived_seq OR COALESCE(p.muted_until, 0) > $2))";
    let mut ids = format!(
        "SELECT c.id FROM {} AND c.deleted_at IS NULL WHERE p.user_id = $1 AND p.left_at IS NULL AND {}{archived}",
        memberships(conn),
        if filter.archived { "" } else { "NOT " }
    );
    let mut values: Vec<Value> =
        vec![user.into(), now.into(), (limit as i64).into(), login.map(|login| login.0).into()];
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
    // The joins with the login do not take part in the plan of the list, which is complete before them.
    let text = format!(
        "WITH v AS MATERIALIZED ({} WHERE p.user_id = $1 AND p.conversation_id IN ({ids}))
         SELECT v.*, l.user_id, lu.role, lu.status, l.revoked_at, l.generation, l.seen_generation
         FROM (SELECT 1 AS one) single LEFT JOIN {login} ON l.id = $4 LEFT JOIN {account} ON lu.id = l.user_id
         LEFT JOIN v ON v.id IS NOT NULL ORDER BY v.pinned DESC, v.activity DESC, v.id DESC",
        view_statement(conn),
        login = dialect::by_key(dialect::is_postgres(conn), "logins", "l"),
        account = dialect::by_key(dialect::is_postgres(conn), "users", "lu"),
    );
    let rows = dialect::all(conn, dialect::plain(conn, &text, values)).await?;
    let mut found = ListedConversations::default();
    for row in &rows {
        if found.login.is_none() {
            found.login = read_login(&mut Columns { row, next: VIEW_COLUMNS })?;
        }
        let is_empty = row.try_get_by_index::<Option<Uuid>>(0)?.is_none();
        if !is_empty {
            found.rows.push(read_row(&mut Columns { row, next: 0 }, now)?);
        }
    }
    Ok(found)
}

/// Reads the state of a login. `None` if there is none.
fn read_login(columns: &mut Columns<'_>) -> Result<Option<LoginState>, DbErr> {
    let Some(user_id) = columns.next_user()? else { return Ok(None) };
    let (role, status) = (columns.next_word()?, columns.next_word()?);
    let account =
        AccountState { user_id, role: UserRole::from_stored(&role), status: AccountStatus::from_stored(&status) };
    let revoked = columns.next_time()?.is_some();
    Ok(Some(LoginState { account, revoked, generation: columns.next()?, seen_generation: columns.next()? }))
}
