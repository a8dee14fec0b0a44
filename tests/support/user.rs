//! A signed-in user, with a method for each call that many tests make.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use super::rest::{Answer, Body};
use super::socket::{Auth, ConnectOptions, TestSocket};
use super::{Target, TestServer};

/// The password of every test user after registering.
pub const PASSWORD: &str = "correct horse battery";

/// One login of one user on one server.
#[derive(Clone, Debug)]
pub struct TestUser {
    pub target: Target,
    pub id: String,
    pub username: String,
    pub access_token: String,
    pub refresh_token: String,
}

impl TestUser {
    /// Registers `username` with [`PASSWORD`].
    pub async fn register(target: &Target, username: &str) -> Self {
        let body = json!({ "username": username, "password": PASSWORD });
        Self::signed_in(target, &target.post("/auth/register", body).await.expect(201))
    }

    /// Signs in the same user again.
    pub async fn login(&self) -> Self {
        let body = json!({ "login": self.username, "password": PASSWORD });
        Self::signed_in(&self.target, &self.target.post("/auth/login", body).await.expect(200))
    }

    /// Signs in the same user again; returns `None` if the server is down or refuses.
    pub async fn try_login(&self) -> Option<Self> {
        let body = json!({ "login": self.username, "password": PASSWORD });
        let answer = self.target.try_call(Method::POST, "/auth/login", None, Body::Json(body)).await.ok()?;
        (answer.status == 200).then(|| Self::signed_in(&self.target, &answer.body))
    }

    /// Reads the answer to a registration, login or refresh.
    pub fn signed_in(target: &Target, answer: &Value) -> Self {
        Self {
            target: target.clone(),
            id: text(&answer["user"]["id"]),
            username: text(&answer["user"]["username"]),
            access_token: text(&answer["access_token"]),
            refresh_token: text(&answer["refresh_token"]),
        }
    }

    /// Returns the same login for calls to another node.
    pub fn on(&self, server: &TestServer) -> Self {
        Self { target: server.target().clone(), ..self.clone() }
    }

    /// Calls GET `/api/v1{path}`.
    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, Body::None).await
    }

    /// Calls POST with a JSON body.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Body::Json(body)).await
    }

    /// Calls POST without a body.
    pub async fn post_empty(&self, path: &str) -> Answer {
        self.call(Method::POST, path, Body::None).await
    }

    /// Calls PUT with a JSON body.
    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PUT, path, Body::Json(body)).await
    }

    /// Calls PATCH with a JSON body.
    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PATCH, path, Body::Json(body)).await
    }

    /// Calls DELETE without a body.
    pub async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, Body::None).await
    }

    /// Calls any route with the token of this login.
    pub async fn call(&self, method: Method, path: &str, body: Body) -> Answer {
        self.target.call(method, path, Some(&self.access_token), body).await
    }

    /// Returns the id of the direct conversation with `other`, which is created if there is none.
    pub async fn direct(&self, other: &Self) -> String {
        let body = json!({ "type": "direct", "participant_ids": [other.id] });
        let answer = self.post("/conversations", body).await;
        assert!(matches!(answer.status, 200 | 201), "a direct conversation: {}", answer.body);
        text(&answer.body["id"])
    }

    /// Creates a group with `others` and returns its id.
    pub async fn group(&self, name: &str, others: &[&Self]) -> String {
        let ids: Vec<&str> = others.iter().map(|other| other.id.as_str()).collect();
        let body = json!({ "type": "group", "name": name, "participant_ids": ids });
        text(&self.post("/conversations", body).await.expect(201)["id"])
    }

    /// Sends a text over REST and returns the stored message.
    pub async fn send(&self, conversation: &str, content: &str) -> Value {
        self.post(&format!("/conversations/{conversation}/messages"), json!({ "content": content })).await.expect(201)
    }

    /// Reads all messages of a conversation page by page, oldest first.
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

    /// Returns a conversation as this user sees it.
    pub async fn conversation(&self, id: &str) -> Value {
        self.get(&format!("/conversations/{id}")).await.expect(200)
    }

    /// Opens a socket with the token in the subprotocol, as browsers do.
    pub async fn connect(&self) -> TestSocket {
        self.connect_with(ConnectOptions::default()).await
    }

    /// Opens a socket with these options.
    pub async fn connect_with(&self, options: ConnectOptions) -> TestSocket {
        self.try_connect(options).await.expect("the socket opens")
    }

    /// Opens a socket with these options; returns an error if it is refused or the server is down.
    pub async fn try_connect(&self, options: ConnectOptions) -> Result<TestSocket, super::Refusal> {
        TestSocket::open(&self.target, &self.access_token, options).await
    }

    /// Opens a socket with `subscribe=none`.
    pub async fn connect_unsubscribed(&self) -> TestSocket {
        self.connect_with(ConnectOptions { subscribe_none: true, ..ConnectOptions::default() }).await
    }

    /// Returns a ticket, which is valid for one socket.
    pub async fn ticket(&self) -> String {
        let answer = self.post_empty("/ws/ticket").await;
        assert!(matches!(answer.status, 200 | 201), "a ticket: {}", answer.body);
        text(&answer.body["ticket"])
    }

    /// Returns options that send the token in this way.
    pub fn by(auth: Auth) -> ConnectOptions {
        ConnectOptions { auth, ..ConnectOptions::default() }
    }
}

/// Returns the string in a JSON value; panics if the value is no string.
#[track_caller]
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a string was expected, not {value}")).to_owned()
}
