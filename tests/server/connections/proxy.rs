//! Behind nginx and Caddy, configured as `docs/proxy.md` says: the page, the API, sockets, who is behind the proxy; and
//! a proxy that rewrites `Host`.

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
        // an error means that it ended by itself
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The configuration in the manual, of the first block in this language.
fn manual(language: &str) -> String {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/proxy.md")).unwrap();
    let (_, block) = page.split_once(&format!("```{language}\n")).expect("the manual has the configuration");
    block.split_once("```").expect("the block ends").0.to_owned()
}

/// Replaces what must be there, so that the manual and this test cannot drift apart.
#[track_caller]
fn replaced(text: &str, old: &str, new: &str) -> String {
    assert!(text.contains(old), "the configuration has no {old:?}:\n{text}");
    text.replace(old, new)
}

fn installed(name: &str) -> Option<PathBuf> {
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
    async fn ready(command: &mut Command, folder: TempDir, port: u16) -> Self {
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

    /// nginx as in the manual, but for TLS and the addresses; `change` is made to its configuration.
    async fn nginx(server: &TestServer, change: impl Fn(&str) -> String) -> Option<Self> {
        let program = installed("nginx")?;
        let (folder, port) = (TempDir::new().unwrap(), free_port());
        let mut site = change(&manual("nginx"));
        site = replaced(&site, "listen 443 ssl;", &format!("listen 127.0.0.1:{port};"));
        site = site.lines().filter(|line| !line.contains("ssl_certificate")).collect::<Vec<_>>().join("\n");
        site = replaced(&site, "127.0.0.1:8080", &server.target().address.to_string());
        let user = if fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0) {
            "user root;\n"
        } else {
            ""
        };
        let kept =
            ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|name| format!("{name}_temp_path {name};\n"));
        let all = format!(
            "{user}daemon off;\nworker_processes 1;\npid nginx.pid;\nerror_log stderr warn;\n\
             events {{}}\nhttp {{\naccess_log off;\n{}{site}\n}}\n",
            kept.concat()
        );
        fs::write(folder.path().join("nginx.conf"), all).unwrap();
        let mut command = Command::new(program);
        command.arg("-p").arg(folder.path()).args(["-e", "stderr", "-c", "nginx.conf"]);
        Some(Self::ready(&mut command, folder, port).await)
    }

    /// Caddy as in the manual, but for TLS and the addresses.
    async fn caddy(server: &TestServer) -> Option<Self> {
        let program = installed("caddy")?;
        let (folder, port) = (TempDir::new().unwrap(), free_port());
        let site = replaced(
            &manual("caddyfile"),
            "chat.example.org {",
            &format!("http://127.0.0.1:{port} {{\n    bind 127.0.0.1"),
        );
        let site = replaced(&site, "127.0.0.1:8080", &server.target().address.to_string());
        fs::write(folder.path().join("Caddyfile"), format!("{{\nadmin off\nauto_https off\n}}\n{site}")).unwrap();
        let mut command = Command::new(program);
        command.args(["run", "--config", "Caddyfile", "--adapter", "caddyfile"]).env("HOME", folder.path());
        Some(Self::ready(&mut command, folder, port).await)
    }

    /// As a browser on the proxy's own page opens it.
    fn of_page(&self) -> ConnectOptions {
        ConnectOptions {
            auth: Auth::Subprotocol,
            origin: Some(self.target.origin.clone()),
            ..ConnectOptions::default()
        }
    }
}

async fn trusting() -> TestServer {
    TestServer::builder().set("GREENROOM_TRUSTED_PROXIES", "127.0.0.1").start().await
}

