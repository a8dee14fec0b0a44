//! What a user is shown of the model, as JSON without times and ids of messages: the same form to which `compare.rs`
//! brings what REST answers. Where the contract leaves several answers, all of them stand there.

use super::commands::{EMOJI, LEVELS, Mute};
use super::state::{Conversation, Message, Model, Seat};
use serde_json::{Map, Value, json};
use std::time::Duration;
use unicode_segmentation::UnicodeSegmentation;

/// One of several values, as [`super::compare`] understands it.
pub const ONE_OF: &str = "$one_of";

impl Model {
    /// Everything that `user` sees; `ids` are the conversations' ids.
    pub fn shown(&self, user: usize, ids: &[String]) -> Value {
        let mut conversations = Map::new();
        for (place, id) in ids.iter().enumerate() {
            if let Some(seat) = self.seat(user, place) {
                conversations.insert(id.clone(), self.conversation(user, place, seat));
            }
        }
        let blocked = self.blocks.iter().filter(|(by, _)| *by == user);
        let blocks: Vec<&str> = blocked.map(|(_, whom)| self.users[*whom].id.as_str()).collect();
        json!({ "conversations": conversations, "unread": self.unread(user), "blocks": sorted(blocks) })
    }

    /// The order of the user's list, archived conversations apart: pinned first, then whoever spoke last.
    pub fn order(&self, user: usize, ids: &[String], archived: bool) -> Vec<String> {
        let mut list: Vec<(bool, i64, &String)> = Vec::new();
        for (place, conversation) in self.conversations.iter().enumerate() {
            if let Some(seat) = self.seat(user, place)
                && conversation.is_archived(seat) == archived
            {
                list.push((!seat.pinned, -conversation.active, &ids[place]));
            }
        }
        list.sort();
        list.into_iter().map(|(_, _, id)| id.clone()).collect()
    }

    fn unread(&self, user: usize) -> Value {
        let (mut messages, mut conversations, mut mentions) = (0, 0, 0);
        for (place, conversation) in self.conversations.iter().enumerate() {
            let Some(seat) = self.seat(user, place) else { continue };
            let unread = conversation.count(user, seat.read, conversation.last_seq());
            if seat.muted == Mute::Off {
                messages += unread;
                conversations += i64::from(unread > 0);
            }
            let mentioned = |message: &&Message| {
                let all = message.mentions_all && message.sender != Some(user);
                let meant = all || message.mentions.contains(&user);
                message.seq > seat.read && meant && !message.hidden.contains(&user)
            };
            mentions += conversation.messages.iter().filter(mentioned).count();
        }
        json!({ "messages": messages, "conversations": conversations, "mentions": mentions })
    }

    fn conversation(&self, user: usize, place: usize, seat: &Seat) -> Value {
        let conversation = &self.conversations[place];
        let peer = conversation.seats.keys().find(|other| conversation.direct && **other != user);
        let muted = match seat.muted {
            Mute::Off => json!(null),
            Mute::ForGood => json!("for good"),
            Mute::Until(year) => json!(until(year)),
            Mute::For(years) => json!(for_years(years.into())),
        };
        let shown = conversation.messages.iter().filter(|message| !message.hidden.contains(&user));
        let members: Map<String, Value> = conversation
            .inside()
            .map(|(other, of)| (self.users[other].id.clone(), self.member(user, other, of)))
            .collect();
        json!({
            "conversation": {
                "type": if conversation.direct { "direct" } else { "group" },
                "name": conversation.name,
                "description": conversation.description,
                "avatar_url": null,
                "class": null,
                "created_by": self.users[conversation.created_by].id,
                "last_seq": conversation.last_seq(),
                "last_message": conversation.last_message(user).map(|message| self.preview(message)),
                "member_count": members.len(),
                "unread_count": conversation.count(user, seat.read, conversation.last_seq()),
                "my": {
                    "role": seat.role.name(),
                    "last_read_seq": seat.read,
                    "muted_until": muted,
                    "archived": conversation.is_archived(seat),
                    "pinned": seat.pinned,
                    "notify": LEVELS[seat.notify],
                    "blocked": self.is_blocked(place),
                },
                "peer": peer.map(|peer| &self.users[*peer].id),
            },
            "messages": shown.clone().map(|message| self.message(user, place, message)).collect::<Vec<_>>(),
            "members": members,
            "pins": shown.filter(|message| message.pinned).map(|message| message.seq).collect::<Vec<_>>(),
        })
    }

