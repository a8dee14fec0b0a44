//! The commands of the program: what they print, how they end, and that a running server obeys what they did.

use crate::support::process::program;
use crate::support::{TestDatabase, TestServer, TestUser, database};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Output, Stdio};
use std::sync::Arc;
use tempfile::TempDir;

/// A folder and a database for commands, without a server.
struct Place {
    environment: Vec<(String, String)>,
    // before the database: on SQLite it is in the folder
    folder: TempDir,
    _database: Arc<TestDatabase>,
}

impl Place {
    /// With an empty database.
    async fn new() -> Self {
        let database = TestDatabase::fresh().await;
        let environment = database.url().map(|url| ("DATABASE_URL".to_owned(), url)).into_iter().collect();
        Self { environment, folder: TempDir::new().expect("a folder"), _database: database }
    }

    /// With a database that has its schema.
    async fn migrated() -> Self {
        let place = Self::new().await;
        succeeded(&place.run(&["migrate", "up"]));
        place
    }

    fn set(mut self, name: &str, value: &str) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    fn run(&self, arguments: &[&str]) -> Output {
        program(self.folder.path(), &self.environment).args(arguments).output().expect("the program runs")
    }

    fn start(&self, arguments: &[&str]) -> Child {
        program(self.folder.path(), &self.environment)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts")
    }
}

/// What a command that succeeded printed.
#[track_caller]
fn succeeded(output: &Output) -> String {
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "the command failed: {complaints}");
    assert_eq!(complaints, "", "a command that succeeds does not complain");
    String::from_utf8(output.stdout.clone()).expect("UTF-8").trim_end().to_owned()
}

/// The one line with which a command ended with `status`.
#[track_caller]
fn complained(output: &Output, status: i32) -> String {
    let complaints = String::from_utf8(output.stderr.clone()).expect("UTF-8");
    assert_eq!(output.status.code(), Some(status), "{complaints}");
    assert_eq!(complaints.lines().count(), 1, "one line is enough: {complaints}");
    assert_eq!(output.stdout, b"", "a command that fails prints nothing else");
    complaints.strip_prefix("greenroom: ").expect("the line says who complains").trim_end().to_owned()
}

/// How many lines begin with `word`.
fn count(text: &str, word: &str) -> usize {
    text.lines().filter(|line| line.starts_with(word)).count()
}

#[tokio::test]
async fn help_teaches_and_is_no_error() {
    let place = Place::new().await;
    let help = succeeded(&place.run(&["--help"]));
    for word in ["serve", "migrate", "user", "token", "openapi", "Examples:"] {
        assert!(help.contains(word), "{word} is missing: {help}");
    }
    assert!(succeeded(&place.run(&["help", "user", "create"])).contains("--password-stdin"));
    assert_eq!(succeeded(&place.run(&["--version"])), format!("greenroom {}", env!("CARGO_PKG_VERSION")));
    assert!(!place.folder.path().join("data").exists(), "help touches nothing");
}

#[tokio::test]
async fn a_wrong_command_line_ends_with_two_and_one_line() {
    let place = Place::new().await;
    let line = complained(&place.run(&["srve"]), 2);
    assert!(line.contains("'srve'") && line.contains("'serve'"), "{line}");
    assert!(complained(&place.run(&["user", "create"]), 2).contains("<USERNAME>"));
    assert!(complained(&place.run(&["migrate"]), 2).contains("greenroom migrate <COMMAND>"));
    assert!(complained(&place.run(&["user", "set-role", "ada", "boss"]), 2).contains("'boss'"));
    complained(&place.run(&["user", "create", "ada", "--password", "long enough", "--password-stdin"]), 2);
    complained(&place.run(&["migrate", "down", "--steps", "0"]), 2);
}

