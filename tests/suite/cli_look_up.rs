//! What support looks up by commands: `scim user find`, `scim group find`, `scim group members`, `scim events list
//! --resource` and `scim stack status`.

use std::path::Path;

use serde_json::Value;

use crate::cli::{answer, data, failure, run, shown};

/// A tenant `acme` with 150 users, 120 of whom are in a group.
fn directory(data: &Path) {
    let data = ["--data", shown(data)];
    let generate = [
        "generate",
        "--users",
        "150",
        "--group-members",
        "120",
        "--tenant",
        "acme",
    ];
    answer(&[&generate[..], &data].concat());
}

fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn users_are_found_without_their_values_unless_these_are_asked_for() {
    let (_guard, data) = data();
    directory(&data);
    let find = |more: &[&str]| {
        let find = ["user", "find", "acme", "--data", shown(&data)];
        answer(&[&find[..], more].concat())
    };
    let group = answer(&[
        "group",
        "find",
        "acme",
        "--name",
        "EVERYONE",
        "--json",
        "--data",
        shown(&data),
    ]);
    let group = read(&group)["found"][0]["id"].as_str().unwrap().to_owned();
    let members = [
        "group",
        "members",
        "acme",
        &group,
        "--data",
        shown(&data),
        "--json",
        "--limit",
        "1",
    ];
    let members = read(&answer(&members));
    let id = members["members"][0]["id"].as_str().unwrap();
    let whole = read(&find(&["--id", id, "--values", "--json"]));
    let user = &whole["found"][0]["resource"];
    let by = |name: &str| user[name].as_str().unwrap().to_owned();
    let (user_name, external_id) = (by("userName"), by("externalId"));
    let email = user["emails"][0]["value"].as_str().unwrap().to_uppercase();
    for criterion in [
        ["--id", id],
        ["--user-name", &user_name.to_uppercase()],
        ["--external-id", &external_id],
        ["--email", &email],
    ] {
        let text = find(&criterion);
        assert!(text.starts_with("ID "), "{text}");
        assert!(text.contains(id), "{criterion:?}: {text}");
        assert!(
            !text.contains(&user_name) && !text.contains(&external_id),
            "{text}"
        );
        let found = read(&find(&[&criterion[..], &["--json"]].concat()));
        assert_eq!(found["found"].as_array().unwrap().len(), 1);
        assert_eq!(found["found"][0]["id"], id);
        assert_eq!(found["found"][0]["resource"], Value::Null);
        let text = find(&[&criterion[..], &["--values"]].concat());
        assert!(text.contains(&user_name), "{text}");
    }
    assert_eq!(
        find(&["--user-name", "nobody"]),
        "The tenant acme has no such user\n"
    );
}

#[test]
fn members_are_listed_as_many_as_are_wanted_over_the_parts_of_the_operation() {
    let (_guard, data) = data();
    directory(&data);
    let at = ["--data", shown(&data)];
    let find = ["group", "find", "acme", "--name", "Everyone", "--json"];
    let group = read(&answer(&[&find[..], &at].concat()));
    let group = group["found"][0]["id"].as_str().unwrap();
    let list =
        |more: &[&str]| answer(&[&["group", "members", "acme", group], more, &at[..]].concat());
    let ids = |list: &Value| {
        let members = list["members"].as_array().unwrap().iter();
        members
            .map(|member| member["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let all = read(&list(&["--limit", "1000", "--json"]));
    assert_eq!((ids(&all).len(), &all["next"]), (120, &Value::Null));
    let first = read(&list(&["--limit", "110", "--json"]));
    assert_eq!(ids(&first), ids(&all)[..110]);
    let next = first["next"].as_str().unwrap();
    let rest = read(&list(&["--after", next, "--json"]));
    assert_eq!(ids(&rest), ids(&all)[110..]);
    let text = list(&[]);
    assert_eq!(text.lines().count(), 102, "{text}");
    assert!(
        text.contains("There are more; continue with --after "),
        "{text}"
    );
    let none = failure(&[&["group", "members", "acme", "nothing"], &at[..]].concat());
    assert!(none.contains("Group nothing does not exist"), "{none}");
}

#[test]
fn exactly_one_criterion_is_given() {
    let (_guard, data) = data();
    directory(&data);
    for criteria in [&[][..], &["--id", "1", "--email", "a@example.com"]] {
        let find = ["user", "find", "acme", "--data", shown(&data)];
        let refused = run(&[&find[..], criteria].concat());
        assert_eq!(refused.status.code(), Some(2), "{criteria:?}");
    }
    let line = failure(&[
        "user",
        "find",
        "nobody",
        "--id",
        "1",
        "--data",
        shown(&data),
    ]);
    assert!(line.contains("There is no tenant nobody"), "{line}");
}

#[test]
fn the_status_of_local_data_says_where_it_is() {
    let (_guard, data) = data();
    directory(&data);
    let text = answer(&["stack", "status", "--data", shown(&data)]);
    for line in [
        "  Stack       local",
        "  Secrets     in reach",
        "  Unfinished  nothing",
    ] {
        assert!(text.contains(line), "{text}");
    }
}
