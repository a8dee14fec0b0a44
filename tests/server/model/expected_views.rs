//! What each user must see of the model, as JSON without times and ids of messages. `compare.rs` brings the answers of
//! REST into the same form. If the contract allows several values, the JSON has all of them.

use super::commands::{EMOJI, LEVELS, Mute};
use super::state::{Conversation, Message, Model, Participant};
use serde_json::{Map, Value, json};
use std::time::Duration;
use unicode_segmentation::UnicodeSegmentation;

/// The key of an object that lists the allowed values, of which [`super::compare`] expects one.
pub const ONE_OF: &str = "$one_of";

impl Model {
    /// Returns all that `user` sees; `ids` are the ids of the conversations.
    pub fn expected_view(&self, user: usize, ids: &[String]) -> Value {
        let mut conversations = Map::new();
        for (conversation, id) in ids.iter().enumerate() {
            if let Some(participant) = self.participant(user, conversation) {
                conversations.insert(id.clone(), self.conversation_view(user, conversation, participant));
            }
        }
        let blocked = self.blocks.iter().filter(|(blocker, _)| *blocker == user);
        let blocks: Vec<&str> = blocked.map(|(_, user)| self.users[*user].id.as_str()).collect();
        json!({ "conversations": conversations, "unread": self.unread_counts(user), "blocks": sorted(blocks) })
    }

    /// Returns one of the two lists of the user in its order: pinned conversations first, then by newest activity.
    pub fn expected_order(&self, user: usize, ids: &[String], archived: bool) -> Vec<String> {
        let mut list: Vec<(bool, i64, &String)> = Vec::new();
        for (conversation, state) in self.conversations.iter().enumerate() {
            if let Some(participant) = self.participant(user, conversation)
                && state.is_archived(participant) == archived
            {
                list.push((!participant.pinned, -state.active_at, &ids[conversation]));
            }
        }
        list.sort();
        list.into_iter().map(|(_, _, id)| id.clone()).collect()
    }

    fn unread_counts(&self, user: usize) -> Value {
        let (mut messages, mut conversations, mut mentions) = (0, 0, 0);
        for (conversation, state) in self.conversations.iter().enumerate() {
            let Some(participant) = self.participant(user, conversation) else { continue };
            let unread = state.count_unread(user, participant.read_mark, state.last_seq());
            if participant.mute == Mute::Off {
                messages += unread;
                conversations += i64::from(unread > 0);
            }
            let counts = |message: &&Message| {
                let all = message.mentions_all && message.sender != Some(user);
                let is_mention = all || message.mentions.contains(&user);
                message.seq > participant.read_mark && is_mention && !message.hidden_for.contains(&user)
            };
            mentions += state.messages.iter().filter(counts).count();
        }
        json!({ "messages": messages, "conversations": conversations, "mentions": mentions })
    }

    fn conversation_view(&self, user: usize, conversation: usize, participant: &Participant) -> Value {
        let state = &self.conversations[conversation];
        let peer = state.participants.keys().find(|other| state.direct && **other != user);
        let muted = match participant.mute {
            Mute::Off => json!(null),
            Mute::Forever => json!("forever"),
            Mute::UntilYear(year) => json!(mute_end_in(year)),
            Mute::ForYears(years) => json!(mute_end_after(years.into())),
        };
        let visible = state.messages.iter().filter(|message| !message.hidden_for.contains(&user));
        let messages = visible.clone().map(|message| self.message_view(user, conversation, message));
        let members: Map<String, Value> = state
            .current_participants()
            .map(|(other, participant)| (self.users[other].id.clone(), self.member_view(user, other, participant)))
            .collect();
        json!({
            "conversation": {
                "type": if state.direct { "direct" } else { "group" },
                "name": state.name,
                "description": state.description,
                "avatar_url": null,
                "class": null,
                "created_by": self.users[state.created_by].id,
                "last_seq": state.last_seq(),
                "last_message": state.last_message(user).map(|message| self.message_preview(message)),
                "member_count": members.len(),
                "unread_count": state.count_unread(user, participant.read_mark, state.last_seq()),
                "my": {
                    "role": participant.role.name(),
                    "last_read_seq": participant.read_mark,
                    "muted_until": muted,
                    "archived": state.is_archived(participant),
                    "pinned": participant.pinned,
                    "notify": LEVELS[participant.notify_level],
                    "blocked": self.is_blocked(conversation),
                },
                "peer": peer.map(|peer| &self.users[*peer].id),
            },
            "messages": messages.collect::<Vec<_>>(),
            "members": members,
            "pins": visible.filter(|message| message.pinned).map(|message| message.seq).collect::<Vec<_>>(),
        })
    }

