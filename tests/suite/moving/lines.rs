//! Lines that cannot be taken: each is named, and changes nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{Deployment, USER, fill};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

const ID: &str = "019f0000-0000-7000-8000-000000000001";

fn resource(change: impl FnOnce(&mut Value)) -> String {
    let mut line = json!({
        "type": "User", "id": ID, "version": "1", "created": "2026-01-01T00:00:00Z",
        "lastModified": "2026-01-02T00:00:00Z",
        "body": {"schemas": [USER], "userName": "eva@example.com"},
    });
    change(&mut line);
    json!({"resource": line}).to_string()
}

fn members(change: impl FnOnce(&mut Value)) -> String {
    let mut line = json!({"type": "Group", "group": ID, "of": [{"id": ID, "type": "User"}]});
    change(&mut line);
    json!({"members": line}).to_string()
}

/// A line, and the code and a part of the text of its error.
type Case = (String, &'static str, &'static str);

fn unreadable() -> Vec<Case> {
    let long = "x".repeat(2_000_000);
    let deep = "[".repeat(200) + &"]".repeat(200);
    vec![
        ("{".to_owned(), "invalid", "it is no JSON, at column"),
        (String::new(), "invalid", "it is no JSON"),
        ("[]".to_owned(), "invalid", "cannot be read"),
        (
            r#"{"user":{}}"#.to_owned(),
            "invalid",
            "unknown variant `user`",
        ),
        (
            r#"{"resource":{}}"#.to_owned(),
            "invalid",
            "missing field `type`",
        ),
        (
            resource(|line| line["more"] = json!(1)),
            "invalid",
            "unknown field `more`",
        ),
        (
            resource(|line| line["id"] = json!("secret-value")).replace(r#""secret-value""#, "7"),
            "invalid",
            "another type",
        ),
        (
            resource(|line| line["\u{1b}[2J"] = json!(1)),
            "invalid",
            "unknown field `\u{fffd}[2J`",
        ),
        (long, "invalid", "at most 1500000 are read"),
        (deep, "invalid", "cannot be read"),
    ]
}

/// Resources. The ids are those of a directory with three users and three groups.
fn resources(ids: &[String]) -> Vec<Case> {
    let out_of_reach = ["..", ".search", "a.json"].map(|id| {
        let line = resource(|line| line["id"] = json!(id));
        (line, "invalid", "no client could reach")
    });
    let mut cases = vec![
        (
            resource(|line| line["type"] = json!("Robot")),
            "unknown",
            "no resource type Robot",
        ),
        (
            resource(|line| line["id"] = json!("a/b")),
            "invalid",
            "`id` is `a/b`",
        ),
        (
            resource(|line| line["id"] = json!("")),
            "invalid",
            "an id has 1 to 64",
        ),
        (
            resource(|line| line["body"]["id"] = json!("other")),
            "invalid",
            "not the `id` of the line",
        ),
        (
            resource(|line| line["id"] = json!(ids[3])),
            "taken",
            "belongs to a resource of type Group",
        ),
        (
            resource(|line| line["version"] = json!("one")),
            "invalid",
            "`version`",
        ),
        (
            resource(|line| line["version"] = json!("99999999999999999999")),
            "invalid",
            "`version`",
        ),
        (
            resource(|line| line["created"] = json!("2026-01-03T00:00:00Z")),
            "invalid",
            "`created` is after",
        ),
        (
            resource(|line| line["lastModified"] = json!("2999-01-03T00:00:00Z")),
            "invalid",
            "in the future",
        ),
    ];
    cases.extend(out_of_reach);
    cases
}

fn nested(depth: usize) -> Value {
    (0..depth).fold(json!("deep"), |value, _| json!([value]))
}

/// Resources whose bodies are beyond a bound.
fn large_bodies() -> Vec<Case> {
    let large = "x".repeat(400_001);
    vec![
        (
            resource(|line| line["body"]["title"] = json!(large)),
            "invalid",
            "400000 bytes",
        ),
        (
            resource(|line| line["body"]["urn:example:lost"] = json!({"a": large})),
            "invalid",
            "400000 bytes",
        ),
        (
            resource(|line| line["body"]["x509Certificates"] = nested(40)),
            "invalid",
            "nested deeper",
        ),
    ]
}

/// Resources whose bodies have a fault.
fn bodies() -> Vec<Case> {
    vec![
        (
            resource(|line| line["body"] = json!({"schemas": [USER]})),
            "invalid",
            "`userName` is required",
        ),
        (
            resource(|line| line["body"]["active"] = json!({"a": 1})),
            "invalid",
            "active",
        ),
        (
            resource(|line| line["body"]["meta"] = json!({})),
            "invalid",
            "The body has `meta`",
        ),
        (
            resource(|line| line["body"]["groups"] = json!([])),
            "invalid",
            "The body has `groups`",
        ),
        (
            resource(|line| line["body"]["password"] = json!("abc")),
            "invalid",
            "passwordHash",
        ),
        (
            resource(|line| line["body"]["USERNAME"] = json!("eve")),
            "invalid",
            "USERNAME",
        ),
        (
            resource(|line| line["body"]["pin"] = json!("1234")),
            "invalid",
            "`pin`, which no schema of User defines",
        ),
        (
            resource(|line| line["body"]["URN:example:lost"] = json!({"pin": "1234"})),
            "invalid",
            "`URN:example:lost`, which no schema",
        ),
        (
            resource(|line| line["body"][ENTERPRISE] = json!({"pin": "1234"})),
            "invalid",
            "`pin`, which no schema of User defines",
        ),
        (
            resource(|line| line["body"]["userName"] = json!("ada@example.com")),
            "taken",
            "`userName` already belongs",
        ),
    ]
}

fn memberships(ids: &[String]) -> Vec<Case> {
    let many: Vec<_> = (0..1_001)
        .map(|number| json!({"id": format!("a-{number}"), "type": "User"}))
        .collect();
    vec![
        (members(|_| {}), "invalid", "the group itself"),
        (
            members(|line| line["type"] = json!("User")),
            "invalid",
            "A User has no members",
        ),
        (
            members(|line| line["type"] = json!("Robot")),
            "unknown",
            "no resource type Robot",
        ),
        (
            members(|line| line["of"] = json!(many)),
            "invalid",
            "at most 1000",
        ),
        (
            members(|line| {
                line["of"] = json!([{"id": "a", "type": "User"}, {"id": "a", "type": "User"}])
            }),
            "invalid",
            "twice",
        ),
        (
            members(|line| line["of"][0] = json!({"id": "a", "type": "Role"})),
            "invalid",
            "No Role can be a member",
        ),
        (
            members(|line| line["of"][0] = json!({"id": "a", "type": "User"})),
            "unknown",
            "of no resource, such as 019f0000",
        ),
        (
            members(|line| {
                line["group"] = json!(ids[3]);
                line["of"][0] = json!({"id": "not-there", "type": "User"});
            }),
            "unknown",
            "such as not-there",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_cannot_be_taken_is_named_and_changes_nothing() {
    let deployment = Deployment::start().await;
    let ids = fill(&deployment).await;
    let head = deployment.export().await.remove(0);
    let before = deployment.server.items().await;
    let cases = unreadable()
        .into_iter()
        .chain(resources(&ids))
        .chain(large_bodies())
        .chain(bodies())
        .chain(memberships(&ids));
    for (line, code, detail) in cases {
        let lines = [head.clone(), line.clone()];
        let imported = deployment.round("write", "skip", &lines).await;
        let short: String = line.chars().take(200).collect();
        let [(number, found, text)] = imported.errors.as_slice() else {
            panic!("{short}: {imported:?}");
        };
        assert_eq!((*number, found.as_str()), (2, code), "{short}: {text}");
        assert!(text.contains(detail), "{short}: {text}");
        assert!(!text.contains("secret-value"), "{text}");
        assert_eq!(deployment.server.items().await, before, "{short}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_in_one_line_keeps_no_other_back_and_is_mended_by_another_import() {
    let deployment = Deployment::start().await;
    let mut lines = vec![deployment.export().await.remove(0)];
    let id = |number: u64| format!("019f0000-0000-7000-8000-{number:012}");
    for number in 0..20 {
        lines.push(resource(|line| {
            line["id"] = json!(id(number));
            line["body"]["userName"] = json!(format!("user-{number}"));
        }));
    }
    lines.push(json!({"end": {"resources": 20, "memberships": 0}}).to_string());
    let mended = lines.clone();
    lines[5] = lines[5].replace("user-4", "user-3");
    lines[9] = "{".to_owned();
    let imported = deployment.round("write", "fail", &lines).await;
    let numbers: Vec<u64> = imported.errors.iter().map(|(line, ..)| *line).collect();
    // Of two lines with one value the first one gets it.
    assert_eq!(numbers, [6, 10], "{imported:?}");
    assert_eq!(imported.counts["created"], 18);
    assert!(imported.is_done);
    let imported = deployment.import("replace", &mended).await;
    assert_eq!(imported.counts["created"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_cut_off_or_changed_is_known() {
    let deployment = Deployment::start().await;
    fill(&deployment).await;
    let lines = deployment.export().await;
    let cut = deployment
        .round("check", "fail", &lines[..lines.len() - 1])
        .await;
    assert!(!cut.is_done);
    let mut shorter = lines.clone();
    shorter.remove(2);
    let checked = deployment.round("check", "fail", &shorter).await;
    let [(line, code, detail)] = checked.errors.as_slice() else {
        panic!("{checked:?}");
    };
    assert_eq!((*line, code.as_str()), (shorter.len() as u64, "invalid"));
    assert!(
        detail
            .contains("5 resources, 4 memberships and 0 credentials, and its end says 6, 4 and 0"),
        "{detail}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_its_head_or_of_another_version_is_refused() {
    let deployment = Deployment::start().await;
    let lines = deployment.export().await;
    let refused = async |text: String| {
        let request = json!({"op": "data.import", "tenant": "acme", "step": "write", "text": text});
        let answer = deployment.ask(request).await;
        assert_eq!(answer["error"]["code"], "invalid", "{answer}");
        answer["error"]["detail"].as_str().unwrap().to_owned()
    };
    assert!(refused(lines[1].clone()).await.contains("not the head"));
    let twice = [lines[0].as_str(), lines[0].as_str()].join("\n");
    assert!(
        refused(twice)
            .await
            .contains("Line 2 is the head of another export")
    );
    let after = [lines[0].as_str(), lines[1].as_str(), &resource(|_| {})].join("\n");
    assert!(refused(after).await.contains("Line 3 comes after the end"));
    let other = lines[0].replace(r#""version":1"#, r#""version":2"#);
    assert!(refused(other).await.contains("in version 1"));
    let other = lines[0].replace(r#""format":"scim-lambda""#, r#""format":"ldif""#);
    assert!(refused(other).await.contains("format scim-lambda"));
}

#[tokio::test(flavor = "multi_thread")]
async fn members_that_came_after_the_export_began_are_left_to_the_feed() {
    let deployment = Deployment::start().await;
    fill(&deployment).await;
    let lines = deployment.export().await;
    let late = uuid::Uuid::now_v7().to_string();
    let ada: Value = serde_json::from_str(&lines[lines.len() - 2]).unwrap();
    let mut line = ada.clone();
    line["members"]["of"]
        .as_array_mut()
        .unwrap()
        .push(json!({"id": late, "type": "User"}));
    let lines = [lines[0].clone(), line.to_string()];
    let imported = deployment.round("write", "fail", &lines).await;
    assert_eq!(imported.errors, []);
    assert_eq!(imported.counts["membersLate"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_cannot_be_taken_is_refused_before_anything_is_written() {
    let deployment = Deployment::start().await;
    let head: Value = serde_json::from_str(&deployment.export().await[0]).unwrap();
    let before = deployment.server.items().await;
    for (member, value, part) in [
        (
            "switches",
            json!({"requestsPerSecond": 4_294_967_295_u64}),
            "takes 0 to 10,000",
        ),
        ("switches", json!({"eventDays": 0}), "eventDays"),
        ("switches", json!({"emailDomains": ["*"]}), "emailDomains"),
        ("switches", json!({"colour": "blue"}), "a switch"),
        ("schemas", json!([1]), "schema"),
        ("schemas", json!([{"id": "urn:example:Badge"}]), "name"),
        (
            "resourceTypes",
            json!([{"name": "Badge", "endpoint": "/Badges", "schema": "urn:example:Badge"}]),
            "urn:example:Badge",
        ),
    ] {
        let mut changed = head.clone();
        changed["head"][member] = value.clone();
        let lines = [changed.to_string(), resource(|_| {})];
        let checked = deployment.round("check", "replace", &lines).await;
        let [(1, code, detail)] = checked.errors.as_slice() else {
            panic!("{value}: {checked:?}");
        };
        assert!(
            code == "invalid" && detail.contains(part),
            "{value}: {detail}"
        );
        let request = json!({"op": "data.import", "tenant": "acme", "step": "write",
            "ifExists": "replace", "text": lines.join("\n") + "\n"});
        let answer = deployment.ask(request).await;
        assert_eq!(answer["error"]["code"], "invalid", "{answer}");
        assert_eq!(deployment.server.items().await, before, "{value}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_that_seem_far_larger_than_they_are_are_named_at_the_end() {
    let deployment = Deployment::start().await;
    let head = deployment.export().await.remove(0);
    let group = |members: u64| {
        let line = json!({"type": "Group", "id": ID, "version": "1", "created": "2026-01-01T00:00:00Z",
            "lastModified": "2026-01-02T00:00:00Z", "members": members,
            "body": {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "Guides"}});
        json!({"resource": line}).to_string()
    };
    let end = json!({"end": {"resources": 1, "memberships": 0}}).to_string();
    for (members, is_possible) in [(50_000, true), (1_000_000_000_000, false)] {
        let lines = [head.clone(), group(members), end.clone()];
        let checked = deployment.round("check", "fail", &lines).await;
        assert_eq!(checked.errors.is_empty(), is_possible, "{checked:?}");
        if let Some((line, _, detail)) = checked.errors.first() {
            assert_eq!(*line, 3);
            assert!(
                detail.contains("1000000000000 members, and the file has 0"),
                "{detail}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_may_change_its_type_if_the_file_replaces_the_directory() {
    let deployment = Deployment::start().await;
    let head = deployment.export().await.remove(0);
    let end = json!({"end": {"resources": 1, "memberships": 0}}).to_string();
    let user = [head.clone(), resource(|_| {}), end.clone()];
    deployment.import("replace", &user).await;
    let group = resource(|line| {
        line["type"] = json!("Group");
        line["body"] = json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "Guides"});
    });
    let group = [head, group, end];
    for step in ["check", "remove", "write"] {
        let done = deployment.round(step, "replace", &group).await;
        assert_eq!(done.errors, [], "{step}");
    }
    let lines = deployment.export().await;
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert!(lines[1].contains("Guides"), "{}", lines[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_has_a_bounded_number_of_lines_and_a_cursor_is_one_that_a_part_has_given() {
    let deployment = Deployment::start().await;
    let refused = async |request: Value| {
        let answer = deployment.ask(request).await;
        assert_eq!(answer["error"]["code"], "invalid", "{answer}");
        answer["error"]["detail"].as_str().unwrap().to_owned()
    };
    let text = "\n".repeat(20_001);
    let import = json!({"op": "data.import", "tenant": "acme", "step": "check", "text": text});
    assert!(refused(import).await.contains("at most 20000 are taken"));
    for cursor in [
        json!({"p": "r", "r": u64::MAX, "m": 0}),
        json!({"p": "r", "r": 0, "m": u64::MAX}),
        json!({"p": "r", "a": "", "r": 0, "m": 0}),
        json!({"p": "m", "g": ["", "a"], "r": 0, "m": 0}),
    ] {
        let cursor = URL_SAFE_NO_PAD.encode(cursor.to_string());
        let export = json!({"op": "data.export", "tenant": "acme", "cursor": cursor});
        assert!(refused(export).await.contains("`cursor`"));
    }
    for (after, kept) in [
        (Value::Null, json!({"c": u64::MAX})),
        (Value::Null, json!({"t": u64::MAX})),
        (Value::Null, json!({"o": u64::MAX})),
        (json!(""), json!({})),
    ] {
        let cursor = json!({"s": "check/entries/User", "a": after, "k": kept});
        let cursor = URL_SAFE_NO_PAD.encode(cursor.to_string());
        let check = json!({"op": "data.check", "tenant": "acme", "cursor": cursor});
        assert!(refused(check).await.contains("`cursor`"), "{after} {kept}");
    }
    let cursor = json!({"s": "check/entries/User", "k": {"c": 3}});
    let cursor = URL_SAFE_NO_PAD.encode(cursor.to_string());
    let check = json!({"op": "data.check", "tenant": "acme", "cursor": cursor});
    assert!(deployment.ask(check).await["ok"].is_object());
}
