//! Makes the resources of participants as a viewer sees them.

use crate::app::App;
use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::protocol::members::Participant;
use crate::protocol::presence::PresenceStatus;
use crate::store::members::ParticipantRow;
use crate::store::users;
use sea_orm::ConnectionTrait;
use std::collections::HashSet;

/// Participants, and what a viewer may see of them. A block hides presence and read marks. Read marks are shown to the
/// user themself, and to a viewer if both users share theirs.
pub struct ParticipantsView {
    rows: Vec<ParticipantRow>,
    viewer: UserId,
    /// Whether the viewer shares read marks.
    shares: bool,
    /// The users whose presence the viewer may see.
    visible: HashSet<UserId>,
}

impl ParticipantsView {
    /// Reads what `viewer` may see of the participants.
    pub async fn read(conn: &impl ConnectionTrait, viewer: UserId, rows: Vec<ParticipantRow>) -> Result<Self> {
        let me = users::by_id(conn, viewer).await?;
        let ids: Vec<UserId> = rows.iter().map(|row| row.user.id).collect();
        let visible = users::visible_to(conn, viewer, &ids).await?;
        Ok(Self { rows, viewer, shares: me.is_some_and(|me| me.share_read_receipts), visible })
    }

    /// Returns for each participant the cursor of the page after it.
    pub fn cursors(&self) -> Vec<(Timestamp, UserId)> {
        self.rows.iter().map(|row| (row.joined_at, row.user.id)).collect()
    }

    /// Returns the participants in the order of the rows.
    pub fn into_participants(self, app: &App) -> Vec<Participant> {
        let Self { rows, viewer, shares, visible } = self;
        let to_participant = |row: ParticipantRow| {
            let is_visible = visible.contains(&row.user.id);
            let shows_mark = row.user.id == viewer || (shares && is_visible && row.shares_receipts);
            Participant {
                presence: if is_visible { app.presence().status(row.user.id) } else { PresenceStatus::Offline },
                role: row.role,
                joined_at: row.joined_at,
                last_read_seq: shows_mark.then_some(row.last_read_seq),
                user: row.user,
            }
        };
        rows.into_iter().map(to_participant).collect()
    }
}
