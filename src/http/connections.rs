//! The connections of this node: how many there are, and since when nobody has called on each. The framework has limits for
//! the first head on a connection and for silence between calls, but none for a later head that does not end; that one, and
//! everything else that holds a connection without a call, is closed from here.

use super::stream::Reading;
use crate::domain::limits;
use crate::supervision::Part;
use actix_web::HttpRequest;
use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::middleware::Next;
use actix_web::rt::net::TcpStream;
use bytes::Bytes;
use socket2::{SockRef, Socket};
use std::collections::HashMap;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// How often connections are looked at.
const SWEEP: Duration = Duration::from_secs(5);
/// Without a call for this long: the framework closes those that are silent before, so what is left is a head that does not
/// end, or a body that nobody reads.
const WITHOUT_CALL: Duration = limits::KEEP_ALIVE.saturating_add(limits::HEAD);

/// How long the log is silent about a node that is still, or again, full.
const TOLD_AGAIN: Duration = Duration::from_mins(10);

/// All of them, cheap to clone.
#[derive(Clone)]
pub struct Connections(Arc<Shared>);

struct Shared {
    most: usize,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    /// Those that may carry a call; one that became a socket has left.
    waiting: HashMap<u64, Entry>,
    opened: u64,
    count: usize,
    /// When the log last said that no more fit.
    told: Option<Instant>,
}

struct Entry {
    /// A second handle, by which it is closed.
    socket: Socket,
    calls: usize,
    since: Instant,
}

/// One of them; it is over when this is dropped.
pub struct Connection {
    all: Connections,
    number: u64,
    reading: Arc<Reading>,
}

/// A call under way, its answer's body included.
struct Call(Connections, u64);

impl Connections {
    /// None yet, and room for `most`.
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Shared { most, book: Mutex::default() }))
    }

    /// Enters a new one, of which `reading` counts what is read before the first call.
    pub fn open(&self, stream: &TcpStream, reading: Arc<Reading>) -> Connection {
        let mut book = self.book();
        book.opened += 1;
        book.count += 1;
        let number = book.opened;
        if let Ok(socket) = SockRef::from(stream).try_clone() {
            book.waiting.insert(number, Entry { socket, calls: 0, since: Instant::now() });
        }
        if book.count >= self.0.most && book.told.is_none_or(|told| told.elapsed() > TOLD_AGAIN) {
            book.told = Some(Instant::now());
            tracing::warn!(connections = book.count, "no more connections fit; new ones wait until others end");
        }
        Connection { all: self.clone(), number, reading }
    }

    /// Closes those on which nobody calls, for ever.
    pub async fn sweep(self, part: Part) {
        let close = async || loop {
            tokio::time::sleep(SWEEP).await;
            self.close_silent();
        };
        while part.run(close()).await.is_err() {}
    }

    fn close_silent(&self) {
        let book = self.book();
        let silent = book.waiting.values().filter(|entry| entry.calls == 0 && entry.since.elapsed() > WITHOUT_CALL);
        for entry in silent {
            // one that has ended meanwhile cannot be closed, and need not be
            let _ = entry.socket.shutdown(Shutdown::Both);
        }
    }

    /// Reads nothing more of what the client of `req` sends: its connection is over as soon as the answer is out.
    pub fn stop_reading(req: &HttpRequest) {
        let Some(connection) = req.conn_data::<Connection>() else { return };
        // one that has ended meanwhile reads nothing anyway
        connection.all.call(connection.number, |entry| drop(entry.socket.shutdown(Shutdown::Read)));
    }

    fn call(&self, number: u64, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.book().waiting.get_mut(&number) {
            change(entry);
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut book = self.all.book();
        book.waiting.remove(&self.number);
        book.count -= 1;
    }
}

impl Call {
    fn begin(connection: &Connection) -> Self {
        connection.reading.called();
        connection.all.call(connection.number, |entry| entry.calls += 1);
        Self(connection.all.clone(), connection.number)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.0.call(self.1, |entry| {
            entry.calls -= 1;
            entry.since = Instant::now();
        });
    }
}

/// Notes a call on its connection until its answer has been handed out.
pub async fn note_call<B: MessageBody>(
    req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<Noted<B>>, actix_web::Error> {
    let call = req.request().conn_data::<Connection>().map(Call::begin);
    let answer = next.call(req).await?;
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS
        && let Some(connection) = answer.request().conn_data::<Connection>()
    {
        // a session looks after it from here on, and the second handle is not needed
        connection.all.book().waiting.remove(&connection.number);
    }
    Ok(answer.map_body(|_, body| Noted { body: Box::pin(body), _call: call }))
}

/// A body that keeps its call noted.
pub struct Noted<B> {
    body: Pin<Box<B>>,
    _call: Option<Call>,
}

impl<B: MessageBody> MessageBody for Noted<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        self.body.as_mut().poll_next(cx)
    }
}
