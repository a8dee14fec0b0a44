//! One arm a command: what a client asks, in which lane it waits, which use case answers.

use super::lanes::{Lane, Turn};
use super::{Job, LaneJob, Session};
use crate::app::App;
use crate::domain::ids::{ConversationId, Seq};
use crate::domain::limits;
use crate::error::{Error, Result};
use crate::mailboxes::{SentMessage, ToPresence};
use crate::protocol::client::{Command, DeliveredMessage, FrameId, ReactMessage, ReadMessage, SendMessage};
use crate::protocol::resources::{PresenceStatus, ReadMark};
use crate::protocol::server::ServerFrame;
use crate::usecases::marks::Target;
use crate::usecases::messages::Draft;
use crate::usecases::reactions::Reacted;
use crate::usecases::{Caller, deletions, edits, marks, messages, presence, reactions, typing};
use actix::prelude::*;
use std::time::Instant;

impl Session {
    pub(super) fn perform(&mut self, caller: Caller, id: Option<FrameId>, command: Command, ctx: &mut Context<Self>) {
        if !matches!(command, Command::Sync(_)) {
            self.no_sync_first(ctx);
        }
        match command {
            Command::Auth(auth) => self.extend(auth, id, ctx),
            Command::Subscribe(wanted) => self.subscribe(wanted.conversation_ids, id, ctx),
            Command::Unsubscribe(wanted) => self.unsubscribe(wanted.conversation_ids, id, ctx),
            Command::Sync(part) => self.sync(part, id, ctx),
            Command::Send(message) => self.message_send(caller, message, id, ctx),
            Command::Edit(edit) => {
                let (app, lane) = (self.around.app.clone(), Lane::Conversation(edit.conversation_id));
                let work = async move {
                    edits::edit(&app, &caller, edit.conversation_id, edit.message_id, &edit.content).await.map(drop)
                };
                self.acknowledged(lane, id, work, ctx);
            }
            Command::Delete(gone) => {
                let (app, lane) = (self.around.app.clone(), Lane::Conversation(gone.conversation_id));
                let work = async move {
                    deletions::delete(&app, &caller, gone.conversation_id, gone.message_id, gone.audience).await
                };
                self.acknowledged(lane, id, work, ctx);
            }
            Command::React(to) => self.react(caller, to, true, id, ctx),
            Command::Unreact(to) => self.react(caller, to, false, id, ctx),
            Command::Read(read) => self.message_read(caller, &read, id, ctx),
            Command::Delivered(mark) => self.message_delivered(caller, &mark, id, ctx),
            Command::TypingStart(at) => self.typing_start(caller, at.conversation_id, id, ctx),
            Command::TypingStop(at) => {
                let (app, typist) = (self.around.app.clone(), self.typist.clone());
                let work =
                    guarded(app.clone(), async move { typing::stop(&app, &caller, &typist, at.conversation_id).await });
                self.quiet(Lane::Conversation(at.conversation_id), id, work, ctx);
            }
            Command::SetPresence(set) => {
                let told = ToPresence::Set(caller.user_id, self.id, set.status);
                let outcome = self.around.presence.try_send(told);
                match outcome {
                    Ok(()) => self.send(&ServerFrame::Ack {}, id.as_ref(), ctx),
                    Err(_) => self.refuse(&Error::unavailable("presence is busy; try again"), id.as_ref(), None, ctx),
                }
            }
            Command::WatchPresence(wanted) => self.watch(caller, wanted.user_ids, id, ctx),
            Command::UnwatchPresence(wanted) => {
                let (app, session, registry) = (self.around.app.clone(), self.id, self.around.presence.clone());
                let work = guarded(app.clone(), async move {
                    let users = presence::named(&app, &wanted.user_ids).await?;
                    registry.do_send(ToPresence::Unwatch(session, users)); // detach
                    Ok(())
                });
                let nobody = |()| ServerFrame::PresenceState { users: std::collections::BTreeMap::new() };
                self.answered(Lane::Presence, id, work, nobody, ctx);
            }
            Command::Ping => self.send(&ServerFrame::Pong {}, id.as_ref(), ctx),
        }
    }

