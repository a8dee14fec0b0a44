//! Connections that are held by saying nothing, or very little: each ends by itself, whatever its client does.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use greenroom::domain::limits;

use crate::support::TestServer;

/// Against hanging only.
const PATIENCE: Duration = Duration::from_mins(3);

fn connected(server: &TestServer) -> TcpStream {
    let stream = TcpStream::connect(server.target().address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Everything until the server closes.
fn until_closed(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    match stream.read_to_end(&mut all) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("the server holds the connection: {error}"),
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// One call on a connection that stays open.
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
async fn a_head_that_does_not_end_is_answered_and_its_connection_closed() {
    let server = TestServer::start().await;
    let mut stream = connected(&server);
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nx-slow: ").unwrap();
    let answer = until_closed(&mut stream);
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer:?}");
    let mut silent = connected(&server);
    until_closed(&mut silent);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: waits for limits of up to a minute and a half"]
async fn long_a_connection_without_a_call_ends_whatever_it_says() {
    let server = TestServer::start().await;
    let mut waiting = Vec::new();
    // silent after a call; a later head that does not end; and one that goes on letter by letter
    for (said, goes_on) in
        [("", false), ("GET / HTTP/1.1\r\nhost: x\r\nx-slow: ", false), ("GET / HTTP/1.1\r\nx: ", true)]
    {
        let mut stream = connected(&server);
        waiting.push(std::thread::spawn(move || {
            call(&mut stream);
            stream.write_all(said.as_bytes()).unwrap();
            let mut other = stream.try_clone().unwrap();
            let started = Instant::now();
            while goes_on && started.elapsed() < PATIENCE && other.write_all(b"x").is_ok() {
                std::thread::sleep(Duration::from_secs(1));
            }
            until_closed(&mut stream);
            assert!(started.elapsed() < PATIENCE, "{said:?} holds its connection");
        }));
    }
    // a body that trickles
    let user = server.user("ada").await;
    let mut stream = connected(&server);
    waiting.push(std::thread::spawn(move || {
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
        let answer = until_closed(&mut stream);
        assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("too slowly"), "{answer}");
        writer.join().unwrap();
    }));
    for thread in waiting {
        tokio::task::spawn_blocking(move || thread.join().unwrap()).await.unwrap();
    }
}
