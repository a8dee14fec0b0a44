//! The listener: HTTP/1 on one address. It is what the framework's own server does, with each connection read through a
//! [`PacedStream`].

use super::connections::Connections;
use super::stream::PacedStream;
use super::{Services, service};
use crate::domain::limits;
use actix_http::HttpService;
use actix_server::Server;
use actix_service::{ServiceFactoryExt, fn_service, map_config};
use actix_web::Error;
use actix_web::dev::AppConfig;
use actix_web::rt::net::TcpStream;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

/// Connections that wait to be accepted: a whole school comes back at once.
const BACKLOG: i32 = 1024;

/// Serves `services` at `address`, with `most` connections at a time; answers with the address that it got. What is under
/// way when the server is told to stop has `last_call` to end.
pub fn listen(
    address: SocketAddr,
    services: Services,
    connections: Connections,
    most: usize,
    last_call: Duration,
) -> io::Result<(Server, SocketAddr)> {
    let listener = bind(address)?;
    let address = listener.local_addr()?;
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    let builder = Server::build()
        .workers(workers)
        .max_concurrent_connections(most.div_ceil(workers))
        .shutdown_timeout(last_call.as_secs())
        .disable_signals();
    let stopping = builder.graceful_shutdown_signal();
    let builder = builder.listen("http", listener, move || {
        let (connections, stopping) = (connections.clone(), stopping.clone());
        let app = map_config(service(services.clone()), |()| AppConfig::default());
        let http = HttpService::build()
            .keep_alive(limits::KEEP_ALIVE)
            .client_request_timeout(limits::HEAD)
            .client_disconnect_timeout(limits::FAREWELL)
            .local_addr(address)
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .on_connect_ext(move |stream: &PacedStream, data| {
                prepare(stream.tcp());
                data.insert(connections.open(stream.tcp(), stream.reading().clone()));
            })
            .h1(app.map_err(|error: Error| error.error_response()));
        fn_service(async |stream: TcpStream| {
            let peer = stream.peer_addr().ok();
            Ok((PacedStream::new(stream), peer))
        })
        .and_then(http)
    })?;
    Ok((builder.run(), address))
}

/// A client that stops reading freezes its socket; the kernel ends the connection then. It would end one that reads slowly,
/// too, if the kernel held more than fits into the window of such a client.
fn prepare(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    let _ = socket.set_tcp_user_timeout(Some(limits::STALLED));
    let _ = socket.set_tcp_notsent_lowat(limits::UNSENT_BYTES);
    let _ = socket.set_tcp_nodelay(true);
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // what the last start left behind on this port does not keep us out
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
