//! The commands that users try. In a generated command, the numbers for users, conversations and messages are random.
//! [`Command::resolve`] replaces them just before the command runs, by indexes of users and conversations in the model
//! and by the `seq` of a message.

use super::state::Model;

/// The number of users in each case.
pub const USERS: usize = 4;

/// Emoji of one grapheme each, which consist of one or of several scalar values.
pub const EMOJI: [&str; 3] = ["👍", "❤️", "👩‍🚀"];

/// A command that can change what users see.
#[derive(Clone, PartialEq, Debug)]
pub enum Command {
    Send {
        conversation: usize,
        draft: Draft,
        reply: Option<usize>,
        temp_number: Option<u8>,
    },
    /// An earlier send with its `temp_id`, unchanged.
    Repeat {
        conversation: usize,
        pick: usize,
    },
    Edit {
        conversation: usize,
        seq: usize,
        text: Text,
    },
    Delete {
        conversation: usize,
        seq: usize,
    },
    Hide {
        conversation: usize,
        seq: usize,
    },
    React {
        conversation: usize,
        seq: usize,
        emoji: usize,
    },
    Unreact {
        conversation: usize,
        seq: usize,
        emoji: usize,
    },
    PinMessage {
        conversation: usize,
        seq: usize,
    },
    UnpinMessage {
        conversation: usize,
        seq: usize,
    },
    Read {
        conversation: usize,
        to: ReadTo,
    },
    Delivered {
        conversation: usize,
        seq: usize,
    },
    CreateDirect {
        peer: usize,
    },
    CreateGroup {
        others: Vec<usize>,
        name: u8,
        temp_number: Option<u8>,
    },
    /// An earlier creation of a group with its `temp_id`, unchanged.
    RepeatGroup {
        pick: usize,
    },
    Rename {
        conversation: usize,
        name: u8,
    },
    Describe {
        conversation: usize,
        text: u8,
    },
    Add {
        conversation: usize,
        users: Vec<usize>,
        role: Option<Role>,
    },
    Remove {
        conversation: usize,
        user: usize,
    },
    Leave {
        conversation: usize,
    },
    SetRole {
        conversation: usize,
        user: usize,
        role: Role,
    },
    Archive {
        conversation: usize,
        on: bool,
    },
    Mute {
        conversation: usize,
        mute: Mute,
    },
    PinConversation {
        conversation: usize,
        on: bool,
    },
    Notify {
        conversation: usize,
        level: usize,
    },
    Block {
        user: usize,
    },
    Unblock {
        user: usize,
    },
    ShareReceipts {
        on: bool,
    },
}

/// The content of a message, before it is sent.
#[derive(Clone, PartialEq, Debug)]
pub enum Draft {
    Text(Text),
    Sticker(u8),
    Location(Option<Text>),
    Contact,
}

/// A text of a form that determines its mentions.
#[derive(Clone, PartialEq, Debug)]
pub enum Text {
    Plain(u8),
    /// A text that is longer than a preview, with spaces around it, which the server trims.
    Long(u8),
    Mention(usize),
    /// A mention in capital letters, with a full stop after it.
    UppercaseMention(usize),
    /// An `@` after a word character, which is no mention.
    MailAddress(usize),
    MentionAll,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum ReadTo {
    Seq(usize),
    Message(usize),
    /// A `seq` that is greater than that of the newest message.
    BeyondEnd,
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
    Forever,
    /// Until the end of this year of the next century.
    UntilYear(u8),
    /// For this number of years from now.
    ForYears(u8),
    Off,
}

/// The levels of notifications.
pub const LEVELS: [&str; 3] = ["all", "mentions", "none"];

/// One step of a case.
#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    /// A user runs a command on one of two devices, with `socket` as a frame if there is one for the command.
    Run { user: usize, device: usize, socket: bool, command: Command },
    /// An owner or admin of a group runs the command, if only they are allowed to. Otherwise this user runs it.
    RunAsManager { user: usize, device: usize, command: Command },
    /// A device loses its connection.
    Disconnect { user: usize, device: usize },
    /// A device connects again and sends `sync` with its revisions.
    Reconnect { user: usize, device: usize },
    /// All that each user and each device sees is compared.
    Compare,
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
    /// Returns the text as the user sends it.
    pub fn render(&self, names: &[String]) -> String {
        match self {
            Self::Plain(number) => format!("word {number}"),
            Self::Long(number) => format!("  {number} {}\n", "Ün👨‍👩‍👧‍👦 ".repeat(20)),
            Self::Mention(user) => format!("hello @{}, are you there?", names[*user]),
            Self::UppercaseMention(user) => format!("@{}. Come here", names[*user].to_uppercase()),
            Self::MailAddress(user) => format!("write to mail@{}", names[*user]),
            Self::MentionAll => "@all of you".to_owned(),
        }
    }
}

impl Command {
    /// If only owners and admins may run the command, chooses one of them as the caller and one of their groups as the
    /// conversation.
    pub fn choose_manager(&mut self, model: &Model) -> Option<usize> {
        let (Self::Rename { conversation, .. }
        | Self::Describe { conversation, .. }
        | Self::Add { conversation, .. }
        | Self::Remove { conversation, .. }
        | Self::SetRole { conversation, .. }
        | Self::Delete { conversation, .. }
        | Self::PinMessage { conversation, .. }
        | Self::UnpinMessage { conversation, .. }) = self
        else {
            return None;
        };
        let (group, user) = model.pick_manager(*conversation)?;
        let own = (0..model.conversations.len()).filter(|conversation| model.is_in(user, *conversation));
        // `Model::pick_conversation` picks that group for this number.
        *conversation = own.clone().position(|conversation| conversation == group)? * 10 + 5;
        Some(user)
    }

