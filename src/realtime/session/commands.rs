//! Commands: for each one, the lane in which it waits, the use case that it calls, and its answer.

use super::lanes::{JobState, Lane};
use super::{LaneJob, RunTask, Session, SessionTask};
use crate::domain::ids::{ConversationId, Seq};
use crate::domain::limits;
use crate::error::{Error, Result};
use crate::mailboxes::{SentMessage, ToPresence};
use crate::protocol::client::{Command, FrameId};
use crate::protocol::marks::{DeliveredMessage, ReadMark, ReadMessage};
use crate::protocol::messages::{MessageSent, SendMessage};
use crate::protocol::presence::{PresenceStatus, WatchedPresence};
use crate::protocol::reactions::{ReactMessage, ReactionAck};
use crate::protocol::server::ServerFrame;
use crate::realtime::following::Following;
use crate::usecases::marks::ReadTarget;
use crate::usecases::messages::Draft;
use crate::usecases::reactions::ReactionChange;
use crate::usecases::{deletions, edits, marks, messages, presence, reactions, typing};
use crate::domain::caller::Caller;
use actix::prelude::*;
use std::time::Instant;

impl Session {
    pub(super) fn run_command(
        &mut self,
        caller: Caller,
        id: Option<FrameId>,
        command: Command,
        ctx: &mut Context<Self>,
    ) {
        if !matches!(command, Command::Sync(_)) {
            self.follow(ctx, Following::no_sync_first);
        }
        match command {
            Command::Auth(auth) => self.renew_auth(auth, id, ctx),
            Command::Subscribe(to) => self.subscribe(to.conversation_ids, id, ctx),
            Command::Unsubscribe(from) => self.unsubscribe(from.conversation_ids, id, ctx),
            Command::Sync(part) => self.sync(part, id, ctx),
            Command::Send(message) => self.send_message(caller, message, id, ctx),
            Command::Edit(edit) => {
                let (app, lane) = (self.services.app.clone(), Lane::Conversation(edit.conversation_id));
                let work = async move {
                    edits::edit(&app, &caller, edit.conversation_id, edit.message_id, &edit.content).await.map(drop)
                };
                self.run_with_ack(lane, id, work, ctx);
            }
            Command::Delete(delete) => {
                let (app, lane) = (self.services.app.clone(), Lane::Conversation(delete.conversation_id));
                let work = async move {
                    deletions::delete(&app, &caller, delete.conversation_id, delete.message_id, delete.audience).await
                };
                self.run_with_ack(lane, id, work, ctx);
            }
            Command::React(to) => self.update_reaction(caller, to, true, id, ctx),
            Command::Unreact(to) => self.update_reaction(caller, to, false, id, ctx),
            Command::Read(read) => self.update_read_mark(caller, &read, id, ctx),
            Command::Delivered(mark) => self.update_delivered_mark(caller, &mark, id, ctx),
            Command::TypingStart(at) => self.start_typing(caller, at.conversation_id, id, ctx),
            Command::TypingStop(at) => {
                let (app, typist) = (self.services.app.clone(), self.typist.clone());
                let work = async move { typing::stop(&app, &caller, &typist, at.conversation_id).await };
                self.run_with_optional_ack(Lane::Conversation(at.conversation_id), id, work, ctx);
            }
            Command::SetPresence(set) => {
                let message = ToPresence::Set(caller.user_id, self.id, set.status);
                let outcome = self.services.presence.try_send(message);
                if outcome.is_ok() {
                    self.send(&ServerFrame::Ack {}, id.as_ref(), ctx);
                } else {
                    let error = Error::unavailable("The server cannot change the presence now; try again.");
                    self.refuse(&error, id.as_ref(), None, ctx);
                }
            }
            Command::WatchPresence(watch) => self.watch_presence(caller, watch.user_ids, id, ctx),
            Command::UnwatchPresence(unwatch) => {
                let (app, session, registry) = (self.services.app.clone(), self.id, self.services.presence.clone());
                let work = async move {
                    let users = presence::resolve(&app, &unwatch.user_ids).await?;
                    registry.do_send(ToPresence::Unwatch(session, users)); // detach
                    Ok(())
                };
                let empty_state =
                    |()| ServerFrame::PresenceState(WatchedPresence { users: std::collections::BTreeMap::new() });
                self.run_with_answer(Lane::Presence, id, work, empty_state, ctx);
            }
            Command::Ping => self.send(&ServerFrame::Pong {}, id.as_ref(), ctx),
        }
    }

