//! Whether a command is granted, and with what it is refused otherwise: the rules of who may do what.

use super::commands::{Command, Role, What};
use super::state::{Model, Sent};

/// A status and a code.
pub type Refusal = (u16, &'static str);

/// What a command must be answered with.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Verdict {
    Granted,
    /// With one of these.
    Refused(&'static [Refusal]),
    /// The contract decides neither way: granted, or refused with one of these.
    Open(&'static [Refusal]),
}

use Verdict::{Granted, Open, Refused};

const OUT: &[Refusal] = &[(403, "not_a_participant")];
const OUT_OR_INVALID: &[Refusal] = &[(403, "not_a_participant"), (404, "not_found"), (422, "validation_failed")];
const GONE: &[Refusal] = &[(403, "not_a_participant"), (404, "not_found")];
const FORBIDDEN: &[Refusal] = &[(403, "forbidden")];
const BLOCKED: &[Refusal] = &[(403, "blocked")];
const CONFLICT: &[Refusal] = &[(409, "conflict")];
const SELF_BLOCK: &[Refusal] = &[(400, "self_block")];
const REUSED: &[Refusal] = &[(409, "temp_id_reused")];
/// What a direct conversation does not have.
const DIRECT: &[Refusal] =
    &[(403, "forbidden"), (409, "conflict"), (409, "cannot_leave_direct"), (422, "validation_failed")];
const DELETED: &[Refusal] = &[(409, "conflict"), (404, "not_found")];
const NOT_OWN: &[Refusal] = &[(403, "forbidden"), (409, "conflict")];
const NO_MEMBER: &[Refusal] = &[(404, "not_found"), (404, "user_not_found")];
const NO_MEMBER_OR_RIGHT: &[Refusal] = &[(404, "not_found"), (404, "user_not_found"), (403, "forbidden")];
const FORBIDDEN_ROLE: &[Refusal] = &[(403, "forbidden"), (422, "validation_failed")];

impl Model {
    /// What `by` must be told. The command is resolved.
    pub fn judge(&self, by: usize, command: &Command) -> Verdict {
        match command {
            Command::Send { place, what, reply, temp } => self.judge_send(by, *place, what, *reply, *temp),
            Command::Repeat { .. } => unreachable!("resolved into the send that it repeats"),
            Command::CreateDirect { with } if *with == by => Refused(&[(400, "self_conversation")]),
            Command::CreateDirect { with } => match (self.blocked_between(by, *with), self.direct(by, *with)) {
                (false, _) => Granted,
                (true, None) => Refused(BLOCKED),
                (true, Some(_)) => Open(BLOCKED),
            },
            Command::CreateGroup { with, name, temp } => self.judge_group(by, with, *name, *temp),
            Command::RepeatGroup { .. } => unreachable!("resolved into the group that it repeats"),
            Command::ShareReceipts { .. } => Granted,
            Command::Block { whom } if *whom == by => Refused(SELF_BLOCK),
            Command::Unblock { whom } if *whom == by => Open(&[(400, "self_block"), (404, "not_found")]),
            Command::Block { .. } | Command::Unblock { .. } => Granted,
            Command::Edit { place, .. }
            | Command::Delete { place, .. }
            | Command::Hide { place, .. }
            | Command::React { place, .. }
            | Command::Unreact { place, .. }
            | Command::PinMessage { place, .. }
            | Command::UnpinMessage { place, .. }
            | Command::Read { place, .. }
            | Command::Delivered { place, .. }
            | Command::Rename { place, .. }
            | Command::Describe { place, .. }
            | Command::Add { place, .. }
            | Command::Remove { place, .. }
            | Command::Leave { place }
            | Command::SetRole { place, .. }
            | Command::Archive { place, .. }
            | Command::Mute { place, .. }
            | Command::PinConversation { place, .. }
            | Command::Notify { place, .. } => match self.seat(by, *place) {
                // it is answered before it is looked at
                None if matches!(command, Command::Delivered { .. }) => Open(self.out(*place)),
                // a body that cannot be right is refused before anybody asks who sent it
                None if matches!(command, Command::Add { role: Some(Role::Owner), .. }) => Refused(OUT_OR_INVALID),
                None => Refused(self.out(*place)),
                Some(seat) => self.judge_inside(by, seat.role, *place, command),
            },
        }
    }

    /// How whoever is not in it is refused.
    fn out(&self, place: usize) -> &'static [Refusal] {
        if self.conversations[place].inside().next().is_none() { GONE } else { OUT }
    }

    fn judge_send(&self, by: usize, place: usize, what: &What, reply: Option<usize>, temp: Option<u8>) -> Verdict {
        let earlier = temp.and_then(|number| self.sent.get(&(by, place, self.temp_id(by, number))));
        if let Some(Sent { what: first, reply: quoted, .. }) = earlier {
            return if (first, quoted) == (what, &reply) { Granted } else { Refused(REUSED) };
        }
        match self.seat(by, place) {
            None => Refused(self.out(place)),
            Some(seat) if seat.role == Role::Observer => Refused(FORBIDDEN),
            Some(_) if self.is_blocked(place) => Refused(BLOCKED),
            Some(_) if reply.is_some_and(|seq| self.conversations[place].message(seq).deleted) => Open(DELETED),
            Some(_) => Granted,
        }
    }

    /// A repeated one is the group that it made, for as long as its maker is in it.
    fn judge_group(&self, by: usize, with: &[usize], name: u8, temp: Option<u8>) -> Verdict {
        match temp.and_then(|number| self.made.get(&(by, number))) {
            Some(made) if made.with != with || made.name != name => Refused(REUSED),
            Some(made) if !self.is_in(by, made.place) => Refused(OUT),
            _ => Granted,
        }
    }

    fn judge_inside(&self, by: usize, role: Role, place: usize, command: &Command) -> Verdict {
        let conversation = &self.conversations[place];
        let direct = conversation.direct;
        let rules = role >= Role::Admin;
        match command {
            Command::Edit { which, .. } => {
                let message = conversation.message(*which);
                if message.sender != Some(by) {
                    return Refused(NOT_OWN);
                }
                if message.deleted {
                    return if role == Role::Observer { Refused(NOT_OWN) } else { Refused(CONFLICT) };
                }
                if role == Role::Observer {
                    Open(FORBIDDEN)
                } else if self.is_blocked(place) {
                    Open(BLOCKED)
                } else if message.kind == "text" {
                    Granted
                } else {
                    Open(&[(409, "conflict"), (422, "validation_failed")])
                }
            }
            Command::Delete { which, .. } => {
                let message = conversation.message(*which);
                let may = message.sender == Some(by) || (rules && !direct);
                match (may, message.deleted) {
                    (true, _) if message.sender.is_none() => Open(NOT_OWN),
                    (true, false) if self.is_blocked(place) => Open(BLOCKED),
                    (true, _) => Granted,
                    (false, false) => Refused(FORBIDDEN),
                    (false, true) => Open(NOT_OWN),
                }
            }
            Command::React { which, .. } | Command::Unreact { which, .. } => {
                let message = conversation.message(*which);
                let adds = matches!(command, Command::React { .. });
                match (adds, message.deleted, role) {
                    (true, true, Role::Observer) => Refused(NOT_OWN),
                    (true, false, Role::Observer) => Refused(FORBIDDEN),
                    (false, false, Role::Observer) => Open(FORBIDDEN),
                    (false, true, _) => Open(NOT_OWN),
                    (true, true, _) => Refused(&[(409, "conflict"), (404, "not_found"), (403, "blocked")]),
                    (_, false, _) if message.sender.is_none() => Open(NOT_OWN),
                    (_, false, _) if self.is_blocked(place) => Open(BLOCKED),
                    (_, false, _) => Granted,
                }
            }
            Command::PinMessage { which, .. } | Command::UnpinMessage { which, .. } => {
                let deleted = conversation.message(*which).deleted;
                let adds = matches!(command, Command::PinMessage { .. });
                match (direct || rules, deleted) {
                    (false, true) => Refused(NOT_OWN),
                    (false, false) => Refused(FORBIDDEN),
                    (true, true) if adds => Refused(&[(409, "conflict"), (404, "not_found"), (403, "blocked")]),
                    (true, true) => Open(DELETED),
                    (true, false) if self.is_blocked(place) => Open(BLOCKED),
                    (true, false) => Granted,
                }
            }
            Command::Rename { .. } | Command::Describe { .. } | Command::Add { .. } | Command::SetRole { .. }
                if direct =>
            {
                Refused(DIRECT)
            }
            Command::Rename { .. } | Command::Describe { .. } if !rules => Refused(FORBIDDEN),
            Command::Add { whom, role: given, .. } => {
                let given = given.unwrap_or(Role::Member);
                let news = whom.iter().any(|user| !self.is_in(*user, place));
                match (rules, given == Role::Owner, given < role) {
                    (false, ..) if news => Refused(FORBIDDEN_ROLE),
                    (false, ..) => Open(FORBIDDEN_ROLE),
                    (true, true, _) => Refused(FORBIDDEN_ROLE),
                    (true, false, true) => Granted,
                    (true, false, false) if news => Refused(FORBIDDEN),
                    (true, false, false) => Open(FORBIDDEN),
                }
            }
            Command::Leave { .. } if direct => Refused(&[(409, "cannot_leave_direct")]),
            Command::Remove { .. } if direct => Refused(DIRECT),
            Command::Leave { .. } => Granted,
            Command::Remove { whom, .. } if *whom == by => Granted,
            Command::Remove { whom, .. } => match self.seat(*whom, place) {
                None if rules => Open(NO_MEMBER),
                None => Refused(NO_MEMBER_OR_RIGHT),
                Some(other) if rules && other.role < role => Granted,
                Some(_) => Refused(FORBIDDEN),
            },
            Command::SetRole { whom, role: given, .. } if *whom == by => {
                if role == Role::Owner || *given > role {
                    Refused(FORBIDDEN)
                } else {
                    Granted
                }
            }
            Command::SetRole { whom, role: given, .. } => match self.seat(*whom, place) {
                None if rules => Refused(if role == Role::Owner { NO_MEMBER } else { NO_MEMBER_OR_RIGHT }),
                None => Refused(NO_MEMBER_OR_RIGHT),
                Some(_) if !rules => Refused(FORBIDDEN),
                Some(other) if role == Role::Owner || (other.role < role && *given < role) => Granted,
                Some(other) if other.role == *given => Open(FORBIDDEN),
                Some(_) => Refused(FORBIDDEN),
            },
            Command::Hide { which, .. } if conversation.message(*which).sender.is_none() => Open(CONFLICT),
            Command::Read { .. }
            | Command::Hide { .. }
            | Command::Delivered { .. }
            | Command::Rename { .. }
            | Command::Describe { .. }
            | Command::Archive { .. }
            | Command::Mute { .. }
            | Command::PinConversation { .. }
            | Command::Notify { .. } => Granted,
            Command::Send { .. }
            | Command::Repeat { .. }
            | Command::CreateDirect { .. }
            | Command::CreateGroup { .. }
            | Command::RepeatGroup { .. }
            | Command::Block { .. }
            | Command::Unblock { .. }
            | Command::ShareReceipts { .. } => unreachable!("decided before"),
        }
    }
}
