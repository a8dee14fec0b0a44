//! Clients that keep a connection and send no data, or very little: the server ends each such connection.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use greenroom::domain::limits;

use crate::support::TestServer;

/// The longest wait for the server. Only a server that keeps the connection reaches it.
const MAX_WAIT: Duration = Duration::from_mins(3);

fn connect(server: &TestServer) -> TcpStream {
    let stream = TcpStream::connect(server.target().address).unwrap();
    stream.set_read_timeout(Some(MAX_WAIT)).unwrap();
    stream
}

/// Reads until the server closes the connection, and returns what it sent.
fn read_until_closed(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("the server keeps the connection: {error}"),
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Makes a call on a connection that stays open.
fn call(stream: &mut TcpStream) {
    stream.write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    let head = String::from_utf8(answer).unwrap().to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
    stream.read_exact(&mut vec![0; length]).unwrap();
}

#[tokio::test]
async fn an_unfinished_head_is_answered_and_its_connection_is_closed() {
    let server = TestServer::start().await;
    let mut stream = connect(&server);
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nx-slow: ").unwrap();
    let answer = read_until_closed(&mut stream);
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer:?}");
    let mut silent = connect(&server);
    read_until_closed(&mut silent);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: waits for limits of up to a minute and a half"]
async fn long_a_connection_without_a_finished_call_ends_whatever_the_client_sends() {
    let server = TestServer::start().await;
    let mut threads = Vec::new();
    // After a call, the client sends no data, or a head that does not end, or such a head letter by letter.
    for (start, goes_on) in
        [("", false), ("GET / HTTP/1.1\r\nhost: x\r\nx-slow: ", false), ("GET / HTTP/1.1\r\nx: ", true)]
    {
        let mut stream = connect(&server);
        threads.push(std::thread::spawn(move || {
            call(&mut stream);
            stream.write_all(start.as_bytes()).unwrap();
            let mut other = stream.try_clone().unwrap();
            let started = Instant::now();
            while goes_on && started.elapsed() < MAX_WAIT && other.write_all(b"x").is_ok() {
                std::thread::sleep(Duration::from_secs(1));
            }
            read_until_closed(&mut stream);
            assert!(started.elapsed() < MAX_WAIT, "a client that sent {start:?} keeps its connection");
        }));
    }
    // The client sends a body very slowly.
    let user = server.user("ada").await;
    let mut stream = connect(&server);
    threads.push(std::thread::spawn(move || {
        let head = format!(
            "POST /api/v1/blocks HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
             content-length: 1000\r\n\r\n",
            user.access_token
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut other = stream.try_clone().unwrap();
        let writer = std::thread::spawn(move || {
            let started = Instant::now();
            while started.elapsed() < limits::BODY_DEADLINE * 2 && other.write_all(b" ").is_ok() {
                std::thread::sleep(Duration::from_secs(1));
            }
        });
        let answer = read_until_closed(&mut stream);
        assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("did not arrive in time"), "{answer}");
        writer.join().unwrap();
    }));
    for thread in threads {
        tokio::task::spawn_blocking(move || thread.join().unwrap()).await.unwrap();
    }
}
