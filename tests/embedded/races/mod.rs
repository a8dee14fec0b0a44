//! Two actions at the same time, a thousand times each: one order wins, and the answers, the log and every user's view
//! agree on it.
//!
//! The rounds run inside the process, without sockets, because a thousand of them over HTTP would take minutes: the
//! transactions decide a race, and they are the same. `tests/server/races.rs` runs fewer rounds over REST and
//! WebSocket, where the events of the sessions are checked as well. Here the delivered frames are compared with the log
//! at the end of a race, byte for byte.

mod rounds;

use crate::harness::{TestApp, TestSend, on_each_database};
use greenroom::domain::codes::Code;
use greenroom::domain::ids::UserId;
use greenroom::domain::names::UserRef;
use greenroom::domain::roles::Role;
use greenroom::protocol::messages::Audience;
use greenroom::usecases::{blocks, conversations, deletions, members, messages, reactions};
use rounds::{Round, revs, run_checked_race, run_race, succeeded};
use serde_json::json;

/// Builds the future of an action, with a clone of the application and the caller, for a task of its own.
macro_rules! action {
    ($round:expr, $caller:expr, |$app:ident, $as:ident| $work:expr) => {{
        let ($app, $as) = ($round.test().app.clone(), $caller);
        async move { $work.await }
    }};
}

#[test]
fn admins_who_remove_each_other_are_both_refused() {
    on_each_database(&async |test: &TestApp| {
        run_checked_race(test, 3, &["both refused"], async |round: &Round| {
            let [owner, one, other] = [round.users[0], round.users[1], round.users[2]];
            let group = round.group(&[Role::Admin, Role::Admin]).await;
            let before = round.log(group).await.len();
            let (first, second) = round
                .run_together(
                    action!(round, one, |app, me| members::remove(&app, &me, group, &UserRef::Id(other.user_id))),
                    action!(round, other, |app, me| members::remove(&app, &me, group, &UserRef::Id(one.user_id))),
                )
                .await;
            assert!(!succeeded(&first, &[Code::Forbidden]) && !succeeded(&second, &[Code::Forbidden]));
            assert_eq!(round.log(group).await.len(), before);
            for user in [owner, one, other] {
                assert_eq!(round.members(&user, group).await.unwrap().len(), 3);
            }
            "both refused"
        })
        .await;
    });
}

/// The owner makes an admin the new owner, while this admin removes the old owner. The order decides whether the
/// removal is allowed; the group has one owner in any case.
#[test]
fn an_owner_transfers_the_group_while_being_removed() {
    on_each_database(&async |test: &TestApp| {
        run_checked_race(test, 3, &["transferred first", "refused first"], async |round: &Round| {
            let [owner, successor, observer] = [round.users[0], round.users[1], round.users[2]];
            let group = round.group(&[Role::Admin, Role::Member]).await;
            let before = round.log(group).await.len();
            let (transferred, removed) = round
                .run_together(
                    action!(round, owner, |app, me| members::update_role(
                        &app,
                        &me,
                        group,
                        &UserRef::Id(successor.user_id),
                        Role::Owner
                    )),
                    action!(round, successor, |app, me| members::remove(&app, &me, group, &UserRef::Id(owner.user_id))),
                )
                .await;
            transferred.unwrap();
            let removed = succeeded(&removed, &[Code::Forbidden]);
            let log = round.log(group).await.split_off(before);
            let (updated, left) = (revs(&log, "participant.updated"), revs(&log, "participant.left"));
            assert_eq!(left.len(), usize::from(removed));
            assert!(left.iter().all(|left| updated.iter().all(|updated| updated < left)), "{log:#?}");
            let seen = round.members(&successor, group).await.unwrap();
            assert_eq!(seen.get(&successor.user_id), Some(&Role::Owner));
            assert_eq!(seen.values().filter(|role| **role == Role::Owner).count(), 1, "{seen:?}");
            assert_eq!(round.members(&observer, group).await.unwrap(), seen);
            let old = round.members(&owner, group).await;
            assert_eq!(old, if removed { Err(Code::NotAParticipant) } else { Ok(seen) });
            if removed { "transferred first" } else { "refused first" }
        })
        .await;
    });
}

