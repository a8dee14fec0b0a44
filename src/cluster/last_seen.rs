//! The times when users were last present, until they are written to the database together.

use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// The times that this node has not written yet.
#[derive(Default)]
pub struct LastSeenTimes(Mutex<HashMap<UserId, Timestamp>>);

impl LastSeenTimes {
    /// Stores when a user was last present. [`Self::take`] returns these times for one common write.
    pub fn set(&self, user: UserId, at: Timestamp) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(user, at);
    }

    /// Removes and returns the times that the calling function must write to the database.
    pub fn take(&self) -> Vec<(UserId, Timestamp)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).drain().collect()
    }
}
