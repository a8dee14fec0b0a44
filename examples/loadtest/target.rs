//! The server under load, which the tool starts or which is running already, and its memory and processor time as the
//! kernel reports them.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use greenroom::backends::descriptors;
use tempfile::TempDir;

use crate::Result;
use crate::options::{Options, loopback_address, loopback_host};
use crate::processes;

/// The first argument with which this executable runs as a server. Only the tool itself uses it: cargo does not build
/// the program `greenroom` for an example, so the tool starts its own executable, which contains the same library.
pub const SERVE: &str = "serve-for-loadtest";
/// The longest time for a start, a stop, or one call.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The connections of the tool beside its sockets, for calls.
const OTHER_CONNECTIONS: usize = 16;

/// The server under load.
#[derive(Debug)]
pub struct Target {
    pub address: SocketAddr,
    /// The client for the calls that prepare the run.
    pub http: reqwest::Client,
    pid: Option<u32>,
    database: DatabaseProcess,
    own: Option<OwnServer>,
}

/// The processes in which the database of the server runs.
#[derive(Clone, Copy, Debug)]
enum DatabaseProcess {
    /// SQLite, which is a part of the server.
    InServer,
    /// The process with this id, and those that it started.
    Tree(u32),
    Unknown,
}

/// A server that the tool has started. Dropping it ends the process and removes the folder.
#[derive(Debug)]
struct OwnServer {
    child: Child,
    program: PathBuf,
    argument: &'static str,
    environment: Vec<(String, String)>,
    folder: TempDir,
}

impl Target {
    /// Starts the server, or uses the one that the options name, and waits until it is ready.
    pub async fn open(options: &Options) -> Result<Self> {
        let http = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build()?;
        let database = DatabaseProcess::find(options)?;
        if let Some(url) = &options.url {
            let target = Self { address: loopback_address(url)?, http, pid: options.pid, database, own: None };
            target.wait_until_ready().await?;
            return Ok(target);
        }
        if let Some(url) = &options.database_url
            && !url.starts_with("sqlite:")
        {
            loopback_host(&url::Url::parse(url)?)?;
        }
        require_descriptors(options.scenario.socket_count())?;
        let (program, argument) = match &options.server {
            // The path becomes absolute, because the server starts in another folder.
            Some(program) => {
                (program.canonicalize().map_err(|error| format!("{}: {error}", program.display()))?, "serve")
            }
            None => (std::env::current_exe()?, SERVE),
        };
        let folder = TempDir::with_prefix("greenroom-load-")?;
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let environment = environment(options, folder.path(), port)?;
        let child = serve(&program, argument, &environment, folder.path())?;
        let pid = Some(child.id());
        let own = Some(OwnServer { child, program, argument, environment, folder });
        let target = Self { address: ([127, 0, 0, 1], port).into(), http, pid, database, own };
        target.wait_until_ready().await?;
        Ok(target)
    }

    /// Returns the URL of a path of the API.
    pub fn api(&self, path: &str) -> String {
        format!("http://{}/api/v1{path}", self.address)
    }

    /// Stops the tool's own server and starts it again on the same data, so that its memory contains nothing of the
    /// preparation. Returns false, and does nothing, if the tool has not started the server.
    pub async fn restart(&mut self) -> Result<bool> {
        let Some(own) = &mut self.own else { return Ok(false) };
        Command::new("sh").arg("-c").arg(format!("kill -TERM {}", own.child.id())).status()?;
        let started = Instant::now();
        while own.child.try_wait()?.is_none() {
            if started.elapsed() > TIMEOUT {
                return Err("the server did not stop in time".into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        own.child = serve(&own.program, own.argument, &own.environment, own.folder.path())?;
        self.pid = Some(own.child.id());
        self.wait_until_ready().await?;
        Ok(true)
    }

    /// Like [`Self::restart`], but with the normal limits of the server, which are off otherwise.
    pub async fn restart_limited(&mut self) -> Result<bool> {
        if let Some(own) = &mut self.own {
            own.environment.retain(|(name, _)| !name.starts_with("GREENROOM_LIMIT_"));
        }
        self.restart().await
    }

    /// Returns the resident memory of the server in bytes, or `None` if its process is not known.
    pub fn resident_bytes(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid?)).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kib * 1024)
    }

