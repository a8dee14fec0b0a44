//! Memory that a burst took comes back while nobody calls.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use crate::support::{TestServer, TestUser, eventually_within};

const MIB: u64 = 1024 * 1024;
/// Bytes of each body, just under what is taken.
const BODY: usize = 250 * 1024;

/// A call whose body has all come but for its last byte, so that the server holds it.
fn held(user: &TestUser) -> TcpStream {
    let mut stream = TcpStream::connect(user.target.address).expect("a connection");
    let head = format!(
        "POST /api/v1/blocks HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: {BODY}\r\n\r\n",
        user.access_token
    );
    stream.write_all(head.as_bytes()).expect("the head is sent");
    stream.write_all(&vec![b' '; BODY - 1]).expect("the body is taken");
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_comes_back_while_nobody_calls() {
    let server = TestServer::start().await;
    let mut users = Vec::new();
    for number in 0..20 {
        users.push(server.user(&format!("user-{number}")).await);
    }
    let allocated = || server.process().allocated_bytes();
    let before = allocated();
    let streams: Vec<TcpStream> = users.iter().flat_map(|user| (0..24).map(|_| held(user))).collect();
    let most = before + (streams.len() * BODY) as u64 * 3 / 4;
    eventually_within(Duration::from_mins(1), "the bodies are held", async || allocated() > most).await;
    let full = allocated();
    drop(streams);
    // a deadline against hanging: freed memory goes back about ten seconds after it was freed
    let back = before + 32 * MIB;
    eventually_within(Duration::from_mins(1), "memory is given back", async || allocated() < back).await;
    eprintln!("MiB: {} before, {} full, {} after", before / MIB, full / MIB, allocated() / MIB);
}
