//! Valid rows of all tables, in which every column is set if the constraints allow it. The ids are small numbers, so
//! that tests are readable.

use ::entity::{
    blocks, bulk_changes, class_members, classes, conversation_statistics, conversations, hidden_messages, logins,
    mentions, message_edits, message_links, messages, meta, notification_settings, notifications, outbox, participants,
    push_subscriptions, reactions, reader_failures, readers, refresh_tokens, sender_statistics, tickets, uploads,
    user_words, users,
};
use uuid::Uuid;

pub const TIME: i64 = 1_800_000_000_123;

pub fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

pub fn user(number: u128) -> users::Model {
    users::Model {
        id: id(number),
        username: format!("User{number}"),
        username_key: format!("user{number}"),
        display_name: "Đặng".to_owned(),
        search_text: format!("user{number} dang"),
        email: Some(format!("User{number}@example.org")),
        email_key: Some(format!("user{number}@example.org")),
        password_hash: Some("$argon2id$".to_owned()),
        avatar_url: Some("https://example.org/a.png".to_owned()),
        locale: Some("vi".to_owned()),
        role: "user".to_owned(),
        status: "active".to_owned(),
        external_id: Some(format!("host-{number}")),
        share_read_receipts: false,
        last_seen_at: Some(TIME),
        last_rev: 3,
        created_at: TIME,
        updated_at: TIME,
        deleted_at: None,
    }
}

pub fn login(number: u128, user: u128) -> logins::Model {
    logins::Model {
        id: id(number),
        user_id: id(user),
        device: "Firefox".to_owned(),
        ip: "192.0.2.1".to_owned(),
        created_at: TIME,
        last_used_at: TIME,
        revoked_at: Some(TIME),
        revoke_reason: Some("logout".to_owned()),
        generation: 2,
        seen_generation: 1,
        network: Some("192.0.2.1".to_owned()),
    }
}

pub fn refresh_token(login: u128) -> refresh_tokens::Model {
    refresh_tokens::Model {
        token_hash: vec![0, 255, 7],
        login_id: id(login),
        created_at: TIME,
        expires_at: TIME,
        spent_at: Some(TIME),
        generation: 2,
    }
}

pub fn ticket(user: u128, login: u128) -> tickets::Model {
    tickets::Model { ticket_hash: vec![0, 255, 8], user_id: id(user), login_id: Some(id(login)), expires_at: TIME }
}

pub fn block(blocker: u128, target: u128) -> blocks::Model {
    blocks::Model { blocker_id: id(blocker), blocked_id: id(target), created_at: TIME }
}

pub fn class(number: u128, creator: u128) -> classes::Model {
    classes::Model {
        id: id(number),
        name: "Algebra".to_owned(),
        description: Some("Monday".to_owned()),
        code: format!("ALG-{number}"),
        code_key: format!("alg-{number}"),
        archived_at: Some(TIME),
        created_by: id(creator),
        created_at: TIME,
        updated_at: TIME,
        deleted_at: Some(TIME),
    }
}

pub fn class_member(class: u128, user: u128) -> class_members::Model {
    class_members::Model {
        class_id: id(class),
        user_id: id(user),
        role: "ta".to_owned(),
        joined_at: TIME,
        left_at: Some(TIME),
    }
}

pub fn group(number: u128, creator: u128) -> conversations::Model {
    conversations::Model {
        id: id(number),
        kind: "group".to_owned(),
        name: Some("Friends".to_owned()),
        description: Some("All of us".to_owned()),
        avatar_url: Some("https://example.org/g.png".to_owned()),
        class_id: None,
        direct_low: None,
        direct_high: None,
        created_by: Some(id(creator)),
        created_at: TIME,
        updated_at: TIME,
        last_seq: 9,
        last_count: 8,
        last_rev: 12,
        last_message_at: Some(TIME),
        all_mentioned_at: Some(TIME),
        deleted_at: Some(TIME),
        temp_id: Some(format!("temp-{number}")),
        body_hash: Some("ba7816bf".to_owned()),
        member_count: 7,
    }
}

