//! The bus: the one way by which committed events and ephemeral frames reach those who follow their streams.

use super::catch_up::CatchUpSchedule;
use crate::mailboxes::{Batch, Committed, Ephemeral};
use crate::protocol::envelope::Envelope;
use actix::prelude::Recipient;

/// Passes events and frames on to the hub of this node. It never waits, so it may lose what the hub cannot take: the
/// catch-up finds every event in the log. Other nodes find the events there too.
pub struct Bus {
    events: Recipient<Committed>,
    ephemeral: Recipient<Ephemeral>,
    catch_up_schedule: CatchUpSchedule,
}

impl Bus {
    /// Returns a bus to the hub of this node. It wakes the catch-up when the hub cannot take events.
    pub fn new(
        events: Recipient<Committed>,
        ephemeral: Recipient<Ephemeral>,
        catch_up_schedule: CatchUpSchedule,
    ) -> Self {
        Self { events, ephemeral, catch_up_schedule }
    }

    /// Delivers the events of a commit to the rooms of their streams. If the hub cannot take them, the catch-up finds
    /// them in the log.
    pub fn deliver(&self, events: Vec<Envelope>) {
        if self.events.try_send(Committed(Batch::by_stream(events))).is_err() {
            self.catch_up_schedule.wake();
        }
    }

    /// Sends an ephemeral frame to the sessions that follow its streams, except those of the excluded users. Best
    /// effort.
    pub fn notify(&self, frame: Ephemeral) {
        let _ = self.ephemeral.try_send(frame);
    }

    /// Returns the schedule of the catch-up of this node.
    pub fn catch_up_schedule(&self) -> &CatchUpSchedule {
        &self.catch_up_schedule
    }
}
