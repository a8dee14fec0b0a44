//! A client's view of its user's conversations and how each event changes it, written as a client would from
//! `docs/websocket.md`: it is filled from REST when a conversation is new to it, and after that from events alone.

use super::expected_views::preview;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What one device knows.
#[derive(Clone, Default)]
pub struct View {
    pub me: String,
    pub user_rev: i64,
    pub conversations: BTreeMap<String, Held>,
    /// Conversations it is out of, with the last revision seen: the end of their stream may come after the news.
    pub gone: BTreeMap<String, i64>,
    /// Conversations whose events it has asked for from the first on.
    pub from_zero: BTreeSet<String>,
    /// The types of the events it has seen.
    pub types: BTreeSet<String>,
}

/// A conversation that is known.
#[derive(Clone)]
pub struct Held {
    /// As REST shows it, without what is derived from messages.
    pub conversation: Value,
    pub rev: i64,
    /// Events up to this revision are in `conversation` already; of messages they tell all the same.
    pub since: i64,
    /// By `seq`; those that the user has hidden are not among them.
    pub messages: BTreeMap<i64, Value>,
    /// By user id; null where they are not known.
    pub members: Option<BTreeMap<String, Value>>,
    /// Messages that the user has hidden: the news of it may come before the message itself.
    pub hidden: BTreeSet<String>,
    /// The revision with which a message came, by its place.
    pub sent_revs: BTreeMap<i64, i64>,
    /// Whether messages and members still have to be asked for.
    pub empty: bool,
    /// The user has left: the news that the conversation is gone is on its way.
    pub left: bool,
    /// Whether the user's settings, and whether messages came since this was last taken back: the order of two streams
    /// is not told, so where both came in one replay a client asks whether it is archived.
    pub ask_archived: (bool, bool),
}

pub type Applied = Result<(), String>;

impl View {
    pub fn new(me: &str, user_rev: i64) -> Self {
        Self { me: me.to_owned(), user_rev, ..Self::default() }
    }

    /// Applies a durable event; others are told apart by having no `rev`.
    pub fn apply(&mut self, frame: &Value) -> Applied {
        let Some(rev) = frame["rev"].as_i64() else {
            self.note(frame);
            return Ok(());
        };
        self.types.insert(text(&frame["type"]));
        if frame["stream"] == "user" {
            if rev != self.user_rev + 1 {
                return Err(format!("the user's revision {rev} comes after {}: {frame}", self.user_rev));
            }
            self.user_rev = rev;
            return self.apply_own(frame);
        }
        let payload = &frame["payload"];
        let id = text(&payload["conversation_id"]);
        if let Some(last) = self.gone.get_mut(&id)
            && !self.conversations.contains_key(&id)
        {
            if rev != *last + 1 {
                return Err(format!("revision {rev} comes after {last}, where the user was out: {frame}"));
            }
            *last = rev;
            if frame["type"] == "participant.left" && payload["user_id"] == self.me.as_str() {
                self.gone.remove(&id);
            }
            return Ok(());
        }
        let me = self.me.clone();
        let held = self.conversations.get_mut(&id).ok_or_else(|| format!("not in {id}: {frame}"))?;
        if rev != held.rev + 1 || held.left {
            return Err(format!("revision {rev} comes after {}, left: {}: {frame}", held.rev, held.left));
        }
        held.rev = rev;
        held.conversation["last_rev"] = json!(rev.max(held.since));
        held.apply(&me, frame)
    }

    /// Events of the user's own stream.
    fn apply_own(&mut self, frame: &Value) -> Applied {
        let payload = &frame["payload"];
        let id = text(&payload["conversation_id"]);
        match frame["type"].as_str().unwrap_or_default() {
            "conversation.created" => {
                let id = text(&payload["conversation"]["id"]);
                let mut held = Held::created(&payload["conversation"]);
                if self.from_zero.contains(&id) {
                    (held.rev, held.empty) = (0, false);
                }
                self.gone.remove(&id);
                self.conversations.insert(id, held);
            }
            "conversation.removed" => {
                if let Some(held) = self.conversations.remove(&id)
                    && !held.left
                {
                    self.gone.insert(id, held.rev);
                }
            }
            "conversation.settings" => {
                let Some(held) = self.conversations.get_mut(&id) else { return Ok(()) };
                held.ask_archived.0 = true;
                // the role comes with the conversation's stream, and a mark never moves back
                for field in ["muted_until", "archived", "pinned", "notify", "blocked"] {
                    held.conversation["my"][field] = payload["my"][field].clone();
                }
                held.read_up_to(&payload["my"]["last_read_seq"]);
            }
            "message.hidden" => {
                if let Some(held) = self.conversations.get_mut(&id) {
                    held.messages.retain(|_, message| message["id"] != payload["message_id"]);
                    held.hidden.insert(text(&payload["message_id"]));
                }
            }
            "user.created" | "user.updated" | "session.revoked" => (),
            other => return Err(format!("what is {other}? {frame}")),
        }
        Ok(())
    }

