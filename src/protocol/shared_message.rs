//! A message as all users get it, in events: without the fields that depend on the viewer.

use super::messages::{Message, MessageStatus};
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
