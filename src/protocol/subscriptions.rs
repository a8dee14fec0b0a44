//! The payloads of subscriptions of a session to conversations: `subscribe`, `unsubscribe` and `sync`.

use crate::domain::ids::{ConversationId, Rev, Seq};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The payload of `subscribe` and `unsubscribe`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConversationIds {
    pub conversation_ids: Vec<ConversationId>,
}

/// The payload of `sync`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncConversations {
    /// The last revision of each conversation that the client has.
    pub conversations: BTreeMap<ConversationId, Rev>,
    /// The last revision of the user stream that the client has. `None` means that the client needs no older events.
    #[serde(default)]
    pub user_rev: Option<Rev>,
    /// The epoch that the revisions belong to.
    #[serde(default)]
    pub epoch: Option<String>,
    /// True if the client sends another part of the same sync.
    #[serde(default)]
    pub more: bool,
}

/// The payload of `sync.done`, the end of a `sync`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SyncDone {
    /// The revision of each conversation up to which events were sent.
    pub conversations: BTreeMap<ConversationId, Rev>,
    /// The user's read marks in these conversations.
    pub reads: BTreeMap<ConversationId, Seq>,
    /// The revision of the user stream.
    pub user_rev: Rev,
    pub denied: Vec<DeniedConversation>,
}

/// A conversation that the user may not read.
#[derive(Clone, Debug, Serialize)]
pub struct DeniedConversation {
    pub id: ConversationId,
    /// The stable code of the error.
    pub code: &'static str,
}

/// The payload of `subscribed`, the answer to `subscribe`.
#[derive(Clone, Debug, Serialize)]
pub struct Subscribed {
    pub conversation_ids: Vec<ConversationId>,
    /// The revision of each conversation. Events after it follow.
    pub revs: BTreeMap<ConversationId, Rev>,
    pub denied: Vec<DeniedConversation>,
}

/// The payload of `unsubscribed`, the answer to `unsubscribe`.
#[derive(Clone, Debug, Serialize)]
pub struct Unsubscribed {
    pub conversation_ids: Vec<ConversationId>,
}

/// The payload of `sync.reset`.
#[derive(Clone, Debug, Serialize)]
pub struct SyncReset {
    /// Null means that the client must read everything anew.
    pub conversation_id: Option<ConversationId>,
    /// Events after this revision follow. It is null if the conversation is null.
    pub last_rev: Option<Rev>,
}