    /// Queues a message. The lane is free as soon as the message is in the writer's queue, so the writer can commit
    /// many messages at once.
    fn send_message(&mut self, caller: Caller, message: SendMessage, id: Option<FrameId>, ctx: &mut Context<Self>) {
        let lane = Lane::Conversation(message.conversation_id);
        let (command_id, command_temp_id) = (id.clone(), message.temp_id.clone());
        let job: LaneJob = Box::new(move |session, ctx| {
            let conversation = message.conversation_id;
            let temp_id = message.temp_id.clone();
            let draft = Draft {
                content: message.content,
                kind: message.kind,
                data: message.data,
                attachment_ids: message.attachment_ids.unwrap_or_default(),
                reply_to_id: message.reply_to_id,
                temp_id: message.temp_id,
            };
            let then = move |session: &mut Self, outcome: Result<SentMessage>, ctx: &mut Context<Self>| match outcome {
                Err(error) => session.refuse(&error, id.as_ref(), temp_id, ctx),
                Ok(sent) => {
                    let message = Box::new(sent.message);
                    let frame = ServerFrame::MessageSent(MessageSent { temp_id, rev: sent.rev, message });
                    session.send(&frame, id.as_ref(), ctx);
                }
            };
            messages::enqueue(&session.services.app, &caller, conversation, draft, session.callback(ctx, then));
            JobState::Done
        });
        self.enter_lane(lane, command_id.as_ref(), command_temp_id, job, ctx);
    }

    fn update_reaction(
        &mut self,
        caller: Caller,
        to: ReactMessage,
        adds: bool,
        id: Option<FrameId>,
        ctx: &mut Context<Self>,
    ) {
        let (app, lane) = (self.services.app.clone(), Lane::Conversation(to.conversation_id));
        let work = async move {
            let ReactMessage { conversation_id, message_id, emoji } = &to;
            if adds {
                reactions::add(&app, &caller, *conversation_id, *message_id, emoji).await
            } else {
                reactions::remove(&app, &caller, *conversation_id, *message_id, emoji).await
            }
        };
        let frame = |change: ReactionChange| ServerFrame::AckReaction(ReactionAck { action: change.action.into() });
        self.run_with_answer(lane, id, work, frame, ctx);
    }

    /// Queues a read mark. It leaves its lane as soon as it is in the queue of the marks writer, which commits all
    /// marks that have arrived together.
    fn update_read_mark(&mut self, caller: Caller, read: &ReadMessage, id: Option<FrameId>, ctx: &mut Context<Self>) {
        let target = match (read.seq, read.message_id) {
            (Some(_), Some(_)) => {
                let error = Error::invalid("seq", "and message_id cannot both be given");
                return self.refuse(&error, id.as_ref(), None, ctx);
            }
            (Some(seq), None) => ReadTarget::Seq(seq),
            (None, Some(message)) => ReadTarget::Message(message),
            (None, None) => ReadTarget::End,
        };
        let (conversation, command_id) = (read.conversation_id, id.clone());
        let lane = Lane::Conversation(conversation);
        let job: LaneJob = Box::new(move |session, ctx| {
            let message = match target {
                ReadTarget::Message(message) => message,
                ReadTarget::Seq(seq) => return session.enqueue_read_mark(&caller, conversation, seq, id, ctx),
                ReadTarget::End => return session.enqueue_read_mark(&caller, conversation, marks::END, id, ctx),
            };
            let app = session.services.app.clone();
            let work = async move { marks::get_seq(&app, &caller, conversation, message).await };
            let then = move |session: &mut Self, seq: Result<Seq>, ctx: &mut Context<Self>| {
                match seq {
                    Ok(seq) => drop(session.enqueue_read_mark(&caller, conversation, seq, id, ctx)),
                    Err(error) => session.refuse(&error, id.as_ref(), None, ctx),
                }
                session.leave_lane(lane, ctx);
            };
            session.run_use_case(work, then, ctx);
            JobState::Continues
        });
        self.enter_lane(lane, command_id.as_ref(), None, job, ctx);
    }

    fn enqueue_read_mark(
        &self,
        caller: &Caller,
        conversation: ConversationId,
        seq: Seq,
        id: Option<FrameId>,
        ctx: &Context<Self>,
    ) -> JobState {
        let then = self.callback(ctx, move |session, outcome, ctx| {
            session.send_outcome(outcome, ServerFrame::AckRead, id.as_ref(), ctx);
        });
        marks::enqueue_read(&self.services.app, caller, conversation, seq, then);
        JobState::Done
    }

    /// Queues a delivered mark. The answer comes after the commit: a mark beyond the last message has then been set to
    /// the last message at a moment before the answer.
    fn update_delivered_mark(
        &mut self,
        caller: Caller,
        mark: &DeliveredMessage,
        id: Option<FrameId>,
        ctx: &mut Context<Self>,
    ) {
        let DeliveredMessage { conversation_id: conversation, seq } = *mark;
        let (lane, command_id) = (Lane::Conversation(conversation), id.clone());
        let job: LaneJob = Box::new(move |session, ctx| {
            let then = session.callback(ctx, move |session, outcome: Result<ReadMark>, ctx| {
                session.send_outcome(outcome, |_| ServerFrame::Ack {}, id.as_ref(), ctx);
            });
            marks::enqueue_delivered(&session.services.app, &caller, conversation, seq, then);
            JobState::Done
        });
        self.enter_lane(lane, command_id.as_ref(), None, job, ctx);
    }

