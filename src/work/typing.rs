//! How users who saw that a user types are notified of its end.

use crate::app::App;
use crate::cluster::typing::TypingNotice;
use crate::domain::ids::{ConversationId, UserId};
use crate::domain::stream::Stream;
use crate::protocol::server::ServerFrame;

/// Notifies the users who saw the typing that it has stopped.
pub fn notify_stopped(app: &App, stopped: impl IntoIterator<Item = TypingNotice>) {
    for TypingNotice { typing, excluded } in stopped {
        let streams = vec![Stream::Conversation(typing.conversation_id)];
        app.notify_except(streams, &ServerFrame::TypingStop(typing), excluded);
    }
}

/// Stops all typing of a user in a conversation, because the user left it or sent a message.
pub fn stop_all(app: &App, conversation: ConversationId, user: UserId) {
    notify_stopped(app, app.typing().stop(conversation, user));
}

/// Stops showing the typing of `author` to `viewer`, because a block now separates them.
pub fn hide_from(app: &App, author: UserId, viewer: UserId) {
    for typing in app.typing().exclude_viewer(author, viewer) {
        app.notify(vec![Stream::User(viewer)], &ServerFrame::TypingStop(typing), None);
    }
}
