//! The commands of the program: their output, their exit status, and their effect on a running server.

use crate::support::process::program;
use crate::support::{TestDatabase, TestServer, TestUser, database};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Output, Stdio};
use std::sync::Arc;
use tempfile::TempDir;

/// A folder and a database for commands, without a running server.
struct Installation {
    environment: Vec<(String, String)>,
    // The folder is dropped before the database, because on SQLite it contains the database.
    folder: TempDir,
    _database: Arc<TestDatabase>,
}

impl Installation {
    /// Creates an installation with an empty database.
    async fn new() -> Self {
        let database = TestDatabase::create().await;
        let environment = database.url().map(|url| ("DATABASE_URL".to_owned(), url)).into_iter().collect();
        Self { environment, folder: TempDir::new().expect("a folder"), _database: database }
    }

    /// Creates an installation whose database has the schema.
    async fn with_schema() -> Self {
        let installation = Self::new().await;
        stdout(&installation.run(&["migrate", "up"]));
        installation
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

/// Returns the standard output of a command that must have succeeded without an error line.
#[track_caller]
fn stdout(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "the command failed: {errors}");
    assert_eq!(errors, "", "a command that succeeds prints no error");
    String::from_utf8(output.stdout.clone()).expect("UTF-8").trim_end().to_owned()
}

/// Returns the one error line of a command that must have ended with `status`.
#[track_caller]
fn error_line(output: &Output, status: i32) -> String {
    let errors = String::from_utf8(output.stderr.clone()).expect("UTF-8");
    assert_eq!(output.status.code(), Some(status), "{errors}");
    assert_eq!(errors.lines().count(), 1, "an error is one line: {errors}");
    assert_eq!(output.stdout, b"", "a command that fails prints nothing else");
    errors.strip_prefix("greenroom: ").expect("the line begins with the name of the program").trim_end().to_owned()
}

/// Counts the lines that begin with `word`.
fn count(text: &str, word: &str) -> usize {
    text.lines().filter(|line| line.starts_with(word)).count()
}

#[tokio::test]
async fn help_lists_commands_and_examples_and_succeeds() {
    let installation = Installation::new().await;
    let help = stdout(&installation.run(&["--help"]));
    for word in ["serve", "migrate", "user", "token", "openapi", "Examples:"] {
        assert!(help.contains(word), "{word} is missing: {help}");
    }
    assert!(stdout(&installation.run(&["help", "user", "create"])).contains("--password-stdin"));
    assert_eq!(stdout(&installation.run(&["--version"])), format!("greenroom {}", env!("CARGO_PKG_VERSION")));
    assert!(!installation.folder.path().join("data").exists(), "help creates no file");
}

#[tokio::test]
async fn a_wrong_command_line_ends_with_status_2_and_one_line() {
    let installation = Installation::new().await;
    let line = error_line(&installation.run(&["srve"]), 2);
    assert!(line.contains("'srve'") && line.contains("'serve'"), "{line}");
    assert!(error_line(&installation.run(&["user", "create"]), 2).contains("<USERNAME>"));
    assert!(error_line(&installation.run(&["migrate"]), 2).contains("greenroom migrate <COMMAND>"));
    assert!(error_line(&installation.run(&["user", "set-role", "ada", "boss"]), 2).contains("'boss'"));
    error_line(&installation.run(&["user", "create", "ada", "--password", "long enough", "--password-stdin"]), 2);
    error_line(&installation.run(&["migrate", "down", "--steps", "0"]), 2);
}

#[tokio::test]
async fn a_wrong_setting_ends_with_status_2_and_one_line() {
    let installation = Installation::new().await.set("GREENROOM_PROT", "9000");
    let line = "GREENROOM_PROT in the environment is not a setting. Did you mean GREENROOM_PORT?";
    assert_eq!(error_line(&installation.run(&[]), 2), line);
    assert_eq!(error_line(&installation.run(&["user", "list"]), 2), line);
}

#[tokio::test]
async fn an_unreachable_database_ends_with_status_1_and_without_its_password() {
    let installation = Installation::new().await.set("DATABASE_URL", "postgres://ada:hunter2@127.0.0.1:9/chat");
    for arguments in [&["serve"][..], &["migrate", "up"], &["user", "list"]] {
        let output = installation.run(arguments);
        assert_eq!(output.status.code(), Some(1));
        let errors = String::from_utf8_lossy(&output.stderr);
        let last = errors.lines().last().expect("an error line");
        assert!(last.starts_with("greenroom: ") && last.contains("127.0.0.1:9"), "{errors}");
        assert!(!errors.contains("hunter2"), "{errors}");
    }
}

#[tokio::test]
async fn migrations_are_applied_reverted_and_applied_again() {
    let installation = Installation::new().await;
    let before = stdout(&installation.run(&["migrate", "status"]));
    let all = count(&before, "pending");
    assert!(all > 2 && count(&before, "applied") == 0, "{before}");

    assert_eq!(count(&stdout(&installation.run(&["migrate", "up"])), "applied"), all);
    assert_eq!(count(&stdout(&installation.run(&["migrate", "status"])), "applied"), all);
    assert_eq!(stdout(&installation.run(&["migrate", "up"])), "There is nothing to do.");

    assert_eq!(count(&stdout(&installation.run(&["migrate", "down", "--steps", "2"])), "reverted"), 2);
    let between = stdout(&installation.run(&["migrate", "status"]));
    assert_eq!((count(&between, "applied"), count(&between, "pending")), (all - 2, 2), "{between}");
    assert_eq!(count(&stdout(&installation.run(&["migrate", "up"])), "applied"), 2);
}

#[tokio::test]
async fn nodes_that_migrate_concurrently_apply_each_migration_once() {
    let installation = Installation::new().await;
    let all = count(&stdout(&installation.run(&["migrate", "status"])), "pending");
    let nodes: Vec<_> = (0..4).map(|_| installation.start(&["migrate", "up"])).collect();
    let applied: usize = nodes
        .into_iter()
        .map(|node| count(&stdout(&node.wait_with_output().expect("the process ends")), "applied"))
        .sum();
    assert_eq!(applied, all);
}

#[tokio::test]
async fn an_old_schema_on_postgresql_is_refused_with_the_command_to_run() {
    if !database::runs_on_postgres() {
        eprintln!("left out: SQLite is always migrated (GREENROOM_TEST_DATABASE=postgres runs it)");
        return;
    }
    let installation = Installation::new().await;
    assert!(error_line(&installation.run(&["user", "list"]), 1).contains("run: greenroom migrate up"));
    let installation = installation.set("GREENROOM_AUTO_MIGRATE", "true");
    stdout(&installation.run(&["user", "list"]));
}

#[tokio::test]
async fn only_the_owner_can_read_the_data_folder_and_the_secret() {
    let installation = Installation::with_schema().await;
    stdout(&installation.run(&["user", "create", "ada"]));
    stdout(&installation.run(&["token", "issue", "ada"]));
    let mode = |name: &str| {
        let metadata =
            fs::metadata(installation.folder.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        metadata.permissions().mode() & 0o777
    };
    assert_eq!(mode("data"), 0o700);
    assert_eq!(mode("data/jwt_secret"), 0o600);
}

#[tokio::test]
async fn accounts_are_created_listed_and_refused() {
    let installation = Installation::with_schema().await;
    let created = stdout(&installation.run(&["user", "create", "ada", "--admin", "--email", "ada@example.org"]));
    let mut lines = created.lines();
    assert!(lines.next().expect("a line").starts_with("created admin ada "), "{created}");
    assert!(lines.next().expect("a line").starts_with("password: "), "{created}");
    let bob = stdout(&installation.run(&["user", "create", "bob", "--password", "correct horse"]));
    assert!(!bob.contains("correct horse") && bob.lines().count() == 1, "{bob}");

    assert_eq!(
        error_line(&installation.run(&["user", "create", "ADA"]), 1),
        "This username is taken. Choose another one."
    );
    assert!(
        error_line(&installation.run(&["user", "create", "al"]), 1).contains("username must have 3 to 32 characters")
    );
    assert!(error_line(&installation.run(&["user", "create", "eve", "--password", "short"]), 1).contains("password"));
    assert_eq!(error_line(&installation.run(&["user", "set-role", "eve", "admin"]), 1), "There is no such user.");
    assert_eq!(error_line(&installation.run(&["token", "issue", "eve"]), 1), "There is no such user.");

    assert_eq!(stdout(&installation.run(&["user", "set-role", "bob", "admin"])), "bob now has the role admin.");
    assert_eq!(stdout(&installation.run(&["user", "set-role", "ada", "user"])), "ada now has the role user.");
    let list = stdout(&installation.run(&["user", "list"]));
    let rows: Vec<Vec<_>> = list.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[1][..4], ["ada", "user", "active", "ada@example.org"], "{list}");
    assert_eq!(rows[2][..4], ["bob", "admin", "active", "-"], "{list}");
    assert_eq!(rows.len(), 3, "{list}");
}

#[tokio::test]
async fn a_running_server_accepts_an_issued_token_and_a_new_password_ends_all_logins() {
    let server = TestServer::start().await;
    let ada = server.user("ada").await;

    let token = stdout(&server.run(&["token", "issue", "ada"]));
    assert_eq!(token.split('.').count(), 3, "a token and nothing else: {token}");
    let issued = TestUser { access_token: token, ..ada.clone() };
    assert_eq!(issued.get("/users/me").await.expect(200)["username"], "ada");
    let sessions = ada.get("/auth/sessions").await.expect(200);
    let devices: Vec<_> = sessions["items"].as_array().expect("items").iter().map(|login| &login["device"]).collect();
    assert!(devices.iter().any(|device| *device == "greenroom token issue"), "{sessions}");

    stdout(&server.run(&["user", "set-password", "ada", "--password", "a new password"]));
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
async fn the_openapi_command_prints_the_description_of_the_api() {
    let installation = Installation::new().await;
    let document: serde_json::Value = serde_json::from_str(&stdout(&installation.run(&["openapi"]))).expect("JSON");
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["paths"]["/auth/register"]["post"].is_object(), "{document}");
}

/// Starts a server in the installation, stops it when it is open, and checks the modes that its files had while it ran.
async fn serve_and_stop(installation: &Installation) -> Output {
    let port = crate::support::process::free_port().to_string();
    let mut server = program(installation.folder.path(), &installation.environment)
        .env("GREENROOM_PORT", &port)
        .env("GREENROOM_AUTO_MIGRATE", "true")
        .arg("serve")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let address = format!("127.0.0.1:{port}");
    crate::support::eventually("the server is open", async || {
        std::net::TcpStream::connect(&address).is_ok()
            || server.try_wait().expect("the process can be polled").is_some()
    })
    .await;
    let modes = modes(&installation.folder.path().join("data"));
    let sent = std::process::Command::new("sh").arg("-c").arg(format!("kill -TERM {}", server.id())).status();
    assert!(sent.is_ok_and(|status| status.success()), "the signal is sent");
    let output = server.wait_with_output().expect("the process ends");
    for (name, mode) in modes {
        assert_eq!(mode, 0o600, "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
    output
}

/// Returns the name and the mode of each file in a folder.
fn modes(folder: &std::path::Path) -> Vec<(String, u32)> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    let mode = |entry: &fs::DirEntry| entry.metadata().expect("the file exists").permissions().mode() & 0o777;
    entries.map(|entry| (entry.file_name().to_string_lossy().into_owned(), mode(&entry))).collect()
}

#[tokio::test]
async fn only_the_owner_can_read_the_files_also_in_a_data_folder_that_existed_before() {
    let installation = Installation::new().await;
    let data = installation.folder.path().join("data");
    fs::create_dir(&data).expect("a folder");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).expect("its mode");
    let output = serve_and_stop(&installation).await;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!modes(&data).is_empty());

