//! Removes the content of a deleted message from the frames of the log.
//!
//! Nothing else in a frame changes, so that a client with a replay has the same state as a client that was online.

use super::event_type::StoredEventType;
use super::events::Event;
use super::messages::Message;
use super::shared_message::MessageEvent;
use super::stored_event::{MessageFrame, StoredEvent};
use crate::domain::ids::MessageId;
use crate::domain::stream::Stream;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};

/// Returns the frame `text` of `stream` without the content of the message `deleted`, which was deleted at `at`. The
/// message is the one of the frame, or the one that is quoted in it. `None` means that the frame needs no change: it
/// contains neither, or their content is already removed.
///
/// An event of an unknown type is an error, because the log says that it contains the message, and this version cannot
/// remove it. So the message is not deleted before a node of the newer version deletes it.
pub fn redact_frame(
    stream: Stream,
    event_type: &StoredEventType,
    text: &str,
    deleted: MessageId,
    at: Timestamp,
) -> Result<Option<String>> {
    let (stored, to_event): (_, fn(MessageEvent) -> Event) = match StoredEvent::parse(event_type, text) {
        StoredEvent::MessageNew(stored) => (stored, Event::MessageNew),
        StoredEvent::MessageEdited(stored) => (stored, Event::MessageEdited),
        // These contain no text of a message.
        StoredEvent::MessageDeleted(_)
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
        | StoredEvent::UserUpdated => return Ok(None),
        StoredEvent::Unknown => {
            return Err(Error::unavailable(
                "A newer version of the server has stored this message, and this one cannot delete it; try again later.",
            ));
        }
    };
    let MessageFrame { rev, mut payload } = stored.read_frame().map_err(Error::internal)?;
    let message = &mut payload.message;
    if message.id == deleted && message.deleted_at.is_none() {
        remove_content(message.to_mut(), at);
    } else if message.reply_to.as_ref().is_some_and(|quote| quote.id == deleted && !quote.content.is_empty()) {
        if let Some(quote) = &mut message.to_mut().reply_to {
            quote.content.clear();
        }
    } else {
        return Ok(None);
    }
    Ok(Some(to_event(payload).frame(stream, rev)))
}

/// Removes the content of a message that is deleted for everyone.
fn remove_content(message: &mut Message, at: Timestamp) {
    message.content.clear();
    message.data = None;
    message.attachments.clear();
    message.mentions.clear();
    message.mentions_all = false;
    message.reactions.clear();
    message.pinned = false;
    message.deleted_at = Some(at);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::codes::Code;
    use crate::domain::content::MessageKind;
    use crate::domain::ids::{ConversationId, Rev, Seq, UserId};
    use crate::domain::json_text::JsonText;
    use crate::protocol::event_type::EventType;
    use crate::protocol::messages::Quote;
    use crate::protocol::reactions::Reaction;
    use crate::protocol::shared_message::SharedMessage;
    use serde_json::{Value, json};

    const EDITED: StoredEventType = StoredEventType::Known(EventType::MessageEdited);
    const PINNED: StoredEventType = StoredEventType::Known(EventType::MessagePinned);

    fn message(conversation: ConversationId, text: &str) -> Message {
        Message {
            id: MessageId::new(),
            conversation_id: conversation,
            seq: Seq(3),
            sender_id: Some(UserId::new()),
            sender: None,
            kind: MessageKind::Location,
            content: text.to_owned(),
            data: Some(JsonText::from(&json!({"lat": 10.5, "lon": -0.25, "label": text}))),
            attachments: Vec::new(),
            reply_to: None,
            mentions: vec![UserId::new()],
            mentions_all: true,
            reactions: vec![Reaction { emoji: "👍".into(), count: 2, me: None }],
            pinned: true,
            status: None,
            temp_id: Some("t".into()),
            edited_at: Some(Timestamp(7)),
            deleted_at: None,
            created_at: Timestamp(5),
        }
    }

    fn frame(message: &Message) -> (Stream, String) {
        let stream = Stream::Conversation(message.conversation_id);
        let message = SharedMessage::new(message.clone());
        let text = Event::MessageEdited(MessageEvent::new(message)).frame(stream, Rev(9));
        (stream, text)
    }

    #[test]
    fn a_deleted_message_keeps_its_frame_and_loses_its_content() {
        let original = message(ConversationId::new(), "secret");
        let (stream, before) = frame(&original);
        let after = redact_frame(stream, &EDITED, &before, original.id, Timestamp(8));
        let after = after.expect("our own frame").expect("it shows the message");
        assert!(!after.contains("secret"));
        let (before, after): (Value, Value) =
            (serde_json::from_str(&before).expect("JSON"), serde_json::from_str(&after).expect("JSON"));
        let mut expected = before;
        let message = &mut expected["payload"]["message"];
        message["content"] = json!("");
        message["data"] = Value::Null;
        message["mentions"] = json!([]);
        message["mentions_all"] = json!(false);
        message["reactions"] = json!([]);
        message["pinned"] = json!(false);
        message["deleted_at"] = serde_json::to_value(Timestamp(8)).expect("a time");
        assert_eq!(after, expected);
        let again = redact_frame(stream, &EDITED, &after.to_string(), original.id, Timestamp(9));
        assert_eq!(again.expect("our own frame"), None, "nothing is left to take");
    }

    #[test]
    fn a_quote_of_a_deleted_message_is_emptied_and_the_reply_stays() {
        let (conversation, quoted) = (ConversationId::new(), MessageId::new());
        let mut reply = message(conversation, "mine");
        let quote = |content: &str| {
            Some(Quote { id: quoted, seq: Seq(1), sender_id: None, kind: MessageKind::Text, content: content.into() })
        };
        reply.reply_to = quote("secret");
        let (stream, before) = frame(&reply);
        let after = redact_frame(stream, &EDITED, &before, quoted, Timestamp(8)).expect("our own frame");
        reply.reply_to = quote("");
        assert_eq!(after.as_deref(), Some(frame(&reply).1.as_str()), "the text is as it would be written today");
        let again = redact_frame(stream, &EDITED, &after.expect("changed"), quoted, Timestamp(9));
        assert_eq!(again.expect("our own frame"), None, "nothing is left to take");
    }

    #[test]
    fn other_frames_do_not_change() {
        let other = message(ConversationId::new(), "text");
        let (stream, text) = frame(&other);
        assert_eq!(redact_frame(stream, &EDITED, &text, MessageId::new(), Timestamp(8)).expect("ours"), None);
        assert_eq!(redact_frame(stream, &PINNED, "{}", other.id, Timestamp(8)).expect("ours"), None);
    }
    #[test]
    fn an_event_of_a_newer_version_is_not_left_with_the_text() {
        let shown = message(ConversationId::new(), "secret");
        let (stream, text) = frame(&shown);
        let unknown = StoredEventType::from("message.forwarded".to_owned());
        let refused = redact_frame(stream, &unknown, &text, shown.id, Timestamp(8)).expect_err("a type from later");
        assert_eq!(refused.code(), Code::Unavailable);
    }
}
