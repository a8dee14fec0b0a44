//! Outputs that cannot be written: closed, full, or without a reader. Only the lines that cannot be written are lost:
//! the server starts, answers, and ends with status 0.

use crate::support::process::{free_port, program};
use crate::support::{DEADLINE, Target, TestDatabase, TestUser};
use std::fs::File;
use std::io::{BufRead, BufReader, PipeReader, Read, pipe};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Instant;
use tempfile::TempDir;

/// A server whose outputs the test chooses.
struct Server {
    child: Child,
    target: Target,
    _folder: TempDir,
    _database: Arc<TestDatabase>,
}

impl Server {
    /// Starts the server and does not wait for it. Each of `settings` is an environment variable.
    async fn spawn(stdout: Stdio, stderr: Stdio, settings: &[(&str, &str)]) -> Self {
        let database = TestDatabase::create().await;
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

    async fn wait_until_ready(&mut self) {
        let started = Instant::now();
        while !self.target.is_ready().await {
            let ended = self.child.try_wait().expect("the child can be polled");
            assert!(ended.is_none(), "the server ended at its start: {ended:?}");
            assert!(started.elapsed() < DEADLINE * 3, "the server is not ready");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// Checks that the server answers calls and opens a socket.
    async fn check_calls(&self) {
        let ada = TestUser::register(&self.target, &format!("ada{}", uuid::Uuid::new_v4().simple())[..20]).await;
        ada.get("/users/me").await.expect(200);
        ada.get("/conversations/x").await.refused(400, "invalid_request");
        ada.connect().await;
    }

    /// Sends SIGTERM and returns the exit status.
    async fn stop(&mut self) -> ExitStatus {
        let sent = std::process::Command::new("sh").arg("-c").arg(format!("kill -TERM {}", self.child.id())).status();
        assert!(sent.is_ok_and(|status| status.success()), "the signal is sent");
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("the child can be polled") {
                return status;
            }
            assert!(started.elapsed() < DEADLINE, "the server does not stop after SIGTERM");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An error means that the server has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a server with both outputs in one pipe, as with `2>&1 |`.
async fn start_with_pipe(settings: &[(&str, &str)]) -> (Server, PipeReader) {
    let (reader, writer) = pipe().expect("a pipe");
    let server = Server::spawn(writer.try_clone().expect("a second handle").into(), writer.into(), settings).await;
    (server, reader)
}

type MakeOutput = fn() -> Stdio;

fn full_device() -> Stdio {
    File::options().write(true).open("/dev/full").expect("/dev/full").into()
}

fn closed_pipe() -> Stdio {
    let (reader, writer) = pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

#[tokio::test]
async fn the_server_continues_when_its_log_reader_ends_after_three_lines() {
    let (mut server, reader) = start_with_pipe(&[]).await;
    // The reader closes the pipe when it is dropped, as `head -3` does.
    let lines: Vec<_> = BufReader::new(reader).lines().take(3).collect();
    assert!(lines.len() == 3 && lines.iter().all(Result::is_ok), "{lines:?}");
    server.wait_until_ready().await;
    server.check_calls().await;
    assert_eq!(server.stop().await.code(), Some(0));
}

#[tokio::test]
async fn the_server_starts_and_answers_with_full_or_closed_outputs() {
    let cases: [(&str, MakeOutput, MakeOutput); 5] = [
        ("the error output on a full device", Stdio::null, full_device),
        ("the output on a closed pipe", closed_pipe, Stdio::null),
        ("the output on a full device", full_device, Stdio::null),
        ("the error output on a closed pipe", Stdio::null, closed_pipe),
        ("both on a closed pipe", closed_pipe, closed_pipe),
    ];
    for (what, stdout, stderr) in cases {
        eprintln!("{what}");
        let mut server = Server::spawn(stdout(), stderr(), &[]).await;
        server.wait_until_ready().await;
        server.check_calls().await;
        assert_eq!(server.stop().await.code(), Some(0), "{what}");
    }
}

#[tokio::test]
async fn a_log_reader_that_stops_reading_blocks_no_caller() {
    // With `trace` the lines of a few calls fill any pipe.
    let (mut server, mut reader) = start_with_pipe(&[("GREENROOM_LOG", "trace")]).await;
    server.wait_until_ready().await;
    for _ in 0..20 {
        server.check_calls().await;
    }
    assert_eq!(server.stop().await.code(), Some(0));
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).expect("the rest of the pipe");
    assert!(bytes.len() >= 4096, "the pipe was full: {} bytes", bytes.len());
}

#[tokio::test]
async fn the_last_lines_are_written_before_the_server_ends() {
    let (mut server, mut reader) = start_with_pipe(&[]).await;
    server.wait_until_ready().await;
    server.check_calls().await;
    assert_eq!(server.stop().await.code(), Some(0));
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("UTF-8");
    assert!(text.contains("Greenroom is open at http://") && text.contains("stopping"), "{text}");
}

#[tokio::test]
async fn a_failed_start_writes_the_reason_as_the_last_line_if_it_can_and_ends_with_status_1() {
    let settings = [("DATABASE_URL", "postgres://ada:hunter2@127.0.0.1:9/chat")];
    for (stderr, readable) in [(Stdio::piped as MakeOutput, true), (full_device, false), (closed_pipe, false)] {
        let mut server = Server::spawn(Stdio::null(), stderr(), &settings).await;
        let mut text = String::new();
        if let Some(mut errors) = server.child.stderr.take() {
            errors.read_to_string(&mut text).expect("UTF-8");
        }
        let status = server.child.wait().expect("the process ends");
        assert_eq!(status.code(), Some(1), "{text}");
        let last = text.lines().last().unwrap_or_default();
        assert_eq!(last.starts_with("greenroom: ") && last.contains("127.0.0.1:9"), readable, "{text}");
    }
}

#[tokio::test]
async fn a_command_completes_its_work_when_its_output_has_no_reader() {
    let folder = TempDir::new().expect("a folder");
    let run = |arguments: &[&str], stdout: Stdio| {
        let mut command = program(folder.path(), &[]);
        command.args(arguments).stdout(stdout).stderr(Stdio::piped()).output().expect("the program runs")
    };
    for arguments in
        [&["--help"][..], &["openapi"], &["migrate", "up"], &["user", "create", "ada"], &["token", "issue", "ada"]]
    {
        let output = run(arguments, closed_pipe());
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), errors.as_ref()), (Some(0), ""), "{arguments:?}");
    }
    let list = run(&["user", "list"], Stdio::piped());
    assert!(String::from_utf8_lossy(&list.stdout).contains("ada"), "the account was created");
    // A full output loses the result of the command, so the command fails.
    for arguments in [&["--help"][..], &["user", "list"], &["token", "issue", "ada"]] {
        let output = run(arguments, full_device());
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {errors}");
        assert!(errors.starts_with("greenroom: ") && errors.lines().count() == 1, "{errors}");
    }
}
