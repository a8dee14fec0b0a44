//! What users do with statistics: reading those of a conversation, and of their own conversations. A reader of the log
//! updates most counts, so they are less than a second behind the messages.

use crate::app::App;
use crate::domain::caller::Caller;
use crate::domain::ids::ConversationId;
use crate::domain::limits;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::protocol::statistics::{ConversationStatistics, MessagesOfMember, OwnStatistics};
use crate::store::statistics;
use crate::work::access;
use crate::work::read::read_heavy;
use crate::work::views;

/// Returns the statistics of a conversation. Fails if the caller is not a participant.
pub async fn get_for_conversation(app: &App, caller: &Caller, id: ConversationId) -> Result<ConversationStatistics> {
    let user = caller.user_id;
    read_heavy(app, caller, move |conn| {
        Box::pin(async move {
            let counted = statistics::conversation_counts(conn, id).await?;
            let senders = statistics::top_senders(conn, id, limits::TOP_SENDERS).await?;
            let members = statistics::get_member_count(conn, id).await?;
            // Check membership after reading: a user removed meanwhile must not see newer rows.
            access::require_participant(conn, id, user).await?;
            let by_member = senders.into_iter().map(|(user_id, count)| MessagesOfMember { user_id, count });
            Ok(ConversationStatistics {
                messages: counted.messages,
                attachments: counted.attachments,
                links: counted.links,
                members,
                messages_by_member: by_member.collect(),
                first_message_at: counted.first_message_at,
            })
        })
    })
    .await
}

/// Returns the statistics of the caller's conversations.
pub async fn get_own(app: &App, caller: &Caller) -> Result<OwnStatistics> {
    let user = caller.user_id;
    let own = read_heavy(app, caller, move |conn| {
        Box::pin(async move { Ok(statistics::own_counts(conn, user, Timestamp::now()).await?) })
    })
    .await?;
    let unread = views::get_unread_count(app, user).await?;
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
