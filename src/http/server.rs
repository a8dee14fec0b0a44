//! The HTTP/1 server on one address. It is set up like the server of actix, but reads each connection through a
//! [`PacedConnection`].

use super::connections::Connections;
use super::paced_connection::PacedConnection;
use super::successor::Successor;
use super::upgrade;
use super::{HttpServices, service};
use crate::domain::limits;
use actix_http::HttpService;
use actix_server::Server;
use actix_service::{Service, ServiceFactory, ServiceFactoryExt, apply_fn_factory, fn_factory, fn_service, map_config};
use actix_web::Error;
use actix_web::dev::AppConfig;
use actix_web::rt::net::TcpStream;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::cell::RefCell;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;

/// Starts the server at `address`, with at most `max_connections` connections at a time. Returns the server and the
/// address that it listens at. When the server stops, calls in progress have [`limits::SHUTDOWN_TIMEOUT`] to end.
///
/// # Panics
///
/// Never: a worker creates the service before it accepts a connection.
pub fn listen(
    address: SocketAddr,
    services: HttpServices,
    connections: Connections,
    max_connections: usize,
) -> io::Result<(Server, SocketAddr)> {
    let listener = bind(address)?;
    let address = listener.local_addr()?;
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    let builder = Server::build()
        .workers(workers)
        .max_concurrent_connections(max_connections.div_ceil(workers))
        .shutdown_timeout(limits::SHUTDOWN_TIMEOUT.as_secs())
        .disable_signals();
    let stopping = builder.graceful_shutdown_signal();
    let builder = builder.listen("http", listener, move || {
        let (connections, stopping) = (connections.clone(), stopping.clone());
        let app = map_config(service(services.clone()), |()| AppConfig::default());
        let app = app.map_err(|error: Error| error.error_response());
        // Requests that ask for another protocol use the same instance as all others.
        let shared = Rc::new(RefCell::new(None));
        let for_upgrades = shared.clone();
        let http = HttpService::build()
            .keep_alive(limits::KEEP_ALIVE)
            .client_request_timeout(limits::HEAD_DEADLINE)
            .client_disconnect_timeout(limits::CLOSE_DEADLINE)
            .local_addr(address)
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .on_connect_ext(move |connection: &PacedConnection, data| {
                set_options(connection.tcp());
                data.insert(connections.open(connection.tcp(), connection.head_progress().clone()));
            })
            .upgrade(fn_service(move |request| {
                let app = for_upgrades.borrow().clone();
                upgrade::answer(app.expect("the service exists before a request"), request)
            }))
            .h1(fn_factory(move || {
                let (creation, shared) = (app.new_service(()), shared.clone());
                async move {
                    let app = Rc::new(creation.await?);
                    shared.replace(Some(app.clone()));
                    Ok::<_, ()>(app)
                }
            }));
        apply_fn_factory(http, |stream: TcpStream, http| {
            let (peer, successor) = (stream.peer_addr().ok(), Successor::default());
            // The state of the framework is larger than that of a WebSocket. It is in a box, so that it can be freed.
            let call = Box::pin(http.call((PacedConnection::new(stream, successor.clone()), peer)));
            async move {
                call.await?;
                successor.run().await;
                Ok(())
            }
        })
    })?;
    Ok((builder.run(), address))
}

/// Sets the options of a connection. The kernel ends the connection of a client that has stopped reading. If the kernel
/// held more bytes than fit into the window of a slow client, it would end the connection of such a client too.
fn set_options(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    let _ = socket.set_tcp_user_timeout(Some(limits::STALL_TIMEOUT));
    let _ = socket.set_tcp_notsent_lowat(limits::UNSENT_BYTES);
    let _ = socket.set_tcp_nodelay(true);
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Without this option, connections of the last process on this port could prevent the start.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(limits::CONNECTION_BACKLOG)?;
    Ok(socket.into())
}
