//! A small world for the writer to work in: conversations of every kind, users in every state, and a stream of random
//! sends, reads, additions and removals among them, judged by the model.

use super::model::{Model, Place};
use crate::harness::stored_state::Ledger;
use crate::harness::{Inside, Post};
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

/// Sends in a round.
const SENDS: u64 = 80;

/// What strings might trip over on their way through parameters, JSON and SQL.
const WORDS: [&str; 8] = ["hello", "1", "-1", "null", "it's \"quoted\" \\ {}", "a\nb\t\u{1}", "Đặng 🎉", ""];

/// Everything there is.
pub struct World<'a> {
    inside: &'a Inside,
    random: Random,
    users: Vec<Caller>,
    groups: Vec<ConversationId>,
    directs: Vec<(ConversationId, UserId, UserId)>,
    class: (ConversationId, ClassId),
    /// Conversations that are missing or deleted.
    gone: Vec<ConversationId>,
    pub model: Model,
    /// The furthest each user was told to have read.
    read: BTreeMap<(ConversationId, UserId), i64>,
    posts: Vec<Post>,
}

impl<'a> World<'a> {
    pub async fn new(inside: &'a Inside, random: Random) -> Self {
        let users = inside.users(8).await;
        let mut model = Model::default();
        for row in inside.rows("SELECT id, username_key FROM users").await {
            let id: uuid::Uuid = row.try_get("", "id").unwrap();
            model.names.insert(row.try_get("", "username_key").unwrap(), UserId(id));
        }
        let member = |caller: &Caller| (caller.user_id, Role::Member);
        let mut groups = Vec::new();
        for size in [3, 5, 6] {
            let id = inside.group(&users[..size]).await;
            let mut roles: BTreeMap<_, _> = users[..size].iter().map(member).collect();
            roles.insert(users[0].user_id, Role::Owner);
            let observer = UserRef::Id(users[7].user_id);
            members::add(&inside.app, &users[0], id, &[observer], Role::Observer).await.unwrap();
            roles.insert(users[7].user_id, Role::Observer);
            model.places.insert(id, Place::new(roles));
            groups.push(id);
        }
        let mut directs = Vec::new();
        for (one, other) in [(0, 1), (2, 3)] {
            let id = inside.direct(&users[one], &users[other]).await;
            let roles = [&users[one], &users[other]].map(member).into();
            model.places.insert(id, Place::new(roles));
            directs.push((id, users[one].user_id, users[other].user_id));
        }
        let class = (ConversationId::new(), ClassId::new());
        let roles: BTreeMap<_, _> = [(users[1].user_id, Role::Admin), (users[2].user_id, Role::Observer)].into();
        make_class(inside, class, &roles).await;
        model.places.insert(class.0, Place::new(roles));
        let left = inside.group(&users[..1]).await;
        members::leave(&inside.app, &users[0], left).await.unwrap();
        let gone = vec![left, ConversationId::new()];
        Self { inside, random, users, groups, directs, class, gone, model, read: BTreeMap::new(), posts: Vec::new() }
    }

    /// Suspends, blocks and archives, or takes it back; and now and then it is long since everybody was mentioned.
    async fn change_states(&mut self) {
        if self.random.one_in(3) {
            self.inside.run("UPDATE conversations SET all_mentioned_at = NULL").await;
            self.model.places.values_mut().for_each(Place::forget_all_mentioned);
        }
        let user = self.random.pick(&self.users[1..]).user_id;
        let suspended = self.model.suspended.insert(user) || !self.model.suspended.remove(&user);
        let status = if suspended { "suspended" } else { "active" };
        self.inside
            .run(&format!("UPDATE users SET status = '{status}' WHERE id = {}", self.inside.literal(user)))
            .await;
        let (direct, one, other) = *self.random.pick(&self.directs);
        let place = self.model.places.get_mut(&direct).unwrap();
        place.blocked = !place.blocked;
        let (by, whom) = if self.random.one_in(2) { (one, other) } else { (other, one) };
        let [by, whom] = [by, whom].map(|user| self.inside.literal(user));
        let statement = if place.blocked {
            format!("INSERT INTO blocks (blocker_id, blocked_id, created_at) VALUES ({by}, {whom}, 1)")
        } else {
            format!("DELETE FROM blocks WHERE blocker_id IN ({by}, {whom}) AND blocked_id IN ({by}, {whom})")
        };
        self.inside.run(&statement).await;
        let (conversation, class) = self.class;
        let place = self.model.places.get_mut(&conversation).unwrap();
        place.archived = !place.archived;
        let at = if place.archived { "1" } else { "NULL" };
        let class = self.inside.literal(class);
        self.inside.run(&format!("UPDATE classes SET archived_at = {at} WHERE id = {class}")).await;
    }

