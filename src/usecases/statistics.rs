//! What is counted: in a conversation, and over the caller's own. The counts are kept by a reader of the log, so they lag
//! behind the messages by less than a second.

use super::Caller;
use super::conversations;
use crate::app::App;
use crate::domain::ids::ConversationId;
use crate::domain::limits;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::protocol::resources::{ConversationStatistics, MessagesOfMember, OwnStatistics};
use crate::store::{self, statistics};

/// The counts of a conversation, for its participants.
pub async fn of_conversation(app: &App, caller: &Caller, id: ConversationId) -> Result<ConversationStatistics> {
    let turn = app.db().heavy(caller.user_id).await?;
    let conn = turn.conn();
    let counted = statistics::counted(conn, id).await?;
    let senders = statistics::top_senders(conn, id, limits::TOP_SENDERS).await?;
    let members = statistics::members(conn, id).await?;
    // the right last: whoever is removed while the rows are read is not shown what came after
    conversations::require_participant(app, caller, id).await?;
    Ok(ConversationStatistics {
        messages: counted.messages,
        attachments: counted.attachments,
        links: counted.links,
        members,
        messages_by_member: senders.into_iter().map(|(user_id, count)| MessagesOfMember { user_id, count }).collect(),
        first_message_at: counted.first_message_at,
    })
}

/// The caller's conversations, counted.
pub async fn own(app: &App, caller: &Caller) -> Result<OwnStatistics> {
    let (turn, now) = (app.db().heavy(caller.user_id).await?, Timestamp::now());
    let own = statistics::own(turn.conn(), caller.user_id, now).await?;
    let unread = store::conversations::unread(turn.conn(), caller.user_id, now).await?;
    Ok(OwnStatistics {
        total: own.direct + own.group + own.class,
        direct: own.direct,
        group: own.group,
        class: own.class,
        archived: own.archived,
        muted: own.muted,
        unread_conversations: unread.conversations,
        unread_messages: unread.messages,
        messages_sent: own.messages_sent,
    })
}