    /// A send leaves its lane as soon as it is in its writer's queue, so that a burst goes into one commit.
    fn message_send(&mut self, caller: Caller, message: SendMessage, id: Option<FrameId>, ctx: &mut Context<Self>) {
        let lane = Lane::Conversation(message.conversation_id);
        let refused = (id.clone(), message.temp_id.clone());
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
                    let frame = ServerFrame::MessageSent { temp_id, rev: sent.rev, message };
                    session.send(&frame, id.as_ref(), ctx);
                }
            };
            messages::enqueue(&session.around.app, &caller, conversation, draft, session.back(ctx, then));
            Turn::Over
        });
        self.enter(lane, refused.0.as_ref(), refused.1, job, ctx);
    }

    fn react(&mut self, caller: Caller, to: ReactMessage, adds: bool, id: Option<FrameId>, ctx: &mut Context<Self>) {
        let (app, lane) = (self.around.app.clone(), Lane::Conversation(to.conversation_id));
        let work = async move {
            let ReactMessage { conversation_id, message_id, emoji } = &to;
            if adds {
                reactions::add(&app, &caller, *conversation_id, *message_id, emoji).await
            } else {
                reactions::remove(&app, &caller, *conversation_id, *message_id, emoji).await
            }
        };
        let frame = |reacted: Reacted| ServerFrame::AckReaction { action: reacted.action.into() };
        self.answered(lane, id, work, frame, ctx);
    }

    /// A mark leaves its lane as soon as it is in the queue of marks: however many come at once, one round takes them.
    fn message_read(&mut self, caller: Caller, read: &ReadMessage, id: Option<FrameId>, ctx: &mut Context<Self>) {
        let target = match (read.seq, read.message_id) {
            (Some(_), Some(_)) => {
                let error = Error::invalid("seq", "and message_id cannot both be given");
                return self.refuse(&error, id.as_ref(), None, ctx);
            }
            (Some(seq), None) => Target::Place(seq),
            (None, Some(message)) => Target::Message(message),
            (None, None) => Target::End,
        };
        let (conversation, refused) = (read.conversation_id, id.clone());
        let lane = Lane::Conversation(conversation);
        let job: LaneJob = Box::new(move |session, ctx| {
            let message = match target {
                Target::Message(message) => message,
                Target::Place(seq) => return session.mark_read(&caller, conversation, seq, id, ctx),
                Target::End => return session.mark_read(&caller, conversation, marks::END, id, ctx),
            };
            let app = session.around.app.clone();
            let work = guarded(app.clone(), async move { marks::place(&app, &caller, conversation, message).await });
            let then = move |session: &mut Self, place: Result<Seq>, ctx: &mut Context<Self>| {
                match place {
                    Ok(seq) => drop(session.mark_read(&caller, conversation, seq, id, ctx)),
                    Err(error) => session.refuse(&error, id.as_ref(), None, ctx),
                }
                session.leave(lane, ctx);
            };
            session.run(work, then, ctx);
            Turn::Goes
        });
        self.enter(lane, refused.as_ref(), None, job, ctx);
    }

    fn mark_read(
        &self,
        caller: &Caller,
        conversation: ConversationId,
        seq: Seq,
        id: Option<FrameId>,
        ctx: &Context<Self>,
    ) -> Turn {
        let then = self.back(ctx, move |session, outcome, ctx| {
            session.answer(outcome, ServerFrame::AckRead, id.as_ref(), ctx);
        });
        marks::enqueue_read(&self.around.app, caller, conversation, seq, then);
        Turn::Over
    }

    /// Answered once it is stored, so that a mark beyond the end is that of a moment before the answer.
    fn message_delivered(
        &mut self,
        caller: Caller,
        mark: &DeliveredMessage,
        id: Option<FrameId>,
        ctx: &mut Context<Self>,
    ) {
        let DeliveredMessage { conversation_id: conversation, seq } = *mark;
        let (lane, refused) = (Lane::Conversation(conversation), id.clone());
        let job: LaneJob = Box::new(move |session, ctx| {
            let then = session.back(ctx, move |session, outcome: Result<ReadMark>, ctx| {
                session.answer(outcome, |_| ServerFrame::Ack {}, id.as_ref(), ctx);
            });
            marks::enqueue_delivered(&session.around.app, &caller, conversation, seq, then);
            Turn::Over
        });
        self.enter(lane, refused.as_ref(), None, job, ctx);
    }

    /// Typing is told at most every two seconds a conversation; more often it is acknowledged and not passed on.
    fn typing_start(
        &mut self,
        caller: Caller,
        conversation: ConversationId,
        id: Option<FrameId>,
        ctx: &mut Context<Self>,
    ) {
        let now = Instant::now();
        let recent = self.typing.get(&conversation).is_some_and(|at| now.duration_since(*at) < limits::TYPING_EVERY);
        if recent {
            if id.is_some() {
                self.send(&ServerFrame::Ack {}, id.as_ref(), ctx);
            }
            return;
        }
        self.typing.insert(conversation, now);
        let (app, typist, mailbox) = (self.around.app.clone(), self.typist.clone(), ctx.address());
        let work = async move {
            let started = app.db().guard(typing::start(&app, &caller, &typist, conversation)).await;
            if started.is_err() {
                // what was refused may be tried again at once, and refused again
                let forget: Job = Box::new(move |session, _| {
                    session.typing.remove(&conversation);
                });
                let _ = mailbox.try_send(super::Done(forget));
            }
            started
        };
        self.quiet(Lane::Conversation(conversation), id, work, ctx);
    }

    fn watch(&mut self, caller: Caller, users: Vec<String>, id: Option<FrameId>, ctx: &mut Context<Self>) {
        let (app, refused) = (self.around.app.clone(), id.clone());
        let job: LaneJob = Box::new(move |session, ctx| {
            let work = {
                let app = app.clone();
                guarded(app.clone(), async move { presence::visible(&app, &caller, &users).await })
            };
            let then = move |session: &mut Self, outcome: Result<Vec<_>>, ctx: &mut Context<Self>| {
                match outcome {
                    Err(error) => session.refuse(&error, id.as_ref(), None, ctx),
                    Ok(visible) => {
                        let states = visible.iter().map(|user| (*user, app.presence().status(*user)));
                        let users: std::collections::BTreeMap<_, PresenceStatus> = states.collect();
                        session.around.presence.do_send(ToPresence::Watch(session.id, visible)); // attach
                        session.send(&ServerFrame::PresenceState { users }, id.as_ref(), ctx);
                    }
                }
                session.leave(Lane::Presence, ctx);
            };
            session.run(work, then, ctx);
            Turn::Goes
        });
        self.enter(Lane::Presence, refused.as_ref(), None, job, ctx);
    }

    /// A command whose success is an `ack`.
    fn acknowledged(
        &mut self,
        lane: Lane,
        id: Option<FrameId>,
        work: impl Future<Output = Result<()>> + Send + 'static,
        ctx: &mut Context<Self>,
    ) {
        self.answered(lane, id, work, |()| ServerFrame::Ack {}, ctx);
    }

    /// A command answered with what its use case returns.
    fn answered<T: Send + 'static>(
        &mut self,
        lane: Lane,
        id: Option<FrameId>,
        work: impl Future<Output = Result<T>> + Send + 'static,
        frame: impl FnOnce(T) -> ServerFrame + Send + Sync + 'static,
        ctx: &mut Context<Self>,
    ) {
        let refused = id.clone();
        let job: LaneJob = Box::new(move |session, ctx| {
            let then = move |session: &mut Self, outcome: Result<T>, ctx: &mut Context<Self>| {
                session.answer(outcome, frame, id.as_ref(), ctx);
                session.leave(lane, ctx);
            };
            session.run(work, then, ctx);
            Turn::Goes
        });
        self.enter(lane, refused.as_ref(), None, job, ctx);
    }

    fn answer<T>(
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

    /// A command that is answered only when it has an `id`, or fails.
    fn quiet(
        &mut self,
        lane: Lane,
        id: Option<FrameId>,
        work: impl Future<Output = Result<()>> + Send + 'static,
        ctx: &mut Context<Self>,
    ) {
        let refused = id.clone();
        let job: LaneJob = Box::new(move |session, ctx| {
            let then = move |session: &mut Self, outcome: Result<()>, ctx: &mut Context<Self>| {
                if outcome.is_err() || id.is_some() {
                    session.answer(outcome, |()| ServerFrame::Ack {}, id.as_ref(), ctx);
                }
                session.leave(lane, ctx);
            };
            session.run(work, then, ctx);
            Turn::Goes
        });
        self.enter(lane, refused.as_ref(), None, job, ctx);
    }
}

/// Work that asks the database: refused at once while it is away, given up when it hangs.
pub(super) async fn guarded<T>(app: App, work: impl Future<Output = Result<T>>) -> Result<T> {
    app.db().guard(work).await
}
