//! Floods of calls over REST.

use std::collections::BTreeMap;

use super::support::TestUser;
use super::support::rest::Body;
use super::world::{Stop, World};
use reqwest::Method;

/// Calls on their way at a time: more than a user may have running.
const AT_ONCE: usize = 64;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_as_fast_as_they_are_answered_cost_the_others_nothing() {
    let world = World::new().await;
    let attacker = world.server.user("attacker").await;
    let before = world.server.log().len();
    let stop = Stop::default();
    let answers = world.under("calls", calls(attacker, "/conversations?limit=100", stop.clone()), &stop).await;
    eprintln!("calls: {answers:?}");
    assert!(answers.contains_key(&429), "{answers:?}");
    assert!(answers.keys().all(|status| [200, 429, 503].contains(status)), "{answers:?}");
    let (passed, log) = (answers[&200], world.server.log());
    let lines = log[before..].lines().filter(|line| line.contains("/api/v1/conversations\"")).count();
    assert!(lines as u64 <= passed + 1, "what a limit refuses has no line in the log: {lines} lines, {passed} answers");
}

/// Calls `path` again and again; how often which status came.
async fn calls(user: TestUser, path: &'static str, stop: Stop) -> BTreeMap<u16, u64> {
    let callers: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let (user, stop) = (user.clone(), stop.clone());
            tokio::spawn(async move {
                let mut answers = BTreeMap::new();
                while !stop.is_over() {
                    let token = Some(user.access_token.as_str());
                    if let Ok(answer) = user.target.try_call(Method::GET, path, token, Body::None).await {
                        *answers.entry(answer.status).or_insert(0) += 1;
                    }
                }
                answers
            })
        })
        .collect();
    let mut answers = BTreeMap::new();
    for caller in callers {
        for (status, count) in caller.await.expect("a caller ends well") {
            *answers.entry(status).or_insert(0) += count;
        }
    }
    answers
}
