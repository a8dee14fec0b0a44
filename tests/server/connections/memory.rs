//! The memory that a burst used is returned while no client calls.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use crate::support::{TestServer, TestUser, eventually_within};

const MIB: u64 = 1024 * 1024;
/// Bytes of each body: a little fewer than the server accepts.
const BODY_BYTES: usize = 250 * 1024;

/// Sends a call except the last byte of its body, so that the server keeps the body in memory.
fn send_unfinished_call(user: &TestUser) -> TcpStream {
    let mut stream = TcpStream::connect(user.target.address).expect("a connection");
    let head = format!(
        "POST /api/v1/blocks HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: {BODY_BYTES}\r\n\r\n",
        user.access_token
    );
    stream.write_all(head.as_bytes()).expect("the head is sent");
    stream.write_all(&vec![b' '; BODY_BYTES - 1]).expect("the body is taken");
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_of_a_burst_is_returned_while_no_client_calls() {
    let server = TestServer::start().await;
    let mut users = Vec::new();
    for number in 0..20 {
        users.push(server.user(&format!("user-{number}")).await);
    }
    let allocated = || server.process().allocated_bytes();
    let before = allocated();
    let streams: Vec<TcpStream> = users.iter().flat_map(|user| (0..24).map(|_| send_unfinished_call(user))).collect();
    let expected = before + (streams.len() * BODY_BYTES) as u64 * 3 / 4;
    eventually_within(Duration::from_mins(1), "the bodies are in memory", async || allocated() > expected).await;
    let full = allocated();
    drop(streams);
    // Freed memory is returned after about ten seconds. The deadline is longer, so that only a hanging test meets it.
    let limit = before + 32 * MIB;
    eventually_within(Duration::from_mins(1), "memory is returned", async || allocated() < limit).await;
    eprintln!("MiB: {} before, {} full, {} after", before / MIB, full / MIB, allocated() / MIB);
}