/// All that a client does through the proxy.
async fn passes_everything(server: &TestServer, proxy: &Proxy) {
    let page = proxy.target.http.get(&proxy.target.origin).send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert!(page.text().await.unwrap().starts_with("<!doctype html>"));

    // REST, with bodies in both directions
    let (ada, bob) = (TestUser::register(&proxy.target, "ada").await, TestUser::register(&proxy.target, "bob").await);
    let room = ada.direct(&bob).await;
    let long = "x".repeat(10_000);
    assert_eq!(ada.send(&room, &long).await["content"], long.as_str());
    ada.get("/conversations/x").await.refused(400, "invalid_request");

    // sockets, in both directions
    let mut socket = bob.connect_with(proxy.of_page()).await;
    ada.send(&room, "hello").await;
    assert_eq!(socket.expect("message.new").await["payload"]["message"]["content"], "hello");
    socket.say(&room, &long).await;

    // who is behind the proxy: what it adds is believed, what a client claims before it is not
    let other = std::net::IpAddr::from([127, 0, 0, 2]);
    let elsewhere = reqwest::Client::builder().no_proxy().local_address(other).build().unwrap();
    let body = json!({ "login": "ada", "password": crate::support::PASSWORD });
    let path = format!("{}/api/v1/auth/login", proxy.target.origin);
    let answer = elsewhere.post(path).header("x-forwarded-for", "203.0.113.9").json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let sessions = ada.get("/auth/sessions").await.expect(200);
    let mut from: Vec<String> = sessions["items"].as_array().unwrap().iter().map(|login| text(&login["ip"])).collect();
    from.sort();
    assert_eq!(from, ["127.0.0.1", "127.0.0.2"]);
    assert!(!server.log().contains("may not open sockets"), "{}", server.log());
}

#[tokio::test]
async fn nginx_as_in_the_manual_passes_everything() {
    let server = trusting().await;
    let Some(proxy) = Proxy::nginx(&server, str::to_owned).await else { return };
    passes_everything(&server, &proxy).await;
}

#[tokio::test]
async fn caddy_as_in_the_manual_passes_everything() {
    let server = trusting().await;
    let Some(proxy) = Proxy::caddy(&server).await else { return };
    passes_everything(&server, &proxy).await;
}

/// Replaces Host by the server's own address, as nginx does by default.
fn rewriting(site: &str) -> String {
    replaced(site, "proxy_set_header Host $http_host;", "")
}

#[tokio::test]
async fn a_proxy_that_rewrites_host_is_named_in_the_log_once_and_in_the_refusal() {
    let server = trusting().await;
    let Some(proxy) = Proxy::nginx(&server, rewriting).await else { return };
    let ada = TestUser::register(&proxy.target, "ada").await;
    for _ in 0..3 {
        assert_eq!(ada.try_connect(proxy.of_page()).await.err(), Some(Refusal::Http(403)));
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
async fn with_the_public_address_a_proxy_may_rewrite_host() {
    // the proxy's address has to be known before the server starts
    let port = free_port();
    let server = TestServer::builder()
        .set("GREENROOM_PUBLIC_URL", format!("http://127.0.0.1:{port}"))
        .set("GREENROOM_TRUSTED_PROXIES", "127.0.0.1")
        .start()
        .await;
    let Some(proxy) = Proxy::nginx(&server, rewriting).await else { return };
    let ada = TestUser::register(&proxy.target, "ada").await;
    let origin = Some(format!("http://127.0.0.1:{port}"));
    ada.connect_with(ConnectOptions { origin, ..proxy.of_page() }).await;
}

#[tokio::test]
#[ignore = "long: two minutes in which nobody says anything"]
async fn long_a_silent_socket_stays_open_behind_both_proxies() {
    let server = trusting().await;
    let proxies = [Proxy::nginx(&server, str::to_owned).await, Proxy::caddy(&server).await];
    let ada = server.user("ada").await;
    let bob = server.user("bob").await;
    let room = ada.direct(&bob).await;
    let mut sockets = Vec::new();
    for proxy in proxies.iter().flatten() {
        let there = TestUser { target: proxy.target.clone(), ..bob.clone() };
        sockets.push(there.connect_with(proxy.of_page()).await);
    }
    tokio::time::sleep(Duration::from_secs(130)).await;
    ada.send(&room, "still there?").await;
    for socket in &mut sockets {
        assert_eq!(socket.expect("message.new").await["payload"]["message"]["content"], "still there?");
    }
}