    /// Returns the processor time that the server has used, in seconds, or `None` if its process is not known.
    pub fn cpu_seconds(&self) -> Option<f64> {
        processes::cpu_seconds(self.pid?)
    }

    /// Returns the processor time that the processes of the database have used, in seconds, or `None` if they are not
    /// known. It is 0 for SQLite, whose work is in the time of the server.
    pub fn database_cpu_seconds(&self) -> Option<f64> {
        match self.database {
            DatabaseProcess::InServer => Some(0.0),
            DatabaseProcess::Tree(pid) => processes::tree_cpu_seconds(pid),
            DatabaseProcess::Unknown => None,
        }
    }

    async fn wait_until_ready(&self) -> Result<()> {
        let url = format!("http://{}/health/ready", self.address);
        let started = Instant::now();
        loop {
            if self.http.get(&url).send().await.is_ok_and(|answer| answer.status() == 200) {
                return Ok(());
            }
            if started.elapsed() > TIMEOUT {
                let log = self.own.as_ref().map(|own| fs::read_to_string(own.folder.path().join("log")));
                let log = log.and_then(std::result::Result::ok).unwrap_or_default();
                return Err(format!("the server at {} is not ready\n{log}", self.address).into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        // An error means that the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl DatabaseProcess {
    fn find(options: &Options) -> Result<Self> {
        match options.database_pid {
            Some(pid) if processes::cpu_seconds(pid).is_none() => Err(format!("there is no process {pid}").into()),
            Some(pid) => Ok(Self::Tree(pid)),
            None if options.url.is_some() => Ok(Self::Unknown),
            None => match &options.database_url {
                Some(url) if !url.starts_with("sqlite:") => Ok(Self::Unknown),
                _ => Ok(Self::InServer),
            },
        }
    }
}

/// Raises the limit of descriptors of this process, which the server inherits. Fails if the server would not accept
/// `socket_count` sockets: it would leave the others waiting.
fn require_descriptors(socket_count: u32) -> Result<()> {
    let accepted = descriptors::max_connections();
    if socket_count as usize + OTHER_CONNECTIONS <= accepted {
        return Ok(());
    }
    Err(format!(
        "a server on this machine accepts {accepted} connections, too few for {socket_count} sockets: it needs two \
         descriptors for each; raise the hard limit of descriptors (ulimit -Hn)"
    )
    .into())
}

fn environment(options: &Options, folder: &Path, port: u16) -> Result<Vec<(String, String)>> {
    let mut environment: Vec<(String, String)> = [
        ("GREENROOM_HOST", "127.0.0.1".to_owned()),
        ("GREENROOM_PORT", port.to_string()),
        ("GREENROOM_DATA_DIR", folder.join("data").display().to_string()),
        ("GREENROOM_LIMIT_AUTH_PER_MINUTE", "0".to_owned()),
        ("GREENROOM_LIMIT_SENDS_PER_SECOND", "0".to_owned()),
        ("GREENROOM_LIMIT_API_PER_SECOND", "0".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    if let Some(url) = &options.database_url {
        environment.push(("DATABASE_URL".to_owned(), url.clone()));
        environment.push(("GREENROOM_AUTO_MIGRATE".to_owned(), "true".to_owned()));
    }
    for setting in &options.settings {
        let (name, value) = setting.split_once('=').ok_or_else(|| format!("--set {setting}: it must be NAME=VALUE"))?;
        environment.push((name.to_owned(), value.to_owned()));
    }
    Ok(environment)
}

fn serve(program: &Path, argument: &str, environment: &[(String, String)], folder: &Path) -> Result<Child> {
    let log = File::options().create(true).append(true).open(folder.join("log"))?;
    let mut command = Command::new(program);
    for (name, _) in std::env::vars() {
        if name.starts_with("GREENROOM_") || name == "DATABASE_URL" || name == "REDIS_URL" {
            command.env_remove(name);
        }
    }
    let child = command
        .arg(argument)
        // This server must not read a `.env` file in the folder in which the tool runs.
        .current_dir(folder)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    Ok(child)
}
