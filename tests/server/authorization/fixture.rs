//! The fixture of the authorisation tests: the users of a whole run, and conversations. A test creates a new
//! conversation after a call has changed the last one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use reqwest::Method;
use serde_json::json;

use crate::support::authorization_table::Row;
use crate::support::rest::{Answer, Body};
use crate::support::user::text;
use crate::support::{PASSWORD, TestServer, TestUser};

/// The emoji of a thumb, encoded for a path.
const THUMB: &str = "%F0%9F%91%8D";

/// The number of the next new username.
static NEXT_USERNAME: AtomicU32 = AtomicU32::new(0);

/// A server and its users, whose names say what they are.
pub struct Fixture {
    /// The server of all users.
    pub server: TestServer,
    users: BTreeMap<&'static str, TestUser>,
    /// The id of the target's login.
    foreign_login: String,
}

/// A conversation with one message of each participant.
pub struct TestConversation {
    /// The conversation's id.
    pub id: String,
    /// The ids of the messages by the names of their senders.
    pub messages: BTreeMap<&'static str, String>,
}

impl Fixture {
    /// Registers the callers, and the other users whom rows name.
    pub async fn new(callers: &[&'static str]) -> Self {
        let server = TestServer::start().await;
        let mut users = BTreeMap::new();
        for name in callers.iter().copied().chain(["target", "second-admin", "guest", "peer", "spammer"]) {
            if name != "no-token" {
                users.insert(name, server.user(name).await);
            }
        }
        let foreign_login = login_id(&users["target"]).await;
        Self { server, users, foreign_login }
    }

    /// Returns the user with this name.
    pub fn user(&self, name: &str) -> &TestUser {
        &self.users[name]
    }

    /// Creates a group in which each caller has the role of their column.
    pub async fn create_group(&self) -> TestConversation {
        let owner = self.user("owner");
        let names = ["ex-member", "suspended", "member", "observer", "admin", "owner", "target", "second-admin"];
        let others: Vec<&TestUser> =
            names.iter().filter(|name| **name != "owner").map(|name| self.user(name)).collect();
        let id = owner.group("Room", &others).await;
        let mut messages = BTreeMap::new();
        for name in names {
            messages.insert(name, text(&self.user(name).send(&id, &format!("hello from {name}")).await["id"]));
        }
        for (name, role) in [("observer", "observer"), ("admin", "admin"), ("second-admin", "admin")] {
            let path = format!("/conversations/{id}/members/{name}/role");
            owner.put(&path, json!({ "role": role })).await.expect(200);
        }
        self.user("ex-member").delete(&format!("/conversations/{id}")).await.expect(204);
        TestConversation { id, messages }
    }

    /// Creates the direct conversation of this user with the target.
    pub async fn create_direct(&self, name: &'static str) -> TestConversation {
        let (user, target) = (self.user(name), self.user("target"));
        let id = user.direct(target).await;
        let own_message = text(&user.send(&id, "hello").await["id"]);
        let target_message = text(&target.send(&id, "hello").await["id"]);
        TestConversation { id, messages: BTreeMap::from([(name, own_message), ("target", target_message)]) }
    }

    /// Returns the id or text that a name in a row stands for.
    pub fn value_of(&self, name: &str, caller: &str, conversation: &TestConversation) -> String {
        match name {
            "room" => conversation.id.clone(),
            "theirs" => conversation.messages["target"].clone(),
            "mine" => conversation.messages.get(caller).unwrap_or(&conversation.messages["target"]).clone(),
            "me" => caller.to_owned(),
            "token" => self.users.get(caller).map_or_else(String::new, |user| user.access_token.clone()),
            "password" => PASSWORD.to_owned(),
            "foreign" => self.foreign_login.clone(),
            "fresh" => format!("fresh-{}", NEXT_USERNAME.fetch_add(1, Ordering::Relaxed)),
            "thumb" => THUMB.to_owned(),
            "target_id" => self.user("target").id.clone(),
            other => self.user(other).username.clone(),
        }
    }

    /// Makes the call of a row as this caller.
    pub async fn call(&self, row: &Row, caller: &'static str, conversation: &TestConversation) -> Answer {
        let mut user = self.users.get(caller).cloned();
        let mut login = self.foreign_login.clone();
        // These calls end the login or spend its token, so they use a login that no other row needs.
        if let Some(user) = &mut user
            && row.path.starts_with("/auth")
            && caller != "suspended"
        {
            *user = user.login().await;
            login = login_id(user).await;
        }
        let value_of = |name: &str| match name {
            "refresh" => user.as_ref().map_or_else(String::new, |user| user.refresh_token.clone()),
            "login" => login.clone(),
            other => self.value_of(other, caller, conversation),
        };
        let method = Method::from_bytes(row.method.as_bytes()).expect("a method");
        let body = row.body(value_of).map_or(Body::None, |body| Body::Raw(body.into_bytes()));
        let token = user.as_ref().map(|user| user.access_token.as_str());
        self.server.target().call(method, &row.path(value_of), token, body).await
    }
}

/// Returns the id of the login that this user has here.
async fn login_id(user: &TestUser) -> String {
    let list = user.get("/auth/sessions?limit=100").await.expect(200);
    let logins = list["items"].as_array().expect("items");
    text(&logins.iter().find(|login| login["current"] == true).expect("the current one")["id"])
}
