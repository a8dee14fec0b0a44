//! The socket: the actor that converts between the bytes of a WebSocket and frames. It is the transport of a session.
//!
//! This is the only file that imports actix-web-actors. Its actor is polled only while the client reads: a client that
//! stops reading also stops the actor and its timers. Therefore the timeouts, the limits and the decision to close are
//! in the session, and `TCP_USER_TIMEOUT` ends a connection that has stopped. The timer of the pings may stop, because
//! no ping can be written meanwhile.

use crate::domain::codes::Close;
use crate::domain::limits;
use crate::error::Error;
use crate::mailboxes::{FromTransport, ToTransport, send_always};
use crate::realtime::frame_limit::{FrameLimit, FrameLimitState, FrameStatus};
use crate::realtime::pings::{self, Pings};
use actix::prelude::*;
use actix_http::ws::Item;
use actix_web::web::{Bytes, Payload};
use actix_web::{HttpRequest, HttpResponse};
use actix_web_actors::ws::{self, CloseCode, CloseReason, Message, ProtocolError, WebsocketContext};
use bytestring::ByteString;
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Instant;

/// Starts the session of a socket and returns the mailbox of the session.
type StartSession = Box<dyn FnOnce(Recipient<ToTransport>) -> Recipient<FromTransport>>;

/// The actor of one connection.
pub struct Socket {
    start_session: Option<StartSession>,
    session: Option<Recipient<FromTransport>>,
    /// The fragments of an incomplete message, and whether they are text.
    fragments: Option<(Vec<u8>, bool)>,
    limit_state: Rc<FrameLimitState>,
    pings: Pings,
    is_closed: bool,
}

/// Upgrades a request to a WebSocket. `protocol` is the subprotocol to answer with.
pub fn upgrade(
    request: &HttpRequest,
    payload: Payload,
    protocol: Option<&'static str>,
    start_session: impl FnOnce(Recipient<ToTransport>) -> Recipient<FromTransport> + 'static,
) -> Result<HttpResponse, actix_web::Error> {
    let limit_state = Rc::new(FrameLimitState::default());
    let payload = FrameLimit::new(payload, limits::FRAME_BYTES, limit_state.clone());
    let start_session: Option<StartSession> = Some(Box::new(start_session));
    let pings = Pings::new(Instant::now());
    let socket = Socket { start_session, session: None, fragments: None, limit_state, pings, is_closed: false };
    let offered: &[&str] = protocol.as_slice();
    ws::WsResponseBuilder::new(socket, request, payload).protocols(offered).frame_size(limits::FRAME_BYTES).start()
}

impl Socket {
    fn send_to_session(&mut self, message: FromTransport, ctx: &mut WebsocketContext<Self>) {
        let Some(session) = &self.session else { return };
        match session.try_send(message) {
            Ok(()) => {}
            // The session has not handled the earlier frames of this client: read no more until it has accepted this
            // one.
            Err(SendError::Full(message)) => {
                session.send(message).into_actor(self).map(|_, _, _| ()).wait(ctx);
            }
            Err(SendError::Closed(_)) => self.close(Close::Restart, ctx),
        }
    }

    fn refuse(&mut self, error: Error, close: Option<Close>, ctx: &mut WebsocketContext<Self>) {
        self.send_to_session(FromTransport::Refused(error, close), ctx);
    }

    fn close(&mut self, close: Close, ctx: &mut WebsocketContext<Self>) {
        if !self.is_closed {
            self.is_closed = true;
            let code = CloseCode::from(close.code());
            ctx.close(Some(CloseReason { code, description: Some(close.reason().to_owned()) }));
            ctx.stop();
        }
    }

    fn text(&mut self, bytes: &[u8], ctx: &mut WebsocketContext<Self>) {
        // Copy the text: a slice would keep everything that was read with it in memory while it waits.
        match std::str::from_utf8(bytes) {
            Ok(text) => self.send_to_session(FromTransport::Text(ByteString::from(text)), ctx),
            Err(_) => self.refuse(Error::invalid_request("Text must be UTF-8."), Some(Close::BadText), ctx),
        }
    }

    fn binary(&mut self, ctx: &mut WebsocketContext<Self>) {
        self.refuse(Error::invalid_request("Only text frames are accepted; send JSON as text."), None, ctx);
    }

