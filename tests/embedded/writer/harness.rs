//! Conversations of every kind and users in every state, with random sends, reads, additions and removals, whose
//! outcomes the model checks.

use super::model::{ConversationModel, Model};
use crate::harness::stored_state::StoredState;
use crate::harness::{TestApp, TestSend};
use crate::support::Random;
use futures_util::future::{join, join_all, join3};
use greenroom::domain::caller::Caller;
use greenroom::domain::ids::{ClassId, ConversationId, MessageId, Seq, UserId};
use greenroom::domain::names::UserRef;
use greenroom::domain::roles::Role;
use greenroom::domain::stream::Stream;
use greenroom::mailboxes::SentMessage;
use greenroom::usecases::marks::{self, ReadTarget};
use greenroom::usecases::{conversations, members};
use serde_json::json;
use std::collections::BTreeMap;
use tokio::sync::mpsc;

/// The number of sends in a round.
const SENDS: u64 = 80;

/// Texts that parameters, JSON or SQL may handle wrongly.
const WORDS: [&str; 8] = ["hello", "1", "-1", "null", "it's \"quoted\" \\ {}", "a\nb\t\u{1}", "Đặng 🎉", "%s"];

/// All users and conversations, with the model of them.
pub struct Simulation<'a> {
    test: &'a TestApp,
    random: Random,
    users: Vec<Caller>,
    groups: Vec<ConversationId>,
    directs: Vec<(ConversationId, UserId, UserId)>,
    class: (ConversationId, ClassId),
    /// The ids of missing and deleted conversations.
    missing: Vec<ConversationId>,
    pub model: Model,
    /// The greatest read mark that each user set.
    read: BTreeMap<(ConversationId, UserId), i64>,
    sends: Vec<TestSend>,
}

impl<'a> Simulation<'a> {
    pub async fn new(test: &'a TestApp, random: Random) -> Self {
        let users = test.users(8).await;
        let mut model = Model::default();
        for row in test.rows("SELECT id, username_key FROM users").await {
            let id: uuid::Uuid = row.try_get("", "id").unwrap();
            model.names.insert(row.try_get("", "username_key").unwrap(), UserId(id));
        }
        let member = |caller: &Caller| (caller.user_id, Role::Member);
        let mut groups = Vec::new();
        for size in [3, 5, 6] {
            let id = test.group(&users[..size]).await;
            let mut roles: BTreeMap<_, _> = users[..size].iter().map(member).collect();
            roles.insert(users[0].user_id, Role::Owner);
            let observer = UserRef::Id(users[7].user_id);
            members::add(&test.app, &users[0], id, &[observer], Role::Observer).await.unwrap();
            roles.insert(users[7].user_id, Role::Observer);
            model.conversations.insert(id, ConversationModel::new(roles));
            groups.push(id);
        }
        let mut directs = Vec::new();
        for (one, other) in [(0, 1), (2, 3)] {
            let id = test.direct(&users[one], &users[other]).await;
            let roles = [&users[one], &users[other]].map(member).into();
            model.conversations.insert(id, ConversationModel::new(roles));
            directs.push((id, users[one].user_id, users[other].user_id));
        }
        let class = (ConversationId::new(), ClassId::new());
        let roles: BTreeMap<_, _> = [(users[1].user_id, Role::Admin), (users[2].user_id, Role::Observer)].into();
        create_class(test, class, &roles).await;
        model.conversations.insert(class.0, ConversationModel::new(roles));
        let left = test.group(&users[..1]).await;
        members::leave(&test.app, &users[0], left).await.unwrap();
        let missing = vec![left, ConversationId::new()];
        Self { test, random, users, groups, directs, class, missing, model, read: BTreeMap::new(), sends: Vec::new() }
    }

