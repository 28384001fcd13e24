//! `scim webhook`, as a person types it beside a running `scim serve`.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;

use crate::cli::{Running, data, run, scim, shown};

/// A test fails if a message does not come within this time. It comes within a second.
const LONGEST: Duration = Duration::from_secs(30);

/// What a command printed, and its exit code.
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

fn webhook(data: &Path, arguments: &[&str]) -> Ran {
    let at = ["--data", shown(data)];
    let output = run(&[&["webhook"], arguments, &at[..]].concat());
    Ran {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs a command that must succeed, and returns its JSON.
#[track_caller]
fn json(data: &Path, arguments: &[&str]) -> Value {
    let ran = webhook(data, &[arguments, &["--json"]].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    serde_json::from_str(&ran.out).unwrap()
}

/// Runs a command that must be refused, and returns the line on stderr that says why.
#[track_caller]
fn refused(data: &Path, arguments: &[&str]) -> String {
    let ran = webhook(data, arguments);
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{}", ran.err);
    let lines: Vec<&str> = ran.err.lines().collect();
    // The first line says what the command works on.
    assert_eq!(lines.len(), 2, "{}", ran.err);
    assert_eq!(lines[0], format!("Deployment: local data {}", shown(data)));
    lines[1].to_owned()
}

fn serve(data: &Path) -> Running {
    let arguments = ["serve", "--json", "--listen", "127.0.0.1:0", "--data"];
    Running::start(&[&arguments[..], &[shown(data)]].concat())
}

/// A receiver for one request, which it answers with this status. It returns what it has received.
fn receiver(status: &'static str) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let received = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        answer(&mut stream, status)
    });
    (url, received)
}

/// Reads one request and answers it. Returns the request.
fn answer(stream: &mut TcpStream, status: &str) -> String {
    let mut text = String::new();
    let mut part = [0; 4096];
    loop {
        let read = stream.read(&mut part).unwrap();
        text.push_str(std::str::from_utf8(&part[..read]).unwrap());
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.parse::<usize>().unwrap())
        });
        if body.len() >= length.unwrap() {
            break;
        }
    }
    write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").unwrap();
    text
}

#[test]
fn a_webhook_is_added_listed_tried_and_shown_beside_a_running_server() {
    let (_guard, data) = data();
    let _serve = serve(&data);
    let (url, received) = receiver("204 No Content");
    let added = webhook(
        &data,
        &["add", &url, "--tenant", "demo", "--type", "user.*,group.*"],
    );
    assert_eq!(added.code, Some(0), "{}", added.err);
    assert_eq!(
        added.err,
        format!("Deployment: local data {}\n", shown(&data))
    );
    for part in [
        "  Tenant  demo\n",
        "  Types   group.*, user.*\n",
        "  Secret  whsec_",
        "not shown again",
    ] {
        assert!(added.out.contains(part), "{part}: {}", added.out);
    }
    let id = json(&data, &["list"])["webhooks"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        added
            .out
            .contains(&format!("scim webhook test {id} --data {}\n", shown(&data))),
        "{}",
        added.out
    );

    let list = webhook(&data, &["list"]).out;
    let lines: Vec<&str> = list.lines().collect();
    assert!(
        lines[0].starts_with("ID                STATE   ADDED "),
        "{list}"
    );
    assert!(lines[1].starts_with(&format!("{id}  active  ")), "{list}");
    assert!(lines[1].ends_with("  demo"), "{list}");
    assert_eq!(
        lines[2..],
        [format!("  {url}"), "  group.*, user.*".to_owned()]
    );

    let tested = webhook(&data, &["test", &id]);
    assert_eq!(tested.code, Some(0), "{}", tested.err);
    let accepted = "The receiver has accepted message msg_";
    assert!(tested.out.starts_with(accepted), "{}", tested.out);
    let received = received.join().unwrap();
    assert!(
        received.contains("\r\nwebhook-signature: v1,"),
        "{received}"
    );
    assert!(received.contains("\"webhook.test\""), "{received}");

    let shown = webhook(&data, &["show", &id]).out;
    assert!(
        shown.contains("TENANT  STATE") && shown.contains("\ndemo    "),
        "{shown}"
    );
    assert!(!shown.contains("whsec_"));
}

