//! Large groups, one after another.

use std::collections::BTreeMap;

use serde_json::json;

use super::attacks::{Stop, groups};
use super::bulk_users::enrol;
use super::harness::World;

/// Who makes groups. One of 1,000 costs as much as a user is given in a second, and is served while anything is left:
/// so each of them makes three at once and one a second from then on.
const MAKERS: usize = 30;
/// Members of each group, its maker among them: as many as a group may have.
const MEMBERS: usize = 1000;
/// Calls of one maker that wait for their answers.
const CALLS: usize = 3;

/// Thirty groups of 1,000 a second, all with the same members, so that each waits for the rows of the others. The
/// bystanders are among the members.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_of_a_thousand_cost_the_others_nothing() {
    let mut world = World::new().await;
    let mut makers = Vec::new();
    for number in 0..MAKERS {
        makers.push(world.server.user(&format!("maker-{number}")).await);
    }
    let mut named: Vec<String> = world.bystanders().iter().map(|user| user.username.clone()).collect();
    let pupils = MEMBERS - 1 - named.len();
    named.extend((1..=pupils).map(|number| format!("pupil{number}")));
    enrol(&mut world.server, pupils).await;
    let group = json!({ "type": "group", "name": "everybody", "participant_ids": named });
    // what a database keeps in memory it keeps of a few as of many
    for maker in &makers[..2] {
        maker.post("/conversations", group.clone()).await.expect(201);
    }
    let stop = Stop::default();
    let attack = {
        let stop = stop.clone();
        async move {
            let makers = makers.iter().flat_map(|maker| std::iter::repeat_n(maker, CALLS));
            let making: Vec<_> =
                makers.map(|maker| tokio::spawn(groups(maker.clone(), group.clone(), stop.clone()))).collect();
            let mut answers = BTreeMap::new();
            for making in making {
                for (status, count) in making.await.expect("a maker ends well") {
                    *answers.entry(status).or_insert(0) += count;
                }
            }
            answers
        }
    };
    let answers = world.under("groups", attack, &stop).await;
    eprintln!("groups: {answers:?}");
    assert!(answers.contains_key(&201), "{answers:?}");
    assert!(answers.keys().all(|status| [201, 429, 503].contains(status)), "{answers:?}");
}