    /// Returns whether there is a frame for the command.
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

    /// Replaces each random number by a user, a conversation or a message of the model. Returns `None` if there is none
    /// to which the command can apply.
    pub fn resolve(&self, caller: usize, model: &Model) -> Option<Self> {
        let mut resolved = self.clone();
        for user in resolved.users_mut() {
            // Sometimes the caller is chosen: the command is then refused, or it has a meaning of its own.
            *user = (caller + if *user % 13 == 12 { 0 } else { 1 + *user % (USERS - 1) }) % USERS;
        }
        match (&mut resolved, self) {
            (Self::Unblock { user }, Self::Unblock { user: pick }) if pick % 4 != 3 => {
                *user = model.blocks.iter().find(|(blocker, _)| *blocker == caller).map_or(*user, |(_, user)| *user);
            }
            (Self::Block { user }, Self::Block { user: pick }) if pick % 4 != 3 => {
                let peer = (0..USERS).find(|other| *other != caller && model.direct(caller, *other).is_some());
                *user = peer.unwrap_or(*user);
            }
            _ => (),
        }
        if let Self::RepeatGroup { pick } = self {
            let (temp_number, group) = model.pick_group(caller, *pick)?;
            let others = group.others.clone();
            return Some(Self::CreateGroup { others, name: group.name, temp_number: Some(temp_number) });
        }
        let Some(conversation) = resolved.conversation_mut() else { return Some(resolved) };
        *conversation = match self {
            // A conversation that is archived and muted has special rules, so the two commands often get the same one.
            Self::Mute { conversation: pick, .. } if pick % 3 != 2 => model.pick_archived(caller),
            Self::Archive { conversation: pick, .. } if pick % 3 != 2 => model.pick_muted(caller),
            _ => None,
        }
        .or_else(|| model.pick_conversation(caller, *conversation))?;
        let conversation = *conversation;
        if let Self::Send { reply, .. } = &mut resolved {
            *reply = reply.and_then(|pick| model.pick_message(conversation, caller, pick, self));
        }
        if let Self::Repeat { pick, .. } = &resolved {
            let send = model.pick_send(conversation, caller, *pick)?.clone();
            let (draft, reply, temp_number) = (send.draft, send.reply, Some(send.temp_number));
            return Some(Self::Send { conversation, draft, reply, temp_number });
        }
        if let Some(seq) = resolved.seq_mut() {
            *seq = model.pick_message(conversation, caller, *seq, self)?;
        }
        if let Self::Unreact { seq, emoji, .. } = &mut resolved {
            let reactions = &model.conversations[conversation].message(*seq).reactions;
            let own = reactions.iter().find(|(_, users)| users.contains(&caller));
            *emoji = own.map_or(*emoji, |(emoji, _)| *emoji);
        }
        Some(resolved)
    }

    /// Returns the conversation that the command is about.
    pub fn conversation_mut(&mut self) -> Option<&mut usize> {
        match self {
            Self::Send { conversation, .. }
            | Self::Repeat { conversation, .. }
            | Self::Edit { conversation, .. }
            | Self::Delete { conversation, .. }
            | Self::Hide { conversation, .. }
            | Self::React { conversation, .. }
            | Self::Unreact { conversation, .. }
            | Self::PinMessage { conversation, .. }
            | Self::UnpinMessage { conversation, .. }
            | Self::Read { conversation, .. }
            | Self::Delivered { conversation, .. }
            | Self::Rename { conversation, .. }
            | Self::Describe { conversation, .. }
            | Self::Add { conversation, .. }
            | Self::Remove { conversation, .. }
            | Self::Leave { conversation }
            | Self::SetRole { conversation, .. }
            | Self::Archive { conversation, .. }
            | Self::Mute { conversation, .. }
            | Self::PinConversation { conversation, .. }
            | Self::Notify { conversation, .. } => Some(conversation),
            Self::CreateDirect { .. }
            | Self::CreateGroup { .. }
            | Self::RepeatGroup { .. }
            | Self::Block { .. }
            | Self::Unblock { .. }
            | Self::ShareReceipts { .. } => None,
        }
    }

    /// Returns the message that the command is about.
    fn seq_mut(&mut self) -> Option<&mut usize> {
        match self {
            Self::Edit { seq, .. }
            | Self::Delete { seq, .. }
            | Self::Hide { seq, .. }
            | Self::React { seq, .. }
            | Self::Unreact { seq, .. }
            | Self::PinMessage { seq, .. }
            | Self::UnpinMessage { seq, .. }
            | Self::Delivered { seq, .. }
            | Self::Read { to: ReadTo::Seq(seq) | ReadTo::Message(seq), .. } => Some(seq),
            _ => None,
        }
    }

    /// Returns all users that the command names.
    fn users_mut(&mut self) -> Vec<&mut usize> {
        let text = match self {
            Self::Send { draft: Draft::Text(text) | Draft::Location(Some(text)), .. } | Self::Edit { text, .. } => text,
            Self::CreateGroup { others: users, .. } | Self::Add { users, .. } => return users.iter_mut().collect(),
            Self::CreateDirect { peer: user }
            | Self::Remove { user, .. }
            | Self::SetRole { user, .. }
            | Self::Block { user }
            | Self::Unblock { user } => return vec![user],
            _ => return Vec::new(),
        };
        match text {
            Text::Mention(user) | Text::UppercaseMention(user) | Text::MailAddress(user) => vec![user],
            Text::Plain(_) | Text::Long(_) | Text::MentionAll => Vec::new(),
        }
    }
}
