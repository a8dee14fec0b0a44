//! The payloads that start a session over the WebSocket: the command `auth` and its answer.

use crate::domain::ids::{ConversationId, Rev, Seq, SessionId, UserId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The payload of `auth`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Authenticate {
    /// An access token.
    pub token: String,
    /// With a value, the session subscribes to no conversation, only to the stream of its user.
    #[serde(default)]
    pub subscribe: Option<SubscribeNone>,
}

/// The only value that `subscribe` can have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubscribeNone {
    None,
}

/// The payload of `auth.success`, which a client gets when its session is authenticated.
#[derive(Clone, Debug, Serialize)]
pub struct AuthSuccess {
    pub user_id: UserId,
    pub session_id: SessionId,
    /// The time between two pings of the server, in seconds.
    pub heartbeat_seconds: u64,
    /// The epoch that all revisions belong to.
    pub epoch: String,
    /// The token for `/files/…?t=`.
    pub file_token: String,
    /// The user's conversations and their revisions, at most 1,000.
    pub conversations: BTreeMap<ConversationId, Rev>,
    /// True if the user has more conversations than this frame names.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// The user's read marks in these conversations.
    pub reads: BTreeMap<ConversationId, Seq>,
    /// The revision of the user stream.
    pub user_rev: Rev,
}

/// The payload of `auth.expiring`.
#[derive(Clone, Debug, Serialize)]
pub struct AuthExpiring {
    /// The time until the token expires, in seconds.
    pub seconds: i64,
}