    fn random_post(&mut self) -> Post {
        let mut places: Vec<ConversationId> = self.model.places.keys().copied().collect();
        if self.random.one_in(8) {
            places.clone_from(&self.gone);
        }
        let conversation = *self.random.pick(&places);
        let mut sender = *self.random.pick(&self.users);
        if self.random.one_in(30) {
            sender.user_id = UserId::new();
        }
        let content = if self.random.one_in(3) { self.mentions() } else { (*self.random.pick(&WORDS)).to_owned() };
        if content.contains("@all") && self.random.one_in(2) {
            // the owner of every group: hardly anybody else may say it
            sender = self.users[0];
        }
        let mut post = Post::new(conversation, &sender, content);
        if self.random.one_in(2) {
            post = post.named(format!("t{}", self.random.between(0, 12)));
        }
        if self.random.one_in(5) {
            post.data = Some(json!({"pack": "cats", "id": "\"1\""}));
        }
        if self.random.one_in(3) && !self.posts.is_empty() {
            let near: Vec<_> = self.posts.iter().filter(|other| other.conversation == conversation).collect();
            let target = if self.random.one_in(4) || near.is_empty() {
                self.random.pick(&self.posts).id
            } else {
                self.random.pick(&near).id
            };
            post.reply_to = Some(if self.random.one_in(8) { MessageId::new() } else { target });
        }
        if self.random.one_in(6) && !self.posts.is_empty() {
            // word for word once more, as a client does that got no answer; only its id is the server's
            post = Post { id: MessageId::new(), ..self.random.pick(&self.posts).clone() };
        }
        post
    }

    /// A text that mentions some of the users, of whom some are where it is sent.
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

    /// One round: sends in a fixed order, while members come and go and others read; then everything is judged.
    pub async fn round(&mut self) {
        self.change_states().await;
        let movers = self.movers();
        let posts: Vec<Post> = (0..SENDS)
            .map(|_| {
                let post = self.random_post();
                self.posts.push(post.clone());
                post
            })
            .collect();
        let (answer, answered) = mpsc::unbounded_channel();
        let sends = send_all(self.inside, &posts, self.random.fork(), answer, answered);
        let owner = self.users[0];
        let inside = self.inside;
        let comings = join_all(movers.iter().map(|(group, user, times, is_in)| async move {
            let mut is_in = *is_in;
            for _ in 0..*times {
                if is_in {
                    members::remove(&inside.app, &owner, *group, &UserRef::Id(user.user_id)).await.unwrap();
                } else {
                    inside.add(&owner, *group, user).await.unwrap();
                }
                is_in = !is_in;
            }
            is_in
        }));
        let wanted: Vec<_> = (0..20).map(|_| self.random_read()).collect();
        let reads = join_all(wanted.iter().map(|(user, conversation, target)| async move {
            (user.user_id, *conversation, marks::update_read_mark(&inside.app, user, *conversation, *target).await)
        }));
        let (outcomes, moved, marks) = join3(sends, comings, reads).await;

        for (post, outcome) in posts.iter().zip(&outcomes) {
            let moving = movers.iter().filter(|mover| mover.0 == post.conversation);
            let moving = moving.map(|mover| mover.1.user_id).collect();
            if let Err(fault) = self.model.judge(post, &moving, outcome) {
                panic!("\n{fault}\n");
            }
        }
        for ((group, user, ..), is_in) in movers.iter().zip(moved) {
            let roles = &mut self.model.places.get_mut(group).unwrap().roles;
            if is_in {
                roles.insert(user.user_id, Role::Member);
            } else {
                roles.remove(&user.user_id);
            }
        }
        for (user, conversation, mark) in marks {
            if let Ok(mark) = mark {
                let furthest = self.read.entry((conversation, user)).or_default();
                *furthest = mark.last_read_seq.0.max(*furthest);
            }
        }
        self.check().await;
    }