    /// Ephemeral events, as far as they change the view.
    fn note(&mut self, frame: &Value) {
        if frame["type"] == "conversation.read"
            && let Some(held) = self.conversations.get_mut(&text(&frame["payload"]["conversation_id"]))
        {
            held.read_up_to(&frame["payload"]["last_read_seq"]);
        }
    }

    /// Where the user's marks stand, as `sync.done` tells.
    pub fn note_reads(&mut self, reads: &Value) {
        for (id, seq) in reads.as_object().into_iter().flatten() {
            if let Some(held) = self.conversations.get_mut(id) {
                held.read_up_to(seq);
            }
        }
    }

    /// The revisions to come back with.
    pub fn revs(&self) -> BTreeMap<String, i64> {
        self.conversations.iter().map(|(id, held)| (id.clone(), held.rev)).collect()
    }

    /// Everything it shows, in the form of [`super::compare::seen`].
    pub fn shown(&self) -> Value {
        let conversations: Map<String, Value> =
            self.conversations.iter().map(|(id, held)| (id.clone(), held.shown())).collect();
        json!(conversations)
    }
}

impl Held {
    /// As `conversation.created` tells of it; the rest is asked for.
    fn created(conversation: &Value) -> Self {
        let rev = conversation["last_rev"].as_i64().expect("a rev");
        Self {
            conversation: conversation.clone(),
            rev,
            since: rev,
            messages: BTreeMap::new(),
            members: None,
            hidden: BTreeSet::new(),
            sent_revs: BTreeMap::new(),
            empty: true,
            left: false,
            ask_archived: (false, false),
        }
    }

    /// As REST shows it.
    pub fn loaded(conversation: &Value, messages: &Value, members: &Value) -> Self {
        let mut held = Self::created(conversation);
        held.load(messages, members);
        held
    }