    // Files that existed with wider permissions get mode 0600, and the log informs the operator.
    for (name, _) in modes(&data) {
        fs::set_permissions(data.join(name), fs::Permissions::from_mode(0o644)).expect("its mode");
    }
    let output = serve_and_stop(&installation).await;
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(log.contains("jwt_secret") && log.contains("mode 0600"), "{log}");
    assert_eq!(output.status.code(), Some(0), "{log}");
}

#[tokio::test]
async fn the_error_names_a_folder_that_cannot_be_written() {
    let installation = Installation::new().await;
    if database::runs_on_postgres() {
        eprintln!("left out: the database is not in the data folder");
        return;
    }
    let folder = installation.folder.path().join("data");
    fs::create_dir(&folder).expect("a folder");
    let run = |mode: u32| {
        fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).expect("its mode");
        fs::set_permissions(installation.folder.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
        let as_root = program(installation.folder.path(), &[]);
        // Root can write everywhere, so the command runs as another user.
        let mut command = std::process::Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(as_root.get_program());
        for (name, value) in as_root.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.current_dir(installation.folder.path()).args(["user", "list"]).output().expect("setpriv runs")
    };
    if !run(0o777).status.success() {
        eprintln!("left out: only root can run the command as another user");
        return;
    }
    for (name, _) in modes(&folder) {
        fs::remove_file(folder.join(name)).expect("a file");
    }
    let line = error_line(&run(0o555), 1);
    assert!(line.contains("the folder data cannot be written: Permission denied"), "{line}");
}

