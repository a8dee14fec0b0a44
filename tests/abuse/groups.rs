//! Large groups, one after another.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::attacks::Stop;
use super::pupils::enrol;
use super::support::TestUser;
use super::support::rest::Body;
use super::world::World;

/// Who makes groups. One of 1,000 costs as much as a user is given in a second, and is served while anything is left: so
/// each of them makes three at once and one a second from then on.
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
                makers.map(|maker| tokio::spawn(make(maker.clone(), group.clone(), stop.clone()))).collect();
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

/// Makes one group after another, and waits as long as the server says where it is refused; how often which answer came.
async fn make(maker: TestUser, group: Value, stop: Stop) -> BTreeMap<u16, u64> {
    let mut answers = BTreeMap::new();
    while !stop.is_over() {
        let token = Some(maker.access_token.as_str());
        let answer = maker.target.try_call(Method::POST, "/conversations", token, Body::Json(group.clone())).await;
        let Ok(answer) = answer else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        *answers.entry(answer.status).or_insert(0) += 1;
        let wait = answer.headers.get("retry-after").and_then(|seconds| seconds.to_str().ok()?.parse().ok());
        if let Some(seconds) = wait {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
        }
    }
    answers
}
