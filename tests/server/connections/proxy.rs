//! The server behind nginx and Caddy, with the configuration of `docs/proxy.md`: the page, the API, sockets, and the
//! addresses of clients; and behind a proxy that rewrites `Host`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use crate::support::process::free_port;
use crate::support::user::text;
use crate::support::{Auth, ConnectOptions, Refusal, Target, TestServer, TestUser, eventually};

/// A proxy in front of a server.
struct Proxy {
    child: Child,
    target: Target,
    folder: TempDir,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // An error means that the proxy ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the first block of code in this language in the manual.
fn documented_configuration(language: &str) -> String {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/proxy.md")).unwrap();
    let (_, block) = page.split_once(&format!("```{language}\n")).expect("the manual has the configuration");
    block.split_once("```").expect("the block ends").0.to_owned()
}

/// Replaces a text, which must be present, so that a change of the manual cannot disable this test.
#[track_caller]
fn replace(text: &str, old: &str, new: &str) -> String {
    assert!(text.contains(old), "the configuration has no {old:?}:\n{text}");
    text.replace(old, new)
}

/// Returns the path of a program, or `None` if it is not installed.
fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain(["/usr/sbin".into()])
        .map(|folder| folder.join(name))
        .find(|path| path.exists());
    if found.is_none() {
        eprintln!("left out: {name} is not installed");
    }
    found
}

impl Proxy {
    /// Starts a proxy and waits until it is ready.
    async fn start(command: &mut Command, folder: TempDir, port: u16) -> Self {
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let child = command
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("the proxy starts");
        let mut proxy = Self { child, target: Target::new(port), folder };
        eventually("the proxy passes calls on", async || {
            let log = || fs::read_to_string(proxy.folder.path().join("log")).unwrap_or_default();
            assert!(proxy.child.try_wait().unwrap().is_none(), "the proxy ended: {}", log());
            proxy.target.is_ready().await
        })
        .await;
        proxy
    }

    /// Starts nginx as in the manual, except TLS and the addresses, and with `change` applied to its configuration.
    /// Returns `None` if nginx is not installed.
    async fn nginx(server: &TestServer, change: impl Fn(&str) -> String) -> Option<Self> {
        let program = find_program("nginx")?;
        let (folder, port) = (TempDir::new().unwrap(), free_port());
        let mut site = change(&documented_configuration("nginx"));
        site = replace(&site, "listen 443 ssl;", &format!("listen 127.0.0.1:{port};"));
        site = site.lines().filter(|line| !line.contains("ssl_certificate")).collect::<Vec<_>>().join("\n");
        site = replace(&site, "127.0.0.1:8080", &server.target().address.to_string());
        let user = if fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0) {
            "user root;\n"
        } else {
            ""
        };
        let temporary_folders =
            ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|name| format!("{name}_temp_path {name};\n"));
        let configuration = format!(
            "{user}daemon off;\nworker_processes 1;\npid nginx.pid;\nerror_log stderr warn;\n\
             events {{}}\nhttp {{\naccess_log off;\n{}{site}\n}}\n",
            temporary_folders.concat()
        );
        fs::write(folder.path().join("nginx.conf"), configuration).unwrap();
        let mut command = Command::new(program);
        command.arg("-p").arg(folder.path()).args(["-e", "stderr", "-c", "nginx.conf"]);
        Some(Self::start(&mut command, folder, port).await)
    }

    /// Starts Caddy as in the manual, except TLS and the addresses. Returns `None` if Caddy is not installed.
    async fn caddy(server: &TestServer) -> Option<Self> {
        let program = find_program("caddy")?;
        let (folder, port) = (TempDir::new().unwrap(), free_port());
        let site = replace(
            &documented_configuration("caddyfile"),
            "chat.example.org {",
            &format!("http://127.0.0.1:{port} {{\n    bind 127.0.0.1"),
        );
        let site = replace(&site, "127.0.0.1:8080", &server.target().address.to_string());
        fs::write(folder.path().join("Caddyfile"), format!("{{\nadmin off\nauto_https off\n}}\n{site}")).unwrap();
        let mut command = Command::new(program);
        command.args(["run", "--config", "Caddyfile", "--adapter", "caddyfile"]).env("HOME", folder.path());
        Some(Self::start(&mut command, folder, port).await)
    }

    /// Returns the options with which a browser on the proxy's page opens a socket.
    fn page_options(&self) -> ConnectOptions {
        ConnectOptions {
            auth: Auth::Subprotocol,
            origin: Some(self.target.origin.clone()),
            ..ConnectOptions::default()
        }
    }
}

/// Starts a server that trusts the proxy's address.
async fn start_server() -> TestServer {
    TestServer::builder().set("GREENROOM_TRUSTED_PROXIES", "127.0.0.1").start().await
}

