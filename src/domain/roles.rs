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

    /// Whether this role may do `action`.
    pub fn may(self, action: Action) -> bool {
        match action {
            Action::Read => true,
            Action::Send | Action::Type => self >= Self::Member,
            Action::AddMembers => self >= Self::Admin,
            Action::Remove(other) => match self {
                Self::Owner => other < Self::Owner,
                Self::Admin => other < Self::Admin,
                Self::Member | Self::Observer => false,
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
    /// Add members with a role below one's own.
    AddMembers,
    /// Remove a participant with this role (oneself is always allowed and not asked here).
    Remove(Role),
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

    #[test]
    fn an_admin_removes_members_and_not_admins_and_an_owner_removes_admins() {
        assert!(Role::Admin.may(Action::Remove(Role::Member)));
        assert!(!Role::Admin.may(Action::Remove(Role::Admin)));
        assert!(Role::Owner.may(Action::Remove(Role::Admin)));
        assert!(!Role::Member.may(Action::Remove(Role::Observer)));
    }

    #[test]
    fn an_observer_reads_and_does_not_write() {
        assert!(Role::Observer.may(Action::Read));
        assert!(!Role::Observer.may(Action::Send));
        assert!(!Role::Observer.may(Action::Type));
    }
}
