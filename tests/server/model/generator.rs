//! The generator of random cases: how often each command comes, and which user runs it.

use super::commands::{Command, Draft, EMOJI, LEVELS, Mute, ReadTo, Role, Step, Text, USERS};
use proptest::prelude::*;

/// A random number, by which `Command::resolve` picks a user, a conversation or a message.
fn pick() -> impl Strategy<Value = usize> {
    0..1000_usize
}

fn text() -> impl Strategy<Value = Text> {
    prop_oneof![
        12 => (0..9_u8).prop_map(Text::Plain),
        2 => (0..9_u8).prop_map(Text::Long),
        4 => pick().prop_map(Text::Mention),
        1 => pick().prop_map(Text::UppercaseMention),
        1 => pick().prop_map(Text::MailAddress),
    ]
}

fn draft() -> impl Strategy<Value = Draft> {
    prop_oneof![
        14 => text().prop_map(Draft::Text),
        2 => Just(Draft::Text(Text::MentionAll)),
        1 => (0..9_u8).prop_map(Draft::Sticker),
        1 => proptest::option::of(text()).prop_map(Draft::Location),
        1 => Just(Draft::Contact),
    ]
}

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![
        2 => Just(Role::Member),
        2 => Just(Role::Observer),
        3 => Just(Role::Admin),
        2 => Just(Role::Owner),
    ]
}

fn on() -> impl Strategy<Value = bool> {
    proptest::bool::weighted(0.65)
}

fn message_command() -> impl Strategy<Value = Command> {
    let emoji = || 0..EMOJI.len();
    let read_to = prop_oneof![
        2 => pick().prop_map(ReadTo::Seq),
        2 => pick().prop_map(ReadTo::Message),
        1 => Just(ReadTo::BeyondEnd),
        4 => Just(ReadTo::All),
    ];
    prop_oneof![
        30 => (pick(), draft(), proptest::option::weighted(0.4, pick()), proptest::option::weighted(0.5, 0..4_u8))
            .prop_map(|(conversation, draft, reply, temp_number)| {
                Command::Send { conversation, draft, reply, temp_number }
            }),
        4 => (pick(), pick()).prop_map(|(conversation, pick)| Command::Repeat { conversation, pick }),
        10 => (pick(), pick(), text()).prop_map(|(conversation, seq, text)| Command::Edit { conversation, seq, text }),
        8 => (pick(), pick()).prop_map(|(conversation, seq)| Command::Delete { conversation, seq }),
        5 => (pick(), pick()).prop_map(|(conversation, seq)| Command::Hide { conversation, seq }),
        12 => (pick(), pick(), emoji())
            .prop_map(|(conversation, seq, emoji)| Command::React { conversation, seq, emoji }),
        6 => (pick(), pick(), emoji())
            .prop_map(|(conversation, seq, emoji)| Command::Unreact { conversation, seq, emoji }),
        5 => (pick(), pick()).prop_map(|(conversation, seq)| Command::PinMessage { conversation, seq }),
        3 => (pick(), pick()).prop_map(|(conversation, seq)| Command::UnpinMessage { conversation, seq }),
        10 => (pick(), read_to).prop_map(|(conversation, to)| Command::Read { conversation, to }),
        4 => (pick(), pick()).prop_map(|(conversation, seq)| Command::Delivered { conversation, seq }),
    ]
}

fn conversation_command() -> impl Strategy<Value = Command> {
    let users = || proptest::collection::vec(pick(), 1..USERS);
    let mute = prop_oneof![
        2 => Just(Mute::Forever),
        1 => (0..3_u8).prop_map(Mute::UntilYear),
        1 => (1..4_u8).prop_map(Mute::ForYears),
        2 => Just(Mute::Off),
    ];
    prop_oneof![
        2 => pick().prop_map(|peer| Command::CreateDirect { peer }),
        1 => (users(), 0..9_u8, proptest::option::weighted(0.7, 0..2_u8))
            .prop_map(|(others, name, temp_number)| Command::CreateGroup { others, name, temp_number }),
        2 => pick().prop_map(|pick| Command::RepeatGroup { pick }),
        3 => (pick(), 0..3_u8).prop_map(|(conversation, name)| Command::Rename { conversation, name }),
        2 => (pick(), 0..3_u8).prop_map(|(conversation, text)| Command::Describe { conversation, text }),
        6 => (pick(), users(), proptest::option::weighted(0.4, role()))
            .prop_map(|(conversation, users, role)| Command::Add { conversation, users, role }),
        4 => (pick(), pick()).prop_map(|(conversation, user)| Command::Remove { conversation, user }),
        3 => pick().prop_map(|conversation| Command::Leave { conversation }),
        7 => (pick(), pick(), role())
            .prop_map(|(conversation, user, role)| Command::SetRole { conversation, user, role }),
        5 => (pick(), on()).prop_map(|(conversation, on)| Command::Archive { conversation, on }),
        5 => (pick(), mute).prop_map(|(conversation, mute)| Command::Mute { conversation, mute }),
        3 => (pick(), on()).prop_map(|(conversation, on)| Command::PinConversation { conversation, on }),
        3 => (pick(), 0..LEVELS.len()).prop_map(|(conversation, level)| Command::Notify { conversation, level }),
        3 => pick().prop_map(|user| Command::Block { user }),
        4 => pick().prop_map(|user| Command::Unblock { user }),
        1 => on().prop_map(|on| Command::ShareReceipts { on }),
    ]
}

fn manager_command() -> impl Strategy<Value = Command> {
    prop_oneof![
        6 => conversation_command(),
        2 => (pick(), pick()).prop_map(|(conversation, seq)| Command::PinMessage { conversation, seq }),
        2 => (pick(), pick()).prop_map(|(conversation, seq)| Command::UnpinMessage { conversation, seq }),
        2 => (pick(), pick()).prop_map(|(conversation, seq)| Command::Delete { conversation, seq }),
        2 => (pick(), pick())
            .prop_map(|(conversation, user)| Command::SetRole { conversation, user, role: Role::Admin }),
        1 => (pick(), pick()).prop_map(|(conversation, user)| Command::Remove { conversation, user }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let command = prop_oneof![3 => message_command(), 2 => conversation_command()];
    let user = || 0..USERS;
    let device = || 0..2_usize;
    prop_oneof![
        12 => (user(), device(), manager_command())
            .prop_map(|(user, device, command)| Step::RunAsManager { user, device, command }),
        40 => (user(), device(), any::<bool>(), command)
            .prop_map(|(user, device, socket, command)| Step::Run { user, device, socket, command }),
        2 => (user(), device()).prop_map(|(user, device)| Step::Disconnect { user, device }),
        3 => (user(), device()).prop_map(|(user, device)| Step::Reconnect { user, device }),
        5 => Just(Step::Compare),
    ]
}

/// The steps of one case, printed one on each line.
pub struct Steps(pub Vec<Step>);

impl std::fmt::Debug for Steps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|step| write!(f, "\n  {step:?}"))
    }
}

/// Each case begins by creating a group of three users and a direct conversation.
pub fn steps() -> impl Strategy<Value = Steps> {
    let create = |command| Step::Run { user: 0, device: 0, socket: false, command };
    let group = Command::CreateGroup { others: vec![0, 1], name: 0, temp_number: Some(0) };
    let first = [create(group), create(Command::CreateDirect { peer: 0 })];
    proptest::collection::vec(step(), 30..70).prop_map(move |rest| {
        let mut steps = first.to_vec();
        steps.extend(rest);
        Steps(steps)
    })
}