#[test]
fn a_webhook_is_rotated_resumed_and_removed() {
    let (_guard, data) = data();
    drop(serve(&data));
    let added = json(&data, &["add", "https://app.example.com/hook"]);
    let id = added["id"].as_str().unwrap().to_owned();
    let rotated = webhook(&data, &["rotate", &id]).out;
    assert!(
        rotated.contains("also signed with the previous one"),
        "{rotated}"
    );
    let again = refused(&data, &["rotate", &id]);
    assert!(again.contains("less than a day ago"), "{again}");
    let at_once = json(&data, &["rotate", &id, "--at-once"]);
    assert_eq!(at_once["previousUntil"], Value::Null);

    assert_eq!(
        webhook(&data, &["resume", &id]).out,
        format!("Resumed webhook {id}\n")
    );
    assert_eq!(
        webhook(&data, &["remove", &id]).out,
        format!("Removed webhook {id}\n")
    );
    assert!(
        webhook(&data, &["list"])
            .out
            .starts_with("There are no webhooks")
    );
    // Whether the operation is refused or finds nothing to do, the command leads to the webhooks that exist.
    for command in ["remove", "resume"] {
        let line = refused(&data, &[command, &id]);
        let data = shown(&data);
        let expected = format!(
            "scim: There is no webhook {id}; scim webhook list --data {data} shows those that exist"
        );
        assert_eq!(line, expected, "{command}");
    }
}

#[test]
fn a_webhook_that_exists_is_found_without_its_secret() {
    let (_guard, data) = data();
    drop(serve(&data));
    let url = "https://app.example.com/hook";
    let first = json(&data, &["add", url]);
    let again = webhook(&data, &["add", url]);
    assert_eq!(again.code, Some(0));
    assert!(
        again.out.contains("This webhook exists already") && !again.out.contains("whsec_"),
        "{}",
        again.out
    );
    let id = first["id"].as_str().unwrap();
    assert!(
        again.out.contains(&format!("scim webhook rotate {id}")),
        "{}",
        again.out
    );
    let other = webhook(&data, &["add", url, "--types", "badge.*"]);
    assert!(
        other
            .out
            .contains("Note: No built-in type of resource is called `badge`"),
        "{}",
        other.out
    );
}

#[test]
fn a_sample_that_is_not_accepted_is_a_failure_that_says_why() {
    let (_guard, data) = data();
    drop(serve(&data));
    let (url, received) = receiver("500 Internal Server Error");
    let id = json(&data, &["add", &url])["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let line = refused(&data, &["test", &id]);
    assert!(line.contains("answered with status 500"), "{line}");
    received.join().unwrap();
    // Nothing listens on the port any more.
    let ran = webhook(&data, &["test", &id, "--json"]);
    assert_eq!(ran.code, Some(1));
    let tested: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(tested["accepted"], false);
    assert!(
        ran.err.contains(tested["detail"].as_str().unwrap()),
        "{}",
        ran.err
    );
}

#[test]
fn errors_say_what_is_allowed() {
    let (_guard, data) = data();
    let missing = webhook(&data, &["list"]);
    assert_eq!(missing.code, Some(1));
    assert!(
        missing.err.contains("There is no data in"),
        "{}",
        missing.err
    );
    drop(serve(&data));
    let id = "5f0c9a1e7d3b2846";
    let url = "https://app.example.com";
    let cases: [(&[&str], &str); 10] = [
        (&["add", "app.example.com"], "The URL cannot be read"),
        (
            &["add", "http://app.example.com"],
            "http:// is only for localhost, 127.0.0.1 and [::1]",
        ),
        (
            &["add", "https://user:pw@app.example.com"],
            "must not have a user or a password",
        ),
        (
            &["add", url, "--tenant", "nobody"],
            "There is no tenant nobody",
        ),
        (
            &["add", url, "--type", "user.creatd"],
            "created, updated, activated",
        ),
        (&["show", id], "There is no webhook 5f0c9a1e7d3b2846; scim"),
        (&["test", id], "There is no webhook 5f0c9a1e7d3b2846"),
        (&["rotate", id], "There is no webhook 5f0c9a1e7d3b2846"),
        (&["resume", id], "There is no webhook 5f0c9a1e7d3b2846"),
        (&["remove", id], "There is no webhook 5f0c9a1e7d3b2846"),
    ];
    for (arguments, part) in cases {
        let line = refused(&data, arguments);
        assert!(line.contains(part), "{arguments:?}: {line}");
    }
    // Arguments that cannot be read are another code.
    let usage: [&[&str]; 4] = [
        &["add"],
        &["show", "A"],
        &["add", url, "--from", "then"],
        &["add", url, "--tenant", "A"],
    ];
    for arguments in usage {
        assert_eq!(webhook(&data, arguments).code, Some(2), "{arguments:?}");
    }
}

/// A receiver that answers everything in one way, and the bodies that it has received.
struct Receiver {
    url: String,
    bodies: mpsc::Receiver<Value>,
}

impl Receiver {
    fn start() -> Self {
        Self::answering("204 No Content")
    }

    fn answering(status: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let (sender, bodies) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let request = answer(&mut stream.unwrap(), status);
                let body = request.split_once("\r\n\r\n").unwrap().1;
                if sender.send(serde_json::from_str(body).unwrap()).is_err() {
                    return;
                }
            }
        });
        Self { url, bodies }
    }

    /// The next events, up to one of this type. Fails if it does not come.
    #[track_caller]
    fn until(&self, event_type: &str) -> Vec<Value> {
        let mut events = Vec::new();
        loop {
            let body = self.bodies.recv_timeout(LONGEST).unwrap();
            events.extend(body["data"]["events"].as_array().unwrap().iter().cloned());
            if events.iter().any(|event| event["type"] == event_type) {
                return events;
            }
        }
    }
}

