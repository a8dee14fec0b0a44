//! What is compared with what, and in which form: REST with the model (without times and ids of messages), a client's
//! view with REST (with them), an answer with what came of the command. A difference is told by its path.

use super::case::World;
use super::client_view::View;
use super::commands::EMOJI;
use super::effects::Answer;
use super::expected_views::{ONE_OF, YEAR, for_years, until};
use super::requests::Outcome;
use super::state::{Message, Model};
use super::users::Rest;
use greenroom::domain::time::Timestamp;
use serde_json::{Map, Value, json};

/// The differences, if there are any.
pub type Compared = Result<(), String>;

/// A client's view with what REST shows.
pub fn view(view: &View, rest: &Rest) -> Compared {
    let shown = view.shown();
    let mut expected = Map::new();
    for conversation in rest.lists.iter().flatten() {
        let id = text(&conversation["id"]);
        let [messages, members, pins] = &rest.within[&id];
        let known = !shown[&id]["members"].is_null();
        let members =
            known.then(|| by_user(members, |member| json!({ "user": member["user"], "role": member["role"] })));
        let shown = json!({
            "conversation": conversation,
            "messages": messages["items"],
            "members": members,
            "pins": places(pins),
        });
        expected.insert(id, seen(shown));
    }
    let found: Map<String, Value> =
        shown.as_object().expect("conversations").iter().map(|(id, shown)| (id.clone(), seen(shown.clone()))).collect();
    // the view is what is judged, REST what it should be
    agree(&Value::Object(expected), &Value::Object(found))
}

/// Without what changes by the minute, or is only the viewer's.
fn seen(mut shown: Value) -> Value {
    if let Some(peer) = shown["conversation"]["peer"].as_object_mut() {
        peer.retain(|field, _| field != "presence" && field != "last_seen_at");
    }
    for message in shown["messages"].as_array_mut().into_iter().flatten() {
        message.as_object_mut().expect("a message").remove("status");
        message["deleted_at"] = json!(!message["deleted_at"].is_null());
        message["reactions"] = reactions(message);
        sort(&mut message["mentions"]);
    }
    shown
}

/// What REST shows with what the model does.
pub fn model(world: &World, user: usize, rest: &Rest) -> Compared {
    let mut conversations = Map::new();
    for conversation in rest.lists.iter().flatten() {
        let id = text(&conversation["id"]);
        let [messages, members, pins] = &rest.within[&id];
        let told = json!({
            "conversation": told_conversation(conversation),
            "messages": items(messages).map(told_message).collect::<Vec<_>>(),
            "members": by_user(members, told_member),
            "pins": places(pins),
        });
        if conversations.insert(id.clone(), told).is_some() {
            return Err(format!("{id} is in the list twice"));
        }
    }
    let mut blocks = json!(items(&rest.blocks).map(|block| block["user"]["id"].clone()).collect::<Vec<_>>());
    sort(&mut blocks);
    let found = json!({ "conversations": conversations, "unread": rest.unread, "blocks": blocks });
    agree(&world.model.shown(user, &world.ids), &found)?;
    for (list, archived) in rest.lists.iter().zip([false, true]) {
        let found: Vec<String> = list.iter().map(|conversation| text(&conversation["id"])).collect();
        let expected = world.model.order(user, &world.ids, archived);
        if found != expected {
            return Err(format!("the list (archived: {archived}) is {found:?}, not {expected:?}"));
        }
    }
    Ok(())
}

fn told_conversation(conversation: &Value) -> Value {
    let fields = [
        "type",
        "name",
        "description",
        "avatar_url",
        "class",
        "created_by",
        "last_seq",
        "member_count",
        "unread_count",
        "my",
    ];
    let mut told = picked(conversation, &fields);
    told["last_message"] = told_preview(&conversation["last_message"]);
    told["peer"] = conversation["peer"]["id"].clone();
    let muted = &mut told["my"]["muted_until"];
    if let Some(end) = muted.as_str()
        && (0..9).all(|year| until(year) != end)
        && end.get(..4) > Some("2110")
    {
        *muted = json!("for good");
    } else if muted.as_str().is_some_and(|end| end < "2100")
        && let Ok(end) = serde_json::from_value::<Timestamp>(muted.clone())
    {
        // to the nearest: a case is over long before half a year is
        let left = end.since(Timestamp::now()) + YEAR / 2;
        *muted = json!(for_years(left.as_secs() / YEAR.as_secs()));
    }
    told
}

