//! What a caller may do that changes something, each on a fresh stage, and how to see that it happened.

use crate::harness::stored_state::Ledger;
use crate::harness::{Inside, Post, new_group};
use greenroom::domain::caller::Caller;
use greenroom::domain::ids::ConversationId;
use greenroom::error::Result;
use greenroom::usecases::marks::{self, ReadTarget};
use greenroom::usecases::{groups, members, messages};
use std::pin::Pin;

/// The future of a deed.
pub type Acting<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

/// One use case for every shape of transaction: through the writer, with users' streams, with a conversation's, with a
/// change of members, through the writer of marks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deed {
    Send,
    Create,
    Add,
    Leave,
    Read,
}

/// All of them.
pub const DEEDS: [Deed; 5] = [Deed::Send, Deed::Create, Deed::Add, Deed::Leave, Deed::Read];

/// A group with something unread in it, and who acts. Everything is the stage's own, so that what one deed left behind
/// is not taken for another's.
pub struct Stage {
    owner: Caller,
    member: Caller,
    outsider: Caller,
    group: ConversationId,
}

impl Stage {
    pub async fn new(inside: &Inside) -> Self {
        let [owner, member, outsider] = inside.users(3).await.try_into().unwrap();
        let group = inside.group(&[owner, member]).await;
        inside.send(Post::new(group, &owner, "unread")).await.unwrap();
        Self { owner, member, outsider, group }
    }

    /// Does it, as REST would.
    pub fn act<'a>(&'a self, inside: &'a Inside, deed: Deed) -> Acting<'a> {
        let app = &inside.app;
        match deed {
            Deed::Send => Box::pin(async {
                let post = Post::new(self.group, &self.member, "deed").named("deed");
                messages::send(app, post.checked()).await.map(drop)
            }),
            Deed::Create => {
                Box::pin(async { groups::create(app, &self.member, new_group(&[self.outsider])).await.map(drop) })
            }
            Deed::Add => Box::pin(inside.add(&self.owner, self.group, &self.outsider)),
            Deed::Leave => Box::pin(members::leave(app, &self.member, self.group)),
            Deed::Read => Box::pin(async {
                marks::update_read_mark(app, &self.member, self.group, ReadTarget::End).await.map(drop)
            }),
        }
    }

    /// How often it happened.
    pub fn times(&self, ledger: &Ledger, deed: Deed) -> usize {
        let row = |user: &Caller| ledger.participants.get(&(self.group.0, user.user_id.0));
        match deed {
            Deed::Send => ledger.said(self.group).iter().filter(|message| message.content == "deed").count(),
            Deed::Create => {
                let mine = ledger.participants.keys().filter(|(_, user)| *user == self.outsider.user_id.0);
                mine.filter(|(conversation, _)| *conversation != self.group.0).count()
            }
            Deed::Add => usize::from(row(&self.outsider).is_some()),
            Deed::Leave => usize::from(row(&self.member).unwrap().left_rev.is_some()),
            // the system's first message and the unread one
            Deed::Read => usize::from(row(&self.member).unwrap().last_read_seq == 2),
        }
    }

    /// Waits until whatever waits in the queues of the writers has been decided: what comes last is decided last.
    pub async fn decided(&self, inside: &Inside) {
        inside.send(Post::new(self.group, &self.owner, "last")).await.unwrap();
        marks::update_read_mark(&inside.app, &self.owner, self.group, ReadTarget::End).await.unwrap();
        let app = &inside.app;
        // the mark that waits may be the member's own, and two rounds may be under way
        let _ = marks::update_read_mark(app, &self.member, self.group, ReadTarget::Seq(greenroom::domain::ids::Seq(0)))
            .await;
        inside.settled().await;
    }
}