    /// Suspends a user, blocks a user and archives a class, or ends these states. Sometimes it permits `@all` again.
    async fn change_states(&mut self) {
        if self.random.one_in(3) {
            self.test.run("UPDATE conversations SET all_mentioned_at = NULL").await;
            self.model.conversations.values_mut().for_each(ConversationModel::forget_all_mentioned);
        }
        let user = self.random.pick(&self.users[1..]).user_id;
        let suspended = self.model.suspended.insert(user) || !self.model.suspended.remove(&user);
        let status = if suspended { "suspended" } else { "active" };
        self.test.run(&format!("UPDATE users SET status = '{status}' WHERE id = {}", self.test.id_literal(user))).await;
        let (direct, one, other) = *self.random.pick(&self.directs);
        let conversation = self.model.conversations.get_mut(&direct).unwrap();
        conversation.blocked = !conversation.blocked;
        let (blocker, target) = if self.random.one_in(2) { (one, other) } else { (other, one) };
        let [blocker, target] = [blocker, target].map(|user| self.test.id_literal(user));
        let statement = if conversation.blocked {
            format!("INSERT INTO blocks (blocker_id, blocked_id, created_at) VALUES ({blocker}, {target}, 1)")
        } else {
            format!(
                "DELETE FROM blocks WHERE blocker_id IN ({blocker}, {target}) AND blocked_id IN ({blocker}, {target})"
            )
        };
        self.test.run(&statement).await;
        let (id, class) = self.class;
        let conversation = self.model.conversations.get_mut(&id).unwrap();
        conversation.archived = !conversation.archived;
        let at = if conversation.archived { "1" } else { "NULL" };
        let class = self.test.id_literal(class);
        self.test.run(&format!("UPDATE classes SET archived_at = {at} WHERE id = {class}")).await;
    }

    fn random_send(&mut self) -> TestSend {
        let mut conversations: Vec<ConversationId> = self.model.conversations.keys().copied().collect();
        if self.random.one_in(8) {
            conversations.clone_from(&self.missing);
        }
        let conversation = *self.random.pick(&conversations);
        let mut sender = *self.random.pick(&self.users);
        if self.random.one_in(30) {
            sender.user_id = UserId::new();
        }
        let content = if self.random.one_in(3) { self.mentions() } else { (*self.random.pick(&WORDS)).to_owned() };
        if content.contains("@all") && self.random.one_in(2) {
            // This user owns every group. Few other users may write `@all`.
            sender = self.users[0];
        }
        let mut send = TestSend::new(conversation, &sender, content);
        if self.random.one_in(2) {
            send = send.with_temp_id(format!("t{}", self.random.between(0, 12)));
        }
        if self.random.one_in(5) {
            send.data = Some(json!({"pack": "cats", "id": "\"1\""}));
        }
        if self.random.one_in(3) && !self.sends.is_empty() {
            let same_conversation: Vec<_> =
                self.sends.iter().filter(|other| other.conversation == conversation).collect();
            let target = if self.random.one_in(4) || same_conversation.is_empty() {
                self.random.pick(&self.sends).id
            } else {
                self.random.pick(&same_conversation).id
            };
            send.reply_to = Some(if self.random.one_in(8) { MessageId::new() } else { target });
        }
        if self.random.one_in(6) && !self.sends.is_empty() {
            // A client that got no answer repeats its send. Only the message id is new.
            send = TestSend { id: MessageId::new(), ..self.random.pick(&self.sends).clone() };
        }
        send
    }

    /// Returns a text that mentions some users, of whom some are in the conversation.
    fn mentions(&mut self) -> String {
        let names: Vec<String> = self.model.names.keys().cloned().collect();
        let mut words = Vec::new();
        for _ in 0..self.random.between(1, 5) {
            let name = self.random.pick(&names).clone();
            words.push(match self.random.between(0, 6) {
                0 => "@all".to_owned(),
                1 => format!("@{}.", name.to_uppercase()),
                2 => format!("mail@{name}"),
                _ => format!("@{name}"),
            });
        }
        words.join(" ")
    }