    /// Members who come and go in this round, how often, and whether they are in now.
    fn movers(&mut self) -> Vec<(ConversationId, Caller, u64, bool)> {
        let mut movers: Vec<(ConversationId, Caller, u64, bool)> = Vec::new();
        for _ in 0..3 {
            let group = *self.random.pick(&self.groups);
            let user = *self.random.pick(&self.users[1..7]);
            let is_in = self.model.places[&group].roles.contains_key(&user.user_id);
            if !movers.iter().any(|mover| mover.0 == group && mover.1 == user) {
                movers.push((group, user, self.random.between(1, 6), is_in));
            }
        }
        movers
    }

    fn random_read(&mut self) -> (Caller, ConversationId, ReadTarget) {
        let places: Vec<_> = self.model.places.iter().filter(|(_, place)| !place.roles.is_empty()).collect();
        let (id, place) = *self.random.pick(&places);
        let target = match self.random.between(0, 3) {
            0 if !place.said.is_empty() => ReadTarget::Message(*self.random.pick(&place.said)),
            1 => ReadTarget::Seq(Seq(self.random.between(0, 200) as i64)),
            _ => ReadTarget::End,
        };
        (*self.random.pick(&self.users), *id, target)
    }

    /// Whether the database agrees with the model, and with itself.
    async fn check(&self) {
        let ledger = self.inside.audit().await;
        let mut mentions: BTreeMap<MessageId, (Vec<UserId>, bool)> =
            self.model.mentions.keys().map(|message| (*message, (Vec::new(), false))).collect();
        for row in self.inside.rows("SELECT message_id, user_id FROM mentions ORDER BY message_id, position").await {
            let [message, user]: [uuid::Uuid; 2] = ["message_id", "user_id"].map(|name| row.try_get("", name).unwrap());
            mentions.get_mut(&MessageId(message)).expect("a message that was judged").0.push(UserId(user));
        }
        for row in self.inside.rows("SELECT id FROM messages WHERE mentions_all").await {
            let message = MessageId(row.try_get("", "id").unwrap());
            mentions.get_mut(&message).expect("a message that was judged").1 = true;
        }
        assert_eq!(mentions, self.model.mentions);
        for (id, place) in &self.model.places {
            let stored: Vec<_> = ledger.said(*id).iter().filter(|message| message.kind != "system").collect();
            let ids: Vec<_> = stored.iter().map(|message| MessageId(message.id)).collect();
            assert_eq!(ids, place.said, "{id}");
            for user in &self.users {
                self.check_mark(&ledger, *id, user).await;
            }
        }
    }

