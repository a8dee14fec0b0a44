//! A send as a test writes it, straight for the writer's queue: with an id that the test knows beforehand.

use greenroom::domain::caller::Caller;
use greenroom::domain::content::MessageKind;
use greenroom::domain::ids::{ConversationId, MessageId, UserId};
use greenroom::domain::tokens;
use greenroom::error::Result;
use greenroom::mailboxes::{self, SendJob, SentMessage};
use greenroom::protocol::messages::NewMessage;
use greenroom::protocol::sends::CheckedSend;

/// A send as a test writes it.
#[derive(Clone, Debug)]
pub struct Post {
    /// The id it will be stored under.
    pub id: MessageId,
    /// Where.
    pub conversation: ConversationId,
    /// Who.
    pub sender: UserId,
    /// What.
    pub content: String,
    /// Its kind's data; a sticker has some, a text none.
    pub data: Option<serde_json::Value>,
    /// What it answers.
    pub reply_to: Option<MessageId>,
    /// The client's own id of it.
    pub temp_id: Option<String>,
}

impl Post {
    /// A plain text.
    pub fn new(conversation: ConversationId, sender: &Caller, content: impl Into<String>) -> Self {
        Self {
            id: MessageId::new(),
            conversation,
            sender: sender.user_id,
            content: content.into(),
            data: None,
            reply_to: None,
            temp_id: None,
        }
    }

    /// With a `temp_id`.
    pub fn named(self, temp_id: impl Into<String>) -> Self {
        Self { temp_id: Some(temp_id.into()), ..self }
    }

    /// What tells a repetition from a reuse.
    pub fn hash(&self) -> String {
        tokens::body_hash(format!("{:?}", (&self.content, &self.data, self.reply_to)).as_bytes())
    }

    /// As the use case takes it.
    pub fn checked(self) -> CheckedSend {
        let new = NewMessage {
            content: Some(self.content),
            kind: self.data.as_ref().map(|_| MessageKind::Sticker),
            data: self.data,
            attachment_ids: None,
            reply_to_id: self.reply_to,
            temp_id: self.temp_id,
        };
        CheckedSend::parse(self.sender, self.conversation, new).expect("a valid send")
    }

    /// As the writer takes it.
    pub fn job(self, answer: impl FnOnce(Result<SentMessage>) + Send + Sync + 'static) -> SendJob {
        SendJob {
            message_id: self.id,
            send: self.checked(),
            times_postponed: 0,
            unknown_until: None,
            answer: mailboxes::answer(answer),
        }
    }
}
