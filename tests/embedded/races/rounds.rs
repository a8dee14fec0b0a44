//! Runs a race many times: starts two actions at one barrier, and reads the result from the log and as each user sees
//! it.

use crate::harness::TestApp;
use futures_util::future::join_all;
use greenroom::domain::caller::Caller;
use greenroom::domain::codes::Code;
use greenroom::domain::ids::{ConversationId, UserId};
use greenroom::domain::names::UserRef;
use greenroom::domain::roles::Role;
use greenroom::error::Result;
use greenroom::usecases::messages::{self, MessageRange};
use greenroom::usecases::{conversations, members};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{Barrier, oneshot};

/// Rounds of each race on each database.
pub const ROUNDS: usize = 1000;
/// Rounds that run at the same time, each with its own users.
const LANES: usize = 4;

/// One round of a race.
pub struct Round<'a> {
    test: &'a TestApp,
    /// The users of this round.
    pub users: &'a [Caller],
    /// The number of the round. It decides which action starts first, and how often the other one yields: otherwise the
    /// faster action would nearly always win.
    number: usize,
}

/// One event in the log of a conversation.
#[derive(Debug)]
pub struct Logged {
    pub rev: i64,
    pub kind: String,
    pub payload: Value,
}

/// Runs a race like [`run_race`], and checks at the end that the log is consistent and equals what was delivered.
pub async fn run_checked_race(
    test: &TestApp,
    users: usize,
    results: &[&str],
    race: impl AsyncFn(&Round) -> &'static str,
) {
    run_race(test, users, results, race).await;
    test.check_stored_state().await;
}

/// Runs a race [`ROUNDS`] times with this number of users. Each round returns its result. Every result in `results`
/// must occur, and no other: if one action always wins, there is no race.
pub async fn run_race(test: &TestApp, users: usize, results: &[&str], race: impl AsyncFn(&Round) -> &'static str) {
    let lanes = (0..LANES).map(|_| async {
        let users = test.users(users).await;
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        for round in 0..ROUNDS / LANES {
            let round = Round { test, users: &users, number: round };
            *seen.entry(race(&round).await).or_default() += 1;
        }
        seen
    });
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (result, times) in join_all(lanes).await.into_iter().flatten() {
        *seen.entry(result).or_default() += times;
    }
    eprintln!("{} on {}: {seen:?}", ROUNDS, if test.is_postgres() { "PostgreSQL" } else { "SQLite" });
    let mut expected = results.to_vec();
    expected.sort_unstable();
    assert_eq!(seen.keys().copied().collect::<Vec<_>>(), expected, "{seen:?}");
}

impl Round<'_> {
    /// Returns the application of this round.
    pub fn test(&self) -> &TestApp {
        self.test
    }

    /// Runs both actions at the same time, each on its own task. One barrier starts both, and one of them yields a few
    /// times first.
    pub async fn run_together<A: Send + 'static, B: Send + 'static>(
        &self,
        one: impl Future<Output = A> + Send + 'static,
        other: impl Future<Output = B> + Send + 'static,
    ) -> (A, B) {
        let barrier = Arc::new(Barrier::new(2));
        // The number of yields doubles every second round, so that on any machine the slower action sometimes wins too.
        let yields = (1 << (self.number / 2 % 14)) - 1;
        let (one, other) = if self.number.is_multiple_of(2) {
            (self.start(&barrier, 0, one), self.start(&barrier, yields, other))
        } else {
            let other = self.start(&barrier, 0, other);
            (self.start(&barrier, yields, one), other)
        };
        (one.await.unwrap(), other.await.unwrap())
    }

    fn start<T: Send + 'static>(
        &self,
        barrier: &Arc<Barrier>,
        yields: usize,
        action: impl Future<Output = T> + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (done, outcome) = oneshot::channel();
        let barrier = barrier.clone();
        self.test.app.spawn(async move {
            barrier.wait().await;
            for _ in 0..yields {
                tokio::task::yield_now().await;
            }
            let _ = done.send(action.await);
        });
        outcome
    }

    /// Creates a group of the first users. The first one is the owner, the others have these roles.
    pub async fn group(&self, roles: &[Role]) -> ConversationId {
        let app = &self.test.app;
        let group = self.test.group(&self.users[..=roles.len()]).await;
        for (user, role) in self.users[1..].iter().zip(roles).filter(|(_, role)| **role != Role::Member) {
            let user = UserRef::Id(user.user_id);
            members::update_role(app, &self.users[0], group, &user, *role).await.unwrap();
        }
        group
    }

    /// Returns the log of a conversation.
    pub async fn log(&self, conversation: ConversationId) -> Vec<Logged> {
        let id = self.test.id_literal(conversation);
        let query = format!(
            "SELECT rev, event_type, payload FROM outbox WHERE stream_kind = 0 AND stream_id = {id} ORDER BY rev"
        );
        let rows = self.test.rows(&query).await;
        rows.iter()
            .map(|row| {
                let frame: Value = serde_json::from_str(&row.try_get::<String>("", "payload").unwrap()).unwrap();
                Logged {
                    rev: row.try_get("", "rev").unwrap(),
                    kind: row.try_get("", "event_type").unwrap(),
                    payload: frame["payload"].clone(),
                }
            })
            .collect()
    }

    /// Returns the participants of a conversation as this user sees them, or the error code.
    pub async fn members(&self, user: &Caller, conversation: ConversationId) -> Result<BTreeMap<UserId, Role>, Code> {
        let detail = conversations::get_detail(&self.test.app, user, conversation).await;
        let detail = detail.map_err(|error| error.code())?;
        let count = detail.conversation.member_count;
        assert_eq!(count as usize, detail.members.len(), "the count is not the length of the list");
        Ok(detail.members.iter().map(|member| (member.user.id, member.role)).collect())
    }

    /// Returns the newest messages of a conversation as this user sees them, or the error code.
    pub async fn messages(&self, user: &Caller, conversation: ConversationId) -> Result<Vec<Value>, Code> {
        let page = messages::list(&self.test.app, &(*user).into(), conversation, MessageRange::Newest, 5).await;
        let page = page.map_err(|error| error.code())?;
        Ok(page.items.iter().map(|message| serde_json::to_value(message).unwrap()).collect())
    }
}

/// Returns true if the action succeeded. Its error must have one of these codes.
pub fn succeeded<T>(outcome: &Result<T>, refusals: &[Code]) -> bool {
    match outcome {
        Ok(_) => true,
        Err(error) if refusals.contains(&error.code()) => false,
        Err(error) => panic!("refused with another code: {error:?}"),
    }
}

/// Returns the revisions of the events of one type.
pub fn revs(log: &[Logged], kind: &str) -> Vec<i64> {
    log.iter().filter(|event| event.kind == kind).map(|event| event.rev).collect()
}