#[tokio::test]
async fn a_wrong_setting_ends_with_two_and_one_line() {
    let place = Place::new().await.set("GREENROOM_PROT", "9000");
    let line = "GREENROOM_PROT in the environment is not a setting. Did you mean GREENROOM_PORT?";
    assert_eq!(complained(&place.run(&[]), 2), line);
    assert_eq!(complained(&place.run(&["user", "list"]), 2), line);
}

#[tokio::test]
async fn a_database_that_is_not_there_ends_with_one_and_without_its_password() {
    let place = Place::new().await.set("DATABASE_URL", "postgres://ada:hunter2@127.0.0.1:9/chat");
    for arguments in [&["serve"][..], &["migrate", "up"], &["user", "list"]] {
        let output = place.run(arguments);
        assert_eq!(output.status.code(), Some(1));
        let complaints = String::from_utf8_lossy(&output.stderr);
        let last = complaints.lines().last().expect("a complaint");
        assert!(last.starts_with("greenroom: ") && last.contains("127.0.0.1:9"), "{complaints}");
        assert!(!complaints.contains("hunter2"), "{complaints}");
    }
}

#[tokio::test]
async fn the_schema_goes_up_and_down_and_up_again() {
    let place = Place::new().await;
    let before = succeeded(&place.run(&["migrate", "status"]));
    let all = count(&before, "pending");
    assert!(all > 2 && count(&before, "applied") == 0, "{before}");

    assert_eq!(count(&succeeded(&place.run(&["migrate", "up"])), "applied"), all);
    assert_eq!(count(&succeeded(&place.run(&["migrate", "status"])), "applied"), all);
    assert_eq!(succeeded(&place.run(&["migrate", "up"])), "There is nothing to do.");

    assert_eq!(count(&succeeded(&place.run(&["migrate", "down", "--steps", "2"])), "reverted"), 2);
    let between = succeeded(&place.run(&["migrate", "status"]));
    assert_eq!((count(&between, "applied"), count(&between, "pending")), (all - 2, 2), "{between}");
    assert_eq!(count(&succeeded(&place.run(&["migrate", "up"])), "applied"), 2);
}

#[tokio::test]
async fn of_nodes_that_migrate_at_once_one_does_it_and_none_fails() {
    let place = Place::new().await;
    let all = count(&succeeded(&place.run(&["migrate", "status"])), "pending");
    let nodes: Vec<_> = (0..4).map(|_| place.start(&["migrate", "up"])).collect();
    let applied: usize =
        nodes.into_iter().map(|node| count(&succeeded(&node.wait_with_output().expect("it ends")), "applied")).sum();
    assert_eq!(applied, all);
}

#[tokio::test]
async fn postgresql_with_an_old_schema_is_refused_with_what_to_run() {
    if !database::runs_on_postgres() {
        eprintln!("left out: SQLite is always migrated (GREENROOM_TEST_DATABASE=postgres runs it)");
        return;
    }
    let place = Place::new().await;
    assert!(complained(&place.run(&["user", "list"]), 1).contains("run: greenroom migrate up"));
    let place = place.set("GREENROOM_AUTO_MIGRATE", "true");
    succeeded(&place.run(&["user", "list"]));
}

