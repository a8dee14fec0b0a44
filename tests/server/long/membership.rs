//! Members who are removed from groups and come back, all the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::support::rest::Body;
use crate::support::{Random, TestUser};

/// Removes one member after another from one of `groups` and brings them back. `groups[n]` belongs to the user whose
/// group it is by its owner. When the run closes everybody is in again.
pub async fn run(users: Vec<TestUser>, groups: Vec<String>, closing: Arc<AtomicBool>, mut random: Random) {
    // The last group made is the first of `groups`.
    let owners: Vec<TestUser> = users.iter().take(groups.len()).rev().cloned().collect();
    while !closing.load(Ordering::Relaxed) {
        let index = random.between(0, groups.len() as u64) as usize;
        let (group, owner) = (&groups[index], &owners[index]);
        let others: Vec<&TestUser> = users.iter().filter(|user| user.id != owner.id).collect();
        let member = *random.pick(&others);
        remove(owner, group, member).await;
        tokio::time::sleep(Duration::from_millis(random.between(10, 800))).await;
        add(owner, group, member).await;
        tokio::time::sleep(Duration::from_millis(random.between(10, 800))).await;
    }
}

async fn remove(owner: &TestUser, group: &str, member: &TestUser) {
    let path = format!("/conversations/{group}/members/{}", member.id);
    until_answered(owner, Method::DELETE, &path, Body::None).await;
}

async fn add(owner: &TestUser, group: &str, member: &TestUser) {
    let path = format!("/conversations/{group}/members");
    until_answered(owner, Method::POST, &path, Body::Json(json!({ "user_ids": [member.id] }))).await;
}

/// Calls again until the server answers: it may be down, busy, or cut off from its database.
async fn until_answered(owner: &TestUser, method: Method, path: &str, body: Body) {
    let mut owner = owner.clone();
    loop {
        let answer = owner.target.try_call(method.clone(), path, Some(&owner.access_token), body.clone()).await;
        match answer.map(|answer| answer.status) {
            Ok(200 | 201 | 204 | 404) => return,
            Ok(401) => {
                if let Some(again) = owner.try_login().await {
                    owner = again;
                }
            }
            Ok(429 | 503) | Err(_) => {}
            Ok(status) => panic!("{method} {path} answered {status}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
