//! Somebody guesses at sign-ins as fast as they are answered, from the address of a school.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::attacks::Stop;
use super::harness::World;
use crate::support::rest::Body;
use crate::support::{PASSWORD, Target};

/// Guesses on their way at a time.
const GUESSES: usize = 32;
/// Pupils who sign in meanwhile, each once.
const PUPILS: usize = 12;

/// Signs in under one made-up name after another; how often which status came.
async fn guess(target: Target, made_up: Arc<AtomicU64>, stop: Stop) -> BTreeMap<u16, u64> {
    let mut answers = BTreeMap::new();
    while !stop.is_over() {
        let name = format!("made-up-{}", made_up.fetch_add(1, Ordering::Relaxed));
        let body = Body::Json(json!({ "login": name, "password": "not the right one" }));
        match target.try_call(Method::POST, "/auth/login", None, body).await {
            Ok(answer) => *answers.entry(answer.status).or_insert(0) += 1,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    answers
}

/// Signs in, again as often as the queue of passwords is full; the last status.
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
async fn a_flood_of_made_up_names() {
    let world = World::with(&[("GREENROOM_LIMIT_AUTH_PER_MINUTE", "10")]).await;
    let mut pupils = Vec::new();
    for number in 0..PUPILS {
        pupils.push(world.server.user(&format!("pupil-{number}")).await.username);
    }
    let (stop, target) = (Stop::default(), world.server.target().clone());
    let attack = {
        let stop = stop.clone();
        async move {
            let made_up = Arc::new(AtomicU64::new(0));
            let guessing: Vec<_> =
                (0..GUESSES).map(|_| tokio::spawn(guess(target.clone(), made_up.clone(), stop.clone()))).collect();
            let mut honest = Vec::new();
            for pupil in &pupils {
                honest.push(sign_in(&target, pupil).await);
            }
            let mut answers = BTreeMap::new();
            for guessing in guessing {
                for (status, count) in guessing.await.expect("it ends well") {
                    *answers.entry(status).or_insert(0) += count;
                }
            }
            (honest, answers)
        }
    };
    let (honest, answers) = world.under("made-up names", attack, &stop).await;
    assert_eq!(honest, [200; PUPILS], "who is known at the address is tried all the same");
    let of = |status| answers.get(&status).copied().unwrap_or(0);
    assert!(of(429) > 0 && of(401) <= 20, "ten a minute are tried: {answers:?}");
    assert_eq!(of(429) + of(401) + of(503), answers.values().sum::<u64>(), "{answers:?}");
}
