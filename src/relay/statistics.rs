//! The statistics reader: counts the messages and links of each conversation, and the messages of each sender.
//!
//! Deleted messages still count, but their links do not. System messages do not count.

use super::reader::{Begin, Reader};
use crate::domain::ids::{ConversationId, MessageId, MessageKey, UserId};
use crate::domain::links::links;
use crate::error::{Error, Result};
use crate::mailboxes::Ephemeral;
use crate::protocol::stored_event::{CoreMessageFields, CorePayload, StoredEvent, StoredMessageDeleted};
use crate::store::db::transaction::Transaction;
use crate::store::log::pages::LogRow;
use crate::store::statistics::{self, CountDelta, Link};
use crate::work::transact::WorkFuture;
use crate::work::tx::Tx;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Rows that are removed before they are counted are missing in the counts for ever, so the operator has a week to
/// restart the reader.
const MAX_LAG: Duration = Duration::from_hours(7 * 24);

/// The reader that keeps the statistics of conversations.
#[derive(Clone, Copy, Debug)]
pub struct Statistics;

impl Reader for Statistics {
    fn name(&self) -> &'static str {
        "statistics"
    }

    fn begin(&self) -> Begin {
        Begin::Start
    }

    fn max_lag(&self) -> Duration {
        MAX_LAG
    }

    fn page_interval(&self) -> Duration {
        Duration::from_millis(200)
    }

    fn handle<'t>(&'t self, tx: &'t mut Tx, rows: &'t [&'t LogRow]) -> WorkFuture<'t, Vec<Ephemeral>> {
        Box::pin(async move {
            let mut changes = PageChanges::default();
            for row in rows {
                changes.add(row)?;
            }
            changes.write(tx.conn()).await?;
            Ok(Vec::new())
        })
    }
}

/// The changes that the rows of a page make to the statistics.
#[derive(Default)]
struct PageChanges {
    counts_by_conversation: BTreeMap<ConversationId, CountDelta>,
    counts_by_sender: BTreeMap<(ConversationId, UserId), i64>,
    /// The links of each message after its last row in the page.
    links_by_message: BTreeMap<MessageKey, Vec<Link>>,
    /// The messages of each conversation that may have had other links before this page.
    changed_messages: BTreeMap<ConversationId, BTreeSet<MessageId>>,
}

impl PageChanges {
    fn add(&mut self, row: &LogRow) -> Result<()> {
        match row.event() {
            StoredEvent::MessageNew(stored) => {
                let CorePayload { conversation_id, message } = stored.read_core().map_err(Error::internal)?;
                if let Some(sender) = message.sender_id {
                    let delta = self.counts_by_conversation.entry(conversation_id).or_default();
                    delta.messages += 1;
                    delta.first_message_at = delta.first_message_at.or(Some(message.created_at));
                    *self.counts_by_sender.entry((conversation_id, sender)).or_default() += 1;
                    self.find_links(conversation_id, &message);
                }
            }
            StoredEvent::MessageEdited(stored) => {
                let CorePayload { conversation_id, message } = stored.read_core().map_err(Error::internal)?;
                self.changed_messages.entry(conversation_id).or_default().insert(message.id);
                self.find_links(conversation_id, &message);
            }
            StoredEvent::MessageDeleted(stored) => {
                let StoredMessageDeleted { conversation_id, message_id } = stored.read().map_err(Error::internal)?;
                self.changed_messages.entry(conversation_id).or_default().insert(message_id);
                self.links_by_message.remove(&(conversation_id, message_id));
            }
            // An event of a newer version is not counted, so that one such row does not stop the counts.
            StoredEvent::Unknown
            | StoredEvent::MessagePinned
            | StoredEvent::MessageUnpinned
            | StoredEvent::ReactionUpdated
            | StoredEvent::ConversationUpdated
            | StoredEvent::ParticipantJoined
            | StoredEvent::ParticipantLeft(_)
            | StoredEvent::ParticipantUpdated
            | StoredEvent::ConversationCreated(_)
            | StoredEvent::ConversationRemoved
            | StoredEvent::ConversationSettings
            | StoredEvent::MessageHidden
            | StoredEvent::SessionRevoked(_)
            | StoredEvent::UserCreated
            | StoredEvent::UserUpdated => {}
        }
        Ok(())
    }

    fn find_links(&mut self, conversation_id: ConversationId, message: &CoreMessageFields) {
        let found = links(&message.content).into_iter().enumerate().map(|(index, url)| Link {
            message_id: message.id,
            index: index as i64,
            conversation_id,
            seq: message.seq,
            url: url.to_owned(),
        });
        self.links_by_message.insert((conversation_id, message.id), found.collect());
    }

    async fn write(mut self, conn: &Transaction) -> Result<()> {
        // The page was read before this transaction: lock its messages, and skip those that were deleted in the
        // meantime.
        self.links_by_message.retain(|_, links| !links.is_empty());
        let existing =
            statistics::lock_messages(conn, &self.links_by_message.keys().copied().collect::<Vec<_>>()).await?;
        self.links_by_message.retain(|(_, message), _| existing.contains(message));
        for (conversation, messages) in self.changed_messages {
            let messages: Vec<MessageId> = messages.into_iter().collect();
            let removed = statistics::remove_links(conn, conversation, &messages).await?;
            if removed > 0 {
                self.counts_by_conversation.entry(conversation).or_default().links -= removed;
            }
        }
        let links: Vec<Link> = self.links_by_message.into_values().flatten().collect();
        for link in &links {
            self.counts_by_conversation.entry(link.conversation_id).or_default().links += 1;
        }
        statistics::add_links(conn, &links).await?;
        statistics::add_counts(conn, &self.counts_by_conversation.into_iter().collect::<Vec<_>>()).await?;
        statistics::add_sender_counts(conn, &self.counts_by_sender.into_iter().collect::<Vec<_>>()).await?;
        Ok(())
    }
}
