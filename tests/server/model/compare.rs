//! The comparisons: REST with the model, without times and ids of messages; the view of a client with REST, with them;
//! and the answer to a command with the expected answer. Each reports the paths of all differences.

use super::case::Case;
use super::client_view::View;
use super::commands::EMOJI;
use super::effects::Answer;
use super::expected_views::{ONE_OF, YEAR, mute_end_after, mute_end_in};
use super::requests::Outcome;
use super::state::{Message, Model};
use super::users::RestState;
use greenroom::domain::time::Timestamp;
use serde_json::{Map, Value, json};

/// The differences as an error, if there are any.
pub type CompareResult = Result<(), String>;

/// Compares the view of a client with REST.
pub fn view(view: &View, rest: &RestState) -> CompareResult {
    let found = view.to_json();
    let mut expected = Map::new();
    for conversation in rest.lists.iter().flatten() {
        let id = text(&conversation["id"]);
        let [messages, members, pins] = &rest.details[&id];
        let has_members = !found[&id]["members"].is_null();
        let members = has_members
            .then(|| members_by_user(members, |member| json!({ "user": member["user"], "role": member["role"] })));
        let loaded = json!({
            "conversation": conversation,
            "messages": messages["items"],
            "members": members,
            "pins": pin_seqs(pins),
        });
        expected.insert(id, reduce_client_conversation(loaded));
    }
    let found: Map<String, Value> = found
        .as_object()
        .expect("conversations")
        .iter()
        .map(|(id, entry)| (id.clone(), reduce_client_conversation(entry.clone())))
        .collect();
    compare_values(&Value::Object(expected), &Value::Object(found))
}

/// Removes presence, which can change at any time, and the status, which depends on the viewer and is in no event.
fn reduce_client_conversation(mut entry: Value) -> Value {
    if let Some(peer) = entry["conversation"]["peer"].as_object_mut() {
        peer.retain(|field, _| field != "presence" && field != "last_seen_at");
    }
    for message in entry["messages"].as_array_mut().into_iter().flatten() {
        message.as_object_mut().expect("a message").remove("status");
        message["deleted_at"] = json!(!message["deleted_at"].is_null());
        message["reactions"] = reduce_reactions(message);
        sort_ids(&mut message["mentions"]);
    }
    entry
}

/// Compares REST with the model.
pub fn model(case: &Case, user: usize, rest: &RestState) -> CompareResult {
    let mut conversations = Map::new();
    for conversation in rest.lists.iter().flatten() {
        let id = text(&conversation["id"]);
        let [messages, members, pins] = &rest.details[&id];
        let reduced = json!({
            "conversation": reduce_conversation(conversation),
            "messages": items(messages).map(reduce_message).collect::<Vec<_>>(),
            "members": members_by_user(members, reduce_member),
            "pins": pin_seqs(pins),
        });
        if conversations.insert(id.clone(), reduced).is_some() {
            return Err(format!("{id} is in the list twice"));
        }
    }
    let mut blocks = json!(items(&rest.blocks).map(|block| block["user"]["id"].clone()).collect::<Vec<_>>());
    sort_ids(&mut blocks);
    let found = json!({ "conversations": conversations, "unread": rest.unread, "blocks": blocks });
    compare_values(&case.model.expected_view(user, &case.conversation_ids), &found)?;
    for (list, archived) in rest.lists.iter().zip([false, true]) {
        let found: Vec<String> = list.iter().map(|conversation| text(&conversation["id"])).collect();
        let expected = case.model.expected_order(user, &case.conversation_ids, archived);
        if found != expected {
            return Err(format!("the list (archived: {archived}) is {found:?}, not {expected:?}"));
        }
    }
    Ok(())
}

fn reduce_conversation(conversation: &Value) -> Value {
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
    let mut reduced = select_fields(conversation, &fields);
    reduced["last_message"] = reduce_preview(&conversation["last_message"]);
    reduced["peer"] = conversation["peer"]["id"].clone();
    let mute_end = &mut reduced["my"]["muted_until"];
    if let Some(end) = mute_end.as_str()
        && (0..9).all(|year| mute_end_in(year) != end)
        && end.get(..4) > Some("2110")
    {
        *mute_end = json!("forever");
    } else if mute_end.as_str().is_some_and(|end| end < "2100")
        && let Ok(end) = serde_json::from_value::<Timestamp>(mute_end.clone())
    {
        // The number of years is rounded to the nearest, because some time has passed since the command.
        let left = end.since(Timestamp::now()) + YEAR / 2;
        *mute_end = json!(mute_end_after(left.as_secs() / YEAR.as_secs()));
    }
    reduced
}

