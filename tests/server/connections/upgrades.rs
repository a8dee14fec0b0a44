//! Requests that ask for another protocol, at the level of bytes: what comes with them, before them, and their answers.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::support::{DEADLINE, TestServer};

fn connect(server: &TestServer) -> TcpStream {
    let stream = TcpStream::connect(server.target().address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// Returns the head of a request that asks for a WebSocket.
fn request(method_and_path: &str) -> String {
    format!(
        "{method_and_path} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n"
    )
}

/// Returns a masked text frame. Its mask is 0, so the text is readable.
fn frame(text: &str) -> Vec<u8> {
    assert!(text.len() < 126);
    [&[0x81, 0x80 + text.len() as u8, 0, 0, 0, 0], text.as_bytes()].concat()
}

/// Reads until the received bytes contain `text`, and returns all of them as text.
fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut received = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        let so_far = String::from_utf8_lossy(&received).into_owned();
        if so_far.contains(text) {
            return so_far;
        }
        let count = stream.read(&mut chunk).unwrap_or_else(|error| panic!("{error} after {so_far:?}"));
        assert!(count > 0, "the server closed after {so_far:?}");
        received.extend_from_slice(&chunk[..count]);
    }
}

#[tokio::test]
async fn frames_that_come_together_with_the_handshake_are_handled() {
    let server = TestServer::start().await;
    let user = server.user("ada").await;
    let mut bytes = request(&format!("GET /ws?token={}", user.access_token)).into_bytes();
    bytes.extend(frame(r#"{"type":"ping","id":1}"#));
    let second = frame(r#"{"type":"ping","id":2}"#);
    bytes.extend(&second[..10]);
    let mut stream = connect(&server);
    stream.write_all(&bytes).unwrap();
    let answer = read_until(&mut stream, r#""id":1"#);
    assert!(answer.starts_with("HTTP/1.1 101") && answer.contains("auth.success"), "{answer}");
    // The rest of a frame whose begin came with the handshake.
    stream.write_all(&second[10..]).unwrap();
    read_until(&mut stream, r#""id":2"#);
}

#[tokio::test]
async fn a_connection_with_earlier_calls_can_become_a_socket() {
    let server = TestServer::start().await;
    let user = server.user("ada").await;
    let call = "GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut stream = connect(&server);
    stream.write_all(call.as_bytes()).unwrap();
    read_until(&mut stream, "\r\n\r\n");
    // Another call and the handshake come together.
    stream.write_all(format!("{call}{}", request(&format!("GET /ws?token={}", user.access_token))).as_bytes()).unwrap();
    let answers = read_until(&mut stream, "auth.success");
    let (call, handshake) = (answers.find("HTTP/1.1 200"), answers.find("HTTP/1.1 101"));
    assert!(call.is_some() && call < handshake, "{answers}");
}

#[tokio::test]
async fn a_call_that_asks_for_a_socket_elsewhere_is_answered_and_its_connection_ends() {
    let server = TestServer::start().await;
    for (line, status) in
        [("GET /", 200), ("GET /sdk/greenroom.js", 200), ("GET /nowhere", 404), ("POST /api/v1/blocks", 401)]
    {
        let mut stream = connect(&server);
        stream.write_all(request(line).as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
        assert!(head.starts_with(&format!("http/1.1 {status}")), "{line}: {head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
        assert_eq!(answer.len() - end - 4, length.parse::<usize>().unwrap(), "{line}: {head}");
    }
}
