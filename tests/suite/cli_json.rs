//! `--json`: what each command prints is the answer of its operation, as `docs/admin.schema.json` describes it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::admin_operations::{SCHEMA, check};
use crate::cli::{answer, data, run, shown};
use crate::cli_help::every_command;

/// The commands whose answer is not that of one operation, and why.
const OTHERS: [(&str, &str); 12] = [
    ("serve", "says once that it is ready"),
    ("table", "says once that it is ready"),
    ("generate", "fills a local table, which is no operation"),
    ("completions", "prints a script for a shell"),
    ("openapi", "prints a document that has a schema of its own"),
    (
        "guide",
        "prints texts for people, in which an answer is used",
    ),
    ("play", "prints a line for each request that it sends"),
    (
        "events tail",
        "prints an event a line: docs/event.schema.json",
    ),
    (
        "events replay",
        "prints an event a line: docs/event.schema.json",
    ),
    (
        "export",
        "writes the parts of many answers to a file, and prints numbers",
    ),
    ("import", "sums up the parts of many answers"),
    (
        "webhook test",
        "fails if the receiver refuses: see cli_webhooks",
    ),
];

/// Runs commands on one data directory, and remembers which.
struct Session<'a> {
    data: &'a Path,
    schema: Value,
    run: BTreeSet<String>,
}

impl Session<'_> {
    /// Runs a command of this many words, and checks every line that it prints against the answer of an operation.
    #[track_caller]
    fn check(&mut self, operation: &str, words: usize, arguments: &[&str]) -> Value {
        let name = format!("{operation}.ok");
        let at = ["--json", "--data", shown(self.data)];
        let text = answer(&[arguments, &at].concat());
        let mut last = Value::Null;
        for line in text.lines() {
            last = serde_json::from_str(line).unwrap();
            check(&self.schema, &self.schema["$defs"][&name], &last, &name);
        }
        assert_ne!(last, Value::Null, "{arguments:?}");
        self.run.insert(arguments[..words].join(" "));
        last
    }
}

/// The text at a member of an answer.
fn text<'a>(answer: &'a Value, pointer: &str) -> &'a str {
    let text = answer.pointer(pointer).and_then(Value::as_str);
    text.unwrap_or_else(|| panic!("{pointer}: {answer}"))
}

#[test]
fn every_command_prints_the_answer_of_its_operation() {
    let (guard, data) = data();
    answer(&[
        "generate",
        "--users",
        "5",
        "--group-members",
        "3",
        "--tenant",
        "acme",
        "--data",
        shown(&data),
    ]);
    let mut session = Session {
        data: &data,
        schema: serde_json::from_str(SCHEMA).unwrap(),
        run: BTreeSet::new(),
    };
    of_tenants(&mut session);
    of_tokens(&mut session);
    of_definitions(&mut session, guard.path());
    of_the_directory(&mut session);
    of_webhooks(&mut session);
    session.check("stack.status", 2, &["stack", "status"]);
    session.check("stack.rotateKey", 2, &["stack", "rotate-key"]);
    let all = ["stack", "delete-tenants", "local"];
    session.check("stack.deleteTenants", 2, &all);
    let commands: BTreeSet<_> = every_command()
        .into_iter()
        .map(|(words, _)| words.join(" "))
        .collect();
    let others = OTHERS.iter().map(|(command, _)| (*command).to_owned());
    let known: BTreeSet<_> = session.run.into_iter().chain(others).collect();
    assert_eq!(
        known, commands,
        "a command is not tried here, or does not exist any more"
    );
}

fn of_tenants(session: &mut Session<'_>) {
    session.check(
        "tenant.create",
        2,
        &["tenant", "create", "new", "--set", "maxCount=500"],
    );
    session.check(
        "tenant.set",
        2,
        &["tenant", "set", "new", "--rules", "strict"],
    );
    session.check(
        "tenant.suspend",
        2,
        &["tenant", "suspend", "new", "--reason", "unpaid"],
    );
    session.check("tenant.list", 2, &["tenant", "list"]);
    session.check("tenant.resume", 2, &["tenant", "resume", "new"]);
    session.check(
        "tenant.delete",
        2,
        &["tenant", "delete", "new", "--confirm", "new"],
    );
    session.check("tenant.show", 2, &["tenant", "show", "new"]);
    session.check("tenant.restore", 2, &["tenant", "restore", "new"]);
    session.check("role.addOwn", 2, &["tenant", "add-roles", "new"]);
}

