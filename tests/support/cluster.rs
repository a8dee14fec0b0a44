//! A PostgreSQL server of one test, for failures of the whole server: a standby that does not answer, a failover.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::process::free_port;

/// A running PostgreSQL server. Dropping it stops it; the caller owns its folder.
#[derive(Debug)]
pub struct Cluster {
    data: PathBuf,
    port: u16,
}

/// Creates a folder that the user of PostgreSQL can read and write.
pub fn cluster_folder() -> TempDir {
    let folder = TempDir::with_prefix("greenroom-cluster-").expect("a temporary folder");
    if is_root() {
        run(Command::new("chown").arg("postgres").arg(folder.path()));
    }
    folder
}

impl Cluster {
    /// Starts a new and empty server with its files in `folder` and with these settings (`name=value`).
    pub fn start(folder: &Path, settings: &[&str]) -> Self {
        let data = folder.join("first");
        let mut initdb = postgres_command("initdb");
        initdb.args(["--no-sync", "-U", "greenroom", "-E", "UTF8", "--locale=C", "--auth=trust", "-D"]).arg(&data);
        run(&mut initdb);
        Self::serve(data, free_port(), settings)
    }

    /// Copies the files of this server into `folder`, for [`Self::fail_over`].
    pub fn copy(&self, folder: &Path) -> PathBuf {
        let data = folder.join("second");
        let mut copy = postgres_command("pg_basebackup");
        copy.args(["-h", "127.0.0.1", "-U", "greenroom", "-p", &self.port.to_string(), "-c", "fast", "-X", "stream"]);
        copy.arg("-R").arg("-D").arg(&data);
        run(&mut copy);
        data
    }

    /// Stops this server as a crash does. A standby with the files of `copy`, which has applied nothing since, becomes
    /// the primary at the same address.
    pub fn fail_over(&mut self, copy: PathBuf) {
        self.stop();
        *self = Self::serve(copy, self.port, &[]);
        run(postgres_command("pg_ctl").args(["promote", "-w", "-D"]).arg(&self.data));
    }

    fn serve(data: PathBuf, port: u16, settings: &[&str]) -> Self {
        let options: Vec<String> = settings.iter().map(|setting| format!("-c {setting}")).collect();
        let options = format!(
            "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={} -c fsync=off -c max_connections=100 {}",
            data.parent().expect("a parent folder").display(),
            options.join(" ")
        );
        let mut start = postgres_command("pg_ctl");
        start.args(["start", "-w", "-t", "60", "-s", "-o", &options, "-l"]).arg(data.join("log")).arg("-D").arg(&data);
        run(&mut start);
        Self { data, port }
    }

    /// Stops the server without a checkpoint, as a crash does.
    pub fn stop(&self) {
        let _ = postgres_command("pg_ctl").args(["stop", "-m", "immediate", "-w", "-D"]).arg(&self.data).status();
    }

    /// Returns the address of a database on this server.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://greenroom@127.0.0.1:{}/{database}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Returns a command for a program of PostgreSQL that runs as the user `postgres` where this process is root.
fn postgres_command(program: &str) -> Command {
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

/// Returns the folder of the newest version that is installed, or the one that `POSTGRES_BIN` names.
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
