//! Calls that change something, one of each shape of transaction, and the check that a change has happened.

use crate::harness::stored_state::StoredState;
use crate::harness::{TestApp, TestSend, new_group};
use greenroom::domain::caller::Caller;
use greenroom::domain::ids::ConversationId;
use greenroom::error::Result;
use greenroom::usecases::marks::{self, ReadTarget};
use greenroom::usecases::{groups, members, messages};
use std::pin::Pin;

/// The future of a change.
pub type ChangeFuture<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

/// One use case for each shape of transaction: through the writer, with user streams, with the stream of a
/// conversation, with a change of members, through the marks writer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    Send,
    Create,
    Add,
    Leave,
    Read,
}

/// All changes.
pub const CHANGES: [Change; 5] = [Change::Send, Change::Create, Change::Add, Change::Leave, Change::Read];

/// A group with an unread message, and the users of one change. Each change has a new stage, so that one change is not
/// taken for another.
pub struct Stage {
    owner: Caller,
    member: Caller,
    outsider: Caller,
    group: ConversationId,
}

impl Stage {
    pub async fn new(test: &TestApp) -> Self {
        let [owner, member, outsider] = test.users(3).await.try_into().unwrap();
        let group = test.group(&[owner, member]).await;
        test.send(TestSend::new(group, &owner, "unread")).await.unwrap();
        Self { owner, member, outsider, group }
    }

    /// Calls the use case as REST does.
    pub fn run<'a>(&'a self, test: &'a TestApp, change: Change) -> ChangeFuture<'a> {
        let app = &test.app;
        match change {
            Change::Send => Box::pin(async {
                let post = TestSend::new(self.group, &self.member, "deed").with_temp_id("deed");
                messages::send(app, post.checked()).await.map(drop)
            }),
            Change::Create => {
                Box::pin(async { groups::create(app, &self.member, new_group(&[self.outsider])).await.map(drop) })
            }
            Change::Add => Box::pin(test.add(&self.owner, self.group, &self.outsider)),
            Change::Leave => Box::pin(members::leave(app, &self.member, self.group)),
            Change::Read => Box::pin(async {
                marks::update_read_mark(app, &self.member, self.group, ReadTarget::End).await.map(drop)
            }),
        }
    }

    /// Returns how often the change happened.
    pub fn count(&self, stored: &StoredState, change: Change) -> usize {
        let row = |user: &Caller| stored.participants.get(&(self.group.0, user.user_id.0));
        match change {
            Change::Send => stored.messages_of(self.group).iter().filter(|message| message.content == "deed").count(),
            Change::Create => {
                let mine = stored.participants.keys().filter(|(_, user)| *user == self.outsider.user_id.0);
                mine.filter(|(conversation, _)| *conversation != self.group.0).count()
            }
            Change::Add => usize::from(row(&self.outsider).is_some()),
            Change::Leave => usize::from(row(&self.member).unwrap().left_rev.is_some()),
            // The system message and the unread one.
            Change::Read => usize::from(row(&self.member).unwrap().last_read_seq == 2),
        }
    }

    /// Waits until the writers have decided everything in their queues: they decide the last entry last.
    pub async fn wait_for_writers(&self, test: &TestApp) {
        test.send(TestSend::new(self.group, &self.owner, "last")).await.unwrap();
        marks::update_read_mark(&test.app, &self.owner, self.group, ReadTarget::End).await.unwrap();
        let app = &test.app;
        // The waiting mark may be the one of the member, and two rounds may be under way.
        let _ = marks::update_read_mark(app, &self.member, self.group, ReadTarget::Seq(greenroom::domain::ids::Seq(0)))
            .await;
        test.wait_for_transactions().await;
    }
}