#[tokio::test]
async fn what_is_made_for_the_server_is_for_its_owner_alone() {
    let place = Place::migrated().await;
    succeeded(&place.run(&["user", "create", "ada"]));
    succeeded(&place.run(&["token", "issue", "ada"]));
    let mode = |name: &str| {
        let found = fs::metadata(place.folder.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        found.permissions().mode() & 0o777
    };
    assert_eq!(mode("data"), 0o700);
    assert_eq!(mode("data/jwt_secret"), 0o600);
}

#[tokio::test]
async fn accounts_are_made_listed_and_refused() {
    let place = Place::migrated().await;
    let made = succeeded(&place.run(&["user", "create", "ada", "--admin", "--email", "ada@example.org"]));
    let mut lines = made.lines();
    assert!(lines.next().expect("a line").starts_with("created admin ada "), "{made}");
    assert!(lines.next().expect("a line").starts_with("password: "), "{made}");
    let given = succeeded(&place.run(&["user", "create", "bob", "--password", "correct horse"]));
    assert!(!given.contains("correct horse") && given.lines().count() == 1, "{given}");

    assert_eq!(complained(&place.run(&["user", "create", "ADA"]), 1), "This username is taken. Choose another one.");
    assert!(complained(&place.run(&["user", "create", "al"]), 1).contains("username must have 3 to 32 characters"));
    assert!(complained(&place.run(&["user", "create", "eve", "--password", "short"]), 1).contains("password"));
    assert_eq!(complained(&place.run(&["user", "set-role", "eve", "admin"]), 1), "There is no such user.");
    assert_eq!(complained(&place.run(&["token", "issue", "eve"]), 1), "There is no such user.");

    assert_eq!(succeeded(&place.run(&["user", "set-role", "bob", "admin"])), "bob now has the role admin.");
    assert_eq!(succeeded(&place.run(&["user", "set-role", "ada", "user"])), "ada now has the role user.");
    let list = succeeded(&place.run(&["user", "list"]));
    let rows: Vec<Vec<_>> = list.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[1][..4], ["ada", "user", "active", "ada@example.org"], "{list}");
    assert_eq!(rows[2][..4], ["bob", "admin", "active", "-"], "{list}");
    assert_eq!(rows.len(), 3, "{list}");
}

#[tokio::test]
async fn a_running_server_accepts_an_issued_token_and_ends_logins_with_their_password() {
    let server = TestServer::start().await;
    let ada = server.user("ada").await;

    let token = succeeded(&server.run(&["token", "issue", "ada"]));
    assert_eq!(token.split('.').count(), 3, "a token and nothing else: {token}");
    let issued = TestUser { access_token: token, ..ada.clone() };
    assert_eq!(issued.get("/users/me").await.expect(200)["username"], "ada");
    let sessions = ada.get("/auth/sessions").await.expect(200);
    let devices: Vec<_> = sessions["items"].as_array().expect("items").iter().map(|login| &login["device"]).collect();
    assert!(devices.iter().any(|device| *device == "greenroom token issue"), "{sessions}");

    succeeded(&server.run(&["user", "set-password", "ada", "--password", "a new password"]));
    crate::support::eventually("both logins have ended", async || {
        ada.get("/users/me").await.status == 401 && issued.get("/users/me").await.status == 401
    })
    .await;
    let sign_in = |password: &str| serde_json::json!({ "login": "ada", "password": password });
    let target = server.target();
    assert_eq!(target.post("/auth/login", sign_in(crate::support::PASSWORD)).await.status, 401);
    assert_eq!(target.post("/auth/login", sign_in("a new password")).await.status, 200);
}

#[tokio::test]
async fn the_api_describes_itself() {
    let place = Place::new().await;
    let document: serde_json::Value = serde_json::from_str(&succeeded(&place.run(&["openapi"]))).expect("JSON");
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["paths"]["/auth/register"]["post"].is_object(), "{document}");
}