    /// A member; others' marks only where receipts pass.
    fn member(&self, viewer: usize, other: usize, seat: &Seat) -> Value {
        let mark = if viewer == other && !self.sharing[viewer] {
            json!({ ONE_OF: [seat.read, null] })
        } else if viewer == other || self.receipts(viewer, other) {
            json!(seat.read)
        } else {
            json!(null)
        };
        json!({ "username": self.users[other].username, "role": seat.role.name(), "last_read_seq": mark })
    }

    fn preview(&self, message: &Message) -> Value {
        json!({
            "seq": message.seq,
            "sender_id": message.sender.map(|user| &self.users[user].id),
            "type": message.kind,
            "content": preview(&message.content),
        })
    }

    /// A message as `viewer` sees it.
    pub fn message(&self, viewer: usize, place: usize, message: &Message) -> Value {
        let conversation = &self.conversations[place];
        let reply = message.reply.map(|seq| self.preview(conversation.message(seq as usize)));
        let mentions: Vec<&str> = message.mentions.iter().map(|user| self.users[*user].id.as_str()).collect();
        let mut reactions = Map::new();
        for (emoji, who) in &message.reactions {
            reactions.insert(EMOJI[*emoji].to_owned(), json!({ "count": who.len(), "me": who.contains(&viewer) }));
        }
        let mut shown = json!({
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
            "temp_id": message.temp,
            "edited_at": message.edited,
            "deleted_at": message.deleted,
        });
        if message.sender == Some(viewer) {
            shown["status"] = self.status(viewer, conversation, message.seq);
        }
        shown
    }

    /// How far an own message got. The contract does not say: whether it counts what those had before them who came
    /// later; and whether who does not tell what was read still acknowledges.
    fn status(&self, viewer: usize, conversation: &Conversation, seq: i64) -> Value {
        let mut certain = "sent";
        let mut possible = vec![];
        for (other, seat) in conversation.seats.iter().filter(|(other, _)| **other != viewer) {
            if self.blocked_between(viewer, *other) {
                continue;
            }
            let sharing = self.receipts(viewer, *other);
            let (read, delivered) = seat.reached();
            if sharing && read >= seq {
                certain = "seen";
            } else if sharing && delivered >= seq && certain == "sent" {
                certain = "delivered";
            } else if delivered >= seq || seat.from >= seq {
                possible.push("delivered");
            }
            if sharing && seat.from >= seq {
                possible.push("seen");
            }
        }
        let above = |word: &&str| certain == "sent" || (certain == "delivered" && *word == "seen");
        let mut words: Vec<&str> = possible.into_iter().filter(above).collect();
        if words.is_empty() {
            return json!(certain);
        }
        words.push(certain);
        json!({ ONE_OF: words })
    }
}

/// Sorted, where the contract gives no order.
fn sorted(mut ids: Vec<&str>) -> Vec<&str> {
    ids.sort_unstable();
    ids
}

/// The beginning of a text, at most a hundred characters that end no grapheme in its middle.
pub fn preview(text: &str) -> String {
    let mut left = 100_usize;
    let graphemes = text.graphemes(true).take_while(|grapheme| {
        let fits = grapheme.chars().count() <= left;
        left = left.saturating_sub(grapheme.chars().count());
        fits
    });
    graphemes.collect()
}

/// A year of a mute that is given in seconds.
pub const YEAR: Duration = Duration::from_hours(365 * 24);

/// What stands for the end of such a mute, which only the server's clock knows.
pub fn for_years(years: u64) -> String {
    format!("for {years} years")
}

/// The end of a mute with an end.
pub fn until(year: u8) -> String {
    format!("{}-12-31T23:59:59.000Z", 2100 + u16::from(year))
}
