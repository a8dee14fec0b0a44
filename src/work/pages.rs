//! How use cases read pages of messages: one statement for the page, and a second one if its messages have quotes,
//! mentions or reactions.

use super::access;
use super::assemble::messages::list_of_page;
use crate::domain::ids::{ConversationId, LoginId, MessageId, Rev, Seq, UserId};
use crate::domain::mentions::has_mention_sign;
use crate::error::{Error, Result};
use crate::protocol::messages::Message;
use crate::store::logins::LoginState;
use crate::store::messages::MessageRow;
use crate::store::messages::page::extras::{self, ExtrasQuery, PageExtras};
use crate::store::messages::page::{self, PageConversation, PageRange, PageRows, PageSides};
use sea_orm::ConnectionTrait;

/// A page as it was read. Nothing of it may be shown before the use case has decided by `login`.
pub struct ReadPage {
    pub login: Option<LoginState>,
    viewer: UserId,
    range: PageRange,
    rows: PageRows,
    /// `None` if the page needs none.
    extras: Option<PageExtras>,
}

/// A page that the viewer may see.
pub struct VisiblePage {
    pub rev: Rev,
    /// The messages before the point, in the order of their `seq`.
    pub before: Vec<MessageRow>,
    /// The messages after the point, in the order of their `seq`.
    pub after: Vec<MessageRow>,
    /// Whether there are messages on the side of the point that was not read. False if both sides were read.
    pub has_other_side: bool,
    viewer: UserId,
    rows: PageRows,
    extras: PageExtras,
}

/// Reads the messages of a conversation beside a point, as far as `viewer` has not hidden them.
pub async fn read_page(
    conn: &impl ConnectionTrait,
    conversation_id: ConversationId,
    viewer: UserId,
    login: Option<LoginId>,
    range: PageRange,
) -> Result<ReadPage> {
    let rows = page::read(conn, conversation_id, viewer, login, range).await?;
    let query = rows.conversation.map(|conversation| to_query(&rows, conversation, range)).unwrap_or_default();
    let extras = if query.is_empty() { None } else { Some(extras::read(conn, conversation_id, viewer, &query).await?) };
    Ok(ReadPage { login: rows.login, viewer, range, rows, extras })
}

/// Returns what the messages may have besides their own row.
fn to_query(rows: &PageRows, conversation: PageConversation, range: PageRange) -> ExtrasQuery {
    let shown = || rows.before.iter().chain(&rows.after).filter(|row| row.deleted_at.is_none());
    let ids =
        |pick: &dyn Fn(&&MessageRow) -> bool| -> Vec<MessageId> { shown().filter(pick).map(|row| row.id).collect() };
    let (any_from, any_to) = match range.sides {
        PageSides::Before(_) if range.point < Seq(i64::MAX) => (Some(range.point), None),
        PageSides::After(_) => (None, Some(Seq(range.point.0 - 1))),
        PageSides::Before(_) | PageSides::Both { .. } => (None, None),
    };
    let mut quoted: Vec<MessageId> = rows.replies.values().copied().collect();
    quoted.sort_unstable();
    quoted.dedup();
    ExtrasQuery {
        quoted,
        mentioning: ids(&|row| has_mention_sign(&row.content)),
        reacted: if conversation.has_reactions { ids(&|_| true) } else { Vec::new() },
        any_from: any_from.filter(|_| conversation.hides_messages),
        any_to: any_to.filter(|_| conversation.hides_messages),
    }
}

impl ReadPage {
    /// Returns the page, or an error unless the viewer was in the conversation at each read.
    pub fn check(self) -> Result<VisiblePage> {
        let Self { login: _, viewer, range, mut rows, extras } = self;
        let conversation = access::require_page(rows.conversation)?;
        if extras.as_ref().is_some_and(|extras| !extras.is_participant) {
            return Err(Error::not_a_participant());
        }
        let extras = extras.unwrap_or_default();
        // Without hidden messages every number from 1 to the newest one is that of a message.
        let has_other_side = if conversation.hides_messages {
            extras.has_any
        } else {
            match range.sides {
                PageSides::Before(_) => conversation.last_seq >= range.point.max(Seq(1)),
                PageSides::After(_) => conversation.last_seq > Seq(0) && range.point > Seq(1),
                PageSides::Both { .. } => false,
            }
        };
        let (before, after) = (std::mem::take(&mut rows.before), std::mem::take(&mut rows.after));
        Ok(VisiblePage { rev: conversation.rev, before, after, has_other_side, viewer, rows, extras })
    }
}

impl VisiblePage {
    /// Returns messages of the page as the viewer sees them.
    pub fn to_messages(&mut self, rows: Vec<MessageRow>) -> Vec<Message> {
        list_of_page(self.viewer, rows, &self.rows, &mut self.extras)
    }
}
