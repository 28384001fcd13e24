//! `scim play`, through the real command: what each provider sends, what becomes of it in the feed, and what a run
//! leaves behind.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::cli::{Running, answer, run, scim};

/// The events of each resource that a provider creates, in order of their creation.
const EVENTS: [(&str, &[&str]); 7] = [
    (
        "okta",
        &[
            "user.created user.updated user.renamed user.deactivated user.activated",
            "user.created",
            "group.created group.renamed",
            "group.created group.deleted",
        ],
    ),
    (
        "entra",
        &[
            "user.created user.updated user.updated user.renamed user.deactivated user.activated \
             user.deactivated user.deleted",
            "user.created",
            "group.created group.renamed",
        ],
    ),
    (
        "onelogin",
        &[
            "user.created user.updated user.renamed user.deactivated user.activated user.deleted",
            "user.created",
            "group.created",
        ],
    ),
    (
        "ping",
        &[
            "user.created user.updated user.renamed user.deactivated user.activated user.deleted",
            "user.created",
            "group.created",
        ],
    ),
    (
        "jumpcloud",
        &[
            "user.created user.deleted",
            "group.created group.deleted",
            "user.created user.updated user.renamed user.deactivated user.activated user.deleted",
            "user.created",
            "group.created group.renamed",
        ],
    ),
    (
        "google",
        &[
            "user.created user.updated user.renamed user.deactivated user.activated user.deleted",
            "user.created",
        ],
    ),
    (
        "scim11",
        &[
            "user.created user.updated user.renamed user.deactivated user.activated user.deleted",
            "user.created",
            "group.created group.renamed",
        ],
    ),
];

/// How often the feed is looked at until it has what it must have.
const MAX_LOOKS: usize = 600;

/// A server on a data directory of its own.
struct Server {
    running: Running,
    folder: tempfile::TempDir,
}

impl Server {
    /// Starts with these tenants besides `demo`.
    fn start(tenants: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().to_str().unwrap();
        for tenant in tenants {
            answer(&["tenant", "create", tenant, "--data", data]);
        }
        let running =
            Running::start(&["serve", "--data", data, "--listen", "127.0.0.1:0", "--json"]);
        Self { running, folder }
    }

    fn data(&self) -> &str {
        path(self.folder.path())
    }

    /// Plays with a token that is made for the run.
    fn play(&self, provider: &str, tenant: &str, pause: &str, more: &[&str]) -> Command {
        let base = self.running.text("baseUrl");
        let start = ["play", provider, tenant, "--pause", pause, "--url", &base];
        scim(&[&start[..], &["--data", self.data()], more].concat())
    }

