use aws_lambda_events::dynamodb::EventRecord;
use serde_json::json;

use super::*;
use crate::store::ItemChange;

/// A record of a user's item, from what it was to what it is.
fn record(before: Option<&Value>, after: Option<&Value>) -> Record {
    let image = |image: Option<&Value>| image.cloned().unwrap_or(Value::Null);
    let record: EventRecord = serde_json::from_value(json!({
        "eventID": "e1",
        "eventName": "MODIFY",
        "awsRegion": "eu-west-1",
        "dynamodb": {
            "ApproximateCreationDateTime": 1_700_000_000.0,
            "Keys": {"pk": {"S": "T#acme#R#User#0"}, "sk": {"S": "u1"}},
            "OldImage": image(before),
            "NewImage": image(after),
            "SequenceNumber": "1",
            "SizeBytes": 1,
        },
    }))
    .unwrap();
    Record::read(&record)
}

/// The item of a user in this revision.
fn item(revision: u64, body: &Value) -> Value {
    let mut body = body.clone();
    body["id"] = json!("u1");
    json!({
        "pk": {"S": "T#acme#R#User#0"}, "sk": {"S": "u1"}, "kind": {"S": "R"},
        "body": {"S": body.to_string()}, "v": {"N": revision.to_string()},
        "created": {"N": "1"}, "modified": {"N": "1"}, "pw": {"S": "secret-hash"},
    })
}

fn tombstone(revision: u64, body: &Value) -> Value {
    let mut item = item(revision, body);
    item["del"] = json!({"S": "entry"});
    item
}

fn told(before: Option<&Value>, after: Option<&Value>, values: EventValues) -> Option<Value> {
    let record = record(before, after);
    let ItemChange::Resource(change) = &record.change else {
        panic!("{record:?}");
    };
    let event = event(&record, change, Registry::builtin(), values)?;
    assert_eq!(event.id, "e1");
    Some(serde_json::to_value(&event.body).unwrap())
}

