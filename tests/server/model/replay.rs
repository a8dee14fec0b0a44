//! The `sync` of a client from the revisions of its view, and the changes that the answer makes to the view.

use super::case::Case;
use super::client_view::View;
use crate::support::TestSocket;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Returns a view with the ids of the user's conversations and without any event.
pub fn empty_view(case: &Case, caller: usize) -> View {
    let mut view = View::new(&case.users[caller].account.id, 0);
    let own = (0..case.conversation_ids.len()).filter(|conversation| case.model.is_in(caller, *conversation));
    view.from_first_event = own.map(|conversation| case.conversation_ids[conversation].clone()).collect();
    view
}

/// Opens a new session and syncs the view. Also checks that the answer has all events and no others.
pub async fn sync(case: &Case, caller: usize, mut view: View) -> Result<(View, TestSocket), String> {
    let user = &case.users[caller];
    let mut socket = user.account.connect_unsubscribed().await;
    let mut requested = view.get_revs();
    requested.extend(view.from_first_event.iter().map(|id| (id.clone(), 0)));
    let epoch = &socket.auth_success["epoch"];
    let payload = json!({ "conversations": requested, "user_rev": view.user_rev, "epoch": epoch });
    let id = socket.start("sync", payload);
    let mut frames = socket.frames_until("sync.done", |frame| frame["id"] == id.as_str()).await;
    let done = frames.pop().expect("the marker is last");
    if done["type"] != "sync.done" {
        return Err(format!("sync was answered by {done}"));
    }
    let done = &done["payload"];

    let resets = resets(&frames)?;
    let denied: BTreeSet<String> = ids(done["denied"].as_array().into_iter().flatten().map(|denied| &denied["id"]));
    let index_of =
        |id: &String| case.conversation_ids.iter().position(|known| known == id).expect("a known conversation");
    let expected_denied = requested.keys().filter(|id| !case.model.is_in(caller, index_of(id))).cloned().collect();
    if denied != expected_denied {
        return Err(format!("denied are {denied:?}, expected are {expected_denied:?}"));
    }
    for id in resets.keys() {
        // A user who was a participant all the time gets all events, without a reset.
        let from_rev = requested.get(id).copied().unwrap_or_default();
        if case.joined_at_revs.get(&(caller, id.clone())).is_none_or(|joined_at_rev| *joined_at_rev <= from_rev) {
            return Err(format!("{id} is reset from {from_rev}, though the user has not left it since"));
        }
    }

    for conversation in view.conversations.values_mut() {
        (conversation.settings_came, conversation.messages_came) = (false, false);
    }
    if !view.from_first_event.is_empty() {
        // The user stream creates the conversations, and the streams may be replayed in any order.
        frames.sort_by_key(|frame| frame["stream"] != "user");
    }
    for frame in &frames {
        let id = frame["payload"]["conversation_id"].as_str().unwrap_or_default();
        let is_ignored = resets.contains_key(id) || denied.contains(id);
        if frame["stream"] == "conversation" && is_ignored {
            let limit = case.left_at_revs.get(&(caller, id.to_owned()));
            if limit.is_some_and(|limit| frame["rev"].as_i64() > Some(*limit)) {
                return Err(format!("the user left at {limit:?} and gets {frame}"));
            }
        } else if frame["type"] != "sync.reset" {
            view.apply(frame)?;
        }
    }
    for (id, rev) in done["conversations"].as_object().into_iter().flatten() {
        if resets.get(id).is_some_and(|reset| reset != rev) {
            return Err(format!("{id} was reset to {:?}, and sync.done says {rev}", resets[id]));
        }
        if !resets.contains_key(id) && view.conversations.get(id).map(|conversation| conversation.rev) != rev.as_i64() {
            let conversation = view.conversations.get(id).map(|conversation| conversation.rev);
            return Err(format!("sync.done says {rev} of {id}, the events end at {conversation:?}"));
        }
    }
    if done["user_rev"] != view.user_rev {
        return Err(format!("sync.done says {} of the user, the events end at {}", done["user_rev"], view.user_rev));
    }
    for id in resets.keys().filter(|id| !denied.contains(*id)) {
        view.left_conversations.remove(id);
        view.conversations.insert(id.clone(), user.get_conversation(id).await);
    }
    view.from_first_event.clear();
    view.apply_reads(&done["reads"]);
    Ok((view, socket))
}

/// Returns the conversations that the client must load again, with their revisions.
fn resets(frames: &[Value]) -> Result<BTreeMap<String, Value>, String> {
    let mut resets = BTreeMap::new();
    for frame in frames.iter().filter(|frame| frame["type"] == "sync.reset") {
        let payload = &frame["payload"];
        let id = payload["conversation_id"].as_str().ok_or(format!("all conversations are reset: {frame}"))?;
        resets.insert(id.to_owned(), payload["last_rev"].clone());
    }
    Ok(resets)
}

fn ids<'a>(values: impl Iterator<Item = &'a Value>) -> BTreeSet<String> {
    values.map(|id| id.as_str().unwrap_or_default().to_owned()).collect()
}
