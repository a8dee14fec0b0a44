//! Calls that change rows, one for each kind of transaction, and the check that a change has happened.

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

/// One use case for each kind of transaction: through the writer, with user streams, with the stream of a conversation,
/// with a change of members, and through the marks writer.
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

/// A group with an unread message, and the users of one change. Each change has a new fixture, so that the check
/// does not confuse two changes.
pub struct Fixture {
    owner: Caller,
    member: Caller,
    non_member: Caller,
    group: ConversationId,
}

impl Fixture {
    pub async fn new(test: &TestApp) -> Self {
        let [owner, member, non_member] = test.users(3).await.try_into().unwrap();
        let group = test.group(&[owner, member]).await;
        test.send(TestSend::new(group, &owner, "unread")).await.unwrap();
        Self { owner, member, non_member, group }
    }

    /// Calls the use case as REST does.
    pub fn run<'a>(&'a self, test: &'a TestApp, change: Change) -> ChangeFuture<'a> {
        let app = &test.app;
        match change {
            Change::Send => Box::pin(async {
                let send = TestSend::new(self.group, &self.member, "the change").with_temp_id("the change");
                messages::send(app, send.checked()).await.map(drop)
            }),
            Change::Create => {
                Box::pin(async { groups::create(app, &self.member, new_group(&[self.non_member])).await.map(drop) })
            }
            Change::Add => Box::pin(test.add(&self.owner, self.group, &self.non_member)),
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
            Change::Send => {
                stored.messages_of(self.group).iter().filter(|message| message.content == "the change").count()
            }
            Change::Create => {
                let of_non_member = stored.participants.keys().filter(|(_, user)| *user == self.non_member.user_id.0);
                of_non_member.filter(|(conversation, _)| *conversation != self.group.0).count()
            }
            Change::Add => usize::from(row(&self.non_member).is_some()),
            Change::Leave => usize::from(row(&self.member).unwrap().left_rev.is_some()),
            // The second message is the unread one, after the system message.
            Change::Read => usize::from(row(&self.member).unwrap().last_read_seq == 2),
        }
    }

    /// Waits until the writers have decided all entries in their queues. They decide in order, so the entry that is
    /// added here is decided last.
    pub async fn wait_for_writers(&self, test: &TestApp) {
        test.send(TestSend::new(self.group, &self.owner, "last")).await.unwrap();
        marks::update_read_mark(&test.app, &self.owner, self.group, ReadTarget::End).await.unwrap();
        let app = &test.app;
        // The waiting mark may be that of the member, and two rounds of the writer may run.
        let _ = marks::update_read_mark(app, &self.member, self.group, ReadTarget::Seq(greenroom::domain::ids::Seq(0)))
            .await;
        test.wait_for_transactions().await;
    }
}