/// An admin removes a member while the owner lowers the role of the admin.
#[test]
fn an_admin_removes_a_member_while_losing_the_role() {
    on_each_database(&async |test: &TestApp| {
        run_checked_race(test, 3, &["lowered first", "removed first"], async |round: &Round| {
            let [owner, admin, member] = [round.users[0], round.users[1], round.users[2]];
            let group = round.group(&[Role::Admin, Role::Member]).await;
            let before = round.log(group).await.len();
            let (lowered, removed) = round
                .run_together(
                    action!(round, owner, |app, me| members::update_role(
                        &app,
                        &me,
                        group,
                        &UserRef::Id(admin.user_id),
                        Role::Member
                    )),
                    action!(round, admin, |app, me| members::remove(&app, &me, group, &UserRef::Id(member.user_id))),
                )
                .await;
            lowered.unwrap();
            let removed = succeeded(&removed, &[Code::Forbidden]);
            let log = round.log(group).await.split_off(before);
            let (updated, left) = (revs(&log, "participant.updated"), revs(&log, "participant.left"));
            assert_eq!((updated.len(), left.len()), (1, usize::from(removed)));
            assert!(left.iter().all(|left| *left < updated[0]), "{log:#?}");
            let seen = round.members(&owner, group).await.unwrap();
            assert_eq!(seen.get(&admin.user_id), Some(&Role::Member));
            assert_eq!(seen.contains_key(&member.user_id), !removed);
            assert_eq!(round.members(&admin, group).await.unwrap(), seen);
            if removed { "removed first" } else { "lowered first" }
        })
        .await;
    });
}

#[test]
fn a_send_and_the_removal_of_its_sender() {
    on_each_database(&async |test: &TestApp| {
        run_checked_race(test, 3, &["removed first", "sent first"], async |round: &Round| {
            let [owner, sender, observer] = [round.users[0], round.users[1], round.users[2]];
            let group = round.group(&[Role::Member, Role::Member]).await;
            let (removed, sent) = round
                .run_together(
                    action!(round, owner, |app, me| members::remove(&app, &me, group, &UserRef::Id(sender.user_id))),
                    action!(round, sender, |app, me| messages::send(
                        &app,
                        TestSend::new(group, &me, "hello").checked()
                    )),
                )
                .await;
            removed.unwrap();
            let stored = succeeded(&sent, &[Code::NotAParticipant]);
            let log = round.log(group).await;
            let left = revs(&log, "participant.left");
            assert_eq!(left.len(), 1);
            let sent_revs: Vec<i64> = log
                .iter()
                .filter(|event| event.payload["message"]["sender_id"] == sender.user_id.to_string())
                .map(|event| event.rev)
                .collect();
            assert_eq!(sent_revs.len(), usize::from(stored));
            assert!(sent_revs.iter().all(|rev| *rev < left[0]), "{log:#?}");
            let seen = round.messages(&owner, group).await.unwrap();
            assert_eq!(seen.iter().filter(|message| message["content"] == "hello").count(), usize::from(stored));
            assert_eq!(round.messages(&observer, group).await.unwrap(), seen);
            assert_eq!(round.messages(&sender, group).await, Err(Code::NotAParticipant));
            if stored { "sent first" } else { "removed first" }
        })
        .await;
    });
}

#[test]
fn a_reaction_and_the_deletion_of_its_message() {
    on_each_database(&async |test: &TestApp| {
        run_race(test, 3, &["deleted first", "reacted first"], async |round: &Round| {
            let [owner, author, reader] = [round.users[0], round.users[1], round.users[2]];
            let group = round.group(&[Role::Member, Role::Member]).await;
            let sent = messages::send(&round.test().app, TestSend::new(group, &author, "to be deleted").checked())
                .await
                .unwrap();
            let message = sent.message.id;
            let (deleted, reacted) = round
                .run_together(
                    action!(round, author, |app, me| deletions::delete(&app, &me, group, message, Audience::Everyone)),
                    action!(round, reader, |app, me| reactions::add(&app, &me, group, message, "👍")),
                )
                .await;
            deleted.unwrap();
            let reacted = succeeded(&reacted, &[Code::Conflict]);
            let log = round.log(group).await;
            let (updated, deleted_revs) = (revs(&log, "reaction.updated"), revs(&log, "message.deleted"));
            assert_eq!((updated.len(), deleted_revs.len()), (usize::from(reacted), 1));
            assert!(updated.iter().all(|updated| *updated < deleted_revs[0]), "{log:#?}");
            assert!(!format!("{log:?}").contains("to be deleted"), "the text is still in the log");
            for user in [owner, author, reader] {
                let seen = round.messages(&user, group).await.unwrap();
                let shown = seen.last().unwrap();
                assert_eq!(shown["id"], message.to_string());
                assert_eq!((&shown["content"], &shown["reactions"]), (&json!(""), &json!([])), "{shown}");
            }
            if reacted { "reacted first" } else { "deleted first" }
        })
        .await;
        // The delivered frame contained the text, which the log no longer contains.
        test.stored_state().await;
    });
}

