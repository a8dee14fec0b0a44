//! A client that comes back: `sync` from the revisions of its view, whatever they are, and what it does with the
//! answer.

use super::case::World;
use super::client_view::View;
use crate::support::TestSocket;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// A view that knows the names of the conversations and nothing that ever happened.
pub fn nothing(world: &World, by: usize) -> View {
    let mut view = View::new(&world.people[by].user.id, 0);
    let inside = (0..world.ids.len()).filter(|place| world.model.is_in(by, *place));
    view.from_zero = inside.map(|place| world.ids[place].clone()).collect();
    view
}

/// Brings a view up to date on a new session.
pub async fn sync(world: &World, by: usize, mut view: View) -> Result<(View, TestSocket), String> {
    let person = &world.people[by];
    let mut socket = person.user.connect_unsubscribed().await;
    let mut asked = view.revs();
    asked.extend(view.from_zero.iter().map(|id| (id.clone(), 0)));
    let epoch = &socket.welcome["epoch"];
    let payload = json!({ "conversations": asked, "user_rev": view.user_rev, "epoch": epoch });
    let id = socket.start("sync", payload);
    let mut frames = socket.frames_until("sync.done", |frame| frame["id"] == id.as_str()).await;
    let done = frames.pop().expect("the marker is last");
    if done["type"] != "sync.done" {
        return Err(format!("sync was answered by {done}"));
    }
    let done = &done["payload"];

    let resets = resets(&frames)?;
    let denied: BTreeSet<String> = ids(done["denied"].as_array().into_iter().flatten().map(|denied| &denied["id"]));
    let place = |id: &String| world.ids.iter().position(|known| known == id).expect("a known conversation");
    let outside = asked.keys().filter(|id| !world.model.is_in(by, place(id))).cloned().collect();
    if denied != outside {
        return Err(format!("denied are {denied:?}, outside are {outside:?}"));
    }
    for id in resets.keys() {
        // whoever was in all the time gets what was missed, however much it is
        let since = asked.get(id).copied().unwrap_or_default();
        if world.joined.get(&(by, id.clone())).is_none_or(|joined| *joined <= since) {
            return Err(format!("{id} is reset though nothing of it was missed while out: from {since}"));
        }
    }

    for held in view.conversations.values_mut() {
        held.ask_archived = (false, false);
    }
    let whole = !view.from_zero.is_empty();
    if whole {
        // the conversations themselves come from the user's stream, in whatever order the two are replayed
        frames.sort_by_key(|frame| frame["stream"] != "user");
    }
    for frame in &frames {
        let id = frame["payload"]["conversation_id"].as_str().unwrap_or_default();
        let set_aside = resets.contains_key(id) || denied.contains(id);
        if frame["stream"] == "conversation" && set_aside {
            let limit = world.out.get(&(by, id.to_owned()));
            if limit.is_some_and(|limit| frame["rev"].as_i64() > Some(*limit)) {
                return Err(format!("who is out since {limit:?} is told {frame}"));
            }
        } else if frame["type"] != "sync.reset" {
            view.apply(frame)?;
        }
    }
    for (id, rev) in done["conversations"].as_object().into_iter().flatten() {
        if resets.get(id).is_some_and(|reset| reset != rev) {
            return Err(format!("{id} was reset to {:?}, and sync.done says {rev}", resets[id]));
        }
        if !resets.contains_key(id) && view.conversations.get(id).map(|held| held.rev) != rev.as_i64() {
            let held = view.conversations.get(id).map(|held| held.rev);
            return Err(format!("sync.done says {rev} of {id}, the events end at {held:?}"));
        }
    }
    if done["user_rev"] != view.user_rev {
        return Err(format!("sync.done says {} of the user, the events end at {}", done["user_rev"], view.user_rev));
    }
    for id in resets.keys().filter(|id| !denied.contains(*id)) {
        view.gone.remove(id);
        view.conversations.insert(id.clone(), person.fetch(id).await);
    }
    view.from_zero.clear();
    view.note_reads(&done["reads"]);
    Ok((view, socket))
}

/// The conversations of which the log does not tell all, with their revisions.
fn resets(frames: &[Value]) -> Result<BTreeMap<String, Value>, String> {
    let mut resets = BTreeMap::new();
    for frame in frames.iter().filter(|frame| frame["type"] == "sync.reset") {
        let payload = &frame["payload"];
        let id = payload["conversation_id"].as_str().ok_or(format!("everything is reset: {frame}"))?;
        resets.insert(id.to_owned(), payload["last_rev"].clone());
    }
    Ok(resets)
}

fn ids<'a>(values: impl Iterator<Item = &'a Value>) -> BTreeSet<String> {
    values.map(|id| id.as_str().unwrap_or_default().to_owned()).collect()
}
