//! A signed-in user: registered over REST, with a method for each thing that tests do all the time.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use super::rest::{Answer, Body};
use super::socket::{Auth, ConnectOptions, TestSocket};
use super::{Target, TestServer};

/// Every test user's first password.
pub const PASSWORD: &str = "correct horse battery";

/// One login of one user on one server.
#[derive(Clone, Debug)]
pub struct TestUser {
    /// The server it talks to.
    pub target: Target,
    /// The user's id.
    pub id: String,
    /// The user's name, as registered.
    pub username: String,
    /// The access token of this login.
    pub access_token: String,
    /// The refresh token of this login.
    pub refresh_token: String,
}

impl TestUser {
    /// Registers `username` with [`PASSWORD`].
    pub async fn register(target: &Target, username: &str) -> Self {
        let body = json!({ "username": username, "password": PASSWORD });
        Self::signed_in(target, &target.post("/auth/register", body).await.expect(201))
    }

    /// A further login of the same user.
    pub async fn login(&self) -> Self {
        let body = json!({ "login": self.username, "password": PASSWORD });
        Self::signed_in(&self.target, &self.target.post("/auth/login", body).await.expect(200))
    }

    /// A further login of the same user, if the server gives one now.
    pub async fn try_login(&self) -> Option<Self> {
        let body = json!({ "login": self.username, "password": PASSWORD });
        let answer = self.target.try_call(Method::POST, "/auth/login", None, Body::Json(body)).await.ok()?;
        (answer.status == 200).then(|| Self::signed_in(&self.target, &answer.body))
    }

    /// From the answer to register, login or refresh.
    pub fn signed_in(target: &Target, answer: &Value) -> Self {
        Self {
            target: target.clone(),
            id: text(&answer["user"]["id"]),
            username: text(&answer["user"]["username"]),
            access_token: text(&answer["access_token"]),
            refresh_token: text(&answer["refresh_token"]),
        }
    }

    /// The same login, talking to another node.
    pub fn on(&self, server: &TestServer) -> Self {
        Self { target: server.target().clone(), ..self.clone() }
    }

    /// GET `/api/v1{path}`.
    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, Body::None).await
    }

    /// POST with a JSON body.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Body::Json(body)).await
    }

    /// POST without a body.
    pub async fn post_nothing(&self, path: &str) -> Answer {
        self.call(Method::POST, path, Body::None).await
    }

    /// PUT with a JSON body.
    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PUT, path, Body::Json(body)).await
    }

    /// PATCH with a JSON body.
    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PATCH, path, Body::Json(body)).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, Body::None).await
    }

    /// Any call with this login's token.
    pub async fn call(&self, method: Method, path: &str, body: Body) -> Answer {
        self.target.call(method, path, Some(&self.access_token), body).await
    }

    /// The id of the direct conversation with `other`, made if need be.
    pub async fn direct(&self, other: &Self) -> String {
        let body = json!({ "type": "direct", "participant_ids": [other.id] });
        let answer = self.post("/conversations", body).await;
        assert!(matches!(answer.status, 200 | 201), "a direct conversation: {}", answer.body);
        text(&answer.body["id"])
    }

    /// The id of a new group with `others`.
    pub async fn group(&self, name: &str, others: &[&Self]) -> String {
        let ids: Vec<&str> = others.iter().map(|other| other.id.as_str()).collect();
        let body = json!({ "type": "group", "name": name, "participant_ids": ids });
        text(&self.post("/conversations", body).await.expect(201)["id"])
    }

    /// Sends a text over REST; the stored message.
    pub async fn send(&self, conversation: &str, content: &str) -> Value {
        self.post(&format!("/conversations/{conversation}/messages"), json!({ "content": content })).await.expect(201)
    }

    /// Every message of a conversation, oldest first, walked page by page.
    pub async fn history(&self, conversation: &str) -> Vec<Value> {
        let mut messages = Vec::new();
        let mut seen = BTreeSet::new();
        let mut after = 0;
        loop {
            let path = format!("/conversations/{conversation}/messages?limit=100&after={after}");
            let page = self.get(&path).await.expect(200);
            for message in page["items"].as_array().expect("items") {
                after = message["seq"].as_i64().expect("a seq");
                assert!(seen.insert(after), "paging repeats seq {after}");
                messages.push(message.clone());
            }
            if page["has_more_after"] == false {
                return messages;
            }
        }
    }

    /// A conversation as this user sees it.
    pub async fn conversation(&self, id: &str) -> Value {
        self.get(&format!("/conversations/{id}")).await.expect(200)
    }

    /// A socket, signed in through the subprotocol as a browser does it.
    pub async fn connect(&self) -> TestSocket {
        self.connect_with(ConnectOptions::default()).await
    }

    /// A socket opened in a particular way; it must be let in.
    pub async fn connect_with(&self, options: ConnectOptions) -> TestSocket {
        self.try_connect(options).await.expect("the socket opens")
    }

    /// The same where refusal, or a server that is down, is expected.
    pub async fn try_connect(&self, options: ConnectOptions) -> Result<TestSocket, super::Refusal> {
        TestSocket::open(&self.target, &self.access_token, options).await
    }

    /// A socket that is subscribed to nothing until it says so.
    pub async fn connect_unsubscribed(&self) -> TestSocket {
        self.connect_with(ConnectOptions { subscribe_none: true, ..ConnectOptions::default() }).await
    }

    /// A single-use ticket.
    pub async fn ticket(&self) -> String {
        let answer = self.post_nothing("/ws/ticket").await;
        assert!(matches!(answer.status, 200 | 201), "a ticket: {}", answer.body);
        text(&answer.body["ticket"])
    }

    /// Options that present this login's token in the given way.
    pub fn by(auth: Auth) -> ConnectOptions {
        ConnectOptions { auth, ..ConnectOptions::default() }
    }
}

/// The string inside a JSON value that must be one.
#[track_caller]
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a string was expected, not {value}")).to_owned()
}
