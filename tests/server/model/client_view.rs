//! The state of a client: a view of its user's conversations, and the changes that each event makes. It follows
//! `docs/websocket.md` as a real client does: it loads a new conversation from REST, and after that it applies events.

use super::expected_views::preview;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The state of one device.
#[derive(Clone, Default)]
pub struct View {
    pub me: String,
    pub user_rev: i64,
    pub conversations: BTreeMap<String, ClientConversation>,
    /// Conversations that the user has left, with the last revision applied. The last events of their streams can come
    /// after `conversation.removed`.
    pub left_conversations: BTreeMap<String, i64>,
    /// Conversations whose events the client requested from the first one on.
    pub from_first_event: BTreeSet<String>,
    /// The types of all events that came.
    pub event_types: BTreeSet<String>,
}

/// A conversation in the view.
#[derive(Clone)]
pub struct ClientConversation {
    /// The conversation as REST returns it, without the fields that follow from messages.
    pub fields: Value,
    pub rev: i64,
    /// Events up to this revision are in `fields` already. Their messages must be applied all the same.
    pub loaded_rev: i64,
    /// The messages by `seq`, without those that the user has hidden.
    pub messages: BTreeMap<i64, Value>,
    /// The members by user id, or `None` before they are loaded.
    pub members: Option<BTreeMap<String, Value>>,
    /// The ids of messages that the user has hidden. `message.hidden` may come before the message itself.
    pub hidden: BTreeSet<String>,
    /// The revision of each message, by `seq`.
    pub message_revs: BTreeMap<i64, i64>,
    /// Whether messages and members must still be loaded.
    pub needs_load: bool,
    /// Whether the user has left, although `conversation.removed` has not come yet.
    pub left: bool,
    /// Whether settings came since the last load, and whether messages came. The two come from different streams, whose
    /// order is unknown. If both came, the client must ask REST whether the conversation is archived.
    pub settings_came: bool,
    pub messages_came: bool,
}

pub type ApplyResult = Result<(), String>;

impl View {
    pub fn new(me: &str, user_rev: i64) -> Self {
        Self { me: me.to_owned(), user_rev, ..Self::default() }
    }

    /// Applies a frame. A durable event has a `rev`, an ephemeral one has none.
    pub fn apply(&mut self, frame: &Value) -> ApplyResult {
        let Some(rev) = frame["rev"].as_i64() else {
            self.apply_ephemeral(frame);
            return Ok(());
        };
        self.event_types.insert(text(&frame["type"]));
        if frame["stream"] == "user" {
            if rev != self.user_rev + 1 {
                return Err(format!("the user's revision {rev} comes after {}: {frame}", self.user_rev));
            }
            self.user_rev = rev;
            return self.apply_user_event(frame);
        }
        let payload = &frame["payload"];
        let id = text(&payload["conversation_id"]);
        if let Some(last) = self.left_conversations.get_mut(&id)
            && !self.conversations.contains_key(&id)
        {
            if rev != *last + 1 {
                return Err(format!("revision {rev} comes after {last}, after the user left: {frame}"));
            }
            *last = rev;
            if frame["type"] == "participant.left" && payload["user_id"] == self.me.as_str() {
                self.left_conversations.remove(&id);
            }
            return Ok(());
        }
        let me = self.me.clone();
        let conversation = self.conversations.get_mut(&id).ok_or_else(|| format!("not in {id}: {frame}"))?;
        if rev != conversation.rev + 1 || conversation.left {
            let (last, left) = (conversation.rev, conversation.left);
            return Err(format!("revision {rev} comes after {last}, left: {left}: {frame}"));
        }
        conversation.rev = rev;
        conversation.fields["last_rev"] = json!(rev.max(conversation.loaded_rev));
        conversation.apply(&me, frame)
    }

    /// Applies an event of the own stream.
    fn apply_user_event(&mut self, frame: &Value) -> ApplyResult {
        let payload = &frame["payload"];
        let id = text(&payload["conversation_id"]);
        match frame["type"].as_str().unwrap_or_default() {
            "conversation.created" => {
                let id = text(&payload["conversation"]["id"]);
                let mut conversation = ClientConversation::created(&payload["conversation"]);
                if self.from_first_event.contains(&id) {
                    (conversation.rev, conversation.needs_load) = (0, false);
                }
                self.left_conversations.remove(&id);
                self.conversations.insert(id, conversation);
            }
            "conversation.removed" => {
                if let Some(conversation) = self.conversations.remove(&id)
                    && !conversation.left
                {
                    self.left_conversations.insert(id, conversation.rev);
                }
            }
            "conversation.settings" => {
                let Some(conversation) = self.conversations.get_mut(&id) else { return Ok(()) };
                conversation.settings_came = true;
                // The role comes in the stream of the conversation, and the read mark only grows.
                for field in ["muted_until", "archived", "pinned", "notify", "blocked"] {
                    conversation.fields["my"][field] = payload["my"][field].clone();
                }
                conversation.advance_read_mark(&payload["my"]["last_read_seq"]);
            }
            "message.hidden" => {
                if let Some(conversation) = self.conversations.get_mut(&id) {
                    conversation.messages.retain(|_, message| message["id"] != payload["message_id"]);
                    conversation.hidden.insert(text(&payload["message_id"]));
                }
            }
            "user.created" | "user.updated" | "session.revoked" => (),
            other => return Err(format!("{other} is unknown: {frame}")),
        }
        Ok(())
    }