pub fn direct(number: u128, low: u128, high: u128) -> conversations::Model {
    conversations::Model {
        kind: "direct".to_owned(),
        name: None,
        direct_low: Some(id(low)),
        direct_high: Some(id(high)),
        ..group(number, low)
    }
}

pub fn class_conversation(number: u128, class: u128, creator: u128) -> conversations::Model {
    conversations::Model { kind: "class".to_owned(), class_id: Some(id(class)), ..group(number, creator) }
}

pub fn participant(conversation: u128, user: u128) -> participants::Model {
    participants::Model {
        conversation_id: id(conversation),
        user_id: id(user),
        role: "member".to_owned(),
        joined_at: TIME,
        joined_rev: 1,
        left_at: Some(TIME),
        left_rev: Some(4),
        last_read_seq: 5,
        last_read_count: 4,
        read_at: Some(TIME),
        delivered_seq: 6,
        delivered_at: Some(TIME),
        muted_until: Some(i64::MAX),
        archived_seq: Some(5),
        pinned_at: Some(TIME),
        notify: "mentions".to_owned(),
        former_read_seq: 3,
    }
}

pub fn message(number: u128, conversation: u128, sender: u128, seq: i64) -> messages::Model {
    messages::Model {
        id: id(number),
        conversation_id: id(conversation),
        seq,
        count: seq,
        rev: seq,
        sender_id: Some(id(sender)),
        kind: "location".to_owned(),
        content: "học sinh".to_owned(),
        data: Some(r#"{"lat":1,"lon":2}"#.to_owned()),
        reply_to_id: Some(id(number)),
        temp_id: Some(format!("temp-{number}")),
        body_hash: Some(vec![1, 2, 3]),
        edited_at: Some(TIME),
        deleted_at: None,
        deleted_by: None,
        pinned_at: Some(TIME),
        pinned_by: Some(id(sender)),
        created_at: TIME,
        mentions_all: true,
    }
}

pub fn system_message(number: u128, conversation: u128, seq: i64) -> messages::Model {
    messages::Model {
        sender_id: None,
        kind: "system".to_owned(),
        reply_to_id: None,
        temp_id: None,
        body_hash: None,
        pinned_by: None,
        ..message(number, conversation, 0, seq)
    }
}

pub fn mention(user: u128, conversation: u128, seq: i64, message: u128) -> mentions::Model {
    mentions::Model { user_id: id(user), conversation_id: id(conversation), seq, message_id: id(message), position: 0 }
}

pub fn edit(number: i64, conversation: u128, message: u128) -> message_edits::Model {
    message_edits::Model {
        id: number,
        conversation_id: id(conversation),
        message_id: id(message),
        content: "before".to_owned(),
        edited_at: TIME,
    }
}

pub fn hidden(user: u128, message: u128, conversation: u128) -> hidden_messages::Model {
    hidden_messages::Model {
        user_id: id(user),
        message_id: id(message),
        conversation_id: id(conversation),
        seq: 1,
        created_at: TIME,
        counts: false,
    }
}

pub fn reaction(message: u128, user: u128, conversation: u128) -> reactions::Model {
    reactions::Model {
        message_id: id(message),
        emoji: "👍🏽".to_owned(),
        user_id: id(user),
        conversation_id: id(conversation),
        created_at: TIME,
        position: 1,
    }
}

pub fn link(message: u128, conversation: u128) -> message_links::Model {
    message_links::Model {
        message_id: id(message),
        position: 0,
        conversation_id: id(conversation),
        seq: 1,
        url: "https://example.org".to_owned(),
    }
}

pub fn attachment(number: u128, uploader: u128, conversation: u128, message: u128) -> uploads::Model {
    uploads::Model {
        id: id(number),
        uploader_id: id(uploader),
        purpose: Some("message".to_owned()),
        conversation_id: Some(id(conversation)),
        message_id: Some(id(message)),
        position: Some(0),
        seq: Some(1),
        kind: "image".to_owned(),
        name: "cat.png".to_owned(),
        mime: "image/png".to_owned(),
        size: 5_000_000_000,
        width: Some(640),
        height: Some(480),
        duration_ms: Some(0),
        storage_key: "ab/cd".to_owned(),
        thumbnail_key: Some("ab/cd.t".to_owned()),
        attached_at: Some(TIME),
        created_at: TIME,
        deleted_at: Some(TIME),
    }
}

pub fn notification(number: u128, user: u128, conversation: u128, message: u128) -> notifications::Model {
    notifications::Model {
        id: id(number),
        user_id: id(user),
        kind: "new_message".to_owned(),
        title: "Friends".to_owned(),
        body: "học sinh".to_owned(),
        entity_type: Some("conversation".to_owned()),
        entity_id: Some(id(conversation)),
        conversation_id: Some(id(conversation)),
        message_id: Some(id(message)),
        seq: Some(1),
        data: Some("{}".to_owned()),
        count: 2,
        read_at: None,
        created_at: TIME,
    }
}

pub fn notification_setting(user: u128) -> notification_settings::Model {
    notification_settings::Model {
        user_id: id(user),
        push: true,
        mentions: false,
        direct: true,
        groups: false,
        quiet_from: Some(22 * 60),
        quiet_to: Some(7 * 60),
        quiet_tz: Some("Asia/Ho_Chi_Minh".to_owned()),
    }
}

pub fn push_subscription(number: u128, user: u128, login: u128) -> push_subscriptions::Model {
    push_subscriptions::Model {
        id: id(number),
        user_id: id(user),
        login_id: Some(id(login)),
        endpoint: "https://push.example.org/1".to_owned(),
        endpoint_hash: vec![9; 32],
        p256dh: "key".to_owned(),
        auth: "secret".to_owned(),
        created_at: TIME,
        last_pushed_at: Some(TIME),
        failures: 2,
        next_at: Some(TIME),
    }
}

pub fn log_row(number: i64, conversation: u128, rev: i64) -> outbox::Model {
    outbox::Model {
        id: number,
        stream_kind: 0,
        stream_id: id(conversation),
        rev,
        event_type: "message.new".to_owned(),
        message_id: Some(id(1)),
        quoted_id: Some(id(2)),
        payload: r#"{"type":"message.new"}"#.to_owned(),
        created_at: TIME,
    }
}

pub fn statistics(conversation: u128) -> conversation_statistics::Model {
    conversation_statistics::Model {
        conversation_id: id(conversation),
        messages: 8,
        attachments: 2,
        links: 3,
        first_message_at: Some(TIME),
    }
}

pub fn sender(conversation: u128, user: u128) -> sender_statistics::Model {
    sender_statistics::Model { conversation_id: id(conversation), user_id: id(user), messages: 8 }
}

pub fn reader(name: &str) -> readers::Model {
    readers::Model {
        name: name.to_owned(),
        holder: Some("node".to_owned()),
        leased_until: TIME,
        cursor: 7,
        updated_at: TIME,
        failed_at: Some(TIME),
    }
}

pub fn bulk_change(number: u128) -> bulk_changes::Model {
    bulk_changes::Model {
        id: id(number),
        kind: "broadcast".to_owned(),
        argument: r#"{"text":"Đặng"}"#.to_owned(),
        cursor: Some("7".to_owned()),
        attempts: 2,
        next_at: TIME,
        last_error: Some("an error".to_owned()),
        status: "failed".to_owned(),
        created_at: TIME,
    }
}

pub fn failure(reader: &str, conversation: u128) -> reader_failures::Model {
    reader_failures::Model {
        reader: reader.to_owned(),
        stream_kind: 1,
        stream_id: id(conversation),
        rev: 1,
        attempts: 1,
        next_at: TIME,
        last_error: "unavailable".to_owned(),
        status: "failed".to_owned(),
    }
}

pub fn user_word(user: u128) -> user_words::Model {
    user_words::Model { inside: 1, word: "ang".to_owned(), user_id: id(user) }
}

pub fn fact() -> meta::Model {
    meta::Model { key: "name".to_owned(), value: "value".to_owned() }
}