    fn fragment(&mut self, item: Item, ctx: &mut WebsocketContext<Self>) {
        let (bytes, is_last) = match item {
            Item::FirstText(bytes) => {
                self.fragments = Some((Vec::new(), true));
                (bytes, false)
            }
            Item::FirstBinary(bytes) => {
                self.fragments = Some((Vec::new(), false));
                (bytes, false)
            }
            Item::Continue(bytes) => (bytes, false),
            Item::Last(bytes) => (bytes, true),
        };
        let Some((content, is_text)) = &mut self.fragments else { return };
        if content.len() + bytes.len() > limits::FRAME_BYTES {
            self.fragments = None;
            self.refuse(Error::payload_too_large(limits::FRAME_BYTES), Some(Close::TooLarge), ctx);
            return;
        }
        if *is_text {
            content.extend_from_slice(&bytes);
        }
        if is_last && let Some((content, is_text)) = self.fragments.take() {
            if is_text { self.text(&content, ctx) } else { self.binary(ctx) }
        }
    }
}

impl Socket {
    /// Handles an error of the codec. The error alone does not tell the cause: invalid text and a lost connection look
    /// the same.
    fn handle_codec_error(&mut self, error: &ProtocolError, ctx: &mut WebsocketContext<Self>) {
        let too_large = matches!(error, ProtocolError::Overflow) || self.limit_state.status() == FrameStatus::TooLarge;
        let bad_text = matches!(error, ProtocolError::Io(cause) if cause.kind() == ErrorKind::Other);
        let (error, close) = if too_large {
            (Error::payload_too_large(limits::FRAME_BYTES), Close::TooLarge)
        } else if self.limit_state.status() == FrameStatus::ConnectionLost {
            return ctx.stop();
        } else if bad_text {
            (Error::invalid_request("Text must be UTF-8."), Close::BadText)
        } else {
            (Error::invalid_request("This is not a WebSocket frame."), Close::Abuse)
        };
        self.refuse(error, Some(close), ctx);
    }
}

impl Actor for Socket {
    type Context = WebsocketContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(limits::SOCKET_MAILBOX);
        self.session = self.start_session.take().map(|start| start(ctx.address().recipient()));
        ctx.run_interval(pings::CHECK_INTERVAL, |socket, ctx| {
            if !socket.is_closed
                && let Some(ping) = socket.pings.begin_ping_if_due(Instant::now())
            {
                ctx.ping(&ping);
            }
        });
    }

    fn stopping(&mut self, _: &mut Self::Context) -> Running {
        if let Some(session) = &self.session {
            send_always(session, FromTransport::Closed);
        }
        Running::Stop
    }
}

impl StreamHandler<Result<Message, ProtocolError>> for Socket {
    fn handle(&mut self, item: Result<Message, ProtocolError>, ctx: &mut Self::Context) {
        self.limit_state.note_handled();
        match item {
            Ok(Message::Text(text)) => {
                let bytes: Bytes = text.into_bytes();
                self.text(&bytes, ctx);
            }
            Ok(Message::Binary(_)) => self.binary(ctx),
            Ok(Message::Continuation(item)) => self.fragment(item, ctx),
            Ok(Message::Ping(payload)) => {
                // Copy the payload, because it is a slice and would keep everything that was read with it in memory.
                let answer = Some(Bytes::copy_from_slice(&payload));
                self.send_to_session(FromTransport::Control { answer }, ctx);
            }
            Ok(Message::Pong(payload)) => {
                // A pong without a ping is allowed (RFC 6455, section 5.5.3), but it is charged and gets no answer.
                let acknowledged = self.pings.note_pong(&payload).map(FromTransport::Acknowledged);
                self.send_to_session(acknowledged.unwrap_or(FromTransport::Control { answer: None }), ctx);
            }
            Ok(Message::Close(_)) => self.close(Close::Normal, ctx),
            Ok(Message::Nop) => {}
            Err(error) => self.handle_codec_error(&error, ctx),
        }
    }

    fn finished(&mut self, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

impl Handler<ToTransport> for Socket {
    type Result = ();

    fn handle(&mut self, message: ToTransport, ctx: &mut Self::Context) {
        if self.is_closed {
            return;
        }
        let bytes = message.bytes();
        match message {
            ToTransport::Text(text) => ctx.text(text),
            ToTransport::Batch(batch) => {
                for envelope in &batch.envelopes {
                    ctx.text(envelope.text.clone());
                }
            }
            ToTransport::ControlAnswer(payload) => ctx.pong(&payload),
            ToTransport::Close(close) => return self.close(close, ctx),
        }
        if let Some(ping) = self.pings.note_written(bytes, Instant::now()) {
            ctx.ping(&ping);
        }
    }
}