    /// Returns a member as `viewer` sees it, with the read mark only if the two users see each other's receipts.
    fn member_view(&self, viewer: usize, other: usize, participant: &Participant) -> Value {
        let read_mark = if viewer == other && !self.shares_receipts[viewer] {
            json!({ ONE_OF: [participant.read_mark, null] })
        } else if viewer == other || self.share_receipts_between(viewer, other) {
            json!(participant.read_mark)
        } else {
            json!(null)
        };
        json!({ "username": self.users[other].username, "role": participant.role.name(), "last_read_seq": read_mark })
    }

    fn message_preview(&self, message: &Message) -> Value {
        json!({
            "seq": message.seq,
            "sender_id": message.sender.map(|user| &self.users[user].id),
            "type": message.kind,
            "content": preview(&message.content),
        })
    }

    /// Returns a message as `viewer` sees it.
    pub fn message_view(&self, viewer: usize, conversation: usize, message: &Message) -> Value {
        let state = &self.conversations[conversation];
        let reply = message.reply.map(|seq| self.message_preview(state.message(seq as usize)));
        let mentions: Vec<&str> = message.mentions.iter().map(|user| self.users[*user].id.as_str()).collect();
        let mut reactions = Map::new();
        for (emoji, users) in &message.reactions {
            reactions.insert(EMOJI[*emoji].to_owned(), json!({ "count": users.len(), "me": users.contains(&viewer) }));
        }
        let mut visible = json!({
            "seq": message.seq,
            "sender_id": message.sender.map(|user| &self.users[user].id),
            "sender": message.sender.map(|user| &self.users[user].username),
            "type": message.kind,
            "content": message.content,
            "data": message.data,
            "attachments": [],
            "reply_to": reply,
            "mentions": sorted(mentions),
            "mentions_all": message.mentions_all,
            "reactions": reactions,
            "pinned": message.pinned,
            "temp_id": message.temp_id,
            "edited_at": message.edited,
            "deleted_at": message.deleted,
        });
        if message.sender == Some(viewer) {
            visible["status"] = self.expected_status(viewer, state, message.seq);
        }
        visible
    }

    /// Returns the allowed values of the status of an own message. The contract leaves two cases open: whether users
    /// who joined later count for older messages, and whether users who share no receipts still acknowledge delivery.
    fn expected_status(&self, viewer: usize, state: &Conversation, seq: i64) -> Value {
        let mut certain = "sent";
        let mut possible = vec![];
        for (other, participant) in state.participants.iter().filter(|(other, _)| **other != viewer) {
            if self.is_blocked_between(viewer, *other) {
                continue;
            }
            let shares_receipts = self.share_receipts_between(viewer, *other);
            let (read, delivered) = participant.certain_marks();
            if shares_receipts && read >= seq {
                certain = "seen";
            } else if shares_receipts && delivered >= seq && certain == "sent" {
                certain = "delivered";
            } else if delivered >= seq || participant.initial_mark >= seq {
                possible.push("delivered");
            }
            if shares_receipts && participant.initial_mark >= seq {
                possible.push("seen");
            }
        }
        let is_greater = |status: &&str| certain == "sent" || (certain == "delivered" && *status == "seen");
        let mut statuses: Vec<&str> = possible.into_iter().filter(is_greater).collect();
        if statuses.is_empty() {
            return json!(certain);
        }
        statuses.push(certain);
        json!({ ONE_OF: statuses })
    }
}

/// Sorts ids for which the contract gives no order.
fn sorted(mut ids: Vec<&str>) -> Vec<&str> {
    ids.sort_unstable();
    ids
}

/// Returns the first graphemes of a text that have at most a hundred characters together.
pub fn preview(text: &str) -> String {
    let mut left = 100_usize;
    let graphemes = text.graphemes(true).take_while(|grapheme| {
        let fits = grapheme.chars().count() <= left;
        left = left.saturating_sub(grapheme.chars().count());
        fits
    });
    graphemes.collect()
}

/// One year, as used for mutes that are given in seconds.
pub const YEAR: Duration = Duration::from_hours(365 * 24);

/// Returns a text instead of the end of such a mute, because the end depends on the clock of the server.
pub fn mute_end_after(years: u64) -> String {
    format!("for {years} years")
}

/// Returns the end of a mute that ends in a given year.
pub fn mute_end_in(year: u8) -> String {
    format!("{}-12-31T23:59:59.000Z", 2100 + u16::from(year))
}