    /// Runs one round: sends in a fixed order, while members join and leave and users read. Then it checks all outcomes
    /// and the database.
    pub async fn round(&mut self) {
        self.change_states().await;
        let movers = self.movers();
        let sends: Vec<TestSend> = (0..SENDS)
            .map(|_| {
                let send = self.random_send();
                self.sends.push(send.clone());
                send
            })
            .collect();
        let (answer, answered) = mpsc::unbounded_channel();
        let sending = send_all(self.test, &sends, self.random.fork(), answer, answered);
        let owner = self.users[0];
        let test = self.test;
        let membership_changes = join_all(movers.iter().map(|(group, user, times, is_in)| async move {
            let mut is_in = *is_in;
            for _ in 0..*times {
                if is_in {
                    members::remove(&test.app, &owner, *group, &UserRef::Id(user.user_id)).await.unwrap();
                } else {
                    test.add(&owner, *group, user).await.unwrap();
                }
                is_in = !is_in;
            }
            is_in
        }));
        let planned_reads: Vec<_> = (0..20).map(|_| self.random_read()).collect();
        let reads = join_all(planned_reads.iter().map(|(user, conversation, target)| async move {
            (user.user_id, *conversation, marks::update_read_mark(&test.app, user, *conversation, *target).await)
        }));
        let (outcomes, moved, marks) = join3(sending, membership_changes, reads).await;

        for (send, outcome) in sends.iter().zip(&outcomes) {
            let moving = movers.iter().filter(|mover| mover.0 == send.conversation);
            let moving = moving.map(|mover| mover.1.user_id).collect();
            if let Err(fault) = self.model.check(send, &moving, outcome) {
                panic!("\n{fault}\n");
            }
        }
        for ((group, user, ..), is_in) in movers.iter().zip(moved) {
            let roles = &mut self.model.conversations.get_mut(group).unwrap().roles;
            if is_in {
                roles.insert(user.user_id, Role::Member);
            } else {
                roles.remove(&user.user_id);
            }
        }
        for (user, conversation, mark) in marks {
            if let Ok(mark) = mark {
                let greatest = self.read.entry((conversation, user)).or_default();
                *greatest = mark.last_read_seq.0.max(*greatest);
            }
        }
        self.check().await;
    }

    /// Chooses the users who leave and join in this round. Returns for each the group, the number of changes, and
    /// whether the user is a participant now.
    fn movers(&mut self) -> Vec<(ConversationId, Caller, u64, bool)> {
        let mut movers: Vec<(ConversationId, Caller, u64, bool)> = Vec::new();
        for _ in 0..3 {
            let group = *self.random.pick(&self.groups);
            let user = *self.random.pick(&self.users[1..7]);
            let is_in = self.model.conversations[&group].roles.contains_key(&user.user_id);
            if !movers.iter().any(|mover| mover.0 == group && mover.1 == user) {
                movers.push((group, user, self.random.between(1, 6), is_in));
            }
        }
        movers
    }

    fn random_read(&mut self) -> (Caller, ConversationId, ReadTarget) {
        let conversations: Vec<_> =
            self.model.conversations.iter().filter(|(_, conversation)| !conversation.roles.is_empty()).collect();
        let (id, conversation) = *self.random.pick(&conversations);
        let target = match self.random.between(0, 3) {
            0 if !conversation.messages.is_empty() => ReadTarget::Message(*self.random.pick(&conversation.messages)),
            1 => ReadTarget::Seq(Seq(self.random.between(0, 200) as i64)),
            _ => ReadTarget::End,
        };
        (*self.random.pick(&self.users), *id, target)
    }

    /// Checks that the database is consistent and agrees with the model.
    async fn check(&self) {
        let stored = self.test.check_stored_state().await;
        let mut mentions: BTreeMap<MessageId, (Vec<UserId>, bool)> =
            self.model.mentions.keys().map(|message| (*message, (Vec::new(), false))).collect();
        for row in self.test.rows("SELECT message_id, user_id FROM mentions ORDER BY message_id, position").await {
            let [message, user]: [uuid::Uuid; 2] = ["message_id", "user_id"].map(|name| row.try_get("", name).unwrap());
            mentions.get_mut(&MessageId(message)).expect("a message that the model has checked").0.push(UserId(user));
        }
        for row in self.test.rows("SELECT id FROM messages WHERE mentions_all").await {
            let message = MessageId(row.try_get("", "id").unwrap());
            mentions.get_mut(&message).expect("a message that the model has checked").1 = true;
        }
        assert_eq!(mentions, self.model.mentions);
        for (id, conversation) in &self.model.conversations {
            let messages: Vec<_> = stored.messages_of(*id).iter().filter(|message| message.kind != "system").collect();
            let ids: Vec<_> = messages.iter().map(|message| MessageId(message.id)).collect();
            assert_eq!(ids, conversation.messages, "{id}");
            for user in &self.users {
                self.check_mark(&stored, *id, user).await;
            }
        }
    }

