//! The statistics reader: how many messages and links each conversation has, and from whom. Deleted messages keep their
//! place and count; their links are gone. What the system says is not counted.

use super::reader::Reader;
use crate::domain::ids::{ConversationId, MessageId, Seq, UserId};
use crate::domain::links::links;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::store::readers::LogRow;
use crate::store::statistics::{self, Growth, Link};
use crate::store::transaction::Transaction;
use crate::usecases::transact::Work;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The reader.
#[derive(Clone, Copy, Debug)]
pub struct Statistics;

impl Reader for Statistics {
    fn name(&self) -> &'static str {
        "statistics"
    }

    fn rest(&self) -> Duration {
        Duration::from_millis(200)
    }

    fn handle<'t>(&'t self, conn: &'t Transaction, rows: &'t [&'t LogRow]) -> Work<'t, ()> {
        Box::pin(async move {
            let mut page = Page::default();
            for row in rows {
                page.take(row)?;
            }
            page.write(conn).await
        })
    }
}

/// A frame; its other fields do not matter here, nor do those of its payload that are not counted.
#[derive(Deserialize)]
struct Told<T> {
    payload: T,
}

#[derive(Deserialize)]
struct Said {
    conversation_id: ConversationId,
    message: Message,
}

#[derive(Deserialize)]
struct Message {
    id: MessageId,
    seq: Seq,
    sender_id: Option<UserId>,
    content: String,
    created_at: Timestamp,
}

#[derive(Deserialize)]
struct Deleted {
    message_id: MessageId,
}

/// What the rows of a page come to.
#[derive(Default)]
struct Page {
    conversations: BTreeMap<ConversationId, Growth>,
    senders: BTreeMap<(ConversationId, UserId), i64>,
    /// The links of messages as the last row about each says.
    links: BTreeMap<MessageId, Vec<Link>>,
    /// Messages that may have had others before this page.
    changed: BTreeSet<MessageId>,
}

impl Page {
    fn take(&mut self, row: &LogRow) -> Result<()> {
        match row.event_type.as_str() {
            "message.new" => {
                let Said { conversation_id, message } = payload(row)?;
                if let Some(sender) = message.sender_id {
                    let growth = self.conversations.entry(conversation_id).or_default();
                    growth.messages += 1;
                    growth.first_message_at = growth.first_message_at.or(Some(message.created_at));
                    *self.senders.entry((conversation_id, sender)).or_default() += 1;
                    self.find_links(conversation_id, &message);
                }
            }
            "message.edited" => {
                let Said { conversation_id, message } = payload(row)?;
                self.changed.insert(message.id);
                self.find_links(conversation_id, &message);
            }
            "message.deleted" => {
                let Deleted { message_id } = payload(row)?;
                self.changed.insert(message_id);
                self.links.remove(&message_id);
            }
            _ => {}
        }
        Ok(())
    }

    fn find_links(&mut self, conversation_id: ConversationId, message: &Message) {
        let found = links(&message.content).into_iter().enumerate().map(|(position, url)| Link {
            message_id: message.id,
            position: position as i64,
            conversation_id,
            seq: message.seq,
            url: url.to_owned(),
        });
        self.links.insert(message.id, found.collect());
    }

    async fn write(mut self, conn: &Transaction) -> Result<()> {
        // the page was read before this transaction: what it shows may have been deleted since
        self.links.retain(|_, links| !links.is_empty());
        let standing = statistics::hold(conn, &self.links.keys().copied().collect::<Vec<_>>()).await?;
        self.links.retain(|message, _| standing.contains(message));
        let changed: Vec<MessageId> = self.changed.into_iter().collect();
        for (conversation, gone) in statistics::remove_links(conn, &changed).await? {
            self.conversations.entry(conversation).or_default().links -= gone;
        }
        let links: Vec<Link> = self.links.into_values().flatten().collect();
        for link in &links {
            self.conversations.entry(link.conversation_id).or_default().links += 1;
        }
        statistics::add_links(conn, &links).await?;
        statistics::grow(conn, &self.conversations.into_iter().collect::<Vec<_>>()).await?;
        statistics::grow_senders(conn, &self.senders.into_iter().collect::<Vec<_>>()).await?;
        Ok(())
    }
}

fn payload<T: DeserializeOwned>(row: &LogRow) -> Result<T> {
    serde_json::from_str::<Told<T>>(&row.payload).map(|told| told.payload).map_err(Error::internal)
}
