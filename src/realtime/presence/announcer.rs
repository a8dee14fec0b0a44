//! Which changes of presence are announced next. It contains no actor, clock or database.
//!
//! Changes are announced together, at most once in [`limits::ANNOUNCE_INTERVAL`], and only the newest status of each
//! user. A user who connects and disconnects a thousand times in between is one change, or none if the status is again
//! the announced one.

use crate::domain::ids::UserId;
use crate::domain::limits;
use crate::mailboxes::{PresenceAnnounced, PresenceChanged};
use crate::protocol::presence::PresenceStatus;
use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

/// The announced statuses, and the users who wait for an announcement.
#[derive(Default)]
pub(super) struct Announcer {
    /// The status that was announced last, of each user who was not offline then.
    announced: HashMap<UserId, PresenceStatus>,
    /// Users whose status may differ from the announced one, and the order in which they are announced.
    changed: HashSet<UserId>,
    change_queue: VecDeque<UserId>,
    /// Whether an announcement runs or has a timer.
    is_announcing: bool,
    announced_at: Option<Instant>,
}

impl Announcer {
    /// Notes the present status of a user. It is announced if it differs from the announced one at that time.
    pub fn note_status(&mut self, user: UserId, status: PresenceStatus) {
        if self.announced_status(user) != status {
            self.queue_change(user);
        }
    }

    /// Returns how long to wait for the next announcement, which counts as running from now on. `None` if one runs or
    /// has a timer already, or if no user waits.
    pub fn schedule(&mut self, now: Instant) -> Option<Duration> {
        if self.is_announcing || self.changed.is_empty() {
            return None;
        }
        self.is_announcing = true;
        let elapsed = self.announced_at.map_or(limits::ANNOUNCE_INTERVAL, |at| now.saturating_duration_since(at));
        Some(limits::ANNOUNCE_INTERVAL.saturating_sub(elapsed))
    }

    /// Returns the changes to announce now, with the present status of each user and its watchers: as many as one
    /// statement can handle, the others are announced next time. If there are none, the announcement has ended.
    pub fn begin(
        &mut self,
        now: Instant,
        status: impl Fn(UserId) -> PresenceStatus,
        watchers: impl Fn(UserId) -> HashSet<UserId>,
    ) -> Vec<PresenceChanged> {
        self.announced_at = Some(now);
        let (mut changes, mut watcher_count) = (Vec::new(), 0);
        while changes.len() < limits::ANNOUNCED_USERS
            && watcher_count < limits::ANNOUNCED_WATCHERS
            && let Some(user_id) = self.change_queue.pop_front()
        {
            self.changed.remove(&user_id);
            let status = status(user_id);
            if status == self.announced_status(user_id) {
                continue;
            }
            let watchers = watchers(user_id);
            watcher_count += watchers.len();
            changes.push(PresenceChanged { user_id, status, watchers });
        }
        self.is_announcing = !changes.is_empty();
        changes
    }

    /// Ends an announcement that succeeded.
    pub fn finish(&mut self, changes: &[PresenceAnnounced]) {
        self.is_announcing = false;
        for change in changes {
            match change.status {
                PresenceStatus::Offline => self.announced.remove(&change.user_id),
                status => self.announced.insert(change.user_id, status),
            };
        }
    }

    /// Ends an announcement that failed. These users are announced again.
    pub fn fail(&mut self, users: Vec<UserId>) {
        self.is_announcing = false;
        for user in users {
            self.queue_change(user);
        }
    }

    /// Returns the users who were not offline when they were announced last.
    pub fn list_announced(&self) -> Vec<UserId> {
        self.announced.keys().copied().collect()
    }

    /// Forgets which users wait. The announced statuses stay, because clients still show them.
    pub fn clear_changes(&mut self) {
        self.changed.clear();
        self.change_queue.clear();
        self.is_announcing = false;
    }

    fn queue_change(&mut self, user: UserId) {
        if self.changed.insert(user) {
            self.change_queue.push_back(user);
        }
    }

    fn announced_status(&self, user: UserId) -> PresenceStatus {
        self.announced.get(&user).copied().unwrap_or(PresenceStatus::Offline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(announcer: &mut Announcer, now: Instant, status: PresenceStatus) -> Vec<PresenceAnnounced> {
        let changes = announcer.begin(now, |_| status, |_| HashSet::new());
        let to_answer = |PresenceChanged { user_id, status, watchers }| PresenceAnnounced {
            user_id,
            status,
            text: "".into(),
            watchers,
        };
        changes.into_iter().map(to_answer).collect()
    }

    #[test]
    fn many_changes_of_a_user_are_one_and_none_if_the_status_is_the_announced_one() {
        let (mut announcer, user, start) = (Announcer::default(), UserId::new(), Instant::now());
        assert_eq!(announcer.schedule(start), None);
        for status in [PresenceStatus::Online, PresenceStatus::Away, PresenceStatus::Online] {
            announcer.note_status(user, status);
        }
        assert_eq!(announcer.schedule(start), Some(Duration::ZERO));
        assert_eq!(announcer.schedule(start), None, "it has a timer");
        let changes = begin(&mut announcer, start, PresenceStatus::Online);
        assert_eq!(changes.len(), 1);
        announcer.note_status(user, PresenceStatus::Away);
        assert_eq!(announcer.schedule(start), None, "it runs");
        announcer.finish(&changes);
        assert_eq!(announcer.schedule(start), Some(limits::ANNOUNCE_INTERVAL));
        assert!(begin(&mut announcer, start, PresenceStatus::Online).is_empty());
        assert_eq!(announcer.list_announced(), [user]);
        announcer.note_status(user, PresenceStatus::Offline);
        assert!(announcer.schedule(start + limits::ANNOUNCE_INTERVAL).is_some());
        let changes = begin(&mut announcer, start, PresenceStatus::Offline);
        announcer.finish(&changes);
        assert!(announcer.list_announced().is_empty());
    }

    #[test]
    fn a_failed_announcement_is_repeated_and_one_announcement_is_bounded() {
        let (mut announcer, now) = (Announcer::default(), Instant::now());
        let users: Vec<UserId> = (0..=limits::ANNOUNCED_USERS).map(|_| UserId::new()).collect();
        for user in &users {
            announcer.note_status(*user, PresenceStatus::Online);
        }
        assert!(announcer.schedule(now).is_some());
        let changes = begin(&mut announcer, now, PresenceStatus::Online);
        assert_eq!(changes.len(), limits::ANNOUNCED_USERS);
        announcer.fail(changes.iter().map(|change| change.user_id).collect());
        assert!(announcer.schedule(now).is_some());
        let changes = begin(&mut announcer, now, PresenceStatus::Online);
        assert_eq!((changes.len(), changes[0].user_id), (limits::ANNOUNCED_USERS, users[limits::ANNOUNCED_USERS]));
    }
}