fn told_preview(preview: &Value) -> Value {
    if preview.is_null() {
        return Value::Null;
    }
    let mut told = picked(preview, &["seq", "sender_id", "type", "content"]);
    if told["type"] == "system" {
        told["content"] = json!("");
    }
    told
}

fn told_member(member: &Value) -> Value {
    json!({
        "username": member["user"]["username"],
        "role": member["role"],
        "last_read_seq": member["last_read_seq"],
    })
}

/// A message without times and ids; the words of the server are its own.
fn told_message(message: &Value) -> Value {
    let fields = [
        "seq",
        "sender_id",
        "type",
        "content",
        "data",
        "attachments",
        "mentions",
        "mentions_all",
        "pinned",
        "temp_id",
        "status",
    ];
    let mut told = picked(message, &fields);
    if told["status"].is_null() {
        told.as_object_mut().expect("a message").remove("status");
    }
    if told["type"] == "system" && told["content"].as_str().is_some_and(|words| !words.is_empty()) {
        told["content"] = json!("");
    }
    sort(&mut told["mentions"]);
    told["sender"] = message["sender"]["username"].clone();
    told["reply_to"] = told_preview(&message["reply_to"]);
    told["reactions"] = reactions(message);
    for time in ["edited_at", "deleted_at"] {
        told[time] = json!(!message[time].is_null());
    }
    told
}

/// An answer with what came of the command.
pub fn answer(world: &World, by: usize, answer: &Answer, outcome: &Outcome) -> Compared {
    let body = &outcome.body;
    let id = |user: &usize| json!(world.people[*user].user.id);
    let own = |place: usize, seq: usize| world.model.message(by, place, world.model.conversations[place].message(seq));
    if outcome.status == Some(204) {
        return agree(&Value::Null, body);
    }
    match (answer, outcome.status) {
        (Answer::Sent { place, seq }, None) => {
            let expected = sent(world, by, *place, own(*place, *seq));
            agree(&expected, &told_message(&body["message"]))?;
            agree(&expected["temp_id"], &body["temp_id"])?;
            let rev = world.sent_revs.get(&(world.ids[*place].clone(), *seq as i64));
            if rev.is_some_and(|rev| body["rev"] != *rev) {
                return Err(format!("the message is at revision {rev:?}, and the answer says {}", body["rev"]));
            }
            Ok(())
        }
        (Answer::Sent { place, seq }, _) => agree(&sent(world, by, *place, own(*place, *seq)), &told_message(body)),
        (Answer::Message { place, seq }, Some(_)) => agree(&own(*place, *seq), &told_message(body)),
        (Answer::Conversation(place), Some(_)) => {
            let expected = &world.model.shown(by, &world.ids)["conversations"][&world.ids[*place]]["conversation"];
            agree(expected, &told_conversation(body))
        }
        (Answer::Mark { read, unread, marked }, _) => {
            agree(&json!({ "last_read_seq": read, "unread_count": unread, "marked": marked }), body)
        }
        (Answer::Reaction { emoji, count, me, .. }, Some(_)) => {
            agree(&json!({ "emoji": EMOJI[*emoji], "count": count, "me": me }), body)
        }
        (Answer::Reaction { action, .. }, None) => agree(&json!({ "action": action }), body),
        (Answer::Members(place, users), Some(_)) => {
            let found = if body["items"].is_array() { body.clone() } else { json!({ "items": [body] }) };
            let shown = &world.model.shown(by, &world.ids)["conversations"][&world.ids[*place]]["members"];
            let expected: Map<String, Value> =
                users.iter().map(|user| text(&id(user))).map(|id| (id.clone(), shown[id].clone())).collect();
            agree(&Value::Object(expected), &by_user(&found, told_member))
        }
        (Answer::Block(whom), Some(_)) => agree(&id(whom), &body["user"]["id"]),
        (Answer::Anything | Answer::Message { .. }, _)
        | (Answer::Conversation(_) | Answer::Members(..) | Answer::Block(_), None) => Ok(()),
    }
}

/// A message's former texts, oldest first.
pub fn history(former: &[String], found: &Value) -> Compared {
    let told: Vec<&Value> = entries(found).map(|entry| &entry["content"]).collect();
    agree(&json!(former), &json!(told))
}