fn reduce_preview(preview: &Value) -> Value {
    if preview.is_null() {
        return Value::Null;
    }
    let mut reduced = select_fields(preview, &["seq", "sender_id", "type", "content"]);
    if reduced["type"] == "system" {
        reduced["content"] = json!("");
    }
    reduced
}

fn reduce_member(member: &Value) -> Value {
    json!({
        "username": member["user"]["username"],
        "role": member["role"],
        "last_read_seq": member["last_read_seq"],
    })
}

/// Returns a message without times and ids, and without the text of a system message, which the contract leaves open.
fn reduce_message(message: &Value) -> Value {
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
    let mut reduced = select_fields(message, &fields);
    if reduced["status"].is_null() {
        reduced.as_object_mut().expect("a message").remove("status");
    }
    if reduced["type"] == "system" && reduced["content"].as_str().is_some_and(|text| !text.is_empty()) {
        reduced["content"] = json!("");
    }
    sort_ids(&mut reduced["mentions"]);
    reduced["sender"] = message["sender"]["username"].clone();
    reduced["reply_to"] = reduce_preview(&message["reply_to"]);
    reduced["reactions"] = reduce_reactions(message);
    for time in ["edited_at", "deleted_at"] {
        reduced[time] = json!(!message[time].is_null());
    }
    reduced
}

/// Compares the answer to a command with the expected answer.
pub fn answer(case: &Case, caller: usize, answer: &Answer, outcome: &Outcome) -> CompareResult {
    let body = &outcome.body;
    let id = |user: &usize| json!(case.users[*user].account.id);
    let own_message = |conversation: usize, seq: usize| {
        case.model.message_view(caller, conversation, case.model.conversations[conversation].message(seq))
    };
    let expected_view = |conversation: usize| {
        case.model.expected_view(caller, &case.conversation_ids)["conversations"][&case.conversation_ids[conversation]]
            .clone()
    };
    if outcome.status == Some(204) {
        return compare_values(&Value::Null, body);
    }
    match (answer, outcome.status) {
        (Answer::Sent { conversation, seq }, None) => {
            let expected = reduce_for_sender(case, caller, *conversation, own_message(*conversation, *seq));
            compare_values(&expected, &reduce_message(&body["message"]))?;
            compare_values(&expected["temp_id"], &body["temp_id"])?;
            let rev = case.message_revs.get(&(case.conversation_ids[*conversation].clone(), *seq as i64));
            if rev.is_some_and(|rev| body["rev"] != *rev) {
                return Err(format!("the message is at revision {rev:?}, and the answer says {}", body["rev"]));
            }
            Ok(())
        }
        (Answer::Sent { conversation, seq }, _) => compare_values(
            &reduce_for_sender(case, caller, *conversation, own_message(*conversation, *seq)),
            &reduce_message(body),
        ),
        (Answer::Message { conversation, seq }, Some(_)) => {
            compare_values(&own_message(*conversation, *seq), &reduce_message(body))
        }
        (Answer::Conversation(conversation), Some(_)) => {
            compare_values(&expected_view(*conversation)["conversation"], &reduce_conversation(body))
        }
        (Answer::Mark { read, unread, marked }, _) => {
            compare_values(&json!({ "last_read_seq": read, "unread_count": unread, "marked": marked }), body)
        }
        (Answer::Reaction { emoji, count, me, .. }, Some(_)) => {
            compare_values(&json!({ "emoji": EMOJI[*emoji], "count": count, "me": me }), body)
        }
        (Answer::Reaction { action, .. }, None) => compare_values(&json!({ "action": action }), body),
        (Answer::Members(conversation, users), Some(_)) => {
            let found = if body["items"].is_array() { body.clone() } else { json!({ "items": [body] }) };
            let members = &expected_view(*conversation)["members"];
            let expected: Map<String, Value> =
                users.iter().map(|user| text(&id(user))).map(|id| (id.clone(), members[id].clone())).collect();
            compare_values(&Value::Object(expected), &members_by_user(&found, reduce_member))
        }
        (Answer::Block(user), Some(_)) => compare_values(&id(user), &body["user"]["id"]),
        (Answer::Anything | Answer::Message { .. }, _)
        | (Answer::Conversation(_) | Answer::Members(..) | Answer::Block(_), None) => Ok(()),
    }
}

/// Compares the former texts of a message, oldest first.
pub fn history(former_texts: &[String], found: &Value) -> CompareResult {
    let texts: Vec<&Value> = entries(found).map(|entry| &entry["content"]).collect();
    compare_values(&json!(former_texts), &json!(texts))
}

