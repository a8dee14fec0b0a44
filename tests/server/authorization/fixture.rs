//! What a cell of the matrix is played in: users that a whole run shares, and rooms that are made anew as soon as a
//! call has changed one. Nothing is asserted here.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use reqwest::Method;
use serde_json::json;

use crate::support::authorization_table::Row;
use crate::support::rest::{Answer, Body};
use crate::support::user::text;
use crate::support::{PASSWORD, TestServer, TestUser};

/// A thumb as it stands in a path.
const THUMB: &str = "%F0%9F%91%8D";

/// Makes names differ within one run.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// The users of a run, by what they are.
pub struct People {
    /// The server they are on.
    pub server: TestServer,
    users: BTreeMap<&'static str, TestUser>,
    /// A login of the target.
    foreign: String,
}

/// A room, or a direct conversation, and a message of everybody in it.
pub struct Room {
    /// Its id.
    pub id: String,
    /// By author.
    pub messages: BTreeMap<&'static str, String>,
}

impl People {
    /// Registers these, and those whom rows name beside the callers.
    pub async fn gather(callers: &[&'static str]) -> Self {
        let server = TestServer::start().await;
        let mut users = BTreeMap::new();
        for name in callers.iter().copied().chain(["target", "deputy", "guest", "peer", "foe"]) {
            if name != "nobody" {
                users.insert(name, server.user(name).await);
            }
        }
        let foreign = login_id(&users["target"]).await;
        Self { server, users, foreign }
    }

    /// One of them.
    pub fn user(&self, name: &str) -> &TestUser {
        &self.users[name]
    }

    /// A group with everybody where the columns say they are.
    pub async fn room(&self) -> Room {
        let owner = self.user("owner");
        let everybody = ["ex-member", "suspended", "member", "observer", "admin", "owner", "target", "deputy"];
        let others: Vec<&TestUser> =
            everybody.iter().filter(|name| **name != "owner").map(|name| self.user(name)).collect();
        let id = owner.group("Room", &others).await;
        let mut messages = BTreeMap::new();
        for name in everybody {
            messages.insert(name, text(&self.user(name).send(&id, &format!("hello from {name}")).await["id"]));
        }
        for (name, role) in [("observer", "observer"), ("admin", "admin"), ("deputy", "admin")] {
            let path = format!("/conversations/{id}/members/{name}/role");
            owner.put(&path, json!({ "role": role })).await.expect(200);
        }
        self.user("ex-member").delete(&format!("/conversations/{id}")).await.expect(204);
        Room { id, messages }
    }

    /// The direct conversation of one of them with the target.
    pub async fn direct(&self, name: &'static str) -> Room {
        let (one, other) = (self.user(name), self.user("target"));
        let id = one.direct(other).await;
        let mine = text(&one.send(&id, "hello").await["id"]);
        let said = text(&other.send(&id, "hello").await["id"]);
        Room { id, messages: BTreeMap::from([(name, mine), ("target", said)]) }
    }

    /// What a name in a row stands for.
    pub fn named(&self, name: &str, caller: &str, room: &Room) -> String {
        match name {
            "room" => room.id.clone(),
            "said" => room.messages["target"].clone(),
            "mine" => room.messages.get(caller).unwrap_or(&room.messages["target"]).clone(),
            "me" => caller.to_owned(),
            "token" => self.users.get(caller).map_or_else(String::new, |user| user.access_token.clone()),
            "password" => PASSWORD.to_owned(),
            "foreign" => self.foreign.clone(),
            "fresh" => format!("fresh-{}", NEXT.fetch_add(1, Ordering::Relaxed)),
            "thumb" => THUMB.to_owned(),
            "target_id" => self.user("target").id.clone(),
            other => self.user(other).username.clone(),
        }
    }

    /// Makes the call of a row as this caller.
    pub async fn call(&self, row: &Row, caller: &'static str, room: &Room) -> Answer {
        let mut user = self.users.get(caller).cloned();
        let mut login = self.foreign.clone();
        // these calls end or spend a login, which must not be the one of the rows that follow
        if let Some(user) = &mut user
            && row.path.starts_with("/auth")
            && caller != "suspended"
        {
            *user = user.login().await;
            login = login_id(user).await;
        }
        let named = |name: &str| match name {
            "refresh" => user.as_ref().map_or_else(String::new, |user| user.refresh_token.clone()),
            "login" => login.clone(),
            other => self.named(other, caller, room),
        };
        let method = Method::from_bytes(row.method.as_bytes()).expect("a method");
        let body = row.body(named).map_or(Body::None, |body| Body::Raw(body.into_bytes()));
        let token = user.as_ref().map(|user| user.access_token.as_str());
        self.server.target().call(method, &row.path(named), token, body).await
    }
}

/// The id of a login, as its owner sees it.
async fn login_id(user: &TestUser) -> String {
    let list = user.get("/auth/sessions?limit=100").await.expect(200);
    let logins = list["items"].as_array().expect("items");
    text(&logins.iter().find(|login| login["current"] == true).expect("the current one")["id"])
}