/// Who reacted to a message, and how.
pub fn reactors(model: &Model, message: &Message, found: &Value) -> Compared {
    let mut expected = Map::new();
    for (emoji, who) in &message.reactions {
        let mut ids = json!(who.iter().map(|user| &model.users[*user].id).collect::<Vec<_>>());
        sort(&mut ids);
        expected.insert(EMOJI[*emoji].to_owned(), json!({ "count": who.len(), "user_ids": ids }));
    }
    let told = entries(found).map(|entry| {
        let mut ids = entry["user_ids"].clone();
        sort(&mut ids);
        (text(&entry["emoji"]), json!({ "count": entry["count"], "user_ids": ids }))
    });
    agree(&Value::Object(expected), &Value::Object(told.collect()))
}

/// The entries of a page, or of a list that is written as one.
fn entries(list: &Value) -> impl Iterator<Item = &Value> {
    list["items"].as_array().or(list.as_array()).unwrap_or_else(|| panic!("a list: {list}")).iter()
}

/// As its sender is told of it: without reactions, pin and status, who is out by now.
fn sent(world: &World, by: usize, place: usize, mut message: Value) -> Value {
    if !world.model.is_in(by, place) {
        message["reactions"] = json!({});
        message["pinned"] = json!(false);
        message.as_object_mut().expect("a message").remove("status");
    }
    message
}

fn picked(value: &Value, fields: &[&str]) -> Value {
    fields.iter().map(|field| ((*field).to_owned(), value[*field].clone())).collect::<Map<_, _>>().into()
}

fn items(page: &Value) -> impl Iterator<Item = &Value> {
    page["items"].as_array().unwrap_or_else(|| panic!("a page has items: {page}")).iter()
}

fn by_user(page: &Value, told: impl Fn(&Value) -> Value) -> Value {
    items(page).map(|member| (text(&member["user"]["id"]), told(member))).collect::<Map<_, _>>().into()
}

fn places(pins: &Value) -> Vec<i64> {
    let mut places: Vec<i64> = items(pins).map(|message| message["seq"].as_i64().expect("a seq")).collect();
    places.sort_unstable();
    places
}

fn reactions(message: &Value) -> Value {
    let reactions = message["reactions"].as_array().into_iter().flatten();
    let told = |it: &Value| (text(&it["emoji"]), json!({ "count": it["count"], "me": it["me"] }));
    reactions.map(told).collect::<Map<_, _>>().into()
}

fn sort(ids: &mut Value) {
    if let Some(ids) = ids.as_array_mut() {
        ids.sort_by_key(text);
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// No difference, or all of them.
pub fn agree(expected: &Value, found: &Value) -> Compared {
    let mut differences = Vec::new();
    differ(expected, found, "", &mut differences);
    if differences.is_empty() { Ok(()) } else { Err(differences.join("; ")) }
}

fn differ(expected: &Value, found: &Value, path: &str, differences: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(one), _) if one.contains_key(ONE_OF) => {
            let fits = one[ONE_OF].as_array().is_some_and(|several| several.contains(found));
            differences.extend((!fits).then(|| format!("{path}: {found} is none of {}", one[ONE_OF])));
        }
        // what the server tells beside who did what is up to it, but must not be wrong
        (Value::Object(told), Value::Object(_)) if told.contains_key("actor_id") => {
            for (field, value) in told {
                let said = &found[field];
                if !(said.is_null() && ["user_ids", "name"].contains(&field.as_str())) {
                    let (mut value, mut said) = (value.clone(), said.clone());
                    sort(&mut value);
                    sort(&mut said);
                    differ(&value, &said, &format!("{path}/{field}"), differences);
                }
            }
        }
        (Value::Object(one), Value::Object(other)) => {
            for field in one.keys().chain(other.keys().filter(|field| !one.contains_key(*field))) {
                let (value, said) = (one.get(field), other.get(field));
                let path = format!("{path}/{field}");
                match (value, said) {
                    (Some(value), Some(said)) => differ(value, said, &path, differences),
                    (Some(value), None) => differences.push(format!("{path}: {value} is missing")),
                    (None, said) => differences.push(format!("{path}: {} is too much", said.unwrap_or(&Value::Null))),
                }
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, (value, said)) in one.iter().zip(other).enumerate() {
                differ(value, said, &format!("{path}/{index}"), differences);
            }
        }
        _ if expected != found => differences.push(format!("{path}: {found}, not {expected}")),
        _ => (),
    }
}
