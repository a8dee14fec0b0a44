//! Floods of large groups.

use std::collections::BTreeMap;

use serde_json::json;

use super::attacks::{Stop, create_groups};
use super::bulk_users::insert_users;
use super::harness::AttackTest;

/// Users who create groups. A group of 1,000 costs as much as a bucket gains in a second, and the server accepts it
/// while anything is left in the bucket. So each of these users creates three groups immediately, and then one a
/// second.
const CREATORS: usize = 30;
/// Members of each group, with its creator: as many as a group may have.
const MEMBERS: usize = 1000;
/// Calls of one creator that are under way at a time.
const CALLS: usize = 3;

/// Thirty groups of 1,000 a second, all with the same members, so that each waits for the rows of the others. The
/// other users are among the members.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_of_a_thousand_cost_the_others_nothing() {
    let mut test = AttackTest::new().await;
    let mut creators = Vec::new();
    for number in 0..CREATORS {
        creators.push(test.server.user(&format!("creator-{number}")).await);
    }
    let mut members: Vec<String> = test.other_users().iter().map(|user| user.username.clone()).collect();
    let pupils = MEMBERS - 1 - members.len();
    members.extend((1..=pupils).map(|number| format!("pupil{number}")));
    insert_users(&mut test.server, pupils).await;
    let group = json!({ "type": "group", "name": "everybody", "participant_ids": members });
    // The caches of a database grow with the first groups already. Their growth does not count as growth by the attack.
    for creator in &creators[..2] {
        creator.post("/conversations", group.clone()).await.expect(201);
    }
    let stop = Stop::default();
    let attack = {
        let stop = stop.clone();
        async move {
            let callers = creators.iter().flat_map(|creator| std::iter::repeat_n(creator, CALLS));
            let tasks: Vec<_> = callers
                .map(|creator| tokio::spawn(create_groups(creator.clone(), group.clone(), stop.clone())))
                .collect();
            let mut answers = BTreeMap::new();
            for task in tasks {
                for (status, count) in task.await.expect("the task does not panic") {
                    *answers.entry(status).or_insert(0) += count;
                }
            }
            answers
        }
    };
    let answers = test.run_attack("groups", attack, &stop).await;
    eprintln!("groups: {answers:?}");
    assert!(answers.contains_key(&201), "{answers:?}");
    assert!(answers.keys().all(|status| [201, 429, 503].contains(status)), "{answers:?}");
}