#[test]
fn a_block_and_a_send_in_a_direct_conversation() {
    on_each_database(&async |test: &TestApp| {
        run_checked_race(test, 2, &["blocked first", "sent first"], async |round: &Round| {
            let [one, other] = [round.users[0], round.users[1]];
            let direct = round.test().direct(&one, &other).await;
            let before = round.log(direct).await.len();
            let newest = round.messages(&one, direct).await.unwrap().last().map(|message| message["id"].clone());
            let (blocked, sent) = round
                .run_together(
                    action!(round, one, |app, me| blocks::create(&app, &me, &UserRef::Id(other.user_id))),
                    action!(round, other, |app, me| messages::send(
                        &app,
                        TestSend::new(direct, &me, "hello").checked()
                    )),
                )
                .await;
            assert!(blocked.unwrap().is_new);
            let stored = succeeded(&sent, &[Code::Blocked]);
            let log = round.log(direct).await;
            assert_eq!(revs(&log[before..], "message.new").len(), usize::from(stored), "{log:#?}");
            let newest = sent.ok().map(|sent| json!(sent.message.id)).or(newest);
            for user in [one, other] {
                let seen = round.messages(&user, direct).await.unwrap();
                assert_eq!(seen.last().map(|message| message["id"].clone()), newest);
            }
            for (user, peer) in [(one, other), (other, one)] {
                let again = messages::send(&round.test().app, TestSend::new(direct, &user, "again").checked()).await;
                assert!(!succeeded(&again, &[Code::Blocked]));
                assert!(conversations::get(&round.test().app, &user, direct).await.unwrap().peer.is_some());
                let status = blocks::get_status(&round.test().app, &user, UserRef::Id(peer.user_id)).await.unwrap();
                assert!(!status.can_send_message);
            }
            blocks::delete(&round.test().app, &one, &UserRef::Id(other.user_id)).await.unwrap();
            if stored { "sent first" } else { "blocked first" }
        })
        .await;
    });
}

/// Returns the owners of a group from its rows; none when all members have left.
async fn owners(round: &Round<'_>, group: greenroom::domain::ids::ConversationId) -> Vec<UserId> {
    let id = round.test().id_literal(group);
    let query =
        format!("SELECT user_id FROM participants WHERE conversation_id = {id} AND left_at IS NULL AND role = 'owner'");
    let rows = round.test().rows(&query).await;
    rows.iter().map(|row| UserId(row.try_get("", "user_id").unwrap())).collect()
}

#[test]
fn the_last_owner_leaves_while_a_user_is_added() {
    on_each_database(&async |test: &TestApp| {
        run_checked_race(test, 2, &["added first", "left first"], async |round: &Round| {
            let [owner, added_user] = [round.users[0], round.users[1]];
            let group = round.group(&[]).await;
            let (left, added) = round
                .run_together(
                    action!(round, owner, |app, me| members::leave(&app, &me, group)),
                    action!(round, owner, |app, me| members::add(
                        &app,
                        &me,
                        group,
                        &[UserRef::Id(added_user.user_id)],
                        Role::Member
                    )),
                )
                .await;
            left.unwrap();
            // The group ended with the last member.
            let added = succeeded(&added, &[Code::NotFound]);
            let seen = round.members(&added_user, group).await;
            let log = round.log(group).await;
            let (joined, left_revs) = (revs(&log, "participant.joined"), revs(&log, "participant.left"));
            assert_eq!((joined.len(), left_revs.len()), (usize::from(added), 1));
            assert!(joined.iter().all(|joined| *joined < left_revs[0]), "{log:#?}");
            if !added {
                assert_eq!(seen, Err(Code::NotFound));
                assert_eq!(owners(round, group).await, []);
                return "left first";
            }
            assert_eq!(seen, Ok([(added_user.user_id, Role::Owner)].into()));
            assert_eq!(owners(round, group).await, [added_user.user_id]);
            assert_eq!(round.members(&owner, group).await, Err(Code::NotAParticipant));
            "added first"
        })
        .await;
    });
}

#[test]
fn the_last_two_members_leave_together() {
    on_each_database(&async |test: &TestApp| {
        run_checked_race(test, 2, &["member first", "owner first"], async |round: &Round| {
            let [owner, member] = [round.users[0], round.users[1]];
            let group = round.group(&[Role::Member]).await;
            let (one, other) = round
                .run_together(
                    action!(round, owner, |app, me| members::leave(&app, &me, group)),
                    action!(round, member, |app, me| members::leave(&app, &me, group)),
                )
                .await;
            one.unwrap();
            other.unwrap();
            assert_eq!(owners(round, group).await, []);
            for user in [owner, member] {
                assert_eq!(round.members(&user, group).await, Err(Code::NotFound));
            }
            // The role passes to another member if there is one.
            let log = round.log(group).await;
            assert_eq!(revs(&log, "participant.left").len(), 2);
            if revs(&log, "participant.updated").is_empty() { "member first" } else { "owner first" }
        })
        .await;
    });
}
