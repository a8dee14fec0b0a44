//! The rules of who may do what: whether a command must be accepted, and with which errors it may be refused.

use super::commands::{Command, Draft, Role};
use super::state::{FirstSend, Model};

/// The status and the code of an error.
pub type Refusal = (u16, &'static str);

/// The answers to a command that the contract allows.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Expectation {
    Accepted,
    /// The command must be refused with one of these errors.
    Refused(&'static [Refusal]),
    /// The command may be accepted, or refused with one of these errors: the contract allows both.
    Either(&'static [Refusal]),
}

use Expectation::{Accepted, Either, Refused};

const NOT_A_PARTICIPANT: &[Refusal] = &[(403, "not_a_participant")];
const NOT_A_PARTICIPANT_OR_INVALID: &[Refusal] =
    &[(403, "not_a_participant"), (404, "not_found"), (422, "validation_failed")];
const NO_PARTICIPANTS: &[Refusal] = &[(403, "not_a_participant"), (404, "not_found")];
const FORBIDDEN: &[Refusal] = &[(403, "forbidden")];
const BLOCKED: &[Refusal] = &[(403, "blocked")];
const CONFLICT: &[Refusal] = &[(409, "conflict")];
const SELF_BLOCK: &[Refusal] = &[(400, "self_block")];
const REUSED: &[Refusal] = &[(409, "temp_id_reused")];
/// Errors for commands that only groups and classes have.
const DIRECT: &[Refusal] =
    &[(403, "forbidden"), (409, "conflict"), (409, "cannot_leave_direct"), (422, "validation_failed")];
const DELETED: &[Refusal] = &[(409, "conflict"), (404, "not_found")];
const NOT_OWN: &[Refusal] = &[(403, "forbidden"), (409, "conflict")];
const NO_MEMBER: &[Refusal] = &[(404, "not_found"), (404, "user_not_found")];
const NO_MEMBER_OR_RIGHT: &[Refusal] = &[(404, "not_found"), (404, "user_not_found"), (403, "forbidden")];
const FORBIDDEN_ROLE: &[Refusal] = &[(403, "forbidden"), (422, "validation_failed")];

impl Model {
    /// Returns the allowed answers to a resolved command.
    pub fn expectation(&self, caller: usize, command: &Command) -> Expectation {
        match command {
            Command::Send { conversation, draft, reply, temp_number } => {
                self.send_expectation(caller, *conversation, draft, *reply, *temp_number)
            }
            Command::Repeat { .. } => unreachable!("resolved to the send that it repeats"),
            Command::CreateDirect { peer } if *peer == caller => Refused(&[(400, "self_conversation")]),
            Command::CreateDirect { peer } => {
                match (self.is_blocked_between(caller, *peer), self.direct(caller, *peer)) {
                    (false, _) => Accepted,
                    (true, None) => Refused(BLOCKED),
                    (true, Some(_)) => Either(BLOCKED),
                }
            }
            Command::CreateGroup { others, name, temp_number } => {
                self.group_expectation(caller, others, *name, *temp_number)
            }
            Command::RepeatGroup { .. } => unreachable!("resolved to the group that it repeats"),
            Command::ShareReceipts { .. } => Accepted,
            Command::Block { user } if *user == caller => Refused(SELF_BLOCK),
            Command::Unblock { user } if *user == caller => Either(&[(400, "self_block"), (404, "not_found")]),
            Command::Block { .. } | Command::Unblock { .. } => Accepted,
            Command::Edit { conversation, .. }
            | Command::Delete { conversation, .. }
            | Command::Hide { conversation, .. }
            | Command::React { conversation, .. }
            | Command::Unreact { conversation, .. }
            | Command::PinMessage { conversation, .. }
            | Command::UnpinMessage { conversation, .. }
            | Command::Read { conversation, .. }
            | Command::Delivered { conversation, .. }
            | Command::Rename { conversation, .. }
            | Command::Describe { conversation, .. }
            | Command::Add { conversation, .. }
            | Command::Remove { conversation, .. }
            | Command::Leave { conversation }
            | Command::SetRole { conversation, .. }
            | Command::Archive { conversation, .. }
            | Command::Mute { conversation, .. }
            | Command::PinConversation { conversation, .. }
            | Command::Notify { conversation, .. } => match self.participant(caller, *conversation) {
                // The server acknowledges this command before it applies it.
                None if matches!(command, Command::Delivered { .. }) => Either(self.refusal_of_others(*conversation)),
                // The server may refuse an invalid body before it reads who the participants are.
                None if matches!(command, Command::Add { role: Some(Role::Owner), .. }) => {
                    Refused(NOT_A_PARTICIPANT_OR_INVALID)
                }
                None => Refused(self.refusal_of_others(*conversation)),
                Some(participant) => self.participant_expectation(caller, participant.role, *conversation, command),
            },
        }
    }

    /// Returns the errors for a user who is not in the conversation.
    fn refusal_of_others(&self, conversation: usize) -> &'static [Refusal] {
        if self.conversations[conversation].current_participants().next().is_none() {
            NO_PARTICIPANTS
        } else {
            NOT_A_PARTICIPANT
        }
    }

    fn send_expectation(
        &self,
        caller: usize,
        conversation: usize,
        draft: &Draft,
        reply: Option<usize>,
        temp_number: Option<u8>,
    ) -> Expectation {
        let earlier = temp_number
            .and_then(|number| self.sends_by_temp_id.get(&(caller, conversation, self.temp_id(caller, number))));
        if let Some(FirstSend { draft: first, reply: first_reply, .. }) = earlier {
            return if (first, first_reply) == (draft, &reply) { Accepted } else { Refused(REUSED) };
        }
        match self.participant(caller, conversation) {
            None => Refused(self.refusal_of_others(conversation)),
            Some(participant) if participant.role == Role::Observer => Refused(FORBIDDEN),
            Some(_) if self.is_blocked(conversation) => Refused(BLOCKED),
            Some(_) if reply.is_some_and(|seq| self.conversations[conversation].message(seq).deleted) => {
                Either(DELETED)
            }
            Some(_) => Accepted,
        }
    }

    /// A repeated creation returns the first group, as long as its creator is a participant of it.
    fn group_expectation(&self, caller: usize, others: &[usize], name: u8, temp_number: Option<u8>) -> Expectation {
        match temp_number.and_then(|number| self.groups_by_temp_id.get(&(caller, number))) {
            Some(group) if group.others != others || group.name != name => Refused(REUSED),
            Some(group) if !self.is_in(caller, group.conversation) => Refused(NOT_A_PARTICIPANT),
            _ => Accepted,
        }
    }

    fn participant_expectation(
        &self,
        caller: usize,
        role: Role,
        conversation: usize,
        command: &Command,
    ) -> Expectation {
        let state = &self.conversations[conversation];
        let direct = state.direct;
        let can_manage = role >= Role::Admin;
        match command {
            Command::Edit { seq, .. } => {
                let message = state.message(*seq);
                if message.sender != Some(caller) {
                    return Refused(NOT_OWN);
                }
                if message.deleted {
                    return if role == Role::Observer { Refused(NOT_OWN) } else { Refused(CONFLICT) };
                }
                if role == Role::Observer {
                    Either(FORBIDDEN)
                } else if self.is_blocked(conversation) {
                    Either(BLOCKED)
                } else if message.kind == "text" {
                    Accepted
                } else {
                    Either(&[(409, "conflict"), (422, "validation_failed")])
                }
            }
            Command::Delete { seq, .. } => {
                let message = state.message(*seq);
                let allowed = message.sender == Some(caller) || (can_manage && !direct);
                match (allowed, message.deleted) {
                    (true, _) if message.sender.is_none() => Either(NOT_OWN),
                    (true, false) if self.is_blocked(conversation) => Either(BLOCKED),
                    (true, _) => Accepted,
                    (false, false) => Refused(FORBIDDEN),
                    (false, true) => Either(NOT_OWN),
                }
            }
            Command::React { seq, .. } | Command::Unreact { seq, .. } => {
                let message = state.message(*seq);
                let adds = matches!(command, Command::React { .. });
                match (adds, message.deleted, role) {
                    (true, true, Role::Observer) => Refused(NOT_OWN),
                    (true, false, Role::Observer) => Refused(FORBIDDEN),
                    (false, false, Role::Observer) => Either(FORBIDDEN),
                    (false, true, _) => Either(NOT_OWN),
                    (true, true, _) => Refused(&[(409, "conflict"), (404, "not_found"), (403, "blocked")]),
                    (_, false, _) if message.sender.is_none() => Either(NOT_OWN),
                    (_, false, _) if self.is_blocked(conversation) => Either(BLOCKED),
                    (_, false, _) => Accepted,
                }
            }
            Command::PinMessage { seq, .. } | Command::UnpinMessage { seq, .. } => {
                let deleted = state.message(*seq).deleted;
                let adds = matches!(command, Command::PinMessage { .. });
                match (direct || can_manage, deleted) {
                    (false, true) => Refused(NOT_OWN),
                    (false, false) => Refused(FORBIDDEN),
                    (true, true) if adds => Refused(&[(409, "conflict"), (404, "not_found"), (403, "blocked")]),
                    (true, true) => Either(DELETED),
                    (true, false) if self.is_blocked(conversation) => Either(BLOCKED),
                    (true, false) => Accepted,
                }
            }
            Command::Rename { .. } | Command::Describe { .. } | Command::Add { .. } | Command::SetRole { .. }
                if direct =>
            {
                Refused(DIRECT)
            }
            Command::Rename { .. } | Command::Describe { .. } if !can_manage => Refused(FORBIDDEN),
            Command::Add { users, role: new_role, .. } => {
                let new_role = new_role.unwrap_or(Role::Member);
                let changes = users.iter().any(|user| !self.is_in(*user, conversation));
                match (can_manage, new_role == Role::Owner, new_role < role) {
                    (false, ..) if changes => Refused(FORBIDDEN_ROLE),
                    (false, ..) => Either(FORBIDDEN_ROLE),
                    (true, true, _) => Refused(FORBIDDEN_ROLE),
                    (true, false, true) => Accepted,
                    (true, false, false) if changes => Refused(FORBIDDEN),
                    (true, false, false) => Either(FORBIDDEN),
                }
            }
            Command::Leave { .. } if direct => Refused(&[(409, "cannot_leave_direct")]),
            Command::Remove { .. } if direct => Refused(DIRECT),
            Command::Leave { .. } => Accepted,
            Command::Remove { user, .. } if *user == caller => Accepted,
            Command::Remove { user, .. } => match self.participant(*user, conversation) {
                None if can_manage => Either(NO_MEMBER),
                None => Refused(NO_MEMBER_OR_RIGHT),
                Some(other) if can_manage && other.role < role => Accepted,
                Some(_) => Refused(FORBIDDEN),
            },
            Command::SetRole { user, role: new_role, .. } if *user == caller => {
                if role == Role::Owner || *new_role > role { Refused(FORBIDDEN) } else { Accepted }
            }
            Command::SetRole { user, role: new_role, .. } => match self.participant(*user, conversation) {
                None if can_manage => Refused(if role == Role::Owner { NO_MEMBER } else { NO_MEMBER_OR_RIGHT }),
                None => Refused(NO_MEMBER_OR_RIGHT),
                Some(_) if !can_manage => Refused(FORBIDDEN),
                Some(other) if role == Role::Owner || (other.role < role && *new_role < role) => Accepted,
                Some(other) if other.role == *new_role => Either(FORBIDDEN),
                Some(_) => Refused(FORBIDDEN),
            },
            Command::Hide { seq, .. } if state.message(*seq).sender.is_none() => Either(CONFLICT),
            Command::Read { .. }
            | Command::Hide { .. }
            | Command::Delivered { .. }
            | Command::Rename { .. }
            | Command::Describe { .. }
            | Command::Archive { .. }
            | Command::Mute { .. }
            | Command::PinConversation { .. }
            | Command::Notify { .. } => Accepted,
            Command::Send { .. }
            | Command::Repeat { .. }
            | Command::CreateDirect { .. }
            | Command::CreateGroup { .. }
            | Command::RepeatGroup { .. }
            | Command::Block { .. }
            | Command::Unblock { .. }
            | Command::ShareReceipts { .. } => unreachable!("handled in `expectation`"),
        }
    }
}
