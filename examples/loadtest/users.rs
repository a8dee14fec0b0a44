//! The users and conversations of a run, which are created before anything is measured.

use serde_json::{Value, json};

use crate::Result;
use crate::progress;
use crate::target::Target;

/// The number of registrations under way at a time. Hashing a password takes the server tens of milliseconds of a core,
/// so further registrations would only wait.
const CONCURRENT_REGISTRATIONS: u32 = 4;

/// The password of all users.
pub const PASSWORD: &str = "a password for measuring";

/// A user who was registered for this run.
#[derive(Clone, Debug)]
pub struct RegisteredUser {
    pub id: String,
    pub username: String,
    /// Valid for fifteen minutes.
    pub access_token: String,
    pub refresh_token: String,
}

/// Registers `count` users with names that were not used before.
pub async fn register(target: &Target, count: u32) -> Result<Vec<RegisteredUser>> {
    let run_id = uuid::Uuid::new_v4().simple().to_string();
    let mut users = Vec::new();
    let mut next = 0;
    while next < count {
        let mut batch = Vec::new();
        for number in next..count.min(next + CONCURRENT_REGISTRATIONS) {
            batch.push(tokio::task::spawn_local(register_user(
                target.http.clone(),
                target.api("/auth/register"),
                format!("load-{}-{number}", &run_id[..8]),
            )));
        }
        next += CONCURRENT_REGISTRATIONS;
        for task in batch {
            users.push(task.await??);
        }
        progress::show(&format!("registered {} of {count} users", users.len()));
    }
    progress::end_line();
    Ok(users)
}

async fn register_user(http: reqwest::Client, url: String, username: String) -> Result<RegisteredUser> {
    let body = json!({ "username": username, "password": PASSWORD });
    let answer: Value = read_json(http.post(url).json(&body).send().await?).await?;
    Ok(RegisteredUser {
        id: string(&answer["user"]["id"])?,
        username,
        access_token: string(&answer["access_token"])?,
        refresh_token: string(&answer["refresh_token"])?,
    })
}

/// Replaces the tokens of each user by new ones, which are valid for another fifteen minutes.
pub async fn refresh(target: &Target, users: &mut [RegisteredUser]) -> Result<()> {
    for user in users {
        let body = json!({ "refresh_token": user.refresh_token });
        let answer = read_json(target.http.post(target.api("/auth/refresh")).json(&body).send().await?).await?;
        user.access_token = string(&answer["access_token"])?;
        user.refresh_token = string(&answer["refresh_token"])?;
    }
    Ok(())
}

/// Creates a direct conversation of the first and the second user, one of the third and the fourth, and so on. Returns
/// the ids of the conversations in this order.
pub async fn create_direct_conversations(target: &Target, users: &[RegisteredUser]) -> Result<Vec<String>> {
    let mut conversations = Vec::new();
    for pair in users.chunks_exact(2) {
        let body = json!({ "type": "direct", "participant_ids": [pair[1].id] });
        let conversation = post(target, &pair[0], "/conversations", &body).await?;
        conversations.push(string(&conversation["id"])?);
    }
    Ok(conversations)
}

/// Creates a group of all users, which the first user owns. Returns the id of the group and its last revision.
pub async fn create_group(target: &Target, users: &[RegisteredUser]) -> Result<(String, u64)> {
    let ids: Vec<&str> = users[1..].iter().map(|user| user.id.as_str()).collect();
    let body = json!({ "type": "group", "name": "Load", "participant_ids": ids });
    let group = post(target, &users[0], "/conversations", &body).await?;
    let last_rev = group["last_rev"].as_u64().ok_or("the answer has no last_rev")?;
    Ok((string(&group["id"])?, last_rev))
}

/// Makes a call that creates something, and returns its answer.
pub async fn post(target: &Target, user: &RegisteredUser, path: &str, body: &Value) -> Result<Value> {
    let request = target.http.post(target.api(path)).bearer_auth(&user.access_token).json(body);
    read_json(request.send().await?).await
}

/// Returns the body of an answer, or an error if the call was refused.
async fn read_json(answer: reqwest::Response) -> Result<Value> {
    let (status, url) = (answer.status(), answer.url().path().to_owned());
    let text = answer.text().await?;
    if !status.is_success() {
        return Err(format!("{url} answered {status}: {text}").into());
    }
    Ok(serde_json::from_str(&text)?)
}

fn string(value: &Value) -> Result<String> {
    Ok(value.as_str().ok_or("an answer has no string where one is expected")?.to_owned())
}