    /// Checks that the read mark is the greatest of: the start of the user's view, the user's own newest message, and
    /// the mark that the user set.
    async fn check_mark(&self, stored: &StoredState, id: ConversationId, user: &Caller) {
        let Some(row) = stored.participants.get(&(id.0, user.user_id.0)).filter(|row| row.left_rev.is_none()) else {
            return;
        };
        let messages = stored.messages_of(id);
        let start = if row.joined_rev == 0 {
            i64::from(self.groups.contains(&id))
        } else {
            messages.iter().find(|message| message.rev == row.joined_rev).map_or(0, |message| message.seq)
        };
        let own = messages.iter().rev().find(|message| message.sender == Some(user.user_id.0));
        let read = self.read.get(&(id, user.user_id)).copied().unwrap_or(0);
        let expected = start.max(own.map_or(0, |message| message.seq)).max(read);
        assert_eq!(row.last_read_seq, expected, "the mark of {} in {id}", user.user_id);

        let unread = messages.iter().filter(|message| message.seq > expected && message.kind != "system").count();
        let view = conversations::get(&self.test.app, user, id).await.unwrap();
        assert_eq!(view.unread_count, unread as i64, "{} in {id}", user.user_id);
        assert_eq!(stored.events_of(Stream::Conversation(id)).last().map_or(0, |event| event.rev), view.last_rev.0);
    }
}

type Answered = (usize, greenroom::error::Result<SentMessage>);

/// Enqueues `sends` one after another. Sometimes it waits for outcomes, so that there are batches of all sizes. Returns
/// the outcomes in the order of `sends`; those of one conversation must come in that order.
pub async fn send_all(
    test: &TestApp,
    sends: &[TestSend],
    mut random: Random,
    answer: mpsc::UnboundedSender<Answered>,
    answered: mpsc::UnboundedReceiver<Answered>,
) -> Vec<greenroom::error::Result<SentMessage>> {
    let (progress, mut waiting) = mpsc::unbounded_channel::<usize>();
    let enqueue = async {
        for (index, send) in sends.iter().enumerate() {
            let answer = answer.clone();
            test.enqueue_with(send.clone(), move |outcome| drop(answer.send((index, outcome))));
            match random.between(0, 12) {
                0 => while waiting.recv().await.is_some_and(|count| count <= index) {},
                1..=4 => tokio::task::yield_now().await,
                _ => {}
            }
        }
    };
    let collect = collect(sends, answered, |count| {
        let _ = progress.send(count);
    });
    join(enqueue, collect).await.1
}

/// Returns the outcomes of `sends` in their order; those of one conversation must come in that order. Calls `progress`
/// with the number of outcomes so far.
pub async fn collect(
    sends: &[TestSend],
    mut answered: mpsc::UnboundedReceiver<Answered>,
    progress: impl Fn(usize),
) -> Vec<greenroom::error::Result<SentMessage>> {
    let mut outcomes: BTreeMap<usize, greenroom::error::Result<SentMessage>> = BTreeMap::new();
    let mut newest: BTreeMap<ConversationId, usize> = BTreeMap::new();
    while outcomes.len() < sends.len() {
        let (index, outcome) = answered.recv().await.expect("every send is answered");
        let before = newest.insert(sends[index].conversation, index);
        assert!(before.is_none_or(|before| before < index), "{index} was answered after {before:?}");
        outcomes.insert(index, outcome);
        progress(outcomes.len());
    }
    outcomes.into_values().collect()
}

/// Creates the conversation of a class with these participants.
pub async fn create_class(
    test: &TestApp,
    (conversation, class): (ConversationId, ClassId),
    roles: &BTreeMap<UserId, Role>,
) {
    let [conversation, class] = [test.id_literal(conversation), test.id_literal(class)];
    let creator = test.id_literal(*roles.keys().next().unwrap());
    test.run(&format!(
        "INSERT INTO classes (id, name, code, code_key, created_by, created_at, updated_at)
             VALUES ({class}, 'Algebra', 'A', 'a', {creator}, 1, 1);
             INSERT INTO conversations (id, kind, name, class_id, created_at, updated_at, member_count)
             VALUES ({conversation}, 'class', 'Algebra', {class}, 1, 1, {})",
        roles.len()
    ))
    .await;
    for (user, role) in roles {
        let (user, role) = (test.id_literal(*user), role.as_str());
        test.run(&format!(
            "INSERT INTO participants (conversation_id, user_id, role, joined_at, joined_rev)
                 VALUES ({conversation}, {user}, '{role}', 1, 0)"
        ))
        .await;
    }
}
