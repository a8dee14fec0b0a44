//! The socket: bytes to frames and back, and nothing else. It is the context of actix-web-actors, the only file that
//! imports that crate, and it is polled only while the client reads: a stalled client freezes it and its timers, so
//! heartbeat, limits and the decision to close live in the session, and `TCP_USER_TIMEOUT` ends what is frozen.

use crate::domain::codes::Close;
use crate::domain::limits;
use crate::error::Error;
use crate::mailboxes::{FromSocket, ToSocket};
use crate::realtime::frame_limit::{FrameLimit, FrameOutcome, FrameWatch};
use actix::prelude::*;
use actix_http::ws::Item;
use actix_web::web::{Bytes, Payload};
use actix_web::{HttpRequest, HttpResponse};
use actix_web_actors::ws::{self, CloseCode, CloseReason, Message, ProtocolError, WebsocketContext};
use bytestring::ByteString;
use std::io::ErrorKind;
use std::rc::Rc;

/// Messages that wait for a socket: the bytes that a client may leave unread, in frames of 128.
const MAILBOX: usize = limits::UNREAD_BYTES / 128;

/// Starts the session behind a socket, and answers with its mailbox.
type Begin = Box<dyn FnOnce(Recipient<ToSocket>) -> Recipient<FromSocket>>;

/// The actor.
pub struct Socket {
    begin: Option<Begin>,
    session: Option<Recipient<FromSocket>>,
    /// The fragments of a message so far, and whether they are text.
    fragments: Option<(Vec<u8>, bool)>,
    frame_watch: Rc<FrameWatch>,
    closed: bool,
}

/// Upgrades a request. `begin` starts the session; `protocol` is the subprotocol to answer with.
pub fn upgrade(
    request: &HttpRequest,
    payload: Payload,
    protocol: Option<&'static str>,
    begin: impl FnOnce(Recipient<ToSocket>) -> Recipient<FromSocket> + 'static,
) -> Result<HttpResponse, actix_web::Error> {
    let frame_watch = Rc::new(FrameWatch::default());
    let payload = FrameLimit::new(payload, limits::FRAME_BYTES, frame_watch.clone());
    let socket = Socket { begin: Some(Box::new(begin)), session: None, fragments: None, frame_watch, closed: false };
    let offered: &[&str] = protocol.as_slice();
    ws::WsResponseBuilder::new(socket, request, payload).protocols(offered).frame_size(limits::FRAME_BYTES).start()
}

impl Socket {
    fn tell(&mut self, message: FromSocket, ctx: &mut WebsocketContext<Self>) {
        let Some(session) = &self.session else { return };
        match session.try_send(message) {
            Ok(()) => {}
            // the session is behind with this client's own frames: read no further until it has taken this one
            Err(SendError::Full(message)) => {
                session.send(message).into_actor(self).map(|_, _, _| ()).wait(ctx);
            }
            Err(SendError::Closed(_)) => self.close(Close::Restart, ctx),
        }
    }

    fn refuse(&mut self, error: Error, close: Option<Close>, ctx: &mut WebsocketContext<Self>) {
        self.tell(FromSocket::Refused(error, close), ctx);
    }

    fn close(&mut self, why: Close, ctx: &mut WebsocketContext<Self>) {
        if !self.closed {
            self.closed = true;
            let code = CloseCode::from(why.code());
            ctx.close(Some(CloseReason { code, description: Some(why.reason().to_owned()) }));
            ctx.stop();
        }
    }

    fn text(&mut self, bytes: &[u8], ctx: &mut WebsocketContext<Self>) {
        // copied, because a slice would keep the whole read buffer alive while it waits
        match std::str::from_utf8(bytes) {
            Ok(text) => self.tell(FromSocket::Text(ByteString::from(text)), ctx),
            Err(_) => self.refuse(Error::invalid_request("text must be UTF-8"), Some(Close::BadText), ctx),
        }
    }

