//! The payloads of presence: reading it, watching it, and setting the own one.

use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// The presence of a user.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PresenceStatus {
    /// At least one session of the user is not away.
    Online,
    /// All sessions of the user are away.
    Away,
    /// The user has had no session for five seconds.
    Offline,
}

/// The presence of a user, with the time when the user was last online.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PresenceState {
    /// The presence: `online`, `away` or `offline`.
    pub status: PresenceStatus,
    /// The time when the user was last online. Null if the user never was.
    pub last_seen_at: Option<Timestamp>,
}

/// The presence of the requested users, without those whose presence the caller may not see.
#[derive(Debug, Serialize, ToSchema)]
pub struct PresenceStates {
    /// The presence of each user, by user id.
    pub users: BTreeMap<UserId, PresenceState>,
}

/// The users whose presence the caller asks for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PresenceRequest {
    /// At most 100 users, each as an id, a username or `ext:` and the id of the host application.
    pub user_ids: Vec<String>,
}

/// The payload of `presence.set`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetPresence {
    pub status: OwnPresence,
}

/// The presence that a client can set for its session. `offline` is not one of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OwnPresence {
    Online,
    Away,
}

/// The payload of `presence.subscribe` and `presence.unsubscribe`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PresenceUsers {
    /// The users: ids, usernames or `ext:` references.
    pub user_ids: Vec<String>,
}

/// The payload of `presence.state`.
#[derive(Clone, Debug, Serialize)]
pub struct WatchedPresence {
    pub users: BTreeMap<UserId, PresenceStatus>,
}

/// The payload of `presence.update`.
#[derive(Clone, Debug, Serialize)]
pub struct PresenceUpdate {
    pub user_id: UserId,
    pub status: PresenceStatus,
    /// The time when the user was last online. Null if the user never was.
    pub last_seen_at: Option<Timestamp>,
}
