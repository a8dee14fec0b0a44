//! Defines the roles in a conversation and the permission table. Every use case checks the table inside the transaction
//! that makes the change.

use serde::{Deserialize, Serialize};

/// The role of a participant in a conversation. A greater role has more rights.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// May read, and may neither send nor react.
    Observer,
    /// May read and write.
    Member,
    /// May also manage members and their messages.
    Admin,
    /// May also manage admins. A group has one owner.
    Owner,
}

impl Role {
    /// Returns the name of the role in the database and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Observer => "observer",
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }

    /// Reads the name from the database. An unknown name means [`Self::Observer`], which has the fewest rights.
    pub fn from_stored(text: &str) -> Self {
        match text {
            "owner" => Self::Owner,
            "admin" => Self::Admin,
            "member" => Self::Member,
            _ => Self::Observer,
        }
    }

    /// Returns whether a participant with this role may do `action`.
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
                // Ownership passes to another participant when the owner gives that participant the role `owner`.
                Owner => from < Owner && to <= Owner,
                Admin => from < Admin && to < Admin,
                Member | Observer => false,
            },
        }
    }
}

/// An action in a conversation that needs a right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// See messages and members, and move the read mark.
    Read,
    Send,
    /// Show that the user is typing.
    Type,
    /// Add a reaction, or remove the user's own reaction.
    React,
    EditOwn,
    /// Delete the user's own message for everyone.
    DeleteOwn,
    /// Delete a message of another user for everyone.
    DeleteOthers,
    /// Pin or unpin a message in a conversation of this kind.
    Pin(ConversationKind),
    /// Mention all participants with `@all`.
    MentionAll,
    /// Change the name, the description or the avatar of the conversation.
    Update,
    /// Add a user with this role.
    Add(Role),
    /// Remove another participant with this role. A user may always leave, so leaving is not checked here.
    Remove(Role),
    /// Change the role of another participant.
    SetRole {
        from: Role,
        to: Role,
    },
}

/// The kind of a conversation, on which the roles and permissions in it depend.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConversationKind {
    /// Two users. Each pair of users has at most one direct conversation, which is never removed.
    Direct,
    /// Users with roles, up to the limit of members.
    Group,
    /// The conversation of a class, with the members of the class as participants.
    Class,
}

impl ConversationKind {
    /// Returns the name of the kind in the database and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Group => "group",
            Self::Class => "class",
        }
    }

    /// Reads the name from the database. An unknown name means [`Self::Group`].
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
    fn no_role_manages_an_equal_or_greater_role() {
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
    fn only_admins_and_owners_act_for_the_whole_conversation() {
        for action in [Action::DeleteOthers, Action::MentionAll, Action::Update] {
            assert_eq!(allowed(action), [Role::Admin, Role::Owner]);
        }
    }
}
