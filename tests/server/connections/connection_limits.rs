//! The limits on connections: on unauthenticated sockets, and on all connections by the number of descriptors.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use greenroom::domain::limits;
use tempfile::TempDir;

use crate::support::process::{free_port, program};
use crate::support::{Target, TestDatabase, TestServer, TestUser, eventually};

const HANDSHAKE: &str = "GET /ws HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n";

/// Opens a socket that sends no credential. Returns it with the status of the answer to its handshake.
fn open_unauthenticated(target: &Target) -> (TcpStream, u16) {
    let mut stream = TcpStream::connect(target.address).unwrap();
    stream.set_read_timeout(Some(crate::support::DEADLINE)).unwrap();
    stream.write_all(HANDSHAKE.as_bytes()).unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).unwrap();
    let status = std::str::from_utf8(&start[9..]).unwrap().parse().unwrap();
    (stream, status)
}

#[tokio::test]
async fn unauthenticated_sockets_of_one_address_are_limited() {
    let server = TestServer::start().await;
    let ada = server.user("ada").await;
    let mut held = Vec::new();
    for number in 0..limits::UNAUTHENTICATED_SOCKETS_PER_ADDRESS {
        let (stream, status) = open_unauthenticated(server.target());
        assert_eq!(status, 101, "number {number}");
        held.push(stream);
    }
    assert_eq!(open_unauthenticated(server.target()).1, 503);
    let url = format!("{}/ws", server.target().origin);
    let refused = server.target().http.get(url).header("upgrade", "websocket").send().await.unwrap();
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(refused.json::<serde_json::Value>().await.unwrap()["code"], "busy");
    // A client with a token in its handshake needs none of these permits.
    ada.connect().await;
    held.truncate(limits::UNAUTHENTICATED_SOCKETS_PER_ADDRESS / 2);
    eventually("permits are returned", async || open_unauthenticated(server.target()).1 == 101).await;
}

/// A server that was started by a shell, which has set limits on descriptors.
struct LimitedServer {
    child: Child,
    target: Target,
    folder: TempDir,
}

impl Drop for LimitedServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl LimitedServer {
    async fn start(database: &TestDatabase, ulimit: &str) -> Self {
        let (folder, port) = (TempDir::new().unwrap(), free_port());
        let mut environment = vec![
            ("GREENROOM_PORT".to_owned(), port.to_string()),
            ("GREENROOM_AUTO_MIGRATE".to_owned(), "true".to_owned()),
            ("GREENROOM_LIMIT_AUTH_PER_MINUTE".to_owned(), "0".to_owned()),
        ];
        environment.extend(database.url().map(|url| ("DATABASE_URL".to_owned(), url)));
        let serve = program(folder.path(), &environment);
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("{ulimit} && exec \"$0\" serve")).arg(serve.get_program());
        for (name, value) in serve.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let log = File::create(folder.path().join("log")).unwrap();
        command.current_dir(folder.path()).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let server = Self { child: command.spawn().unwrap(), target: Target::new(port), folder };
        eventually("the server is ready", async || server.target.is_ready().await).await;
        server
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

fn count_lines(log: &str, words: &str) -> usize {
    log.lines().filter(|line| line.contains(words)).count()
}

#[tokio::test]
async fn a_server_without_free_descriptors_keeps_running_and_logs_it_once() {
    let database = TestDatabase::create().await;
    let server = LimitedServer::start(&database, "ulimit -n 256").await;
    let ada = TestUser::register(&server.target, "ada").await;
    let bob = TestUser::register(&server.target, "bob").await;
    let direct = ada.direct(&bob).await;
    let (mut sender, mut receiver) = (ada.connect().await, bob.connect().await);

    let connections: Vec<TcpStream> = (0..400).map(|_| TcpStream::connect(server.target.address).unwrap()).collect();
    eventually("the log says that all connections are in use", async || {
        count_lines(&server.log(), "all connections are in use") == 1
    })
    .await;
    // The open sockets are not affected.
    sender.send_message(&direct, "hello").await;
    assert_eq!(receiver.expect("message.new").await["payload"]["message"]["content"], "hello");

    drop(connections);
    eventually("new connections are accepted again", async || {
        Target::new(server.target.address.port()).is_ready().await
    })
    .await;
    ada.send(&direct, "still here").await;
    let log = server.log();
    assert_eq!(count_lines(&log, "few descriptors"), 1, "{log}");
    assert_eq!(count_lines(&log, "all connections are in use"), 1, "{log}");
    assert_eq!(count_lines(&log, "ERROR"), 0, "{log}");
}

#[tokio::test]
async fn the_soft_limit_on_descriptors_is_raised_to_the_hard_one() {
    let database = TestDatabase::create().await;
    let server = LimitedServer::start(&database, "ulimit -Sn 256").await;
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.child.id())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let numbers: Vec<&str> = line.split_whitespace().skip(3).take(2).collect();
    assert_eq!(numbers[0], numbers[1], "{line}");
    assert_ne!(numbers[0], "256");
}
