//! How a random case is made: which commands, how often, by whom.

use super::commands::{Command, EMOJI, LEVELS, Mute, ReadTo, Role, Step, Text, USERS, What};
use proptest::prelude::*;

/// A number that picks something; the command says how.
fn pick() -> impl Strategy<Value = usize> {
    0..1000_usize
}

fn text() -> impl Strategy<Value = Text> {
    prop_oneof![
        12 => (0..9_u8).prop_map(Text::Plain),
        2 => (0..9_u8).prop_map(Text::Long),
        4 => pick().prop_map(Text::Mention),
        1 => pick().prop_map(Text::Shout),
        1 => pick().prop_map(Text::Address),
    ]
}

fn what() -> impl Strategy<Value = What> {
    prop_oneof![
        14 => text().prop_map(What::Text),
        2 => Just(What::Text(Text::All)),
        1 => (0..9_u8).prop_map(What::Sticker),
        1 => proptest::option::of(text()).prop_map(What::Location),
        1 => Just(What::Contact),
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

fn about_messages() -> impl Strategy<Value = Command> {
    let emoji = || 0..EMOJI.len();
    let read_to = prop_oneof![
        2 => pick().prop_map(ReadTo::Seq),
        2 => pick().prop_map(ReadTo::Message),
        1 => Just(ReadTo::Beyond),
        4 => Just(ReadTo::All),
    ];
    prop_oneof![
        30 => (pick(), what(), proptest::option::weighted(0.4, pick()), proptest::option::weighted(0.5, 0..4_u8))
            .prop_map(|(place, what, reply, temp)| Command::Send { place, what, reply, temp }),
        4 => (pick(), pick()).prop_map(|(place, which)| Command::Repeat { place, which }),
        10 => (pick(), pick(), text()).prop_map(|(place, which, text)| Command::Edit { place, which, text }),
        8 => (pick(), pick()).prop_map(|(place, which)| Command::Delete { place, which }),
        5 => (pick(), pick()).prop_map(|(place, which)| Command::Hide { place, which }),
        12 => (pick(), pick(), emoji()).prop_map(|(place, which, emoji)| Command::React { place, which, emoji }),
        6 => (pick(), pick(), emoji()).prop_map(|(place, which, emoji)| Command::Unreact { place, which, emoji }),
        5 => (pick(), pick()).prop_map(|(place, which)| Command::PinMessage { place, which }),
        3 => (pick(), pick()).prop_map(|(place, which)| Command::UnpinMessage { place, which }),
        10 => (pick(), read_to).prop_map(|(place, to)| Command::Read { place, to }),
        4 => (pick(), pick()).prop_map(|(place, which)| Command::Delivered { place, which }),
    ]
}

fn about_conversations() -> impl Strategy<Value = Command> {
    let whom = || proptest::collection::vec(pick(), 1..USERS);
    let mute = prop_oneof![
        2 => Just(Mute::ForGood),
        1 => (0..3_u8).prop_map(Mute::Until),
        1 => (1..4_u8).prop_map(Mute::For),
        2 => Just(Mute::Off),
    ];
    prop_oneof![
        2 => pick().prop_map(|with| Command::CreateDirect { with }),
        1 => (whom(), 0..9_u8, proptest::option::weighted(0.7, 0..2_u8))
            .prop_map(|(with, name, temp)| Command::CreateGroup { with, name, temp }),
        2 => pick().prop_map(|which| Command::RepeatGroup { which }),
        3 => (pick(), 0..3_u8).prop_map(|(place, name)| Command::Rename { place, name }),
        2 => (pick(), 0..3_u8).prop_map(|(place, text)| Command::Describe { place, text }),
        6 => (pick(), whom(), proptest::option::weighted(0.4, role()))
            .prop_map(|(place, whom, role)| Command::Add { place, whom, role }),
        4 => (pick(), pick()).prop_map(|(place, whom)| Command::Remove { place, whom }),
        3 => pick().prop_map(|place| Command::Leave { place }),
        7 => (pick(), pick(), role()).prop_map(|(place, whom, role)| Command::SetRole { place, whom, role }),
        5 => (pick(), on()).prop_map(|(place, on)| Command::Archive { place, on }),
        5 => (pick(), mute).prop_map(|(place, how)| Command::Mute { place, how }),
        3 => (pick(), on()).prop_map(|(place, on)| Command::PinConversation { place, on }),
        3 => (pick(), 0..LEVELS.len()).prop_map(|(place, level)| Command::Notify { place, level }),
        3 => pick().prop_map(|whom| Command::Block { whom }),
        4 => pick().prop_map(|whom| Command::Unblock { whom }),
        1 => on().prop_map(|on| Command::ShareReceipts { on }),
    ]
}

fn managing() -> impl Strategy<Value = Command> {
    prop_oneof![
        6 => about_conversations(),
        2 => (pick(), pick()).prop_map(|(place, which)| Command::PinMessage { place, which }),
        2 => (pick(), pick()).prop_map(|(place, which)| Command::UnpinMessage { place, which }),
        2 => (pick(), pick()).prop_map(|(place, which)| Command::Delete { place, which }),
        2 => (pick(), pick()).prop_map(|(place, whom)| Command::SetRole { place, whom, role: Role::Admin }),
        1 => (pick(), pick()).prop_map(|(place, whom)| Command::Remove { place, whom }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let command = prop_oneof![3 => about_messages(), 2 => about_conversations()];
    let user = || 0..USERS;
    let device = || 0..2_usize;
    prop_oneof![
        12 => (user(), device(), managing())
            .prop_map(|(by, device, command)| Step::Manage { by, device, command }),
        40 => (user(), device(), any::<bool>(), command)
            .prop_map(|(by, device, socket, command)| Step::Do { by, device, socket, command }),
        2 => (user(), device()).prop_map(|(by, device)| Step::Away { by, device }),
        3 => (user(), device()).prop_map(|(by, device)| Step::Back { by, device }),
        5 => Just(Step::Look),
    ]
}

/// What happens in one case; printed a step a line.
pub struct Steps(pub Vec<Step>);

impl std::fmt::Debug for Steps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|step| write!(f, "\n  {step:?}"))
    }
}

/// A group of three and a direct conversation to begin with, then anything.
pub fn steps() -> impl Strategy<Value = Steps> {
    let begin = |command| Step::Do { by: 0, device: 0, socket: false, command };
    let group = Command::CreateGroup { with: vec![0, 1], name: 0, temp: Some(0) };
    let first = [begin(group), begin(Command::CreateDirect { with: 0 })];
    proptest::collection::vec(step(), 30..70).prop_map(move |rest| {
        let mut steps = first.to_vec();
        steps.extend(rest);
        Steps(steps)
    })
}