/// Starts a server in the place, and stops it when it is open.
async fn served(place: &Place) -> Output {
    let port = crate::support::process::free_port().to_string();
    let mut server = program(place.folder.path(), &place.environment)
        .env("GREENROOM_PORT", &port)
        .env("GREENROOM_AUTO_MIGRATE", "true")
        .arg("serve")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let address = format!("127.0.0.1:{port}");
    crate::support::eventually("the server is open", async || {
        std::net::TcpStream::connect(&address).is_ok() || server.try_wait().expect("it can be asked").is_some()
    })
    .await;
    let modes = modes(&place.folder.path().join("data"));
    let sent = std::process::Command::new("sh").arg("-c").arg(format!("kill -TERM {}", server.id())).status();
    assert!(sent.is_ok_and(|status| status.success()), "the signal is sent");
    let output = server.wait_with_output().expect("it ends");
    for (name, mode) in modes {
        assert_eq!(mode, 0o600, "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
    output
}

/// Every file of a folder and its mode.
fn modes(folder: &std::path::Path) -> Vec<(String, u32)> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    let mode = |entry: &fs::DirEntry| entry.metadata().expect("it is there").permissions().mode() & 0o777;
    entries.map(|entry| (entry.file_name().to_string_lossy().into_owned(), mode(&entry))).collect()
}

#[tokio::test]
async fn every_file_in_the_data_folder_is_its_owners_alone_also_in_a_folder_that_was_there() {
    let place = Place::new().await;
    let data = place.folder.path().join("data");
    fs::create_dir(&data).expect("a folder");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).expect("its mode");
    let output = served(&place).await;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!modes(&data).is_empty());

    // what was there before with wider rights is taken back, and the operator is told
    for (name, _) in modes(&data) {
        fs::set_permissions(data.join(name), fs::Permissions::from_mode(0o644)).expect("its mode");
    }
    let output = served(&place).await;
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(log.contains("jwt_secret") && log.contains("mode 0600"), "{log}");
    assert_eq!(output.status.code(), Some(0), "{log}");
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_said_to_be_so() {
    let place = Place::new().await;
    if database::runs_on_postgres() {
        eprintln!("left out: the database is not in the data folder");
        return;
    }
    let folder = place.folder.path().join("data");
    fs::create_dir(&folder).expect("a folder");
    let run = |mode: u32| {
        fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).expect("its mode");
        fs::set_permissions(place.folder.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
        let known = program(place.folder.path(), &[]);
        // root may write everywhere, so somebody else tries
        let mut command = std::process::Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(known.get_program());
        for (name, value) in known.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.current_dir(place.folder.path()).args(["user", "list"]).output().expect("setpriv runs")
    };
    if !run(0o777).status.success() {
        eprintln!("left out: only root can try it as somebody else");
        return;
    }
    for name in modes(&folder) {
        fs::remove_file(folder.join(name.0)).expect("a file");
    }
    let line = complained(&run(0o555), 1);
    assert!(line.contains("the folder data cannot be written: Permission denied"), "{line}");
}

#[tokio::test]
async fn a_byte_order_mark_before_settings_and_secrets_is_skipped() {
    let place = Place::migrated().await;
    let secret = "0123456789abcdef0123456789abcdef";
    let write = |name: &str, text: &str| {
        fs::write(place.folder.path().join(name), format!("\u{feff}{text}")).expect("a file");
    };
    write("secret", secret);
    write("settings.toml", "port = 8099\n");
    write(".env", "GREENROOM_JWT_SECRET_FILE=secret\nGREENROOM_CONFIG=settings.toml\n");
    succeeded(&place.run(&["user", "create", "ada"]));
    let token = succeeded(&place.run(&["token", "issue", "ada"]));
    // the secret is the same without the mark
    fs::remove_file(place.folder.path().join(".env")).expect("a file");
    let place = place.set("GREENROOM_JWT_SECRET", secret);
    let port = crate::support::process::free_port().to_string();
    let place = place.set("GREENROOM_PORT", &port);
    let mut server = place.start(&["serve"]);
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    crate::support::eventually("the token is good", async || {
        let answer = client.get(format!("http://127.0.0.1:{port}/api/v1/users/me")).bearer_auth(&token).send().await;
        answer.is_ok_and(|answer| answer.status() == 200)
    })
    .await;
    server.kill().and_then(|()| server.wait()).expect("it ends");

    // what a Windows shell writes by itself cannot be read, and is said to be that
    let utf16: Vec<u8> = [0xff, 0xfe].into_iter().chain("A=b".encode_utf16().flat_map(u16::to_le_bytes)).collect();
    fs::write(place.folder.path().join(".env"), utf16).expect("a file");
    assert!(complained(&place.run(&["user", "list"]), 2).contains("UTF-16; save it as UTF-8"));
}
