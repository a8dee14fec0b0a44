//! Floods of searches for a word that is part of every name.

use std::collections::BTreeMap;

use super::attacks::{Stop, repeat_call};
use super::bulk_users::insert_users;
use super::harness::AttackTest;

/// Users whose names contain the same word.
const PUPILS: usize = 50_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_who_search_among_50_000_users_cost_the_others_nothing() {
    let mut test = AttackTest::new().await;
    insert_users(&mut test.server, PUPILS).await;
    let mut searchers = Vec::new();
    for number in 0..3 {
        searchers.push(test.server.user(&format!("searcher-{number}")).await);
    }
    let found = searchers[0].get("/users/search?q=school&limit=100").await.expect(200);
    assert_eq!(found["items"].as_array().map(Vec::len), Some(100));
    let stop = Stop::default();
    let attack = {
        let stop = stop.clone();
        async move {
            let search = |user| tokio::spawn(repeat_call(user, "/users/search?q=school&limit=100", stop.clone()));
            let tasks: Vec<_> = searchers.into_iter().map(search).collect();
            let mut answers = BTreeMap::new();
            for task in tasks {
                for (status, count) in task.await.expect("the task does not panic") {
                    *answers.entry(status).or_insert(0) += count;
                }
            }
            answers
        }
    };
    let answers = test.run_attack("search", attack, &stop).await;
    eprintln!("search: {answers:?}");
    assert!(answers.contains_key(&200), "{answers:?}");
    assert!(answers.keys().all(|status| [200, 429, 503].contains(status)), "{answers:?}");
}
