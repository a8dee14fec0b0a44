//! A send for the queue of the writer, with a message id that the test knows before.

use super::caller_of;
use greenroom::domain::caller::Caller;
use greenroom::domain::content::MessageKind;
use greenroom::domain::ids::{ConversationId, MessageId, UserId};
use greenroom::domain::tokens;
use greenroom::error::Result;
use greenroom::mailboxes::{self, SendJob, SentMessage};
use greenroom::protocol::messages::NewMessage;
use greenroom::protocol::sends::CheckedSend;

/// A send for the queue of the writer.
#[derive(Clone, Debug)]
pub struct TestSend {
    pub id: MessageId,
    pub conversation: ConversationId,
    pub sender: UserId,
    pub content: String,
    /// The data of a sticker; `None` for a text.
    pub data: Option<serde_json::Value>,
    pub reply_to: Option<MessageId>,
    pub temp_id: Option<String>,
}

impl TestSend {
    /// Creates a send of a text.
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

    /// Sets the `temp_id`.
    pub fn with_temp_id(self, temp_id: impl Into<String>) -> Self {
        Self { temp_id: Some(temp_id.into()), ..self }
    }

    /// Returns the hash that distinguishes a repeated send from another send with the same `temp_id`.
    pub fn hash(&self) -> String {
        tokens::body_hash(format!("{:?}", (&self.content, &self.data, self.reply_to)).as_bytes())
    }

    /// Returns the checked send, as the use case takes it.
    pub fn checked(self) -> CheckedSend {
        let new = NewMessage {
            content: Some(self.content),
            kind: self.data.as_ref().map(|_| MessageKind::Sticker),
            data: self.data,
            attachment_ids: None,
            reply_to_id: self.reply_to,
            temp_id: self.temp_id,
        };
        CheckedSend::parse(&caller_of(self.sender), self.conversation, new).expect("a valid send")
    }

    /// Returns the job for the writer.
    pub fn job(self, answer: impl FnOnce(Result<SentMessage>) + Send + Sync + 'static) -> SendJob {
        SendJob {
            message_id: self.id,
            send: self.checked(),
            times_postponed: 0,
            unknown_until: None,
            permit: None,
            answer: mailboxes::answer(answer),
        }
    }
}
