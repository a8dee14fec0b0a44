//! A child process of the real program: started with a clean environment, its output kept, gone when dropped.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

/// Lines of the log that are shown when a test fails.
const LOG_LINES_SHOWN: usize = 60;

/// A running server program.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `greenroom serve` in `folder`; what it prints is appended to `log`. A `launcher` is a shell script that ends
    /// with `exec "$@"`, so that the process id stays.
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

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the child can be asked")
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill_nine(&mut self) {
        // An error means that it ended by itself before, which the caller learns from what follows.
        let _ = self.child.kill();
        self.child.wait().expect("the child is reaped");
    }

    /// Sends SIGTERM and returns at once.
    pub fn terminate(&self) {
        let sent = Command::new("sh").arg("-c").arg(format!("kill -TERM {}", self.id())).status();
        assert!(sent.is_ok_and(|status| status.success()), "the signal is sent");
    }

    /// SIGTERM, and time to end in: a process that is killed leaves no record of what it ran through.
    fn stop_gently(&mut self) {
        let patience = std::time::Instant::now() + super::DEADLINE;
        if self.ended().is_none() {
            self.terminate();
        }
        while self.ended().is_none() && std::time::Instant::now() < patience {
            std::thread::sleep(super::POLL);
        }
    }

    /// Resident memory in bytes, as the kernel counts it now.
    pub fn resident_bytes(&self) -> u64 {
        resident_bytes(self.id())
    }

    /// The same without the pages of the program itself: what was allocated and not given back.
    pub fn allocated_bytes(&self) -> u64 {
        memory(self.id(), "RssAnon:")
    }
}

/// Resident memory in bytes of the process with this id, as the kernel counts it now.
pub fn resident_bytes(id: u32) -> u64 {
    memory(id, "VmRSS:")
}

fn memory(id: u32, kind: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).expect("the process is alive");
    let line = status.lines().find(|line| line.starts_with(kind)).expect("the kernel tells it");
    let kib: u64 = line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number");
    kib * 1024
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::env::var_os("GREENROOM_TEST_STOP").is_some_and(|how| how == "gently") {
            self.stop_gently();
        }
        self.kill_nine();
        if std::thread::panicking() {
            let text = fs::read_to_string(&self.log).unwrap_or_default();
            let skipped = text.lines().count().saturating_sub(LOG_LINES_SHOWN);
            eprintln!("--- the end of the server's log ---");
            text.lines().skip(skipped).for_each(|line| eprintln!("{line}"));
        }
    }
}

/// The program under test with nothing inherited that could configure it: neither variables nor a `.env` file.
/// `GREENROOM_TEST_PROGRAM` names another build of it, a release or an installed one; else it is the one that cargo
/// built beside the tests.
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

/// A port on the loopback address that was free a moment ago. It is taken from below the range that the kernel gives
/// to outgoing connections: there a client that calls while the server is down could be given the server's own port,
/// connect to itself and keep the server from coming back.
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
