//! Lambda's Invoke API of `scim serve`, as the official SDKs call it. `tests/backends.py` has the SDKs themselves.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::cli::{Running, data, scim, shown};

const INVOKE: &str = "2015-03-31/functions/Admin/invocations";

struct Reply {
    status: u16,
    head: String,
    body: String,
}

fn start(folder: &Path) -> Running {
    let folder = shown(folder);
    Running::start(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--data",
        folder,
        "--json",
    ])
}

/// The path of the endpoint.
fn path(server: &Running) -> String {
    let endpoint = server.ready["admin"]["endpoint"].as_str().unwrap();
    let path = endpoint.splitn(4, '/').nth(3).unwrap();
    format!("/{path}")
}

/// Sends a request as the SDKs do, with further headers.
fn send(server: &Running, method: &str, path: &str, headers: &str, body: &str) -> Reply {
    let text = server.send(&format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Type: application/octet-stream\r\n\
         Content-Length: {}\r\nAuthorization: AWS4-HMAC-SHA256 Credential=local/20261127/eu-west-1/lambda/aws4_request, \
         SignedHeaders=host, Signature=00\r\nConnection: close\r\n\r\n{body}",
        body.len(),
    ));
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    Reply {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_lowercase(),
        body: body.to_owned(),
    }
}

fn invoke(server: &Running, headers: &str, body: &str) -> Reply {
    let path = format!("{}/{INVOKE}", path(server));
    send(server, "POST", &path, headers, body)
}

#[test]
fn an_operation_is_invoked_with_the_key_of_the_data_directory() {
    let (_folder, data) = data();
    let server = start(&data);
    assert_eq!(server.ready["admin"]["function"], "Admin");
    let payload = json!({"op": "webhook.list", "actor": "billing-service"}).to_string();
    let reply = invoke(&server, "", &payload);
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert!(reply.head.contains("x-amz-executed-version: $latest"));
    assert!(reply.head.contains("x-amzn-requestid: "));
    assert!(!reply.head.contains("x-amz-function-error"));
    let answer: Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(answer["ok"]["webhooks"], json!([]));
    // The key is the same after a restart, and another one is that of another directory.
    let before = path(&server);
    let file = fs::read_to_string(data.join("admin-key")).unwrap();
    assert_eq!(before, format!("/_admin/{file}"));
    drop(server);
    assert_eq!(path(&start(&data)), before);
    let (_folder, other) = crate::cli::data();
    assert_ne!(path(&start(&other)), before);
}

#[test]
fn faults_of_a_call_are_answered_as_lambda_does() {
    let (_folder, data) = data();
    let server = start(&data);
    let check = |reply: &Reply, status: u16, kind: &str| {
        assert_eq!(reply.status, status, "{}", reply.body);
        let header = format!("x-amzn-errortype: {}", kind.to_lowercase());
        assert!(reply.head.contains(&header), "{}", reply.head);
        let error: Value = serde_json::from_str(&reply.body).unwrap();
        assert!(error["Message"].is_string(), "{error}");
    };
    let other = format!("{}/2015-03-31/functions/Other/invocations", path(&server));
    let reply = send(&server, "POST", &other, "", "{}");
    check(&reply, 404, "ResourceNotFoundException");
    let list = format!("{}/2015-03-31/functions", path(&server));
    check(
        &send(&server, "GET", &list, "", ""),
        404,
        "UnknownOperationException",
    );
    for payload in ["{", "no JSON", &"[".repeat(100_000)] {
        check(
            &invoke(&server, "", payload),
            400,
            "InvalidRequestContentException",
        );
    }
    let reply = invoke(&server, "X-Amz-Invocation-Type: Later\r\n", "{}");
    check(&reply, 400, "InvalidParameterValueException");
    let large = format!("\"{}\"", " ".repeat(6 << 20));
    check(
        &invoke(&server, "", &large),
        413,
        "RequestTooLargeException",
    );
    // A wrong request is no fault of the call.
    for payload in ["", "{}", "null", r#"{"op":"tenant.paint"}"#] {
        let reply = invoke(&server, "", payload);
        let answer: Value = serde_json::from_str(&reply.body).unwrap();
        assert_eq!(
            (reply.status, &answer["error"]["code"]),
            (200, &json!("invalid"))
        );
    }
    assert_eq!(
        invoke(&server, "X-Amz-Invocation-Type: Event\r\n", "{}").status,
        202
    );
    assert_eq!(
        invoke(&server, "X-Amz-Invocation-Type: DryRun\r\n", "{}").status,
        204
    );
}

/// The requests and the operations of a server have one cache of configurations.
#[test]
fn a_suspension_holds_from_the_next_request_on() {
    let (_folder, data) = data();
    let server = start(&data);
    let token = server.text("token");
    let get = || server.fetch("/Users", &token);
    assert!(get().starts_with("HTTP/1.1 200"));
    for (operation, status) in [("tenant.suspend", 403), ("tenant.resume", 200)] {
        let payload = json!({"op": operation, "actor": "billing-service", "tenant": "demo"});
        let reply = invoke(&server, "", &payload.to_string());
        assert!(reply.body.starts_with(r#"{"ok":"#), "{}", reply.body);
        let answer = get();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{answer}"
        );
    }
}

#[test]
fn without_the_key_the_path_does_not_exist() {
    let (_folder, data) = data();
    let server = start(&data);
    let (endpoint, nowhere) = (path(&server), send(&server, "POST", "/nowhere", "", "{}"));
    assert_eq!(nowhere.status, 404);
    let key = &endpoint["/_admin/".len()..];
    let turned = format!("{}{}", &key[1..], &key[..1]);
    for wrong in [
        "",
        "0",
        &key[1..],
        &turned,
        &format!("{key}0"),
        &key.to_uppercase(),
    ] {
        let wrong = format!("/_admin/{wrong}/{INVOKE}");
        let reply = send(&server, "POST", &wrong, "", "{}");
        assert_eq!(
            (reply.status, reply.body),
            (404, nowhere.body.clone()),
            "{wrong}"
        );
        assert!(!reply.head.contains("x-amz"), "{}", reply.head);
    }
}

#[test]
fn the_path_is_on_addresses_of_this_machine_only() {
    let server = Running::start(&[
        "serve",
        "--listen",
        "0.0.0.0:0",
        "--data",
        ":memory:",
        "--json",
    ]);
    assert_eq!(server.ready["admin"], Value::Null);
}

#[test]
fn the_log_has_the_operation_and_neither_the_key_nor_a_secret() {
    let (folder, data) = data();
    let log = folder.path().join("log");
    let mut command = scim(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--data",
        shown(&data),
        "--json",
    ]);
    command.stderr(Stdio::from(fs::File::create(&log).unwrap()));
    let server = Running::logged(command);
    let payload = json!({
        "op": "webhook.add", "actor": "billing-service", "requestId": "0199c3a7",
        "url": "http://127.0.0.1:9/events?key=0123",
    });
    let reply = invoke(&server, "", &payload.to_string());
    let answer: Value = serde_json::from_str(&reply.body).unwrap();
    let secret = answer["ok"]["secret"].as_str().unwrap();
    let key = fs::read_to_string(data.join("admin-key")).unwrap();
    let log = fs::read_to_string(&log).unwrap();
    for wanted in ["webhook.add", "billing-service", "0199c3a7"] {
        assert!(log.contains(wanted), "{wanted}: {log}");
    }
    for hidden in [secret, &key, "key=0123"] {
        assert!(!log.contains(hidden), "{log}");
    }
}