    /// Applies an ephemeral frame, if it changes the view.
    fn apply_ephemeral(&mut self, frame: &Value) {
        if frame["type"] == "conversation.read"
            && let Some(conversation) = self.conversations.get_mut(&text(&frame["payload"]["conversation_id"]))
        {
            conversation.advance_read_mark(&frame["payload"]["last_read_seq"]);
        }
    }

    /// Applies the read marks of `sync.done`.
    pub fn apply_reads(&mut self, reads: &Value) {
        for (id, seq) in reads.as_object().into_iter().flatten() {
            if let Some(conversation) = self.conversations.get_mut(id) {
                conversation.advance_read_mark(seq);
            }
        }
    }

    /// Returns the revisions with which the client syncs.
    pub fn get_revs(&self) -> BTreeMap<String, i64> {
        self.conversations.iter().map(|(id, conversation)| (id.clone(), conversation.rev)).collect()
    }

    /// Returns the whole view, for comparison with REST.
    pub fn to_json(&self) -> Value {
        let conversations = self.conversations.iter().map(|(id, conversation)| (id.clone(), conversation.to_json()));
        json!(conversations.collect::<Map<String, Value>>())
    }
}

impl ClientConversation {
    /// Creates a conversation from `conversation.created`. The client must load the rest.
    fn created(conversation: &Value) -> Self {
        let rev = conversation["last_rev"].as_i64().expect("a rev");
        Self {
            fields: conversation.clone(),
            rev,
            loaded_rev: rev,
            messages: BTreeMap::new(),
            members: None,
            hidden: BTreeSet::new(),
            message_revs: BTreeMap::new(),
            needs_load: true,
            left: false,
            settings_came: false,
            messages_came: false,
        }
    }

    /// Creates a conversation from the answers of REST.
    pub fn loaded(conversation: &Value, messages: &Value, members: &Value) -> Self {
        let mut conversation = Self::created(conversation);
        conversation.load(messages, members);
        conversation
    }

    /// Sets messages and members from the answers of REST.
    pub fn load(&mut self, messages: &Value, members: &Value) {
        for message in messages["items"].as_array().expect("items") {
            self.insert(message.clone());
        }
        let member = |member: &Value| (text(&member["user"]["id"]), member_from(member));
        self.members = Some(members["items"].as_array().expect("items").iter().map(member).collect());
        self.needs_load = false;
    }

    fn insert(&mut self, mut message: Value) {
        let seq = message["seq"].as_i64().expect("a seq");
        message.as_object_mut().expect("a message").remove("status");
        for reaction in message["reactions"].as_array_mut().expect("reactions") {
            if reaction["me"].is_null() {
                reaction["me"] = json!(false);
            }
        }
        if !self.hidden.contains(&text(&message["id"])) {
            self.messages.insert(seq, message);
        }
    }

    pub fn advance_read_mark(&mut self, seq: &Value) {
        let mark = &mut self.fields["my"]["last_read_seq"];
        if seq.as_i64() > mark.as_i64() {
            *mark = seq.clone();
        }
    }

    fn find(&mut self, id: &Value) -> Option<&mut Value> {
        self.messages.values_mut().find(|message| message["id"] == *id)
    }

    /// Applies an event of the stream of the conversation.
    fn apply(&mut self, me: &str, frame: &Value) -> ApplyResult {
        let payload = &frame["payload"];
        let message_id = &payload["message_id"];
        let is_in_fields = self.rev <= self.loaded_rev;
        match frame["type"].as_str().unwrap_or_default() {
            "message.new" => self.apply_new_message(me, &payload["message"], is_in_fields)?,
            "message.edited" => self.apply_edit(&payload["message"]),
            "message.deleted" => self.apply_delete(message_id),
            "message.pinned" | "message.unpinned" => {
                if let Some(message) = self.find(message_id) {
                    message["pinned"] = json!(frame["type"] == "message.pinned");
                }
            }
            "reaction.updated" => self.apply_reaction(me, payload)?,
            _ if is_in_fields => (),
            "conversation.updated" => {
                for field in ["name", "description", "avatar_url", "class", "updated_at"] {
                    self.fields[field] = payload[field].clone();
                }
            }
            "participant.joined" => {
                let new_participants = payload["participants"].as_array().ok_or("no participants")?;
                self.add_to_member_count(new_participants.len() as i64);
                for participant in new_participants {
                    if let Some(members) = &mut self.members
                        && members.insert(text(&participant["user"]["id"]), member_from(participant)).is_some()
                    {
                        return Err(format!("this user is a member already: {participant}"));
                    }
                }
            }
            "participant.left" => {
                self.add_to_member_count(-1);
                self.left = payload["user_id"] == me;
                if let Some(members) = &mut self.members
                    && members.remove(&text(&payload["user_id"])).is_none()
                {
                    return Err(format!("this user is no member: {payload}"));
                }
            }
            "participant.updated" => {
                let user = text(&payload["user_id"]);
                if user == me {
                    self.fields["my"]["role"] = payload["role"].clone();
                }
                if let Some(members) = &mut self.members {
                    let member = members.get_mut(&user).ok_or(format!("this user is no member: {payload}"))?;
                    member["role"] = payload["role"].clone();
                }
            }
            other => return Err(format!("{other} is unknown: {frame}")),
        }
        Ok(())
    }