    /// Messages and members as REST shows them.
    pub fn load(&mut self, messages: &Value, members: &Value) {
        for message in messages["items"].as_array().expect("items") {
            self.insert(message.clone());
        }
        let member = |member: &Value| (text(&member["user"]["id"]), joined(member));
        self.members = Some(members["items"].as_array().expect("items").iter().map(member).collect());
        self.empty = false;
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

    pub fn read_up_to(&mut self, seq: &Value) {
        let mark = &mut self.conversation["my"]["last_read_seq"];
        if seq.as_i64() > mark.as_i64() {
            *mark = seq.clone();
        }
    }

    fn find(&mut self, id: &Value) -> Option<&mut Value> {
        self.messages.values_mut().find(|message| message["id"] == *id)
    }

    /// Events of the conversation's stream.
    fn apply(&mut self, me: &str, frame: &Value) -> Applied {
        let payload = &frame["payload"];
        let message_id = &payload["message_id"];
        let known = self.rev <= self.since;
        match frame["type"].as_str().unwrap_or_default() {
            "message.new" => self.new_message(me, &payload["message"], known)?,
            "message.edited" => self.edited(&payload["message"]),
            "message.deleted" => self.deleted(message_id),
            "message.pinned" | "message.unpinned" => {
                if let Some(message) = self.find(message_id) {
                    message["pinned"] = json!(frame["type"] == "message.pinned");
                }
            }
            "reaction.updated" => self.reacted(me, payload)?,
            _ if known => (),
            "conversation.updated" => {
                for field in ["name", "description", "avatar_url", "class", "updated_at"] {
                    self.conversation[field] = payload[field].clone();
                }
            }
            "participant.joined" => {
                let joined_now = payload["participants"].as_array().ok_or("no participants")?;
                self.count_members(joined_now.len() as i64);
                for participant in joined_now {
                    if let Some(members) = &mut self.members
                        && members.insert(text(&participant["user"]["id"]), joined(participant)).is_some()
                    {
                        return Err(format!("is in already: {participant}"));
                    }
                }
            }
            "participant.left" => {
                self.count_members(-1);
                self.left = payload["user_id"] == me;
                if let Some(members) = &mut self.members
                    && members.remove(&text(&payload["user_id"])).is_none()
                {
                    return Err(format!("was not in: {payload}"));
                }
            }
            "participant.updated" => {
                let user = text(&payload["user_id"]);
                if user == me {
                    self.conversation["my"]["role"] = payload["role"].clone();
                }
                if let Some(members) = &mut self.members {
                    members.get_mut(&user).ok_or(format!("is not in: {payload}"))?["role"] = payload["role"].clone();
                }
            }
            other => return Err(format!("what is {other}? {frame}")),
        }
        Ok(())
    }

    fn count_members(&mut self, more: i64) {
        let count = self.conversation["member_count"].as_i64().unwrap_or_default();
        self.conversation["member_count"] = json!(count + more);
    }

    fn new_message(&mut self, me: &str, message: &Value, known: bool) -> Applied {
        let seq = message["seq"].as_i64().ok_or("no seq")?;
        for field in ["status", "me"] {
            if message.get(field).is_some() {
                return Err(format!("an event depends on the viewer by its {field}: {message}"));
            }
        }
        self.insert(message.clone());
        self.sent_revs.insert(seq, self.rev);
        if known {
            return Ok(());
        }
        let last = self.conversation["last_seq"].as_i64().unwrap_or_default();
        if seq != last + 1 {
            return Err(format!("message {seq} comes after {last}: {message}"));
        }
        self.conversation["last_seq"] = json!(seq);
        self.ask_archived.1 = true;
        if self.conversation["my"]["muted_until"].is_null() {
            self.conversation["my"]["archived"] = json!(false);
        }
        if message["sender_id"] == me {
            self.read_up_to(&json!(seq));
        }
        Ok(())
    }

    fn edited(&mut self, message: &Value) {
        if let Some(mut before) = self.find(&message["id"]).cloned() {
            let mine: BTreeSet<String> =
                list(&mut before).filter(|reaction| reaction["me"] == true).map(|it| text(&it["emoji"])).collect();
            let mut message = message.clone();
            for reaction in list(&mut message) {
                reaction["me"] = json!(mine.contains(&text(&reaction["emoji"])));
            }
            self.insert(message);
        }
        let content = preview(message["content"].as_str().unwrap_or_default());
        self.requote(&message["id"], &content);
    }

    fn deleted(&mut self, id: &Value) {
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
        self.requote(id, "");
    }

    fn requote(&mut self, id: &Value, content: &str) {
        for message in self.messages.values_mut().filter(|message| message["reply_to"]["id"] == *id) {
            message["reply_to"]["content"] = json!(content);
        }
    }

    fn reacted(&mut self, me: &str, payload: &Value) -> Applied {
        let Some(message) = self.find(&payload["message_id"]) else { return Ok(()) };
        let reactions = message["reactions"].as_array_mut().ok_or("no reactions")?;
        let at = reactions.iter().position(|reaction| reaction["emoji"] == payload["emoji"]);
        let at = at.unwrap_or_else(|| {
            reactions.push(json!({ "emoji": payload["emoji"], "count": 0, "me": false }));
            reactions.len() - 1
        });
        reactions[at]["count"] = payload["count"].clone();
        if payload["user_id"] == me {
            reactions[at]["me"] = json!(payload["action"] == "added");
        }
        reactions.retain(|reaction| reaction["count"] != 0);
        Ok(())
    }

    fn shown(&self) -> Value {
        let read = self.conversation["my"]["last_read_seq"].as_i64().unwrap_or_default();
        let mut conversation = self.conversation.clone();
        let unread = self.messages.range(read + 1..).filter(|(_, message)| message["type"] != "system");
        conversation["unread_count"] = json!(unread.count());
        conversation["last_message"] = self.messages.values().next_back().map_or(Value::Null, |message| {
            let content = preview(message["content"].as_str().unwrap_or_default());
            let mut preview = json!({ "content": content });
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

/// What `participant.joined` tells of a participant.
fn joined(participant: &Value) -> Value {
    json!({ "user": participant["user"], "role": participant["role"] })
}

fn list(message: &mut Value) -> impl Iterator<Item = &mut Value> {
    message["reactions"].as_array_mut().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
