//! The envelope: one committed event with what delivery needs beside its text.

use super::event_type::StoredEventType;
use super::events::{Event, EventEffect};
use super::stored_event::StoredEvent;
use crate::domain::ids::{MessageId, Rev};
use crate::domain::stream::Stream;
use bytestring::ByteString;

/// One event in the form in which it goes from the transaction to the log, to rooms and to sessions.
#[derive(Clone, Debug)]
pub struct Envelope {
    pub stream: Stream,
    pub rev: Rev,
    pub event_type: StoredEventType,
    /// The message whose text the event contains.
    pub message_id: Option<MessageId>,
    /// The message that is quoted in the event.
    pub quoted_id: Option<MessageId>,
    /// The text that clients get. It is serialised once.
    pub text: ByteString,
    /// It follows from the type and the text. It is kept, so that rooms and sessions do not parse the text.
    pub effect: EventEffect,
}

impl Envelope {
    /// Returns the envelope of a new event.
    pub fn new(event: &Event, stream: Stream, rev: Rev) -> Self {
        Self::with_text(event, stream, rev, event.frame(stream, rev))
    }

    /// Does the same as [`Self::new`] with a frame of the event that exists already.
    pub fn with_text(event: &Event, stream: Stream, rev: Rev, text: String) -> Self {
        Self {
            stream,
            rev,
            event_type: StoredEventType::Known(event.event_type()),
            message_id: event.message_id(),
            quoted_id: event.quoted_id(),
            text: text.into(),
            effect: event.effect(),
        }
    }

    /// Returns the envelope of a stored event. The effect is read from its text.
    pub fn from_stored(
        (stream, rev): (Stream, Rev),
        event_type: StoredEventType,
        message_id: Option<MessageId>,
        quoted_id: Option<MessageId>,
        text: String,
    ) -> Self {
        let effect = StoredEvent::parse(&event_type, &text).effect();
        Self { stream, rev, event_type, message_id, quoted_id, text: text.into(), effect }
    }
}
