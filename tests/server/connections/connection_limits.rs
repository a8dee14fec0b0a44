//! More connections than there is room for: of those that do not say whose they are, and of any kind.

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

/// A socket that does not say whose it is, and the status of the answer to its handshake.
fn stranger(target: &Target) -> (TcpStream, u16) {
    let mut stream = TcpStream::connect(target.address).unwrap();
    stream.set_read_timeout(Some(crate::support::DEADLINE)).unwrap();
    stream.write_all(HANDSHAKE.as_bytes()).unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).unwrap();
    let status = std::str::from_utf8(&start[9..]).unwrap().parse().unwrap();
    (stream, status)
}

#[tokio::test]
async fn sockets_that_have_not_signed_in_are_bounded() {
    let server = TestServer::start().await;
    let ada = server.user("ada").await;
    let mut held = Vec::new();
    for number in 0..limits::UNAUTHENTICATED_SOCKETS_PER_ADDRESS {
        let (stream, status) = stranger(server.target());
        assert_eq!(status, 101, "number {number}");
        held.push(stream);
    }
    assert_eq!(stranger(server.target()).1, 503);
    let url = format!("{}/ws", server.target().origin);
    let refused = server.target().http.get(url).header("upgrade", "websocket").send().await.unwrap();
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(refused.json::<serde_json::Value>().await.unwrap()["code"], "busy");
    // whoever brings a token in the handshake needs none of these places
    ada.connect().await;
    held.truncate(limits::UNAUTHENTICATED_SOCKETS_PER_ADDRESS / 2);
    eventually("places are given back", async || stranger(server.target()).1 == 101).await;
}

/// A server that was started by a shell which set limits on descriptors.
struct Limited {
    child: Child,
    target: Target,
    folder: TempDir,
}

impl Drop for Limited {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Limited {
    async fn start(database: &TestDatabase, ulimit: &str) -> Self {
        let (folder, port) = (TempDir::new().unwrap(), free_port());
        let mut environment = vec![
            ("GREENROOM_PORT".to_owned(), port.to_string()),
            ("GREENROOM_AUTO_MIGRATE".to_owned(), "true".to_owned()),
            ("GREENROOM_LIMIT_AUTH_PER_MINUTE".to_owned(), "0".to_owned()),
        ];
        environment.extend(database.url().map(|url| ("DATABASE_URL".to_owned(), url)));
        let known = program(folder.path(), &environment);
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("{ulimit} && exec \"$0\" serve")).arg(known.get_program());
        for (name, value) in known.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let log = File::create(folder.path().join("log")).unwrap();
        command.current_dir(folder.path()).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let limited = Self { child: command.spawn().unwrap(), target: Target::new(port), folder };
        eventually("the server is ready", async || limited.target.is_ready().await).await;
        limited
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

fn count(log: &str, words: &str) -> usize {
    log.lines().filter(|line| line.contains(words)).count()
}

#[tokio::test]
async fn a_server_that_runs_out_of_descriptors_lives_on_and_says_so_once() {
    let database = TestDatabase::fresh().await;
    let server = Limited::start(&database, "ulimit -n 256").await;
    let ada = TestUser::register(&server.target, "ada").await;
    let bob = TestUser::register(&server.target, "bob").await;
    let room = ada.direct(&bob).await;
    let (mut from, mut to) = (ada.connect().await, bob.connect().await);

    let crowd: Vec<TcpStream> = (0..400).map(|_| TcpStream::connect(server.target.address).unwrap()).collect();
    eventually("the log says that all connections are in use", async || {
        count(&server.log(), "all connections are in use") == 1
    })
    .await;
    // whoever is in notices nothing
    from.say(&room, "hello").await;
    assert_eq!(to.expect("message.new").await["payload"]["message"]["content"], "hello");

    drop(crowd);
    eventually("others are let in again", async || Target::new(server.target.address.port()).is_ready().await).await;
    ada.send(&room, "still here").await;
    let log = server.log();
    assert_eq!(count(&log, "few descriptors"), 1, "{log}");
    assert_eq!(count(&log, "all connections are in use"), 1, "{log}");
    assert_eq!(count(&log, "ERROR"), 0, "{log}");
}

#[tokio::test]
async fn the_soft_limit_on_descriptors_is_raised_to_the_hard_one() {
    let database = TestDatabase::fresh().await;
    let server = Limited::start(&database, "ulimit -Sn 256").await;
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.child.id())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let numbers: Vec<&str> = line.split_whitespace().skip(3).take(2).collect();
    assert_eq!(numbers[0], numbers[1], "{line}");
    assert_ne!(numbers[0], "256");
}
