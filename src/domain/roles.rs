//! Roles in a conversation and what each may do there: the one permission table, which every use case asks inside the
//! transaction that acts.

use serde::{Deserialize, Serialize};

/// What a participant is in a conversation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads; sends and reacts not.
    Observer,
    /// Reads and writes.
    Member,
    /// Also manages members and their messages.
    Admin,
    /// Also manages admins; one a group.
    Owner,
}

impl Role {
    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Observer => "observer",
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }

    /// From the stored form; what no version wrote has the fewest rights.
    pub fn from_stored(text: &str) -> Self {
        match text {
            "owner" => Self::Owner,
            "admin" => Self::Admin,
            "member" => Self::Member,
            _ => Self::Observer,
        }
    }

    /// Whether this role may do `action`. Whatever a line does not name is for nobody.
    pub fn may(self, action: Action) -> bool {
        use Role::{Admin, Member, Observer, Owner};
        match action {
            Action::Read | Action::DeleteOwn => true,
            Action::Send | Action::Type | Action::React | Action::EditOwn => matches!(self, Member | Admin | Owner),
            Action::DeleteOthers => matches!(self, Admin | Owner),
            Action::Pin(ConversationKind::Direct) => matches!(self, Member | Admin | Owner),
            Action::Pin(_) => matches!(self, Admin | Owner),
            Action::MentionAll => matches!(self, Admin | Owner),
            Action::Update => matches!(self, Admin | Owner),
            Action::Add(role) => match self {
                Owner => role < Owner,
                Admin => role < Admin,
                Member | Observer => false,
            },
            Action::Remove(other) => match self {
                Owner => other < Owner,
                Admin => other < Admin,
                Member | Observer => false,
            },
            Action::SetRole { from, to } => match self {
                // giving one's own role away is how ownership passes
                Owner => from < Owner && to <= Owner,
                Admin => from < Admin && to < Admin,
                Member | Observer => false,
            },
        }
    }
}

/// What a role is asked about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// See messages and members, and mark what was read.
    Read,
    /// Send a message.
    Send,
    /// Show that one is typing.
    Type,
    /// Add a reaction, or take one's own back.
    React,
    /// Change the text of one's own message.
    EditOwn,
    /// Delete one's own message for everyone.
    DeleteOwn,
    /// Delete another's message for everyone.
    DeleteOthers,
    /// Pin a message in a conversation of this kind, or unpin one.
    Pin(ConversationKind),
    /// Mention everybody at once.
    MentionAll,
    /// Change the conversation's name, description or picture.
    Update,
    /// Add somebody with this role.
    Add(Role),
    /// Remove a participant with this role (oneself is always allowed and not asked here).
    Remove(Role),
    /// Give another participant, who has the role `from`, the role `to`.
    SetRole {
        /// The role now.
        from: Role,
        /// The role then.
        to: Role,
    },
}

/// What a conversation is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConversationKind {
    /// Two people; one a pair, for ever.
    Direct,
    /// Any number up to the limit, with roles.
    Group,
    /// The conversation of a class; its participants follow the class.
    Class,
}

impl ConversationKind {
    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Group => "group",
            Self::Class => "class",
        }
    }

    /// From the stored form.
    pub fn from_stored(text: &str) -> Self {
        match text {
            "direct" => Self::Direct,
            "class" => Self::Class,
            _ => Self::Group,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLES: [Role; 4] = [Role::Observer, Role::Member, Role::Admin, Role::Owner];

    fn allowed(action: Action) -> Vec<Role> {
        ROLES.into_iter().filter(|role| role.may(action)).collect()
    }

    #[test]
    fn an_observer_reads_and_does_not_write() {
        assert!(Role::Observer.may(Action::Read));
        for action in [Action::Send, Action::Type, Action::React, Action::EditOwn] {
            assert_eq!(allowed(action), [Role::Member, Role::Admin, Role::Owner]);
        }
    }

    #[test]
    fn nobody_acts_on_an_equal_or_higher_role() {
        for (actor, other) in ROLES.into_iter().flat_map(|actor| ROLES.map(|other| (actor, other))) {
            let above = actor >= Role::Admin && actor > other;
            assert_eq!(actor.may(Action::Remove(other)), above, "{actor:?} removes {other:?}");
            assert_eq!(actor.may(Action::Add(other)), above, "{actor:?} adds {other:?}");
            for to in ROLES {
                let may = above && (to < actor || actor == Role::Owner);
                assert_eq!(actor.may(Action::SetRole { from: other, to }), may, "{actor:?} makes {other:?} {to:?}");
            }
        }
    }

    #[test]
    fn only_a_direct_conversation_lets_a_member_pin() {
        assert_eq!(allowed(Action::Pin(ConversationKind::Group)), [Role::Admin, Role::Owner]);
        let direct = allowed(Action::Pin(ConversationKind::Direct));
        assert_eq!(direct, [Role::Member, Role::Admin, Role::Owner]);
    }

    #[test]
    fn what_is_anothers_is_for_admins() {
        for action in [Action::DeleteOthers, Action::MentionAll, Action::Update] {
            assert_eq!(allowed(action), [Role::Admin, Role::Owner]);
        }
    }
}