    /// A mark stands at the furthest of: where the view begins, the user's own newest message, what was read.
    async fn check_mark(&self, ledger: &Ledger, id: ConversationId, user: &Caller) {
        let Some(row) = ledger.participants.get(&(id.0, user.user_id.0)).filter(|row| row.left_rev.is_none()) else {
            return;
        };
        let said = ledger.said(id);
        let begins = if row.joined_rev == 0 {
            i64::from(self.groups.contains(&id))
        } else {
            said.iter().find(|message| message.rev == row.joined_rev).map_or(0, |message| message.seq)
        };
        let own = said.iter().rev().find(|message| message.sender == Some(user.user_id.0));
        let read = self.read.get(&(id, user.user_id)).copied().unwrap_or(0);
        let expected = begins.max(own.map_or(0, |message| message.seq)).max(read);
        assert_eq!(row.last_read_seq, expected, "the mark of {} in {id}", user.user_id);

        let unread = said.iter().filter(|message| message.seq > expected && message.kind != "system").count();
        let view = conversations::get(&self.inside.app, user, id).await.unwrap();
        assert_eq!(view.unread_count, unread as i64, "{} in {id}", user.user_id);
        assert_eq!(ledger.told(Stream::Conversation(id)).last().map_or(0, |event| event.rev), view.last_rev.0);
    }
}

type Answered = (usize, greenroom::error::Result<SentMessage>);

/// Enqueues `posts` one after another, now and then waiting for what is on its way, so that batches of all sizes come to
/// be. Returns the outcomes in the order of `posts`; those of one conversation must have come in that order.
pub async fn send_all(
    inside: &Inside,
    posts: &[Post],
    mut random: Random,
    answer: mpsc::UnboundedSender<Answered>,
    answered: mpsc::UnboundedReceiver<Answered>,
) -> Vec<greenroom::error::Result<SentMessage>> {
    let (progress, mut waiting) = mpsc::unbounded_channel::<usize>();
    let enqueue = async {
        for (index, post) in posts.iter().enumerate() {
            let answer = answer.clone();
            inside.enqueue_with(post.clone(), move |outcome| drop(answer.send((index, outcome))));
            match random.between(0, 12) {
                0 => while waiting.recv().await.is_some_and(|got| got <= index) {},
                1..=4 => tokio::task::yield_now().await,
                _ => {}
            }
        }
    };
    let collect = collect(posts, answered, |got| {
        let _ = progress.send(got);
    });
    join(enqueue, collect).await.1
}

/// The outcomes of `posts` in their order; those of one conversation must come in that order, too. `progress` is told how
/// many there are so far.
pub async fn collect(
    posts: &[Post],
    mut answered: mpsc::UnboundedReceiver<Answered>,
    progress: impl Fn(usize),
) -> Vec<greenroom::error::Result<SentMessage>> {
    let mut outcomes: BTreeMap<usize, greenroom::error::Result<SentMessage>> = BTreeMap::new();
    let mut newest: BTreeMap<ConversationId, usize> = BTreeMap::new();
    while outcomes.len() < posts.len() {
        let (index, outcome) = answered.recv().await.expect("every send is answered");
        let before = newest.insert(posts[index].conversation, index);
        assert!(before.is_none_or(|before| before < index), "{index} was answered after {before:?}");
        outcomes.insert(index, outcome);
        progress(outcomes.len());
    }
    outcomes.into_values().collect()
}

/// Makes the conversation of a class with these in it.
pub async fn make_class(
    inside: &Inside,
    (conversation, class): (ConversationId, ClassId),
    roles: &BTreeMap<UserId, Role>,
) {
    let [conversation, class] = [inside.literal(conversation), inside.literal(class)];
    let creator = inside.literal(*roles.keys().next().unwrap());
    inside
        .run(&format!(
            "INSERT INTO classes (id, name, code, code_key, created_by, created_at, updated_at)
             VALUES ({class}, 'Algebra', 'A', 'a', {creator}, 1, 1);
             INSERT INTO conversations (id, kind, name, class_id, created_at, updated_at, member_count)
             VALUES ({conversation}, 'class', 'Algebra', {class}, 1, 1, {})",
            roles.len()
        ))
        .await;
    for (user, role) in roles {
        let (user, role) = (inside.literal(*user), role.as_str());
        inside
            .run(&format!(
                "INSERT INTO participants (conversation_id, user_id, role, joined_at, joined_rev)
                 VALUES ({conversation}, {user}, '{role}', 1, 0)"
            ))
            .await;
    }
}
