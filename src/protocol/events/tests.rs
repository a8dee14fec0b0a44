//! One example of every event, with the text that clients get: the lines of `tests/cases/events.jsonl`.
//!
//! A line changes only if the contract with clients changes. The server must be able to read also the former line, for
//! as long as a log keeps such events.

use super::*;
use crate::domain::accounts::UserRole;
use crate::domain::content::MessageKind;
use crate::domain::ids::{ClassId, LoginId, Seq};
use crate::domain::json_text::JsonText;
use crate::domain::roles::{ConversationKind, Role};
use crate::domain::time::Timestamp;
use crate::protocol::conversations::{ClassBrief, Conversation};
use crate::protocol::event_type::StoredEventType;
use crate::protocol::logins::RevokeReason;
use crate::protocol::members::{JoinedParticipant, LeftReason};
use crate::protocol::messages::Quote;
use crate::protocol::presence::PresenceStatus;
use crate::protocol::reactions::{Reaction, ReactionAction};
use crate::protocol::settings::{NotifyLevel, OwnView};
use crate::protocol::shared_message::SharedMessage;
use crate::protocol::stored_event::{CorePayload, MessageFrame, StoredEvent};
use crate::protocol::users::{PublicUser, User, UserBrief};
use serde_json::json;
use std::collections::BTreeSet;
use uuid::Uuid;

const CONVERSATION: ConversationId = ConversationId(Uuid::from_u128(1));
const MESSAGE: MessageId = MessageId(Uuid::from_u128(2));
const USER: UserId = UserId(Uuid::from_u128(3));
const AT: Timestamp = Timestamp(1_700_000_000_000);

fn brief() -> UserBrief {
    UserBrief { id: USER, username: "ada".into(), display_name: "Ada".into(), avatar_url: None }
}

fn message() -> SharedMessage {
    SharedMessage::new(Message {
        id: MESSAGE,
        conversation_id: CONVERSATION,
        seq: Seq(7),
        sender_id: Some(USER),
        sender: Some(brief()),
        kind: MessageKind::Location,
        content: "here".into(),
        data: Some(JsonText::from(&json!({"lat": 1.5}))),
        attachments: Vec::new(),
        reply_to: Some(Quote {
            id: MessageId(Uuid::from_u128(4)),
            seq: Seq(6),
            sender_id: None,
            kind: MessageKind::Text,
            content: "where?".into(),
        }),
        mentions: vec![USER],
        mentions_all: false,
        reactions: vec![Reaction { emoji: "👍".into(), count: 2, me: None }],
        pinned: true,
        status: None,
        temp_id: Some("t1".into()),
        edited_at: Some(AT),
        deleted_at: None,
        created_at: AT,
    })
}

fn own_view() -> OwnView {
    OwnView {
        role: Role::Owner,
        last_read_seq: Seq(5),
        muted_until: Some(AT),
        archived: false,
        pinned: true,
        notify: NotifyLevel::Mentions,
        blocked: false,
    }
}

fn conversation() -> Box<Conversation> {
    Box::new(Conversation {
        id: CONVERSATION,
        kind: ConversationKind::Direct,
        name: None,
        description: None,
        avatar_url: None,
        class: None,
        created_by: Some(USER),
        created_at: AT,
        updated_at: AT,
        last_seq: Seq(7),
        last_rev: Rev(9),
        last_message: None,
        member_count: 2,
        unread_count: 1,
        my: own_view(),
        peer: Some(User {
            brief: brief(),
            external_id: None,
            role: UserRole::User,
            presence: PresenceStatus::Offline,
            last_seen_at: None,
            created_at: AT,
        }),
    })
}

fn public_user() -> PublicUser {
    PublicUser { brief: brief(), external_id: Some("s-17".into()), role: UserRole::Admin, created_at: AT }
}