    /// The events of a tenant.
    fn events(&self, tenant: &str) -> Vec<Value> {
        let printed = answer(&["events", "replay", tenant, "--data", self.data()]);
        printed
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The number of users and groups of the demo tenant.
    fn resources(&self) -> [u64; 2] {
        ["/Users", "/Groups"].map(|path| {
            let answer = self.running.fetch(path, &self.running.text("token"));
            let (_, body) = answer.split_once("\r\n\r\n").unwrap();
            let body: Value = serde_json::from_str(body).unwrap();
            body["totalResults"].as_u64().unwrap()
        })
    }

    /// The ids of the tenant's tokens.
    fn tokens(&self) -> Vec<String> {
        let list = answer(&["token", "list", "demo", "--data", self.data()]);
        let ids = list.lines().filter_map(|line| line.split(' ').next());
        ids.map(str::to_owned).collect()
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// The events of one resource, as one text.
fn of(events: &[Value], id: &str) -> String {
    let events = events.iter();
    let own = events.filter(|event| event["resource"]["id"] == id && event["member"].is_null());
    let types: Vec<&str> = own.map(|event| event["type"].as_str().unwrap()).collect();
    types.join(" ")
}

#[test]
fn every_play_ends_in_the_events_that_the_provider_means() {
    let tenants = EVENTS.map(|(provider, _)| provider);
    let server = Server::start(&tenants);
    for (provider, expected) in EVENTS {
        let played = server
            .play(provider, provider, "0", &["--keep", "--json"])
            .output();
        let printed = succeeded(&played.unwrap());
        let requests: Vec<Value> = printed
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let creations = requests
            .iter()
            .filter(|request| request["method"] == "POST");
        let ids: Vec<&str> = creations
            .map(|creation| creation["answer"]["id"].as_str().unwrap())
            .collect();
        assert_eq!(ids.len(), expected.len(), "{provider}");
        let is_there = |events: &[Value]| {
            let mut pairs = ids.iter().zip(expected);
            pairs.all(|(id, expected)| of(events, id) == *expected)
        };
        let mut events = server.events(provider);
        for _ in 0..MAX_LOOKS {
            if is_there(&events) {
                break;
            }
            thread::sleep(Duration::from_millis(50));
            events = server.events(provider);
        }
        let found: Vec<String> = ids.iter().map(|id| of(&events, id)).collect();
        assert_eq!(found, expected, "{provider}");
        check_members(provider, &requests, &events);
    }
}

/// The last event about a member says what the provider left: Grace is in the group, and Ada is not.
fn check_members(provider: &str, requests: &[Value], events: &[Value]) {
    let created = |path: &str, name: &str| {
        let mut requests = requests.iter();
        let request = requests.find(|request| {
            let names = [
                &request["body"]["userName"],
                &request["body"]["displayName"],
            ];
            let mut names = names.into_iter().filter_map(Value::as_str);
            let is_named = names.any(|found| found.starts_with(name));
            request["method"] == "POST" && request["path"] == path && is_named
        });
        request.map(|request| request["answer"]["id"].clone())
    };
    let Some(group) = created("/Groups", "Engineers") else {
        assert_eq!(provider, "google");
        return;
    };
    let last = |member: &str| {
        let member = created("/Users", member).unwrap();
        let mut events = events.iter().rev();
        let last = events
            .find(|event| event["resource"]["id"] == group && event["member"]["id"] == member);
        last.map(|event| event["type"].as_str().unwrap())
    };
    assert_eq!(last("grace"), Some("group.member.added"), "{provider}");
    // Ada was added and removed. If the reader of the stream looks at the group only afterwards, no event names her.
    assert_ne!(last("ada"), Some("group.member.added"), "{provider}");
}

#[test]
fn a_run_prints_a_line_for_each_request_and_leaves_nothing_behind() {
    let server = Server::start(&[]);
    let tokens = server.tokens();
    // Twice, because the names of a run are its own.
    for _ in 0..2 {
        let played = server.play("okta", "demo", "0", &[]).output().unwrap();
        let printed = succeeded(&played);
        let lines: Vec<&str> = printed.lines().collect();
        let about = text(&played.stderr);
        let base = server.running.text("baseUrl");
        let expected = format!("Okta in tenant demo at {base}");
        assert_eq!(about.lines().nth(1), Some(expected.as_str()), "{about}");
        assert_eq!(
            lines[0],
            "tests the connection                          GET     200  /Users?startIndex=…"
        );
        assert!(
            lines[3].starts_with("creates Ada, who was assigned  "),
            "{}",
            lines[3]
        );
        assert!(lines[3].ends_with("POST    201  /Users"), "{}", lines[3]);
        let cleaned = lines.iter().filter(|line| line.starts_with("cleans up  "));
        assert_eq!(cleaned.count(), 3, "{printed}");
    }
    assert_eq!(server.resources(), [0, 0]);
    assert_eq!(server.tokens(), tokens);
}

#[test]
fn a_refused_request_ends_the_run_and_is_explained() {
    let server = Server::start(&[]);
    let (base, data) = (server.running.text("baseUrl"), server.data());
    let reader = [
        "token",
        "create",
        "demo",
        "--permission",
        "users:list",
        "--permission",
        "groups:list",
    ];
    let reader = answer(&[&reader[..], &["--json", "--data", data]].concat());
    let reader: Value = serde_json::from_str(&reader).unwrap();
    let reader = reader["token"].as_str().unwrap();
    let play = [
        "play", "okta", "demo", "--pause", "0", "--url", &base, "--token", reader,
    ];
    let refused = run(&play);
    assert_eq!(refused.status.code(), Some(1));
    let printed = text(&refused.stdout);
    assert!(printed.ends_with("POST    403  /Users\n"), "{printed}");
    let reason = text(&refused.stderr);
    let reason = reason.lines().last().unwrap();
    let start = "scim: creates Ada, who was assigned: the server answered 403: ";
    assert!(reason.starts_with(start), "{reason}");
}

#[test]
fn a_token_of_another_tenant_is_refused_before_anything_is_sent() {
    let server = Server::start(&["acme"]);
    let (base, token) = (server.running.text("baseUrl"), server.running.text("token"));
    let start = ["play", "okta", "acme", "--pause", "0", "--url", &base];
    let refused = run(&[&start[..], &["--token", &token]].concat());
    assert_eq!(
        (refused.status.code(), text(&refused.stdout)),
        (Some(1), String::new())
    );
    let expected = "scim: the token is one of tenant demo, not of acme: name its own tenant, or send another token\n";
    assert_eq!(text(&refused.stderr), expected);
    // A token of another form may be one of another server, which knows whose it is.
    let foreign = run(&[&start[..], &["--token", "eyJhbGciOi_J9"]].concat());
    assert_eq!(foreign.status.code(), Some(1));
    assert!(
        text(&foreign.stdout).contains("GET     401  "),
        "{}",
        text(&foreign.stdout)
    );
}

#[test]
fn what_was_created_before_a_refusal_is_deleted() {
    let server = Server::start(&[]);
    let (base, data) = (server.running.text("baseUrl"), server.data());
    let permissions = ["users:list", "users:create", "users:delete", "groups:list"];
    let permissions = permissions.iter().flat_map(|name| ["--permission", name]);
    let create: Vec<&str> = ["token", "create", "demo", "--json", "--data", data]
        .into_iter()
        .chain(permissions)
        .collect();
    let token: Value = serde_json::from_str(&answer(&create)).unwrap();
    let token = token["token"].as_str().unwrap();
    let play = [
        "play", "entra", "demo", "--pause", "0", "--url", &base, "--token", token,
    ];
    let refused = run(&play);
    assert_eq!(refused.status.code(), Some(1));
    let printed = text(&refused.stdout);
    assert!(printed.contains("creates Grace  "), "{printed}");
    assert_eq!(server.resources(), [0, 0], "{printed}");
}

#[test]
fn without_a_server_the_command_says_what_to_start() {
    let server = Server::start(&[]);
    let tokens = server.tokens();
    // Nothing listens on port 1.
    let play = [
        "play",
        "okta",
        "demo",
        "--url",
        "http://127.0.0.1:1",
        "--data",
        server.data(),
    ];
    let failed = run(&play);
    assert_eq!(failed.status.code(), Some(1));
    assert_eq!(failed.stdout, b"");
    let reason = text(&failed.stderr);
    let reason = reason.lines().last().unwrap();
    let expected = "scim: no server listens at http://127.0.0.1:1/scim/v2: start one with scim serve, or name it with --url";
    assert_eq!(reason, expected);
    assert_eq!(server.tokens(), tokens);
}

#[test]
#[cfg(unix)]
fn an_interrupted_run_cleans_up() {
    let server = Server::start(&[]);
    let tokens = server.tokens();
    let mut play = server.play("okta", "demo", "1", &[]);
    let mut child = play
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("creates Ada")));
    let id = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &id])
            .status()
            .unwrap()
            .success()
    );
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    assert!(
        text(&ended.stderr).ends_with("scim: interrupted\n"),
        "{}",
        text(&ended.stderr)
    );
    assert!(rest.last().unwrap().starts_with("cleans up"), "{rest:?}");
    assert_eq!(server.resources(), [0, 0]);
    assert_eq!(server.tokens(), tokens);
}
