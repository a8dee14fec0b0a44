//! A child process of the built program: it has a clean environment, its output is kept, and dropping it kills it.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

/// The number of log lines that are shown when a test fails.
const LOG_LINES_SHOWN: usize = 60;

/// A running server program.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `greenroom serve` in `folder` and appends its output to `log`. A `launcher` is a shell script that ends
    /// with `exec "$@"`, so that the process id stays the same.
    pub fn serve(folder: &Path, environment: &[(String, String)], log: &Path, launcher: Option<&str>) -> Self {
        let output = File::options().create(true).append(true).open(log).expect("the log file opens");
        let mut command = program(folder, environment);
        if let Some(script) = launcher {
            let served = command.get_program().to_owned();
            command = with_environment(Command::new("bash"), folder, environment);
            command.args(["-c", script, "launcher"]).arg(served);
        }
        let child = command
            .arg("serve")
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a second handle"))
            .stderr(output)
            .spawn()
            .expect("the program starts");
        Self { child, log: log.to_owned() }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the exit status if the process has ended.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the state of the child is known")
    }

    /// Sends SIGKILL and waits until the process has ended.
    pub fn kill(&mut self) {
        // An error means that the process has ended before. The caller notices that in its next call.
        let _ = self.child.kill();
        self.child.wait().expect("the child ends");
    }

    /// Sends SIGTERM and returns immediately.
    pub fn terminate(&self) {
        let sent = Command::new("sh").arg("-c").arg(format!("kill -TERM {}", self.id())).status();
        assert!(sent.is_ok_and(|status| status.success()), "the signal is sent");
    }

    /// Sends SIGTERM and waits: a killed process does not write its coverage counters.
    fn stop_with_sigterm(&mut self) {
        let deadline = std::time::Instant::now() + super::DEADLINE;
        if self.exit_status().is_none() {
            self.terminate();
        }
        while self.exit_status().is_none() && std::time::Instant::now() < deadline {
            std::thread::sleep(super::POLL);
        }
    }

    /// Returns the resident memory in bytes.
    pub fn resident_bytes(&self) -> u64 {
        resident_bytes(self.id())
    }

    /// Returns the resident memory without the pages of the program itself, in bytes: the memory that was allocated and
    /// not returned.
    pub fn allocated_bytes(&self) -> u64 {
        memory(self.id(), "RssAnon:")
    }
}

/// Returns the resident memory of a process in bytes.
pub fn resident_bytes(id: u32) -> u64 {
    memory(id, "VmRSS:")
}

fn memory(id: u32, kind: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).expect("the process is alive");
    let line = status.lines().find(|line| line.starts_with(kind)).expect("the kernel reports it");
    let kib: u64 = line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number");
    kib * 1024
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::env::var_os("GREENROOM_TEST_STOP").is_some_and(|signal| signal == "sigterm") {
            self.stop_with_sigterm();
        }
        self.kill();
        if std::thread::panicking() {
            let text = fs::read_to_string(&self.log).unwrap_or_default();
            let skipped = text.lines().count().saturating_sub(LOG_LINES_SHOWN);
            eprintln!("--- the end of the server's log ---");
            text.lines().skip(skipped).for_each(|line| eprintln!("{line}"));
        }
    }
}

/// Returns a command for the program under test, which inherits no variables and no `.env` file that could configure
/// it. `GREENROOM_TEST_PROGRAM` names another build, for example a release; otherwise it is the one that cargo built
/// beside the tests.
pub fn program(folder: &Path, environment: &[(String, String)]) -> Command {
    let other = std::env::var_os("GREENROOM_TEST_PROGRAM");
    let program = other.unwrap_or_else(|| env!("CARGO_BIN_EXE_greenroom").into());
    with_environment(Command::new(program), folder, environment)
}

fn with_environment(mut command: Command, folder: &Path, environment: &[(String, String)]) -> Command {
    for (name, _) in std::env::vars() {
        if name.starts_with("GREENROOM_") || name == "DATABASE_URL" || name == "REDIS_URL" {
            command.env_remove(name);
        }
    }
    command.current_dir(folder).envs(environment.iter().map(|(name, value)| (name, value)));
    command
}

/// Returns a port of the loopback address that was free a moment ago. It is below the range of outgoing connections: in
/// that range a client that connects while the server is down could get the server's own port, connect to itself and
/// prevent the restart.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let offset = u16::try_from(std::process::id() % 18_000).expect("it fits");
    for _ in 0..18_000 {
        let step = NEXT.fetch_add(7, Ordering::Relaxed) % 18_000;
        let port = 12_000 + (offset + step) % 18_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between 12000 and 30000");
}
