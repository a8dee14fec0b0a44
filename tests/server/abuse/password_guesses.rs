//! Sign-ins with invented names, as fast as the server answers, from the address of a school.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::attacks::Stop;
use super::harness::AttackTest;
use crate::support::rest::Body;
use crate::support::{PASSWORD, Target};

/// Guesses under way at a time.
const GUESSES: usize = 32;
/// Pupils who each sign in once during the attack.
const PUPILS: usize = 12;

/// Signs in with one invented name after another, and returns the number of answers by status.
async fn guess(target: Target, next_number: Arc<AtomicU64>, stop: Stop) -> BTreeMap<u16, u64> {
    let mut answers = BTreeMap::new();
    while !stop.is_set() {
        let name = format!("made-up-{}", next_number.fetch_add(1, Ordering::Relaxed));
        let body = Body::Json(json!({ "login": name, "password": "not the right one" }));
        match target.try_call(Method::POST, "/auth/login", None, body).await {
            Ok(answer) => *answers.entry(answer.status).or_insert(0) += 1,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    answers
}

/// Signs in, again while the queue of passwords is full, and returns the last status.
async fn sign_in(target: &Target, login: &str) -> u16 {
    loop {
        let answer = target.post("/auth/login", json!({ "login": login, "password": PASSWORD })).await;
        if answer.status != 503 {
            return answer.status;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_made_up_names_does_not_keep_known_users_out() {
    let test = AttackTest::with(&[("GREENROOM_LIMIT_AUTH_PER_MINUTE", "10")]).await;
    let mut pupils = Vec::new();
    for number in 0..PUPILS {
        pupils.push(test.server.user(&format!("pupil-{number}")).await.username);
    }
    let (stop, target) = (Stop::default(), test.server.target().clone());
    let attack = {
        let stop = stop.clone();
        async move {
            let next_number = Arc::new(AtomicU64::new(0));
            let tasks: Vec<_> =
                (0..GUESSES).map(|_| tokio::spawn(guess(target.clone(), next_number.clone(), stop.clone()))).collect();
            let mut statuses = Vec::new();
            for pupil in &pupils {
                statuses.push(sign_in(&target, pupil).await);
            }
            let mut answers = BTreeMap::new();
            for task in tasks {
                for (status, count) in task.await.expect("the task does not panic") {
                    *answers.entry(status).or_insert(0) += count;
                }
            }
            (statuses, answers)
        }
    };
    let (statuses, answers) = test.run_attack("made-up names", attack, &stop).await;
    assert_eq!(statuses, [200; PUPILS], "a user who is known at the address can sign in during the flood");
    let count = |status| answers.get(&status).copied().unwrap_or(0);
    assert!(count(429) > 0 && count(401) <= 20, "ten guesses a minute are checked: {answers:?}");
    assert_eq!(count(429) + count(401) + count(503), answers.values().sum::<u64>(), "{answers:?}");
}
