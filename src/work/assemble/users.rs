//! Makes the resources of users as other users see them, as they see themselves, and as all users get them in events.

use crate::app::App;
use crate::domain::ids::UserId;
use crate::error::Result;
use crate::protocol::accounts::Me;
use crate::protocol::presence::PresenceStatus;
use crate::protocol::users::{PublicUser, User};
use crate::store::users::{self, UserRow};
use sea_orm::ConnectionTrait;
use std::collections::HashSet;

/// Users, and whose presence a viewer may see: that of the users who share a conversation with the viewer and whom no
/// block separates from the viewer.
pub struct UsersView {
    rows: Vec<UserRow>,
    visible: HashSet<UserId>,
}

impl UsersView {
    /// Reads whose presence `viewer` may see.
    pub async fn read(conn: &impl ConnectionTrait, viewer: UserId, rows: Vec<UserRow>) -> Result<Self> {
        let ids: Vec<UserId> = rows.iter().map(|row| row.id).collect();
        Ok(Self { visible: users::visible_to(conn, viewer, &ids).await?, rows })
    }

    /// Returns the users in the order of the rows. A user whose presence is hidden is offline,
    /// without the time of the last presence.
    pub fn into_users(self, app: &App) -> Vec<User> {
        let Self { rows, visible } = self;
        let to_user = |row: UserRow| {
            if visible.contains(&row.id) {
                build_user(&row, app.presence().status(row.id))
            } else {
                User { last_seen_at: None, ..build_user(&row, PresenceStatus::Offline) }
            }
        };
        rows.into_iter().map(to_user).collect()
    }
}

/// Returns the account of a user as the user sees it.
pub fn to_me(app: &App, row: &UserRow) -> Me {
    Me {
        user: build_user(row, app.presence().status(row.id)),
        email: row.email.clone(),
        locale: row.locale.clone(),
        status: row.status,
        share_read_receipts: row.share_read_receipts,
    }
}

/// Returns the profile of a user as events contain it.
pub fn to_public(row: &UserRow) -> PublicUser {
    PublicUser { brief: row.brief(), external_id: row.external_id.clone(), role: row.role, created_at: row.created_at }
}

fn build_user(row: &UserRow, presence: PresenceStatus) -> User {
    User {
        brief: row.brief(),
        external_id: row.external_id.clone(),
        role: row.role,
        presence,
        last_seen_at: row.last_seen_at,
        created_at: row.created_at,
    }
}