    fn binary(&mut self, ctx: &mut WebsocketContext<Self>) {
        self.refuse(Error::invalid_request("only text frames are taken; send JSON as text"), None, ctx);
    }

    fn fragment(&mut self, item: Item, ctx: &mut WebsocketContext<Self>) {
        let (bytes, last) = match item {
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
        let Some((gathered, is_text)) = &mut self.fragments else { return };
        if gathered.len() + bytes.len() > limits::FRAME_BYTES {
            self.fragments = None;
            self.refuse(Error::payload_too_large(limits::FRAME_BYTES), Some(Close::TooLarge), ctx);
            return;
        }
        if *is_text {
            gathered.extend_from_slice(&bytes);
        }
        if last && let Some((gathered, is_text)) = self.fragments.take() {
            if is_text { self.text(&gathered, ctx) } else { self.binary(ctx) }
        }
    }
}

impl Socket {
    /// The codec gave up. What it says of the cause is little: bad text and a broken connection look alike to it.
    fn broken(&mut self, error: &ProtocolError, ctx: &mut WebsocketContext<Self>) {
        let too_large =
            matches!(error, ProtocolError::Overflow) || self.frame_watch.outcome() == FrameOutcome::TooLarge;
        let bad_text = matches!(error, ProtocolError::Io(cause) if cause.kind() == ErrorKind::Other);
        let (error, why) = if too_large {
            (Error::payload_too_large(limits::FRAME_BYTES), Close::TooLarge)
        } else if self.frame_watch.outcome() == FrameOutcome::Lost {
            return ctx.stop();
        } else if bad_text {
            (Error::invalid_request("text must be UTF-8"), Close::BadText)
        } else {
            (Error::invalid_request("not a WebSocket frame"), Close::Abuse)
        };
        self.refuse(error, Some(why), ctx);
    }
}

impl Actor for Socket {
    type Context = WebsocketContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        self.session = self.begin.take().map(|begin| begin(ctx.address().recipient()));
    }

    fn stopping(&mut self, _: &mut Self::Context) -> Running {
        if let Some(session) = &self.session {
            session.do_send(FromSocket::Closed); // detach
        }
        Running::Stop
    }
}

impl StreamHandler<Result<Message, ProtocolError>> for Socket {
    fn handle(&mut self, item: Result<Message, ProtocolError>, ctx: &mut Self::Context) {
        self.frame_watch.handled();
        match item {
            Ok(Message::Text(text)) => {
                let bytes: Bytes = text.into_bytes();
                self.text(&bytes, ctx);
            }
            Ok(Message::Binary(_)) => self.binary(ctx),
            Ok(Message::Continuation(item)) => self.fragment(item, ctx),
            // copied, as texts are
            Ok(Message::Ping(payload)) => self.tell(FromSocket::Ping(Bytes::copy_from_slice(&payload)), ctx),
            Ok(Message::Pong(payload)) => {
                let count = <[u8; 8]>::try_from(payload.as_ref()).map(u64::from_be_bytes);
                self.tell(FromSocket::Pong(count.ok()), ctx);
            }
            Ok(Message::Close(_)) => self.close(Close::Normal, ctx),
            Ok(Message::Nop) => {}
            Err(error) => self.broken(&error, ctx),
        }
    }

    fn finished(&mut self, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

impl Handler<ToSocket> for Socket {
    type Result = ();

    fn handle(&mut self, message: ToSocket, ctx: &mut Self::Context) {
        if self.closed {
            return;
        }
        match message {
            ToSocket::Text(text) => ctx.text(text),
            ToSocket::Batch(batch) => {
                for frame in &batch.frames {
                    ctx.text(frame.text.clone());
                }
            }
            ToSocket::Ping(count) => ctx.ping(&count.to_be_bytes()),
            ToSocket::Pong(payload) => ctx.pong(&payload),
            ToSocket::Close(why) => self.close(why, ctx),
        }
    }
}