/// One example of every event, in the order of the lines.
fn examples() -> Vec<Event> {
    let conversation_id = CONVERSATION;
    let pin = Pin { conversation_id, message_id: MESSAGE, user_id: USER };
    vec![
        Event::MessageNew(MessageEvent { conversation_id, message: message() }),
        Event::MessageEdited(MessageEvent { conversation_id, message: message() }),
        Event::MessageDeleted(MessageDeleted { conversation_id, message_id: MESSAGE, seq: Seq(7) }),
        Event::MessagePinned(pin),
        Event::MessageUnpinned(pin),
        Event::ReactionUpdated(ReactionUpdated {
            conversation_id,
            message_id: MESSAGE,
            emoji: "👍".into(),
            user_id: USER,
            action: ReactionAction::Added,
            count: 3,
        }),
        Event::ConversationUpdated(ConversationUpdated {
            conversation_id,
            name: Some("Maths".into()),
            description: None,
            avatar_url: None,
            class: Some(ClassBrief { id: ClassId(Uuid::from_u128(5)), archived: true }),
            updated_at: AT,
        }),
        Event::ParticipantJoined(ParticipantJoined {
            conversation_id,
            participants: vec![JoinedParticipant { user: brief(), role: Role::Member }],
        }),
        Event::ParticipantLeft(ParticipantLeft { conversation_id, user_id: USER, reason: LeftReason::Removed }),
        Event::ParticipantUpdated(ParticipantUpdated { conversation_id, user_id: USER, role: Role::Admin }),
        Event::ConversationCreated(ConversationCreated { conversation: conversation() }),
        Event::ConversationRemoved(ConversationRemoved { conversation_id }),
        Event::ConversationSettings(ConversationSettings { conversation_id, my: own_view() }),
        Event::MessageHidden(MessageHidden { conversation_id, message_id: MESSAGE }),
        Event::SessionRevoked(Revoked {
            login_id: Some(LoginId(Uuid::from_u128(6))),
            session_id: None,
            reason: RevokeReason::EndedByAdmin,
        }),
        Event::UserCreated(UserEvent { user: Box::new(public_user()) }),
        Event::UserUpdated(UserEvent { user: Box::new(public_user()) }),
    ]
}

/// Every example with the text of its frame.
fn frames() -> Vec<(Event, &'static str)> {
    let lines: Vec<&str> = include_str!("../../../tests/cases/events.jsonl").lines().collect();
    assert_eq!(examples().len(), lines.len());
    examples().into_iter().zip(lines).collect()
}

fn stored<'a>(event: &Event, text: &'a str) -> StoredEvent<'a> {
    StoredEvent::parse(&event.event_type().as_str().to_owned().into(), text)
}

#[test]
fn every_event_has_its_text() {
    for (event, text) in frames() {
        let is_of_user = text.starts_with(r#"{"stream":"user""#);
        let stream = if is_of_user { Stream::User(USER) } else { Stream::Conversation(CONVERSATION) };
        assert_eq!(event.frame(stream, Rev(8)), text);
    }
}

#[test]
fn the_examples_have_every_type_once_and_each_text_names_its_type() {
    let types: BTreeSet<EventType> = examples().iter().map(Event::event_type).collect();
    assert_eq!(types, EventType::ALL.iter().copied().collect());
    assert_eq!(examples().len(), EventType::ALL.len());
    for (event, text) in frames() {
        let frame: serde_json::Value = serde_json::from_str(text).expect("JSON");
        assert_eq!(frame["type"], event.event_type().as_str());
        assert_eq!(EventType::parse(event.event_type().as_str()), Some(event.event_type()));
    }
}

#[test]
fn a_stored_event_has_the_effect_that_it_had_when_it_was_written() {
    for (event, text) in frames() {
        assert_eq!(stored(&event, text).effect(), event.effect(), "{text}");
        assert_eq!(stored(&event, "{}").effect(), EventEffect::None, "a malformed event");
        let later = StoredEventType::from(format!("{}.later", event.event_type().as_str()));
        assert_eq!(StoredEvent::parse(&later, text).effect(), EventEffect::None, "an unknown event");
    }
}

#[test]
fn a_stored_message_is_read_as_it_was_written() {
    for (event, text) in frames() {
        let (StoredEvent::MessageNew(stored) | StoredEvent::MessageEdited(stored)) = stored(&event, text) else {
            assert_eq!(event.message_id(), None, "an event with a message is stored as one, so that it is redacted");
            continue;
        };
        let MessageFrame { rev, payload } = stored.read_frame().expect("our own frame");
        assert_eq!((rev, payload.conversation_id, payload.message), (Rev(8), CONVERSATION, message()));
        let CorePayload { conversation_id, message } = stored.read_core().expect("our own frame");
        assert_eq!((conversation_id, Some(message.id), message.seq), (CONVERSATION, event.message_id(), Seq(7)));
    }
}
