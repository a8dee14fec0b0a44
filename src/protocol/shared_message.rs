//! A message as all users get it, in events: without the fields that depend on the viewer.

use super::messages::{Message, MessageStatus};
use crate::domain::ids::ConversationId;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::ops::Deref;
use std::sync::Arc;

/// A message without `status` and `reactions[].me`. Copies share one text.
#[derive(Clone, PartialEq, Debug)]
pub struct SharedMessage(Arc<Message>);

impl SharedMessage {
    /// Removes what depends on the viewer.
    pub fn new(mut message: Message) -> Self {
        message.status = None;
        for reaction in &mut message.reactions {
            reaction.me = None;
        }
        Self(Arc::new(message))
    }

    /// Returns the message as a viewer sees it who has made the reactions with `own_emojis`. `status` is `None` if the
    /// viewer may not see it.
    pub fn for_viewer(self, own_emojis: &[String], status: Option<MessageStatus>) -> Message {
        let mut message = Arc::unwrap_or_clone(self.0);
        message.status = status;
        for reaction in &mut message.reactions {
            reaction.me = Some(own_emojis.contains(&reaction.emoji));
        }
        message
    }

    /// Returns the message to change it, for the redaction of stored events.
    pub(super) fn to_mut(&mut self) -> &mut Message {
        Arc::make_mut(&mut self.0)
    }
}

impl Deref for SharedMessage {
    type Target = Message;

    fn deref(&self) -> &Message {
        &self.0
    }
}

impl Serialize for SharedMessage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SharedMessage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Message::deserialize(deserializer).map(Self::new)
    }
}

/// The payload of `message.new` and `message.edited`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MessageEvent {
    pub conversation_id: ConversationId,
    pub message: SharedMessage,
}

impl MessageEvent {
    /// Returns the payload for the stream of the conversation of the message.
    pub fn new(message: SharedMessage) -> Self {
        Self { conversation_id: message.conversation_id, message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::MessageId;
    use serde_json::{Value, json};

    #[test]
    fn what_depends_on_a_viewer_is_neither_kept_nor_read_back() {
        let shown = json!({
            "id": MessageId::new(), "conversation_id": ConversationId::new(), "seq": 1, "sender_id": null,
            "sender": null, "type": "text", "content": "hi", "data": null, "attachments": [], "reply_to": null,
            "mentions": [], "reactions": [{"emoji": "👍", "count": 1, "me": true}, {"emoji": "🎉", "count": 1}],
            "pinned": false, "status": "seen", "temp_id": null, "edited_at": null, "deleted_at": null,
            "created_at": "2026-01-01T00:00:00Z",
        });
        let message: Message = serde_json::from_value(shown).expect("a message");
        let shared = SharedMessage::new(message);
        let text = serde_json::to_value(&shared).expect("JSON");
        assert_eq!((&text["status"], &text["reactions"][0]["me"]), (&Value::Null, &Value::Null));
        let read: SharedMessage = serde_json::from_value(text).expect("a message");
        assert_eq!(read, shared);
        let message = read.for_viewer(&["👍".to_owned()], Some(MessageStatus::Sent));
        let me: Vec<_> = message.reactions.iter().map(|reaction| reaction.me).collect();
        assert_eq!((message.status, me), (Some(MessageStatus::Sent), vec![Some(true), Some(false)]));
    }
}
