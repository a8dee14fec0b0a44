//! Members who are removed from groups and added again, during the whole run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::support::rest::Body;
use crate::support::{Random, TestUser};

/// Removes one member after another from one of `groups` and adds the member again, until the run closes. Then all
/// users are members of all groups.
pub async fn run(users: Vec<TestUser>, groups: Vec<String>, closing: Arc<AtomicBool>, mut random: Random) {
    // Each of the first users owns one group. `groups` begins with the group that was created last.
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
    call_until_answered(owner, Method::DELETE, &path, Body::None).await;
}

async fn add(owner: &TestUser, group: &str, member: &TestUser) {
    let path = format!("/conversations/{group}/members");
    call_until_answered(owner, Method::POST, &path, Body::Json(json!({ "user_ids": [member.id] }))).await;
}

/// Repeats a call until the server answers: it may be down, busy, or without a connection to its database.
async fn call_until_answered(owner: &TestUser, method: Method, path: &str, body: Body) {
    let mut owner = owner.clone();
    loop {
        let answer = owner.target.try_call(method.clone(), path, Some(&owner.access_token), body.clone()).await;
        match answer.map(|answer| answer.status) {
            Ok(200 | 201 | 204 | 404) => return,
            Ok(401) => {
                if let Some(signed_in) = owner.try_login().await {
                    owner = signed_in;
                }
            }
            Ok(429 | 503) | Err(_) => {}
            Ok(status) => panic!("{method} {path} answered {status}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
