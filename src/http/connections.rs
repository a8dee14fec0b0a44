//! Counts the connections of this node, and closes those that have had no call for too long.
//!
//! The framework has limits for the first head of a connection and for the time between two calls, but none for a later
//! head that does not end. Such connections, and all others that are open without a call, are closed here.

use super::paced_connection::HeadProgress;
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
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// The time between two checks of all connections.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// The time without a call after which a connection is closed. The framework closes silent connections earlier, so the
/// others have a head that does not end, or a body that no handler reads.
const MAX_IDLE: Duration = limits::KEEP_ALIVE.saturating_add(limits::HEAD_DEADLINE);

/// The open TCP connections of this node. It is cheap to clone.
#[derive(Clone)]
pub struct Connections(Arc<SharedTable>);

struct SharedTable {
    /// The most connections at a time.
    max: usize,
    table: Mutex<ConnectionTable>,
}

#[derive(Default)]
struct ConnectionTable {
    /// The connections on which HTTP calls are possible. A connection that became a WebSocket is not one of them.
    http: HashMap<u64, HttpConnection>,
    /// The number of connections since the start.
    opened: u64,
    /// The number of connections now, with WebSockets.
    count: usize,
    /// The time of the last warning that the node has no free connections.
    warned_at: Option<Instant>,
}

struct HttpConnection {
    /// A second handle, with which the connection is closed.
    close_handle: Socket,
    /// The number of calls in progress.
    calls: usize,
    /// The time when the connection was opened or when its last call ended.
    idle_since: Instant,
}

/// The entry of one connection. The connection is not counted any more when this is dropped.
pub struct ConnectionEntry {
    connections: Connections,
    number: u64,
    head_progress: Arc<HeadProgress>,
}

/// Counts a call as in progress until this is dropped, after the body of the answer. It keeps the entry of the
/// connection, because the framework does not serve a WebSocket as long as its body lasts.
struct CallGuard(Rc<ConnectionEntry>);

impl Connections {
    /// Returns an empty table for at most `max` connections.
    pub fn new(max: usize) -> Self {
        Self(Arc::new(SharedTable { max, table: Mutex::default() }))
    }

    /// Adds a new connection. `head_progress` counts its bytes before the first call.
    pub fn open(&self, stream: &TcpStream, head_progress: Arc<HeadProgress>) -> Rc<ConnectionEntry> {
        let mut table = self.lock_table();
        table.opened += 1;
        table.count += 1;
        let number = table.opened;
        if let Ok(close_handle) = SockRef::from(stream).try_clone() {
            table.http.insert(number, HttpConnection { close_handle, calls: 0, idle_since: Instant::now() });
        }
        if table.count >= self.0.max
            && table.warned_at.is_none_or(|at| at.elapsed() > limits::CONNECTIONS_WARNING_PAUSE)
        {
            table.warned_at = Some(Instant::now());
            tracing::warn!(connections = table.count, "all connections are in use; new ones wait until others end");
        }
        Rc::new(ConnectionEntry { connections: self.clone(), number, head_progress })
    }

    /// Closes connections that have had no call for too long. The function never returns.
    pub async fn close_idle(self, part: Part) {
        let close = async || loop {
            tokio::time::sleep(CHECK_INTERVAL).await;
            self.close_idle_once();
        };
        while part.catch_panic_and_pause(close()).await.is_err() {}
    }

    fn close_idle_once(&self) {
        let table = self.lock_table();
        let idle = table.http.values().filter(|entry| entry.calls == 0 && entry.idle_since.elapsed() > MAX_IDLE);
        for entry in idle {
            // An error means that the connection has ended meanwhile.
            let _ = entry.close_handle.shutdown(Shutdown::Both);
        }
    }

    /// Stops reading from the client of `req`. Its connection ends as soon as the answer is sent.
    pub fn stop_reading(req: &HttpRequest) {
        let Some(entry) = req.conn_data::<Rc<ConnectionEntry>>() else { return };
        // An error means that the connection has ended meanwhile.
        entry.connections.update(entry.number, |entry| drop(entry.close_handle.shutdown(Shutdown::Read)));
    }

    fn update(&self, number: u64, change: impl FnOnce(&mut HttpConnection)) {
        if let Some(entry) = self.lock_table().http.get_mut(&number) {
            change(entry);
        }
    }

    fn lock_table(&self) -> MutexGuard<'_, ConnectionTable> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ConnectionEntry {
    fn drop(&mut self) {
        let mut table = self.connections.lock_table();
        table.http.remove(&self.number);
        table.count -= 1;
    }
}

impl CallGuard {
    fn new(entry: &Rc<ConnectionEntry>) -> Self {
        entry.head_progress.complete();
        entry.connections.update(entry.number, |entry| entry.calls += 1);
        Self(entry.clone())
    }
}

impl Drop for CallGuard {
    fn drop(&mut self) {
        self.0.connections.update(self.0.number, |entry| {
            entry.calls -= 1;
            entry.idle_since = Instant::now();
        });
    }
}

/// Middleware: counts a call as in progress until the body of its answer is sent.
pub async fn count_call<B: MessageBody>(
    req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<CountedBody<B>>, actix_web::Error> {
    let call = req.request().conn_data::<Rc<ConnectionEntry>>().map(CallGuard::new);
    let answer = next.call(req).await?;
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS
        && let Some(entry) = answer.request().conn_data::<Rc<ConnectionEntry>>()
    {
        // The session closes the connection from now on, so the second handle is not needed.
        entry.connections.lock_table().http.remove(&entry.number);
    }
    Ok(answer.map_body(|_, body| CountedBody { body: Box::pin(body), _call: call }))
}

/// The body of an answer. Its call is counted as in progress until the body is dropped.
pub struct CountedBody<B> {
    body: Pin<Box<B>>,
    _call: Option<CallGuard>,
}

impl<B: MessageBody> MessageBody for CountedBody<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        self.body.as_mut().poll_next(cx)
    }
}
