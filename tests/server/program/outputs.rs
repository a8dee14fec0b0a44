//! Outputs that cannot be written: closed, full, or read by nobody any more. A line that an output does not take is
//! lost, and nothing else: the server starts, answers, and ends with 0.

use crate::support::process::{free_port, program};
use crate::support::{DEADLINE, Target, TestDatabase, TestUser};
use std::fs::File;
use std::io::{BufRead, BufReader, PipeReader, Read, pipe};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Instant;
use tempfile::TempDir;

/// A server whose outputs the test holds.
struct Server {
    child: Child,
    target: Target,
    _folder: TempDir,
    _database: Arc<TestDatabase>,
}

impl Server {
    /// Starts it without waiting for anything; each of `settings` is a variable.
    async fn spawn(stdout: Stdio, stderr: Stdio, settings: &[(&str, &str)]) -> Self {
        let database = TestDatabase::fresh().await;
        let folder = TempDir::new().expect("a folder");
        let port = free_port();
        let mut environment = vec![
            ("GREENROOM_PORT".to_owned(), port.to_string()),
            ("GREENROOM_AUTO_MIGRATE".to_owned(), "true".to_owned()),
            ("GREENROOM_LIMIT_AUTH_PER_MINUTE".to_owned(), "0".to_owned()),
            ("GREENROOM_LIMIT_API_PER_SECOND".to_owned(), "0".to_owned()),
        ];
        environment.extend(database.url().map(|url| ("DATABASE_URL".to_owned(), url)));
        environment.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let mut command = program(folder.path(), &environment);
        let child = command.arg("serve").stdin(Stdio::null()).stdout(stdout).stderr(stderr).spawn();
        Self {
            child: child.expect("the program starts"),
            target: Target::new(port),
            _folder: folder,
            _database: database,
        }
    }

    async fn ready(&mut self) {
        let started = Instant::now();
        while !self.target.is_ready().await {
            let ended = self.child.try_wait().expect("the child can be asked");
            assert!(ended.is_none(), "the server ended at its start: {ended:?}");
            assert!(started.elapsed() < DEADLINE * 3, "the server is not ready");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// Calls of every kind are answered.
    async fn serves(&self) {
        let ada = TestUser::register(&self.target, &format!("ada{}", uuid::Uuid::new_v4().simple())[..20]).await;
        ada.get("/users/me").await.expect(200);
        ada.get("/conversations/x").await.refused(400, "invalid_request");
        ada.connect().await;
    }

    /// SIGTERM, and how it ended.
    async fn stop(&mut self) -> ExitStatus {
        let sent = std::process::Command::new("sh").arg("-c").arg(format!("kill -TERM {}", self.child.id())).status();
        assert!(sent.is_ok_and(|status| status.success()), "the signal is sent");
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("the child can be asked") {
                return status;
            }
            assert!(started.elapsed() < DEADLINE, "the server does not stop after SIGTERM");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // an error means that it ended before
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Both outputs go into one pipe, as with `2>&1 |`.
async fn piped(settings: &[(&str, &str)]) -> (Server, PipeReader) {
    let (reader, writer) = pipe().expect("a pipe");
    let server = Server::spawn(writer.try_clone().expect("a second handle").into(), writer.into(), settings).await;
    (server, reader)
}

type MakeOutput = fn() -> Stdio;

fn full() -> Stdio {
    File::options().write(true).open("/dev/full").expect("/dev/full").into()
}

fn closed() -> Stdio {
    let (reader, writer) = pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

#[tokio::test]
async fn a_reader_that_leaves_after_three_lines_ends_nothing() {
    let (mut server, reader) = piped(&[]).await;
    // the reader closes the pipe when it is dropped, as `head -3` does
    let lines: Vec<_> = BufReader::new(reader).lines().take(3).collect();
    assert!(lines.len() == 3 && lines.iter().all(Result::is_ok), "{lines:?}");
    server.ready().await;
    server.serves().await;
    assert_eq!(server.stop().await.code(), Some(0));
}

#[tokio::test]
async fn with_full_or_closed_outputs_the_server_starts_and_lives() {
    let cases: [(&str, MakeOutput, MakeOutput); 5] = [
        ("the error output on a full device", Stdio::null, full),
        ("the output on a closed pipe", closed, Stdio::null),
        ("the output on a full device", full, Stdio::null),
        ("the error output on a closed pipe", Stdio::null, closed),
        ("both on a closed pipe", closed, closed),
    ];
    for (what, stdout, stderr) in cases {
        eprintln!("{what}");
        let mut server = Server::spawn(stdout(), stderr(), &[]).await;
        server.ready().await;
        server.serves().await;
        assert_eq!(server.stop().await.code(), Some(0), "{what}");
    }
}

#[tokio::test]
async fn a_reader_that_stops_holds_nobody() {
    // trace: the lines of a few calls fill any pipe
    let (mut server, mut reader) = piped(&[("GREENROOM_LOG", "trace")]).await;
    server.ready().await;
    for _ in 0..20 {
        server.serves().await;
    }
    assert_eq!(server.stop().await.code(), Some(0));
    let mut taken = Vec::new();
    reader.read_to_end(&mut taken).expect("what the pipe held");
    assert!(taken.len() >= 4096, "the pipe was full: {} bytes", taken.len());
}

#[tokio::test]
async fn the_last_lines_come_out_before_the_end() {
    let (mut server, mut reader) = piped(&[]).await;
    server.ready().await;
    server.serves().await;
    assert_eq!(server.stop().await.code(), Some(0));
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("UTF-8");
    assert!(text.contains("Greenroom is open at http://") && text.contains("stopping"), "{text}");
}

#[tokio::test]
async fn a_failed_start_says_so_behind_its_log_and_ends_with_one_also_where_nobody_hears_it() {
    let settings = [("DATABASE_URL", "postgres://ada:hunter2@127.0.0.1:9/chat")];
    for (stderr, heard) in [(Stdio::piped as MakeOutput, true), (full, false), (closed, false)] {
        let mut server = Server::spawn(Stdio::null(), stderr(), &settings).await;
        let mut text = String::new();
        if let Some(mut errors) = server.child.stderr.take() {
            errors.read_to_string(&mut text).expect("UTF-8");
        }
        let status = server.child.wait().expect("it ends");
        assert_eq!(status.code(), Some(1), "{text}");
        let last = text.lines().last().unwrap_or_default();
        assert_eq!(last.starts_with("greenroom: ") && last.contains("127.0.0.1:9"), heard, "{text}");
    }
}

#[tokio::test]
async fn a_command_whose_reader_left_did_what_it_was_asked_for() {
    let folder = TempDir::new().expect("a folder");
    let run = |arguments: &[&str], stdout: Stdio| {
        let mut command = program(folder.path(), &[]);
        command.args(arguments).stdout(stdout).stderr(Stdio::piped()).output().expect("the program runs")
    };
    for arguments in
        [&["--help"][..], &["openapi"], &["migrate", "up"], &["user", "create", "ada"], &["token", "issue", "ada"]]
    {
        let output = run(arguments, closed());
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), complaints.as_ref()), (Some(0), ""), "{arguments:?}");
    }
    let list = run(&["user", "list"], Stdio::piped());
    assert!(String::from_utf8_lossy(&list.stdout).contains("ada"), "the account was made");
    // what was asked for is not there, so the command did not succeed
    for arguments in [&["--help"][..], &["user", "list"], &["token", "issue", "ada"]] {
        let output = run(arguments, full());
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {complaints}");
        assert!(complaints.starts_with("greenroom: ") && complaints.lines().count() == 1, "{complaints}");
    }
}