fn of_tokens(session: &mut Session<'_>) {
    let create = [
        "token",
        "create",
        "new",
        "--label",
        "okta",
        "--permission",
        "users:read",
    ];
    let created = session.check("credential.create", 2, &create);
    session.check("credential.list", 2, &["token", "list", "new"]);
    session.check("tenant.show", 2, &["tenant", "show", "new"]);
    let id = text(&created, "/id");
    let rotated = session.check("credential.rotate", 2, &["token", "rotate", "new", id]);
    let id = text(&rotated, "/id");
    session.check("credential.revoke", 2, &["token", "revoke", "new", id]);
    session.check(
        "credential.revokeAll",
        2,
        &["token", "revoke-all", "new", "--yes"],
    );
}

fn of_definitions(session: &mut Session<'_>, folder: &Path) {
    let (schema, badges) = (folder.join("badge.json"), folder.join("badges.json"));
    let urn = "urn:example:Badge";
    let definition = json!({"id": urn, "name": "Badge", "description": "A badge",
        "attributes": [{"name": "number", "type": "string"}]});
    fs::write(&schema, definition.to_string()).unwrap();
    let definition = json!({"id": "Badge", "name": "Badge", "endpoint": "/Badges", "schema": urn});
    fs::write(&badges, definition.to_string()).unwrap();
    let tenant = ["--tenant", "new"];
    for (operation, command) in [
        ("schema.add", ["schema", "add", shown(&schema)]),
        ("schema.show", ["schema", "show", urn]),
        ("resourceType.add", ["resource-type", "add", shown(&badges)]),
        ("resourceType.show", ["resource-type", "show", "Badge"]),
    ] {
        session.check(operation, 2, &[&command[..], &tenant].concat());
    }
    for (operation, command) in [
        ("schema.list", &["schema", "list"][..]),
        ("resourceType.list", &["resource-type", "list"]),
        ("resourceType.remove", &["resource-type", "remove", "Badge"]),
        ("schema.remove", &["schema", "remove", urn]),
    ] {
        session.check(operation, 2, &[command, &tenant].concat());
    }
}

fn of_the_directory(session: &mut Session<'_>) {
    let by_name = ["group", "find", "acme", "--name", "everyone"];
    let found = session.check("group.find", 2, &by_name);
    let group = text(&found, "/found/0/id");
    let members = session.check("group.members", 2, &["group", "members", "acme", group]);
    let user = text(&members, "/members/0/id");
    let find = ["user", "find", "acme", "--id", user, "--values"];
    assert_eq!(session.check("user.find", 2, &find)["found"][0]["id"], user);
    session.check(
        "event.list",
        2,
        &["events", "list", "acme", "--resource", user],
    );
    session.check("event.forget", 2, &["events", "forget", "acme", user]);
    session.check("data.check", 1, &["doctor"]);
    session.check("brake.status", 2, &["brake", "status", "acme"]);
    session.check("brake.release", 2, &["brake", "release", "acme"]);
}

fn of_webhooks(session: &mut Session<'_>) {
    let add = [
        "webhook",
        "add",
        "http://127.0.0.1:9/hook",
        "--tenant",
        "acme",
    ];
    let added = session.check("webhook.add", 2, &add);
    let id = text(&added, "/id");
    session.check("webhook.list", 2, &["webhook", "list"]);
    for (operation, verb) in [
        ("webhook.show", "show"),
        ("webhook.rotate", "rotate"),
        ("webhook.resume", "resume"),
        ("webhook.remove", "remove"),
    ] {
        session.check(operation, 2, &["webhook", verb, id]);
    }
}

/// What a script reads is on stdout, whatever else is said.
#[test]
fn with_json_nothing_but_json_is_on_stdout() {
    let (_guard, data) = data();
    let create = ["tenant", "create", "acme", "--json", "--data", shown(&data)];
    let output = run(&create);
    assert!(serde_json::from_slice::<Value>(&output.stdout).is_ok());
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .starts_with("Deployment: local data ")
    );
}
