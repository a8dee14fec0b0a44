//! Preparing a run: users and their conversations. None of it is measured.

use serde_json::{Value, json};

use crate::Result;
use crate::progress;
use crate::target::Target;

/// Registrations on their way at once. Hashing a password takes the server tens of milliseconds of a core, so more
/// would only queue.
const AT_ONCE: u32 = 4;

/// Everybody's password.
pub const PASSWORD: &str = "a password for measuring";

/// A registered user.
#[derive(Clone, Debug)]
pub struct Person {
    /// The user's id.
    pub id: String,
    /// The user's name.
    pub username: String,
    /// An access token, good for fifteen minutes.
    pub token: String,
    /// The refresh token it came with.
    pub refresh_token: String,
}

/// Registers this many users under fresh names.
pub async fn register(target: &Target, count: u32) -> Result<Vec<Person>> {
    let run = uuid::Uuid::new_v4().simple().to_string();
    let mut people = Vec::new();
    let mut next = 0;
    while next < count {
        let mut batch = Vec::new();
        for number in next..count.min(next + AT_ONCE) {
            batch.push(tokio::task::spawn_local(register_one(
                target.http.clone(),
                target.api("/auth/register"),
                format!("load-{}-{number}", &run[..8]),
            )));
        }
        next += AT_ONCE;
        for task in batch {
            people.push(task.await??);
        }
        progress::tell(&format!("registered {} of {count} users", people.len()));
    }
    progress::end_line();
    Ok(people)
}

async fn register_one(http: reqwest::Client, url: String, username: String) -> Result<Person> {
    let body = json!({ "username": username, "password": PASSWORD });
    let answer: Value = expect(http.post(url).json(&body).send().await?).await?;
    Ok(Person {
        id: string(&answer["user"]["id"])?,
        username,
        token: string(&answer["access_token"])?,
        refresh_token: string(&answer["refresh_token"])?,
    })
}

/// The direct conversation of each two neighbours.
pub async fn pair(target: &Target, people: &[Person]) -> Result<Vec<String>> {
    let mut conversations = Vec::new();
    for two in people.chunks_exact(2) {
        let body = json!({ "type": "direct", "participant_ids": [two[1].id] });
        let made = post(target, &two[0], "/conversations", &body).await?;
        conversations.push(string(&made["id"])?);
    }
    Ok(conversations)
}

/// One group of all, owned by the first; its id and its last revision.
pub async fn group(target: &Target, people: &[Person]) -> Result<(String, u64)> {
    let ids: Vec<&str> = people[1..].iter().map(|person| person.id.as_str()).collect();
    let body = json!({ "type": "group", "name": "Load", "participant_ids": ids });
    let made = post(target, &people[0], "/conversations", &body).await?;
    let last_rev = made["last_rev"].as_u64().ok_or("a conversation has a last_rev")?;
    Ok((string(&made["id"])?, last_rev))
}

async fn post(target: &Target, person: &Person, path: &str, body: &Value) -> Result<Value> {
    let request = target.http.post(target.api(path)).bearer_auth(&person.token).json(body);
    expect(request.send().await?).await
}

async fn expect(answer: reqwest::Response) -> Result<Value> {
    let (status, url) = (answer.status(), answer.url().path().to_owned());
    let text = answer.text().await?;
    if !status.is_success() {
        return Err(format!("{url} answered {status}: {text}").into());
    }
    Ok(serde_json::from_str(&text)?)
}

fn string(value: &Value) -> Result<String> {
    Ok(value.as_str().ok_or("a string was expected in an answer")?.to_owned())
}