    /// Announces typing at most once in [`limits::TYPING_INTERVAL`] for each conversation. A command in between is only
    /// acknowledged.
    fn start_typing(
        &mut self,
        caller: Caller,
        conversation: ConversationId,
        id: Option<FrameId>,
        ctx: &mut Context<Self>,
    ) {
        let now = Instant::now();
        let is_recent =
            self.typing_started.get(&conversation).is_some_and(|at| now.duration_since(*at) < limits::TYPING_INTERVAL);
        if is_recent {
            if id.is_some() {
                self.send(&ServerFrame::Ack {}, id.as_ref(), ctx);
            }
            return;
        }
        self.typing_started.insert(conversation, now);
        let (app, typist, mailbox) = (self.services.app.clone(), self.typist.clone(), ctx.address());
        let work = async move {
            let started = typing::start(&app, &caller, &typist, conversation).await;
            if started.is_err() {
                // The client may repeat a refused command at once, and get the error again.
                let forget: SessionTask = Box::new(move |session, _| {
                    session.typing_started.remove(&conversation);
                });
                let _ = mailbox.try_send(RunTask(forget));
            }
            started
        };
        self.run_with_optional_ack(Lane::Conversation(conversation), id, work, ctx);
    }

    fn watch_presence(&mut self, caller: Caller, users: Vec<String>, id: Option<FrameId>, ctx: &mut Context<Self>) {
        let (app, command_id) = (self.services.app.clone(), id.clone());
        let job: LaneJob = Box::new(move |session, ctx| {
            let work = {
                let app = app.clone();
                async move { presence::list_visible(&app, &caller, &users).await }
            };
            let then = move |session: &mut Self, outcome: Result<Vec<_>>, ctx: &mut Context<Self>| {
                match outcome {
                    Err(error) => session.refuse(&error, id.as_ref(), None, ctx),
                    Ok(visible) => {
                        let states = visible.iter().map(|user| (*user, app.presence().status(*user)));
                        let users: std::collections::BTreeMap<_, PresenceStatus> = states.collect();
                        session.services.presence.do_send(ToPresence::Watch(session.id, visible)); // attach
                        session.send(&ServerFrame::PresenceState(WatchedPresence { users }), id.as_ref(), ctx);
                    }
                }
                session.leave_lane(Lane::Presence, ctx);
            };
            session.run_use_case(work, then, ctx);
            JobState::Continues
        });
        self.enter_lane(Lane::Presence, command_id.as_ref(), None, job, ctx);
    }

    /// Runs a command that is answered with `ack`.
    fn run_with_ack(
        &mut self,
        lane: Lane,
        id: Option<FrameId>,
        work: impl Future<Output = Result<()>> + Send + 'static,
        ctx: &mut Context<Self>,
    ) {
        self.run_with_answer(lane, id, work, |()| ServerFrame::Ack {}, ctx);
    }

    /// Runs a command that is answered with the result of its use case.
    fn run_with_answer<T: Send + 'static>(
        &mut self,
        lane: Lane,
        id: Option<FrameId>,
        work: impl Future<Output = Result<T>> + Send + 'static,
        frame: impl FnOnce(T) -> ServerFrame + Send + Sync + 'static,
        ctx: &mut Context<Self>,
    ) {
        let command_id = id.clone();
        let job: LaneJob = Box::new(move |session, ctx| {
            let then = move |session: &mut Self, outcome: Result<T>, ctx: &mut Context<Self>| {
                session.send_outcome(outcome, frame, id.as_ref(), ctx);
                session.leave_lane(lane, ctx);
            };
            session.run_use_case(work, then, ctx);
            JobState::Continues
        });
        self.enter_lane(lane, command_id.as_ref(), None, job, ctx);
    }

    fn send_outcome<T>(
        &mut self,
        outcome: Result<T>,
        frame: impl FnOnce(T) -> ServerFrame,
        id: Option<&FrameId>,
        ctx: &mut Context<Self>,
    ) {
        match outcome {
            Ok(result) => self.send(&frame(result), id, ctx),
            Err(error) => self.refuse(&error, id, None, ctx),
        }
    }

    /// Runs a command that is answered with `ack` only if it has an `id`. An error is always sent.
    fn run_with_optional_ack(
        &mut self,
        lane: Lane,
        id: Option<FrameId>,
        work: impl Future<Output = Result<()>> + Send + 'static,
        ctx: &mut Context<Self>,
    ) {
        let command_id = id.clone();
        let job: LaneJob = Box::new(move |session, ctx| {
            let then = move |session: &mut Self, outcome: Result<()>, ctx: &mut Context<Self>| {
                if outcome.is_err() || id.is_some() {
                    session.send_outcome(outcome, |()| ServerFrame::Ack {}, id.as_ref(), ctx);
                }
                session.leave_lane(lane, ctx);
            };
            session.run_use_case(work, then, ctx);
            JobState::Continues
        });
        self.enter_lane(lane, command_id.as_ref(), None, job, ctx);
    }
}
