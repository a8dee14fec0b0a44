//! A send whose input was checked: what the use case takes and the writer stores.

use super::messages::{NewMessage, SendMessage};
use crate::domain::caller::Caller;
use crate::domain::content::{self, Content, MessageKind, TempId};
use crate::domain::ids::{ConversationId, MessageId, UserId};
use crate::domain::limits;
use crate::domain::tokens;
use crate::error::{Error, FieldError, Result};
use serde::Serialize;
use serde_json::Value;

/// A message to send that satisfies every rule that needs no database. [`Self::parse`] is the only way to get one.
#[derive(Clone, Debug)]
pub struct CheckedSend {
    conversation_id: ConversationId,
    sender_id: UserId,
    kind: MessageKind,
    content: Content,
    data: Option<Value>,
    reply_to_id: Option<MessageId>,
    temp_id: Option<TempId>,
    body_hash: String,
}

impl CheckedSend {
    /// Checks what a client of `caller` sent. The error names all invalid fields.
    pub fn parse(caller: &Caller, conversation_id: ConversationId, new: NewMessage) -> Result<Self> {
        let NewMessage { content, kind, data, attachment_ids, reply_to_id, temp_id } = new;
        let attachment_ids = attachment_ids.unwrap_or_default();
        let mut errors = Vec::new();
        let mut add_error = |field: &str, message: String| errors.push(FieldError { field: field.to_owned(), message });
        let content = Content::parse(content.as_deref().unwrap_or_default())
            .map_err(|message| add_error("content", message.into_owned()))
            .ok();
        let kind = match kind.unwrap_or(MessageKind::Text) {
            kind @ (MessageKind::Text | MessageKind::Sticker | MessageKind::Location | MessageKind::Contact) => kind,
            kind => {
                add_error(
                    "type",
                    format!("must be absent: a message becomes {} only through its attachments", kind.as_str()),
                );
                MessageKind::Text
            }
        };
        if let Err(message) = content::check_data(kind, data.as_ref()) {
            add_error("data", message);
        }
        let temp_id = temp_id
            .map(|temp_id| TempId::parse(&temp_id))
            .transpose()
            .map_err(|message| add_error("temp_id", message.into_owned()))
            .ok();
        if attachment_ids.len() > limits::ATTACHMENTS_PER_MESSAGE {
            add_error("attachment_ids", limits::at_most(limits::ATTACHMENTS_PER_MESSAGE, "items").into_owned());
        } else if !attachment_ids.is_empty() {
            add_error("attachment_ids", "must contain only ids of uploads of yours".to_owned());
        }
        if content.as_ref().is_some_and(Content::is_empty) && data.is_none() && errors.is_empty() {
            errors.push(FieldError { field: "content".to_owned(), message: "must not be empty".to_owned() });
        }
        let (Some(content), Some(temp_id), true) = (content, temp_id, errors.is_empty()) else {
            return Err(Error::validation(errors));
        };
        // The hash shows whether a `temp_id` is repeated with the same message or used again for another one. It is
        // stored, so its text stays as it is: the kind of a plain text is null in it.
        let kind_name = Some(kind).filter(|kind| *kind != MessageKind::Text).map(MessageKind::as_str);
        let body_hash = hash(&(content.as_str(), kind_name, &data, &attachment_ids, reply_to_id));
        Ok(Self { conversation_id, sender_id: caller.user_id, kind, content, data, reply_to_id, temp_id, body_hash })
    }

    /// Returns the conversation to send the message to.
    pub fn conversation_id(&self) -> ConversationId {
        self.conversation_id
    }

    /// Returns the author.
    pub fn sender_id(&self) -> UserId {
        self.sender_id
    }

    /// Returns the kind, which is one that clients may send.
    pub fn kind(&self) -> MessageKind {
        self.kind
    }

    /// Returns the text, which may be empty if there is `data`.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// Returns what the kind needs besides text, such as a location.
    pub fn data(&self) -> Option<&Value> {
        self.data.as_ref()
    }

    /// Returns the message to which this message is a reply.
    pub fn reply_to_id(&self) -> Option<MessageId> {
        self.reply_to_id
    }

    /// Returns the id that the client chose.
    pub fn temp_id(&self) -> Option<&TempId> {
        self.temp_id.as_ref()
    }

    /// Returns the hash of the send without its `temp_id`, in hexadecimal.
    pub fn body_hash(&self) -> &str {
        &self.body_hash
    }
}

/// Returns the hash of the fields of a send, as a JSON array.
fn hash(fields: &impl Serialize) -> String {
    tokens::body_hash(&serde_json::to_vec(fields).expect("every key of JSON data is a text"))
}

impl SendMessage {
    /// Returns the conversation, and the message in the form of the REST body.
    pub fn into_parts(self) -> (ConversationId, NewMessage) {
        let Self { conversation_id, content, kind, data, attachment_ids, reply_to_id, temp_id } = self;
        (conversation_id, NewMessage { content, kind, data, attachment_ids, reply_to_id, temp_id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::accounts::UserRole;
    use crate::domain::caller::Via;
    use crate::domain::ids::LoginId;

    fn parse(new: NewMessage) -> Result<CheckedSend> {
        let via = Via::Login { login_id: LoginId::new() };
        let caller = Caller { user_id: UserId::new(), role: UserRole::User, via };
        CheckedSend::parse(&caller, ConversationId::new(), new)
    }

    fn refused(new: NewMessage) -> Vec<String> {
        let error = parse(new).expect_err("a refusal");
        error.fields().iter().map(|field| field.field.clone()).collect()
    }

    #[test]
    fn a_message_must_not_be_empty() {
        assert_eq!(refused(NewMessage::default()), ["content"]);
        assert_eq!(refused(NewMessage { content: Some("  ".into()), ..NewMessage::default() }), ["content"]);
    }

    #[test]
    fn attachments_must_be_uploads() {
        for count in [1, limits::ATTACHMENTS_PER_MESSAGE + 1] {
            let attachment_ids = Some(vec![uuid::Uuid::nil(); count]);
            let new = NewMessage { content: Some("see".into()), attachment_ids, ..NewMessage::default() };
            assert_eq!(refused(new), ["attachment_ids"]);
        }
    }

    #[test]
    fn every_invalid_field_is_named() {
        let new = NewMessage {
            content: Some("a\0".into()),
            kind: Some(MessageKind::System),
            temp_id: Some(String::new()),
            ..NewMessage::default()
        };
        assert_eq!(refused(new), ["content", "type", "temp_id"]);
    }

    #[test]
    fn the_hash_covers_the_content_and_not_the_temp_id() {
        let hash = |content: &str, temp_id: &str| {
            let (content, temp_id) = (Some(content.into()), Some(temp_id.into()));
            parse(NewMessage { content, temp_id, ..NewMessage::default() }).expect("a valid send").body_hash
        };
        assert_eq!(hash("hi", "1"), hash(" hi ", "2"));
        assert_ne!(hash("hi", "1"), hash("ho", "1"));
    }

    #[test]
    fn the_hash_of_a_stored_send_stays_as_it_was() {
        let new = NewMessage { content: Some(" hi ".into()), ..NewMessage::default() };
        assert_eq!(parse(new).expect("a valid send").body_hash, tokens::body_hash(br#"["hi",null,null,[],null]"#));
    }
}
