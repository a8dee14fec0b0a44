//! What users may try. Numbers in a generated command pick one of what there is when it is its turn;
//! [`Command::resolve`] turns them into the place of a conversation in the model and the `seq` of a message.

use super::state::Model;

/// Users in each case.
pub const USERS: usize = 4;

/// Emoji that are one grapheme each, of one and of several scalar values.
pub const EMOJI: [&str; 3] = ["👍", "❤️", "👩‍🚀"];

/// One thing somebody may do that could change what anybody sees.
#[derive(Clone, PartialEq, Debug)]
pub enum Command {
    Send {
        place: usize,
        what: What,
        reply: Option<usize>,
        temp: Option<u8>,
    },
    /// What was sent before with this `temp_id`, word for word.
    Repeat {
        place: usize,
        which: usize,
    },
    Edit {
        place: usize,
        which: usize,
        text: Text,
    },
    Delete {
        place: usize,
        which: usize,
    },
    Hide {
        place: usize,
        which: usize,
    },
    React {
        place: usize,
        which: usize,
        emoji: usize,
    },
    Unreact {
        place: usize,
        which: usize,
        emoji: usize,
    },
    PinMessage {
        place: usize,
        which: usize,
    },
    UnpinMessage {
        place: usize,
        which: usize,
    },
    Read {
        place: usize,
        to: ReadTo,
    },
    Delivered {
        place: usize,
        which: usize,
    },
    CreateDirect {
        with: usize,
    },
    CreateGroup {
        with: Vec<usize>,
        name: u8,
        temp: Option<u8>,
    },
    /// What made a group before with its `temp_id`, word for word.
    RepeatGroup {
        which: usize,
    },
    Rename {
        place: usize,
        name: u8,
    },
    Describe {
        place: usize,
        text: u8,
    },
    Add {
        place: usize,
        whom: Vec<usize>,
        role: Option<Role>,
    },
    Remove {
        place: usize,
        whom: usize,
    },
    Leave {
        place: usize,
    },
    SetRole {
        place: usize,
        whom: usize,
        role: Role,
    },
    Archive {
        place: usize,
        on: bool,
    },
    Mute {
        place: usize,
        how: Mute,
    },
    PinConversation {
        place: usize,
        on: bool,
    },
    Notify {
        place: usize,
        level: usize,
    },
    Block {
        whom: usize,
    },
    Unblock {
        whom: usize,
    },
    ShareReceipts {
        on: bool,
    },
}

/// What a message says.
#[derive(Clone, PartialEq, Debug)]
pub enum What {
    Text(Text),
    Sticker(u8),
    Location(Option<Text>),
    Contact,
}