/// An image before, one after, and the type and version of the event.
type Row = (Option<Value>, Option<Value>, Option<(&'static str, u64)>);

/// Changes of a body.
fn changed_bodies() -> Vec<Row> {
    let ada = json!({"userName": "ada", "active": true});
    let off = json!({"userName": "ada", "active": false});
    let renamed = json!({"userName": "jensen", "active": true});
    let renamed_off = json!({"userName": "jensen", "active": false});
    let silent = json!({"userName": "ada"});
    let titled = json!({"userName": "ada", "active": true, "title": "Tour Guide"});
    let rows = [
        (&ada, &titled, "user.updated"),
        (&ada, &off, "user.deactivated"),
        (&silent, &off, "user.deactivated"),
        (&off, &ada, "user.activated"),
        (&ada, &silent, "user.updated"),
        (&ada, &renamed, "user.renamed"),
        (&ada, &renamed_off, "user.deactivated"),
        (&ada, &ada, "user.updated"),
    ];
    let row =
        |(before, after, name)| (Some(item(1, before)), Some(item(2, after)), Some((name, 2)));
    rows.into_iter().map(row).collect()
}

/// Items that come, go, or change beside the body.
fn other_rows() -> Vec<Row> {
    let ada = json!({"userName": "ada", "active": true});
    let (user, deleted) = (item(1, &ada), tombstone(2, &ada));
    let gone = Some(("user.deleted", 2));
    vec![
        (None, Some(user.clone()), Some(("user.created", 1))),
        (Some(user.clone()), Some(user.clone()), None),
        (Some(user.clone()), Some(deleted.clone()), gone),
        (Some(user.clone()), Some(tombstone(1, &ada)), gone),
        (Some(deleted.clone()), Some(deleted.clone()), None),
        (Some(deleted), None, None),
        (Some(user), None, gone),
    ]
}

/// What the schemas do not have was added to them a moment ago, so the configuration is read again.
#[test]
fn schemas_that_lack_a_sub_attribute_do_not_know_a_resource() {
    let urn = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    let is_known = |body: Value| {
        let record = record(None, Some(&item(1, &body)));
        let ItemChange::Resource(change) = &record.change else {
            panic!("{record:?}");
        };
        is_known(change, Registry::builtin())
    };
    for known in [
        json!({"userName": "ada", "name": {"givenName": "Ada"}}),
        json!({"emails": [{"value": "a@b.example", "primary": true}], "phoneNumbers": []}),
        json!({urn: {"department": "Engines", "manager": {"value": "1", "$ref": "../Users/1"}}}),
    ] {
        assert!(is_known(known.clone()), "{known}");
    }
    for unknown in [
        json!({"shoeSize": 38}),
        json!({"name": {"givenName": "Ada", "c3": "x"}}),
        json!({"emails": [{"value": "a@b.example"}, {"c3": "x"}]}),
        json!({urn: {"c3": "x"}}),
        json!({urn: {"manager": {"value": "1", "c3": "x"}}}),
    ] {
        assert!(!is_known(unknown.clone()), "{unknown}");
    }
}

#[test]
fn every_row_of_the_table_holds() {
    let rows = changed_bodies().into_iter().chain(other_rows());
    for (before, after, expected) in rows {
        let event = told(before.as_ref(), after.as_ref(), EventValues::All);
        let found = event.as_ref().map(|event| {
            let version = event["resource"]["version"].as_u64().unwrap();
            (event["type"].as_str().unwrap(), version)
        });
        assert_eq!(found, expected, "{before:?} {after:?}");
    }
}

#[test]
fn every_changed_attribute_is_told_whole() {
    let urn = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    let before = json!({
        "userName": "ada", "externalId": "7", "name": {"givenName": "Ada", "familyName": "Byron"},
        "title": "Lady", urn: {"department": "Engines", "costCenter": "1"},
    });
    let after = json!({
        "userName": "ada", "externalId": "7", "name": {"givenName": "Ada", "familyName": "King"},
        "emails": [{"value": "ada@example.com"}], urn: {"department": "Notes", "costCenter": "1"},
    });
    let (old, new) = (item(1, &before), item(2, &after));
    let event = told(Some(&old), Some(&new), EventValues::All).unwrap();
    let expected = json!({
        "type": "user.updated",
        "time": 1_700_000_000_000_u64,
        "resource": {"type": "User", "id": "u1", "version": 2, "externalId": "7"},
        "changes": {
            "name": {
                "before": {"givenName": "Ada", "familyName": "Byron"},
                "after": {"givenName": "Ada", "familyName": "King"},
            },
            "title": {"before": "Lady"},
            "emails": {"after": [{"value": "ada@example.com"}]},
            format!("{urn}:department"): {"before": "Engines", "after": "Notes"},
        },
    });
    assert_eq!(event, expected);
    let names = told(Some(&old), Some(&new), EventValues::Names).unwrap();
    assert_eq!(names["resource"].get("externalId"), None);
    assert_eq!(names["changes"]["name"], json!({}));
    assert_eq!(names["changes"].as_object().unwrap().len(), 4);
    let deleted = told(Some(&new), Some(&tombstone(3, &after)), EventValues::All).unwrap();
    assert_eq!(deleted["changes"]["userName"], json!({"before": "ada"}));
    assert_eq!(deleted["changes"].as_object().unwrap().len(), 6);
}

#[test]
fn no_event_has_what_no_client_may_read() {
    let before = json!({"userName": "ada", "password": "p-1", "unheardOf": "x-1",
        "name": {"givenName": "Ada", "unheardOf": "x-1"}, "urn:none": {"a": "x-1"}});
    let after = json!({"userName": "ada", "password": "p-2", "unheardOf": "x-2",
        "name": {"givenName": "Ada", "unheardOf": "x-2"}, "urn:none": {"a": "x-2"}});
    let changed = told(
        Some(&item(1, &before)),
        Some(&item(2, &after)),
        EventValues::All,
    );
    assert_eq!(changed.unwrap().get("changes"), None);
    let created = told(None, Some(&item(1, &after)), EventValues::All).unwrap();
    let expected = json!({"userName": {"after": "ada"}, "name": {"after": {"givenName": "Ada"}}});
    assert_eq!(created["changes"], expected);
    assert!(!created.to_string().contains("secret-hash"));
}

#[test]
fn an_event_that_would_be_too_long_names_what_has_changed() {
    let long = json!({"userName": "ada", "title": "x".repeat(MAX_EVENT_BYTES)});
    let short = json!({"userName": "ada", "title": "x".repeat(MAX_EVENT_BYTES / 2)});
    let event = told(
        Some(&item(1, &short)),
        Some(&item(2, &long)),
        EventValues::All,
    )
    .unwrap();
    assert_eq!(event["truncated"], true);
    assert_eq!(event["changes"], json!({"title": {}}));
    let event = told(None, Some(&item(1, &short)), EventValues::All).unwrap();
    assert_eq!(event.get("truncated"), None);
}

#[test]
fn a_type_that_is_not_known_any_more_has_events_without_values() {
    let body = json!({"userName": "ada"});
    let mut record = record(None, Some(&item(1, &body)));
    let ItemChange::Resource(change) = &mut record.change else {
        panic!("{record:?}");
    };
    change.type_name = "Badge".to_owned();
    let change = change.clone();
    assert!(!is_known(&change, Registry::builtin()));
    let event = event(&record, &change, Registry::builtin(), EventValues::All).unwrap();
    assert_eq!(event.body.event_type.as_str(), "badge.created");
    assert_eq!(event.body.changes, None);
}
