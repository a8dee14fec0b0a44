//! The resources of receipts: which participants have received and read a message.

use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// The time when a client of one participant received a message, or when the participant read it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct Receipt {
    /// The participant.
    pub user_id: UserId,
    /// When the participant's mark last moved. The mark is at this message or later, so the time may be later than the
    /// reading.
    pub at: Timestamp,
}

/// The participants who have received and read a message, without its author. Participants whose receipts the caller
/// may not see are not in the lists.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct Receipts {
    /// The participants who have received the message, with those who have read it. The latest first, at most 1,000.
    pub delivered: Vec<Receipt>,
    /// The participants who have read the message. The latest first, at most 1,000.
    pub read: Vec<Receipt>,
    /// The number of participants of the conversation.
    pub member_count: i64,
    /// The number of participants who have read it divided by the number of participants without the author: from 0 to
    /// 1. It is 1 if there is no other participant.
    pub read_ratio: f64,
}