/// A text whose mentions are known by how it was made.
#[derive(Clone, PartialEq, Debug)]
pub enum Text {
    Plain(u8),
    /// Longer than a preview, with spaces around that are trimmed.
    Long(u8),
    Mention(usize),
    /// In capitals and with a full stop after it.
    Shout(usize),
    /// After a word character: no mention.
    Address(usize),
    All,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum ReadTo {
    Seq(usize),
    Message(usize),
    Beyond,
    All,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Role {
    Observer,
    Member,
    Admin,
    Owner,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mute {
    ForGood,
    /// Until the end of this year of the next century.
    Until(u8),
    /// For so many years from now.
    For(u8),
    Off,
}

/// The levels of `notify`.
pub const LEVELS: [&str; 3] = ["all", "mentions", "none"];

/// What happens next in a case.
#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    /// Somebody tries something, on one of two devices, over the socket where the command exists there.
    Do { by: usize, device: usize, socket: bool, command: Command },
    /// The same, by somebody who may, where that is for some only.
    Manage { by: usize, device: usize, command: Command },
    /// A device loses its connection.
    Away { by: usize, device: usize },
    /// It comes back with `sync` from where it was.
    Back { by: usize, device: usize },
    /// Everything that everybody sees is compared.
    Look,
}

impl Role {
    pub fn name(self) -> &'static str {
        match self {
            Self::Observer => "observer",
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }
}

impl Text {
    /// The text as it goes out.
    pub fn written(&self, names: &[String]) -> String {
        match self {
            Self::Plain(number) => format!("word {number}"),
            Self::Long(number) => format!("  {number} {}\n", "Ün👨‍👩‍👧‍👦 ".repeat(20)),
            Self::Mention(user) => format!("hello @{}, are you there?", names[*user]),
            Self::Shout(user) => format!("@{}. Come here", names[*user].to_uppercase()),
            Self::Address(user) => format!("write to mail@{}", names[*user]),
            Self::All => "@all of you".to_owned(),
        }
    }
}

impl Command {
    /// Whoever is to try it instead, and where, if only those with the right to it are.
    pub fn managed(&mut self, model: &Model) -> Option<usize> {
        let (Self::Rename { place, .. }
        | Self::Describe { place, .. }
        | Self::Add { place, .. }
        | Self::Remove { place, .. }
        | Self::SetRole { place, .. }
        | Self::Delete { place, .. }
        | Self::PinMessage { place, .. }
        | Self::UnpinMessage { place, .. }) = self
        else {
            return None;
        };
        let (group, user) = model.pick_manager(*place)?;
        let own = (0..model.conversations.len()).filter(|place| model.is_in(user, *place));
        // such a number picks that conversation
        *place = own.clone().position(|place| place == group)? * 10 + 5;
        Some(user)
    }

    /// Whether the command exists on WebSocket too.
    pub fn has_frame(&self) -> bool {
        use Command::{Delete, Delivered, Edit, Hide, React, Read, Repeat, Send, Unreact};
        matches!(
            self,
            Send { .. }
                | Repeat { .. }
                | Edit { .. }
                | Delete { .. }
                | Hide { .. }
                | React { .. }
                | Unreact { .. }
                | Read { .. }
                | Delivered { .. }
        )
    }

    /// Picks one of what there is; none where there is nothing to do it to.
    pub fn resolve(&self, by: usize, model: &Model) -> Option<Self> {
        let mut resolved = self.clone();
        for user in resolved.users() {
            // oneself now and then: that is refused, or means something of its own
            *user = (by + if *user % 13 == 12 { 0 } else { 1 + *user % (USERS - 1) }) % USERS;
        }
        match (&mut resolved, self) {
            (Self::Unblock { whom }, Self::Unblock { whom: pick }) if pick % 4 != 3 => {
                *whom = model.blocks.iter().find(|(blocker, _)| *blocker == by).map_or(*whom, |(_, whom)| *whom);
            }
            (Self::Block { whom }, Self::Block { whom: pick }) if pick % 4 != 3 => {
                let with = (0..USERS).find(|other| *other != by && model.direct(by, *other).is_some());
                *whom = with.unwrap_or(*whom);
            }
            _ => (),
        }
        if let Self::RepeatGroup { which } = self {
            let (temp, made) = model.pick_made(by, *which)?;
            return Some(Self::CreateGroup { with: made.with.clone(), name: made.name, temp: Some(temp) });
        }
        let Some(place) = resolved.place() else { return Some(resolved) };
        *place = match self {
            // whoever archives and mutes does it to the same
            Self::Mute { place: pick, .. } if pick % 3 != 2 => model.pick_archived(by),
            Self::Archive { place: pick, .. } if pick % 3 != 2 => model.pick_muted(by),
            _ => None,
        }
        .or_else(|| model.pick_conversation(by, *place))?;
        let place = *place;
        if let Self::Send { reply, .. } = &mut resolved {
            *reply = reply.and_then(|pick| model.pick_message(place, by, pick, self));
        }
        if let Self::Repeat { which, .. } = &resolved {
            let sent = model.pick_sent(place, by, *which)?.clone();
            return Some(Self::Send { place, what: sent.what, reply: sent.reply, temp: Some(sent.temp) });
        }
        if let Some(which) = resolved.which() {
            *which = model.pick_message(place, by, *which, self)?;
        }
        if let Self::Unreact { which, emoji, .. } = &mut resolved {
            let reactions = &model.conversations[place].message(*which).reactions;
            let own = reactions.iter().find(|(_, who)| who.contains(&by));
            *emoji = own.map_or(*emoji, |(emoji, _)| *emoji);
        }
        Some(resolved)
    }

    /// The conversation it is about.
    pub fn place(&mut self) -> Option<&mut usize> {
        match self {
            Self::Send { place, .. }
            | Self::Repeat { place, .. }
            | Self::Edit { place, .. }
            | Self::Delete { place, .. }
            | Self::Hide { place, .. }
            | Self::React { place, .. }
            | Self::Unreact { place, .. }
            | Self::PinMessage { place, .. }
            | Self::UnpinMessage { place, .. }
            | Self::Read { place, .. }
            | Self::Delivered { place, .. }
            | Self::Rename { place, .. }
            | Self::Describe { place, .. }
            | Self::Add { place, .. }
            | Self::Remove { place, .. }
            | Self::Leave { place }
            | Self::SetRole { place, .. }
            | Self::Archive { place, .. }
            | Self::Mute { place, .. }
            | Self::PinConversation { place, .. }
            | Self::Notify { place, .. } => Some(place),
            Self::CreateDirect { .. }
            | Self::CreateGroup { .. }
            | Self::RepeatGroup { .. }
            | Self::Block { .. }
            | Self::Unblock { .. }
            | Self::ShareReceipts { .. } => None,
        }
    }

    /// The message it is about.
    fn which(&mut self) -> Option<&mut usize> {
        match self {
            Self::Repeat { which, .. }
            | Self::Edit { which, .. }
            | Self::Delete { which, .. }
            | Self::Hide { which, .. }
            | Self::React { which, .. }
            | Self::Unreact { which, .. }
            | Self::PinMessage { which, .. }
            | Self::UnpinMessage { which, .. }
            | Self::Delivered { which, .. }
            | Self::Read { to: ReadTo::Seq(which) | ReadTo::Message(which), .. } => Some(which),
            _ => None,
        }
    }

    /// Everybody it names.
    fn users(&mut self) -> Vec<&mut usize> {
        let text = match self {
            Self::Send { what: What::Text(text) | What::Location(Some(text)), .. } | Self::Edit { text, .. } => text,
            Self::CreateGroup { with: whom, .. } | Self::Add { whom, .. } => return whom.iter_mut().collect(),
            Self::CreateDirect { with: whom }
            | Self::Remove { whom, .. }
            | Self::SetRole { whom, .. }
            | Self::Block { whom }
            | Self::Unblock { whom } => return vec![whom],
            _ => return Vec::new(),
        };
        match text {
            Text::Mention(user) | Text::Shout(user) | Text::Address(user) => vec![user],
            Text::Plain(_) | Text::Long(_) | Text::All => Vec::new(),
        }
    }
}
