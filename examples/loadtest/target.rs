//! The server under load: started for the run or already running, and what the kernel tells of its memory and
//! processor time.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::Result;
use crate::options::{Options, loopback, loopback_host};

/// The first argument with which this tool is the server instead. It is nobody's to type: cargo does not build the program
/// `greenroom` for an example, so the tool starts itself, and runs the library that the program runs.
pub const SERVE: &str = "serve-for-loadtest";
/// Ticks of the kernel's processor clock in a second, as `/proc` shows it on Linux.
const TICKS_PER_SECOND: f64 = 100.0;
/// How long a start or a stop may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the load goes.
#[derive(Debug)]
pub struct Target {
    /// The server's address.
    pub address: SocketAddr,
    /// For the calls that prepare the run.
    pub http: reqwest::Client,
    pid: Option<u32>,
    own: Option<Own>,
}

/// A server that was started for this run. Dropping it ends the process and removes its folder.
#[derive(Debug)]
struct Own {
    child: Child,
    program: PathBuf,
    argument: &'static str,
    environment: Vec<(String, String)>,
    folder: TempDir,
}

impl Target {
    /// The server that the options name, ready for traffic.
    pub async fn open(options: &Options) -> Result<Self> {
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
        if let Some(url) = &options.url {
            let target = Self { address: loopback(url)?, http, pid: options.pid, own: None };
            target.wait_until_ready().await?;
            return Ok(target);
        }
        if let Some(url) = &options.database_url
            && !url.starts_with("sqlite:")
        {
            loopback_host(&url::Url::parse(url)?)?;
        }
        let (program, argument) = match &options.server {
            // It starts in a folder of its own, where a relative path would lead elsewhere.
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
        let own = Some(Own { child, program, argument, environment, folder });
        let target = Self { address: ([127, 0, 0, 1], port).into(), http, pid, own };
        target.wait_until_ready().await?;
        Ok(target)
    }

    /// A URL under the API.
    pub fn api(&self, path: &str) -> String {
        format!("http://{}/api/v1{path}", self.address)
    }

    /// Stops the tool's own server and starts it afresh on the same data, so that what came before leaves no trace in its
    /// memory. Returns false for a server that is not the tool's.
    pub async fn restart(&mut self) -> Result<bool> {
        let Some(own) = &mut self.own else { return Ok(false) };
        Command::new("sh").arg("-c").arg(format!("kill -TERM {}", own.child.id())).status()?;
        let started = Instant::now();
        while own.child.try_wait()?.is_none() {
            if started.elapsed() > PATIENCE {
                return Err("the server does not stop".into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        own.child = serve(&own.program, own.argument, &own.environment, own.folder.path())?;
        self.pid = Some(own.child.id());
        self.wait_until_ready().await?;
        Ok(true)
    }

    /// [`Self::restart`] with the limits of the contract, which the tool's own server is otherwise without.
    pub async fn restart_limited(&mut self) -> Result<bool> {
        if let Some(own) = &mut self.own {
            own.environment.retain(|(name, _)| !name.starts_with("GREENROOM_LIMIT_"));
        }
        self.restart().await
    }

    /// Resident memory of the server in bytes, where its process is known.
    pub fn resident_bytes(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid?)).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kib * 1024)
    }

    /// Processor time that the server used so far, in seconds, where its process is known.
    pub fn cpu_seconds(&self) -> Option<f64> {
        cpu_seconds(&self.pid?.to_string())
    }

    async fn wait_until_ready(&self) -> Result<()> {
        let url = format!("http://{}/health/ready", self.address);
        let started = Instant::now();
        loop {
            if self.http.get(&url).send().await.is_ok_and(|answer| answer.status() == 200) {
                return Ok(());
            }
            if started.elapsed() > PATIENCE {
                let log = self.own.as_ref().map(|own| fs::read_to_string(own.folder.path().join("log")));
                let log = log.and_then(std::result::Result::ok).unwrap_or_default();
                return Err(format!("the server at {} is not ready\n{log}", self.address).into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // An error means that it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Processor time that this tool used so far, in seconds.
pub fn own_cpu_seconds() -> f64 {
    cpu_seconds("self").unwrap_or_default()
}

fn cpu_seconds(process: &str) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name in parentheses may contain anything, so count from behind it: user and system time are 12th and 13th.
    let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(ticks as f64 / TICKS_PER_SECOND)
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
        let (name, value) = setting.split_once('=').ok_or_else(|| format!("{setting} is not NAME=VALUE"))?;
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
        // A `.env` file of the place where the tool runs is not meant for this server.
        .current_dir(folder)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    Ok(child)
}