/// Asserts that everything that a client does works through the proxy.
async fn assert_passes_everything(server: &TestServer, proxy: &Proxy) {
    let page = proxy.target.http.get(&proxy.target.origin).send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert!(page.text().await.unwrap().starts_with("<!doctype html>"));

    // REST works with bodies in both directions.
    let (ada, bob) = (TestUser::register(&proxy.target, "ada").await, TestUser::register(&proxy.target, "bob").await);
    let direct = ada.direct(&bob).await;
    let long = "x".repeat(10_000);
    assert_eq!(ada.send(&direct, &long).await["content"], long.as_str());
    ada.get("/conversations/x").await.refused(400, "invalid_request");

    // Sockets work in both directions.
    let mut socket = bob.connect_with(proxy.page_options()).await;
    ada.send(&direct, "hello").await;
    assert_eq!(socket.expect("message.new").await["payload"]["message"]["content"], "hello");
    socket.send_message(&direct, &long).await;

    // The server uses the address that the proxy adds, and not the address that a client sends.
    let local_address = std::net::IpAddr::from([127, 0, 0, 2]);
    let second_client = reqwest::Client::builder().no_proxy().local_address(local_address).build().unwrap();
    let body = json!({ "login": "ada", "password": crate::support::PASSWORD });
    let path = format!("{}/api/v1/auth/login", proxy.target.origin);
    let answer = second_client.post(path).header("x-forwarded-for", "203.0.113.9").json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let sessions = ada.get("/auth/sessions").await.expect(200);
    let mut addresses: Vec<String> =
        sessions["items"].as_array().unwrap().iter().map(|login| text(&login["ip"])).collect();
    addresses.sort();
    assert_eq!(addresses, ["127.0.0.1", "127.0.0.2"]);
    assert!(!server.log().contains("may not open sockets"), "{}", server.log());
}

#[tokio::test]
async fn nginx_as_in_the_manual_passes_everything() {
    let server = start_server().await;
    let Some(proxy) = Proxy::nginx(&server, str::to_owned).await else { return };
    assert_passes_everything(&server, &proxy).await;
}

#[tokio::test]
async fn caddy_as_in_the_manual_passes_everything() {
    let server = start_server().await;
    let Some(proxy) = Proxy::caddy(&server).await else { return };
    assert_passes_everything(&server, &proxy).await;
}

/// Returns a configuration in which nginx replaces `Host` by the server's own address, as it does by default.
fn rewrite_host(site: &str) -> String {
    replace(site, "proxy_set_header Host $http_host;", "")
}

#[tokio::test]
async fn a_proxy_that_rewrites_host_is_logged_once_and_explained_in_the_refusal() {
    let server = start_server().await;
    let Some(proxy) = Proxy::nginx(&server, rewrite_host).await else { return };
    let ada = TestUser::register(&proxy.target, "ada").await;
    for _ in 0..3 {
        assert_eq!(ada.try_connect(proxy.page_options()).await.err(), Some(Refusal::Http(403)));
    }
    let handshake = proxy
        .target
        .http
        .get(format!("{}/ws", proxy.target.origin))
        .header("origin", &proxy.target.origin)
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .send()
        .await
        .unwrap();
    assert_eq!(handshake.status(), 403);
    let problem: serde_json::Value = handshake.json().await.unwrap();
    let detail = text(&problem["detail"]);
    assert!(detail.contains(&proxy.target.origin) && detail.contains("GREENROOM_PUBLIC_URL"), "{detail}");
    let log = server.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("may not open sockets")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    for word in [&proxy.target.origin, &server.target().address.to_string(), "GREENROOM_PUBLIC_URL", "WARN"] {
        assert!(lines[0].contains(word), "{word} is not in: {}", lines[0]);
    }
}

#[tokio::test]
async fn a_proxy_may_rewrite_host_if_the_server_knows_its_public_url() {
    // The server has to know the proxy's address when it starts.
    let port = free_port();
    let server = TestServer::builder()
        .set("GREENROOM_PUBLIC_URL", format!("http://127.0.0.1:{port}"))
        .set("GREENROOM_TRUSTED_PROXIES", "127.0.0.1")
        .start()
        .await;
    let Some(proxy) = Proxy::nginx(&server, rewrite_host).await else { return };
    let ada = TestUser::register(&proxy.target, "ada").await;
    let origin = Some(format!("http://127.0.0.1:{port}"));
    ada.connect_with(ConnectOptions { origin, ..proxy.page_options() }).await;
}

#[tokio::test]
#[ignore = "long: two minutes without a frame"]
async fn long_a_silent_socket_stays_open_behind_both_proxies() {
    let server = start_server().await;
    let proxies = [Proxy::nginx(&server, str::to_owned).await, Proxy::caddy(&server).await];
    let ada = server.user("ada").await;
    let bob = server.user("bob").await;
    let direct = ada.direct(&bob).await;
    let mut sockets = Vec::new();
    for proxy in proxies.iter().flatten() {
        let user = TestUser { target: proxy.target.clone(), ..bob.clone() };
        sockets.push(user.connect_with(proxy.page_options()).await);
    }
    tokio::time::sleep(Duration::from_secs(130)).await;
    ada.send(&direct, "hello").await;
    for socket in &mut sockets {
        assert_eq!(socket.expect("message.new").await["payload"]["message"]["content"], "hello");
    }
}