    fn add_to_member_count(&mut self, more: i64) {
        let count = self.fields["member_count"].as_i64().unwrap_or_default();
        self.fields["member_count"] = json!(count + more);
    }

    fn apply_new_message(&mut self, me: &str, message: &Value, is_in_fields: bool) -> ApplyResult {
        let seq = message["seq"].as_i64().ok_or("no seq")?;
        for field in ["status", "me"] {
            if message.get(field).is_some() {
                return Err(format!("an event depends on the viewer by its {field}: {message}"));
            }
        }
        self.insert(message.clone());
        self.message_revs.insert(seq, self.rev);
        if is_in_fields {
            return Ok(());
        }
        let last = self.fields["last_seq"].as_i64().unwrap_or_default();
        if seq != last + 1 {
            return Err(format!("message {seq} comes after {last}: {message}"));
        }
        self.fields["last_seq"] = json!(seq);
        self.messages_came = true;
        if self.fields["my"]["muted_until"].is_null() {
            self.fields["my"]["archived"] = json!(false);
        }
        if message["sender_id"] == me {
            self.advance_read_mark(&json!(seq));
        }
        Ok(())
    }

    fn apply_edit(&mut self, message: &Value) {
        if let Some(mut before) = self.find(&message["id"]).cloned() {
            let own = reactions_mut(&mut before).filter(|reaction| reaction["me"] == true);
            let own: BTreeSet<String> = own.map(|reaction| text(&reaction["emoji"])).collect();
            let mut message = message.clone();
            for reaction in reactions_mut(&mut message) {
                reaction["me"] = json!(own.contains(&text(&reaction["emoji"])));
            }
            self.insert(message);
        }
        let content = preview(message["content"].as_str().unwrap_or_default());
        self.update_quotes(&message["id"], &content);
    }

    fn apply_delete(&mut self, id: &Value) {
        if let Some(message) = self.find(id) {
            message["content"] = json!("");
            message["data"] = json!(null);
            for field in ["attachments", "mentions", "reactions"] {
                message[field] = json!([]);
            }
            message["pinned"] = json!(false);
            message["mentions_all"] = json!(false);
            message["deleted_at"] = json!(true);
        }
        self.update_quotes(id, "");
    }

    fn update_quotes(&mut self, id: &Value, content: &str) {
        for message in self.messages.values_mut().filter(|message| message["reply_to"]["id"] == *id) {
            message["reply_to"]["content"] = json!(content);
        }
    }

    fn apply_reaction(&mut self, me: &str, payload: &Value) -> ApplyResult {
        let Some(message) = self.find(&payload["message_id"]) else { return Ok(()) };
        let reactions = message["reactions"].as_array_mut().ok_or("no reactions")?;
        let found = reactions.iter().position(|reaction| reaction["emoji"] == payload["emoji"]);
        let index = found.unwrap_or_else(|| {
            reactions.push(json!({ "emoji": payload["emoji"], "count": 0, "me": false }));
            reactions.len() - 1
        });
        reactions[index]["count"] = payload["count"].clone();
        if payload["user_id"] == me {
            reactions[index]["me"] = json!(payload["action"] == "added");
        }
        reactions.retain(|reaction| reaction["count"] != 0);
        Ok(())
    }

    fn to_json(&self) -> Value {
        let read_mark = self.fields["my"]["last_read_seq"].as_i64().unwrap_or_default();
        let mut conversation = self.fields.clone();
        let unread = self.messages.range(read_mark + 1..).filter(|(_, message)| message["type"] != "system");
        conversation["unread_count"] = json!(unread.count());
        conversation["last_message"] = self.messages.values().next_back().map_or(Value::Null, |message| {
            let mut preview = json!({ "content": preview(message["content"].as_str().unwrap_or_default()) });
            for field in ["id", "seq", "sender_id", "type", "created_at"] {
                preview[field] = message[field].clone();
            }
            preview
        });
        let pins = self.messages.values().filter(|message| message["pinned"] == true);
        json!({
            "conversation": conversation,
            "messages": self.messages.values().collect::<Vec<_>>(),
            "members": self.members,
            "pins": pins.map(|message| &message["seq"]).collect::<Vec<_>>(),
        })
    }
}

/// Returns the fields of a participant that `participant.joined` has too.
fn member_from(participant: &Value) -> Value {
    json!({ "user": participant["user"], "role": participant["role"] })
}

fn reactions_mut(message: &mut Value) -> impl Iterator<Item = &mut Value> {
    message["reactions"].as_array_mut().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
