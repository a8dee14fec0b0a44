//! Old versions of the protocols: HTTP/1.0, which `ab` and some proxies use, and WebSocket before RFC 6455.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::support::TestServer;

/// Sends a request and reads until the server closes. Returns the head and the body of the answer.
fn exchange(server: &TestServer, request: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(server.target().address).unwrap();
    stream.set_read_timeout(Some(crate::support::DEADLINE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(answer[..end].to_vec()).unwrap().to_ascii_lowercase();
    (head, answer[end + 4..].to_vec())
}

#[tokio::test]
async fn an_answer_over_http_1_0_is_never_chunked() {
    let server = TestServer::start().await;
    let paths = ["/", "/css/base.css", "/sdk/greenroom.js", "/api/v1/openapi.json", "/docs/", "/health", "/nowhere"];
    for path in paths {
        for accepts in ["", "accept-encoding: gzip\r\n", "accept-encoding: gzip, deflate, br\r\naccept: text/html\r\n"]
        {
            let (head, body) = exchange(&server, &format!("GET {path} HTTP/1.0\r\nhost: x\r\n{accepts}\r\n"));
            assert!(!head.contains("transfer-encoding"), "{path}: {head}");
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if let Some(length) = length {
                assert_eq!(length.parse::<usize>().unwrap(), body.len(), "{path}: {head}");
            }
        }
    }
    // HTTP/1.1 still gets a compressed page.
    let (head, _) =
        exchange(&server, "GET / HTTP/1.1\r\nhost: x\r\naccept-encoding: gzip\r\nconnection: close\r\n\r\n");
    assert!(head.contains("content-encoding: gzip"), "{head}");
}

#[tokio::test]
async fn a_client_with_another_version_of_websocket_gets_the_supported_version() {
    let server = TestServer::start().await;
    let handshake = |version: &str| {
        format!(
            "GET /ws HTTP/1.1\r\nhost: x\r\nconnection: upgrade, close\r\nupgrade: websocket\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: {version}\r\n\r\n"
        )
    };
    for version in ["8", "7", "0", "14", "13, 8", "x"] {
        let (head, body) = exchange(&server, &handshake(version));
        assert!(head.starts_with("http/1.1 426"), "{version}: {head}");
        assert!(head.contains("sec-websocket-version: 13") && head.contains("upgrade: websocket"), "{head}");
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(problem["code"], "upgrade_required", "{problem}");
    }
}
