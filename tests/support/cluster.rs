//! A PostgreSQL of a test's own, for what happens to a whole server: a standby that does not answer, a failover.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::process::free_port;

/// A running PostgreSQL server; dropping it stops it. Its folder is kept by whoever made it.
#[derive(Debug)]
pub struct Cluster {
    data: PathBuf,
    port: u16,
}

/// Where servers keep their files: readable by the user that PostgreSQL runs as.
pub fn place() -> TempDir {
    let folder = TempDir::with_prefix("greenroom-cluster-").expect("a temporary folder");
    if is_root() {
        run(Command::new("chown").arg("postgres").arg(folder.path()));
    }
    folder
}

impl Cluster {
    /// A new and empty server with its files in `place`, with these settings (`name=value`).
    pub fn start(place: &Path, settings: &[&str]) -> Self {
        let data = place.join("first");
        let mut initdb = owned("initdb");
        initdb.args(["--no-sync", "-U", "greenroom", "-E", "UTF8", "--locale=C", "--auth=trust", "-D"]).arg(&data);
        run(&mut initdb);
        Self::serve(data, free_port(), settings)
    }

    /// A copy of this server's files as they are now, in `place`; see [`Self::take_over`].
    pub fn copy(&self, place: &Path) -> PathBuf {
        let data = place.join("second");
        let mut copy = owned("pg_basebackup");
        copy.args(["-h", "127.0.0.1", "-U", "greenroom", "-p", &self.port.to_string(), "-c", "fast", "-X", "stream"]);
        copy.arg("-R").arg("-D").arg(&data);
        run(&mut copy);
        data
    }

    /// Stops at once, as a crash does. A standby with the files of `copy`, which has applied nothing since, takes over: it
    /// becomes the primary and answers at the same address.
    pub fn take_over(&mut self, copy: PathBuf) {
        self.stop();
        *self = Self::serve(copy, self.port, &[]);
        run(owned("pg_ctl").args(["promote", "-w", "-D"]).arg(&self.data));
    }

    fn serve(data: PathBuf, port: u16, settings: &[&str]) -> Self {
        let options: Vec<String> = settings.iter().map(|setting| format!("-c {setting}")).collect();
        let options = format!(
            "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={} -c fsync=off -c max_connections=100 {}",
            data.parent().expect("a folder in the place").display(),
            options.join(" ")
        );
        let mut start = owned("pg_ctl");
        start.args(["start", "-w", "-t", "60", "-s", "-o", &options, "-l"]).arg(data.join("log")).arg("-D").arg(&data);
        run(&mut start);
        Self { data, port }
    }

    /// Stops it at once, as a crash does; nobody notices who is not connected.
    pub fn stop(&self) {
        let _ = owned("pg_ctl").args(["stop", "-m", "immediate", "-w", "-D"]).arg(&self.data).status();
    }

    /// The address of a database on it.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://greenroom@127.0.0.1:{}/{database}", self.port)
    }

    /// The port on which it listens.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A program of PostgreSQL, run as the user it wants to run as.
fn owned(program: &str) -> Command {
    let program = binaries().join(program);
    let mut command = if is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("id runs");
    id.stdout.starts_with(b"0")
}

/// The newest version that is installed, or the one that `POSTGRES_BIN` names.
fn binaries() -> PathBuf {
    if let Some(folder) = std::env::var_os("POSTGRES_BIN") {
        return folder.into();
    }
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let number = |path: &PathBuf| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
    let newest = versions.map(|entry| entry.path()).max_by_key(number);
    newest.expect("PostgreSQL is installed, or POSTGRES_BIN names its programs").join("bin")
}

fn run(command: &mut Command) {
    let status = command.status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
}