#[tokio::test]
async fn a_byte_order_mark_before_settings_and_secrets_is_skipped() {
    let installation = Installation::with_schema().await;
    let secret = "0123456789abcdef0123456789abcdef";
    let write = |name: &str, text: &str| {
        fs::write(installation.folder.path().join(name), format!("\u{feff}{text}")).expect("a file");
    };
    write("secret", secret);
    write("settings.toml", "port = 8099\n");
    write(".env", "GREENROOM_JWT_SECRET_FILE=secret\nGREENROOM_CONFIG=settings.toml\n");
    stdout(&installation.run(&["user", "create", "ada"]));
    let token = stdout(&installation.run(&["token", "issue", "ada"]));
    // The secret without the mark is the same secret.
    fs::remove_file(installation.folder.path().join(".env")).expect("a file");
    let installation = installation.set("GREENROOM_JWT_SECRET", secret);
    let port = crate::support::process::free_port().to_string();
    let installation = installation.set("GREENROOM_PORT", &port);
    let mut server = installation.start(&["serve"]);
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    crate::support::eventually("the token is valid", async || {
        let answer = client.get(format!("http://127.0.0.1:{port}/api/v1/users/me")).bearer_auth(&token).send().await;
        answer.is_ok_and(|answer| answer.status() == 200)
    })
    .await;
    server.kill().and_then(|()| server.wait()).expect("the process ends");

    // A Windows shell writes UTF-16 by default. The error says so, because the program reads only UTF-8.
    let utf16: Vec<u8> = [0xff, 0xfe].into_iter().chain("A=b".encode_utf16().flat_map(u16::to_le_bytes)).collect();
    fs::write(installation.folder.path().join(".env"), utf16).expect("a file");
    assert!(error_line(&installation.run(&["user", "list"]), 2).contains("UTF-16; save it as UTF-8"));
}