/// Compares the users who reacted to a message, by emoji.
pub fn reactions_by_user(model: &Model, message: &Message, found: &Value) -> CompareResult {
    let mut expected = Map::new();
    for (emoji, users) in &message.reactions {
        let mut ids = json!(users.iter().map(|user| &model.users[*user].id).collect::<Vec<_>>());
        sort_ids(&mut ids);
        expected.insert(EMOJI[*emoji].to_owned(), json!({ "count": users.len(), "user_ids": ids }));
    }
    let reactions = entries(found).map(|entry| {
        let mut ids = entry["user_ids"].clone();
        sort_ids(&mut ids);
        (text(&entry["emoji"]), json!({ "count": entry["count"], "user_ids": ids }))
    });
    compare_values(&Value::Object(expected), &Value::Object(reactions.collect()))
}

/// Returns the entries of a page, or of a plain list.
fn entries(list: &Value) -> impl Iterator<Item = &Value> {
    list["items"].as_array().or(list.as_array()).unwrap_or_else(|| panic!("this is no list: {list}")).iter()
}

/// Returns a sent message as its sender must get it: after leaving, without reactions, pin and status.
fn reduce_for_sender(case: &Case, caller: usize, conversation: usize, mut message: Value) -> Value {
    if !case.model.is_in(caller, conversation) {
        message["reactions"] = json!({});
        message["pinned"] = json!(false);
        message.as_object_mut().expect("a message").remove("status");
    }
    message
}

fn select_fields(value: &Value, fields: &[&str]) -> Value {
    fields.iter().map(|field| ((*field).to_owned(), value[*field].clone())).collect::<Map<_, _>>().into()
}

fn items(page: &Value) -> impl Iterator<Item = &Value> {
    page["items"].as_array().unwrap_or_else(|| panic!("this is no page: {page}")).iter()
}

fn members_by_user(page: &Value, reduce: impl Fn(&Value) -> Value) -> Value {
    items(page).map(|member| (text(&member["user"]["id"]), reduce(member))).collect::<Map<_, _>>().into()
}

fn pin_seqs(pins: &Value) -> Vec<i64> {
    let mut seqs: Vec<i64> = items(pins).map(|message| message["seq"].as_i64().expect("a seq")).collect();
    seqs.sort_unstable();
    seqs
}

fn reduce_reactions(message: &Value) -> Value {
    let reactions = message["reactions"].as_array().into_iter().flatten();
    let reduce =
        |reaction: &Value| (text(&reaction["emoji"]), json!({ "count": reaction["count"], "me": reaction["me"] }));
    reactions.map(reduce).collect::<Map<_, _>>().into()
}

fn sort_ids(ids: &mut Value) {
    if let Some(ids) = ids.as_array_mut() {
        ids.sort_by_key(text);
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Compares two values and reports all differences.
pub fn compare_values(expected: &Value, found: &Value) -> CompareResult {
    let mut differences = Vec::new();
    collect_differences(expected, found, "", &mut differences);
    if differences.is_empty() { Ok(()) } else { Err(differences.join("; ")) }
}

fn collect_differences(expected: &Value, found: &Value, path: &str, differences: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(fields), _) if fields.contains_key(ONE_OF) => {
            let is_allowed = fields[ONE_OF].as_array().is_some_and(|values| values.contains(found));
            differences.extend((!is_allowed).then(|| format!("{path}: {found} is none of {}", fields[ONE_OF])));
        }
        // In the data of a system message, the server may leave out the users and the name.
        (Value::Object(fields), Value::Object(_)) if fields.contains_key("actor_id") => {
            for (field, value) in fields {
                let found_value = &found[field];
                if !(found_value.is_null() && ["user_ids", "name"].contains(&field.as_str())) {
                    let (mut value, mut found_value) = (value.clone(), found_value.clone());
                    sort_ids(&mut value);
                    sort_ids(&mut found_value);
                    collect_differences(&value, &found_value, &format!("{path}/{field}"), differences);
                }
            }
        }
        (Value::Object(fields), Value::Object(found_fields)) => {
            for field in fields.keys().chain(found_fields.keys().filter(|field| !fields.contains_key(*field))) {
                let (value, found_value) = (fields.get(field), found_fields.get(field));
                let path = format!("{path}/{field}");
                match (value, found_value) {
                    (Some(value), Some(found_value)) => collect_differences(value, found_value, &path, differences),
                    (Some(value), None) => differences.push(format!("{path}: {value} is missing")),
                    (None, found_value) => {
                        differences.push(format!("{path}: {} is unexpected", found_value.unwrap_or(&Value::Null)));
                    }
                }
            }
        }
        (Value::Array(items), Value::Array(found_items)) if items.len() == found_items.len() => {
            for (index, (value, found_value)) in items.iter().zip(found_items).enumerate() {
                collect_differences(value, found_value, &format!("{path}/{index}"), differences);
            }
        }
        _ if expected != found => differences.push(format!("{path}: {found}, not {expected}")),
        _ => (),
    }
}