/// Creates a user.
fn create_user(serve: &Running, name: &str) {
    let body = format!(
        r#"{{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"{name}"}}"#
    );
    let (base, token) = (serve.text("baseUrl"), serve.text("token"));
    let host = base
        .strip_prefix("http://")
        .unwrap()
        .split_once('/')
        .unwrap()
        .0;
    let answer = serve.send(&format!(
        "POST /scim/v2/Users HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/scim+json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    ));
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
}

#[test]
fn a_server_sends_events_to_the_webhooks_that_it_is_started_with() {
    let (_guard, data) = data();
    let receiver = Receiver::start();
    let serve = serve_with(&data, &receiver.url);
    let secret = serve.ready["webhooks"][0]["secret"].clone();
    assert!(secret.as_str().unwrap().starts_with("whsec_"));
    create_user(&serve, "ada@example.com");
    let events = receiver.until("user.created");
    let created = events.last().unwrap();
    assert_eq!(created["changes"]["userName"]["after"], "ada@example.com");

    let id = serve.ready["webhooks"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    // A process that dies before it has written down that the message was accepted holds the delivery for a minute.
    while json(&data, &["show", &id])["deliveries"][0]["state"] != "upToDate" {}

    // After a restart the receiver goes on with the secret that it has, and misses nothing.
    drop(serve);
    let serve = serve_with(&data, &receiver.url);
    assert_eq!(serve.ready["webhooks"][0]["secret"], secret);
    create_user(&serve, "bob@example.com");
    let events = receiver.until("user.created");
    assert_eq!(
        events[0]["seq"].as_u64(),
        created["seq"].as_u64().map(|seq| seq + 1)
    );
    assert_eq!(serve.ready["webhooks"][0]["id"], id);
    let shown = json(&data, &["show", &id]);
    assert_eq!(shown["deliveries"][0]["tenant"], "demo");
    assert_eq!(shown["deliveries"][0]["lastFailure"], Value::Null);
}

#[test]
fn a_running_server_sends_events_to_a_webhook_that_is_added_beside_it() {
    let (_guard, data) = data();
    let serve = serve(&data);
    create_user(&serve, "ada@example.com");
    let receiver = Receiver::start();
    json(&data, &["add", &receiver.url, "--from", "beginning"]);
    let events = receiver.until("user.created");
    assert_eq!(events[0]["type"], "feed.started");
    create_user(&serve, "bob@example.com");
    receiver.until("user.created");
}

#[test]
fn a_server_does_not_start_with_a_webhook_that_is_refused() {
    let (_guard, data) = data();
    let arguments = [
        "serve",
        "--webhook",
        "http://127.0.0.1:1/",
        "--listen",
        "127.0.0.1:0",
    ];
    let ran = run(&[
        &arguments[..],
        &["--data", shown(&data), "--webhook", "ftp://a"],
    ]
    .concat());
    assert_eq!(ran.status.code(), Some(1));
    let text = String::from_utf8(ran.stderr).unwrap();
    assert!(text.contains("has to begin with https://"), "{text}");
}

#[test]
fn webhooks_of_a_deployment_have_public_addresses() {
    let table = [
        "table",
        "--json",
        "--listen",
        "127.0.0.1:0",
        "--data",
        ":memory:",
    ];
    let table = Running::start(&table);
    let add = |url: &str| {
        let mut add = scim(&["webhook", "add", url]);
        let environment = table.ready["env"].as_object().unwrap().iter();
        add.envs(environment.map(|(name, value)| (name, value.as_str().unwrap())));
        let output = add.output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    for url in ["http://127.0.0.1:8080/hook", "https://127.0.0.1:8080/hook"] {
        let (code, text) = add(url);
        assert_eq!(code, Some(1), "{url}: {text}");
        let lines: Vec<&str> = text.lines().collect();
        let place = format!(
            "Deployment: stack {}, table scim, {}",
            table.ready["env"]["SCIM_STACK"].as_str().unwrap(),
            table.text("endpoint"),
        );
        assert_eq!(lines[0], place);
        assert!(lines[1].starts_with("scim: The URL has"), "{text}");
    }
    assert_eq!(add("https://app.example.com/hook").0, Some(0));
}

/// Starts a server that sends to a receiver.
fn serve_with(data: &Path, url: &str) -> Running {
    let arguments = [
        "serve",
        "--json",
        "--listen",
        "127.0.0.1:0",
        "--webhook",
        url,
    ];
    Running::start(&[&arguments[..], &["--data", shown(data)]].concat())
}

/// The same, which has created a user and whose delivery has come into this state.
fn serve_until(data: &Path, url: &str, state: &str) -> Running {
    let serve = serve_with(data, url);
    create_user(&serve, "ada@example.com");
    let id = serve.ready["webhooks"][0]["id"].as_str().unwrap();
    while json(data, &["show", id])["deliveries"][0]["state"] != state {}
    serve
}

#[test]
fn a_failure_is_shown_below_its_delivery_and_fits_a_terminal() {
    let (_guard, data) = data();
    let receiver = Receiver::answering("500 Internal Server Error");
    let serve = serve_until(&data, &receiver.url, "retrying");
    let id = serve.ready["webhooks"][0]["id"].as_str().unwrap();
    let printed = webhook(&data, &["show", id]).out;
    let lines: Vec<&str> = printed.lines().collect();
    let header = lines
        .iter()
        .position(|line| line.starts_with("TENANT  STATE "));
    let below = &lines[header.unwrap() + 1..];
    assert!(below[0].starts_with("demo    retrying  "), "{printed}");
    assert!(below[1].starts_with("  failed "), "{printed}");
    assert_eq!(below[2..], ["  The receiver answered with status 500"]);
    let longest = lines.iter().map(|line| line.chars().count()).max();
    assert!(longest <= Some(80), "{printed}");
}

#[test]
fn a_webhook_that_is_disabled_is_shown_so_where_it_is_met_again() {
    let (_guard, data) = data();
    let receiver = Receiver::answering("410 Gone");
    let serve = serve_until(&data, &receiver.url, "behind");
    while json(&data, &["list"])["webhooks"][0]["disabled"].is_null() {}
    let id = serve.ready["webhooks"][0]["id"].clone();
    assert_eq!(serve.ready["webhooks"][0]["disabled"], Value::Null);
    drop(serve);
    let list = webhook(&data, &["list"]).out;
    let row = format!("\n{}  disabled  ", id.as_str().unwrap());
    assert!(list.contains(&row), "{list}");
    let added = webhook(&data, &["add", &receiver.url]).out;
    let note = "Note: It is disabled; resume it to send again";
    assert!(added.contains(note), "{added}");
    let serve = serve_with(&data, &receiver.url);
    let reason = serve.ready["webhooks"][0]["disabled"].as_str().unwrap();
    assert!(reason.contains("410"), "{reason}");
}
