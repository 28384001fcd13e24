//! The event of a resource's record.
//!
//! | the record says | the event |
//! |---|---|
//! | the item is new | `created` |
//! | the body has changed | the most specific of `deactivated`, `activated`, `renamed`, `updated` |
//! | only `v` has gone up: a password | `updated`, without changes |
//! | neither has changed: bookkeeping | none |
//! | it is a tombstone now | `deleted`, with the last state |
//! | the item of a tombstone is gone | none |
//! | an item is gone that was no tombstone | `deleted`: earlier versions of the service removed it at once |
//!
//! No event has a value that no client may read, or whose attribute the tenant's schemas do not have.

use serde_json::{Map, Value};

use super::brake::USER;
use super::event::{
    AccessChange, Changed, Changes, EventBody, EventType, EventVerb, NewEvent, Subject,
};
use super::page::MAX_EVENT_BYTES;
use super::record::Record;
use crate::protocol::profile::EventValues;
use crate::protocol::schema::{Attribute, Mutability, Registry, ResourceType, Returned};
use crate::store::{ResourceChange, ResourceImage};

/// The attributes that name a resource, for people. The first one that a type has is its naming attribute.
const NAMING: [&str; 2] = ["userName", "displayName"];
/// The attribute that says whether a resource is in use.
const ACTIVE: &str = "active";

/// The event of a change of a resource; `None` if there is nothing to tell.
pub(super) fn event(
    record: &Record,
    change: &ResourceChange,
    types: &Registry,
    values: EventValues,
) -> Option<NewEvent> {
    let (before, after) = (living(&change.before), living(&change.after));
    if change.before.is_some() && before.is_none() {
        // It was told when the tombstone came.
        return None;
    }
    let resource_type = types.resource_type(&change.type_name).map(AsRef::as_ref);
    let revision = |image: &ResourceImage| image.stored.revision;
    let (verb, version, cause) = match (before, after) {
        (None, None) => return None,
        (None, Some(after)) => (EventVerb::Created, revision(after), &after.cause),
        (Some(before), Some(after)) => {
            let is_same = before.body == after.body;
            if is_same && revision(after) <= revision(before) {
                return None;
            }
            let verb = verb(before, after, resource_type);
            (verb, revision(after), &after.cause)
        }
        (Some(before), None) => {
            let tombstone = change.after.as_ref();
            // Earlier versions of the service did not count it up.
            let version = tombstone.map_or(0, revision).max(revision(before) + 1);
            let cause = tombstone.map_or(&None, |tombstone| &tombstone.cause);
            (EventVerb::Deleted, version, cause)
        }
    };
    let access = match change.type_name == USER {
        true => AccessChange::between(before.is_some_and(is_active), after.is_some_and(is_active)),
        false => None,
    };
    let last = after.or(before)?;
    let external_id = last.body.body().get("externalId").and_then(Value::as_str);
    let mut body = EventBody {
        resource: Some(Subject {
            type_name: change.type_name.clone(),
            id: change.id.clone(),
            version: Some(version),
            external_id: external_id
                .filter(|_| values == EventValues::All)
                .map(str::to_owned),
        }),
        changes: resource_type.and_then(|found| changes(before, after, found)),
        cause: cause.clone(),
        ..EventBody::new(EventType::of(&change.type_name, verb), record.time)
    };
    match values {
        EventValues::Names => body.forget_values(),
        EventValues::All => shorten(&mut body),
    }
    Some(NewEvent {
        id: record.id.clone(),
        body,
        access,
    })
}

/// Whether the tenant's schemas have the type of a resource and every attribute and sub-attribute of its
/// images.
pub(super) fn is_known(change: &ResourceChange, types: &Registry) -> bool {
    let Some(resource_type) = types.resource_type(&change.type_name) else {
        return false;
    };
    let images = change.before.iter().chain(&change.after);
    let mut members = images.flat_map(|image| image.body.body());
    members.all(|(name, value)| match resource_type.extension(name) {
        Some(extension) => {
            let Value::Object(parts) = value else {
                return false;
            };
            let mut parts = parts.iter();
            parts.all(|(part, value)| has_schema(value, extension.schema.attribute(part)))
        }
        None => has_schema(value, resource_type.attribute(name)),
    })
}

/// Whether the schemas have the attribute of a value and all its sub-attributes.
fn has_schema(value: &Value, attribute: Option<&Attribute>) -> bool {
    let Some(attribute) = attribute else {
        return false;
    };
    match value {
        _ if !attribute.is_complex() => true,
        Value::Array(elements) => elements
            .iter()
            .all(|element| has_schema(element, Some(attribute))),
        Value::Object(parts) => parts
            .iter()
            .all(|(name, value)| has_schema(value, attribute.sub_attribute(name))),
        _ => true,
    }
}

/// The image of a resource that exists.
fn living(image: &Option<ResourceImage>) -> Option<&ResourceImage> {
    image.as_ref().filter(|image| !image.is_deleted)
}

/// Whether a resource is active. One that does not say that it is not is active.
fn is_active(image: &ResourceImage) -> bool {
    image.body.body().get(ACTIVE) != Some(&Value::Bool(false))
}

/// The most specific word for a change of the body.
fn verb(
    before: &ResourceImage,
    after: &ResourceImage,
    resource_type: Option<&ResourceType>,
) -> EventVerb {
    let has = |name: &str| resource_type.is_some_and(|found| found.attribute(name).is_some());
    if has(ACTIVE) && is_active(before) != is_active(after) {
        return match is_active(after) {
            true => EventVerb::Activated,
            false => EventVerb::Deactivated,
        };
    }
    let naming = NAMING.into_iter().find(|name| has(name));
    let is_renamed =
        naming.is_some_and(|name| before.body.body().get(name) != after.body.body().get(name));
    match is_renamed {
        true => EventVerb::Renamed,
        false => EventVerb::Updated,
    }
}

/// The attributes that differ, as far as clients may read them; `None` if there are none.
fn changes(
    before: Option<&ResourceImage>,
    after: Option<&ResourceImage>,
    resource_type: &ResourceType,
) -> Option<Changes> {
    let before = before.map(|image| readable(image, resource_type));
    let mut after = after
        .map(|image| readable(image, resource_type))
        .unwrap_or_default();
    let mut changes = Changes::new();
    for (name, value) in before.unwrap_or_default() {
        let next = after.remove(&name);
        if next.as_ref() != Some(&value) {
            let changed = Changed {
                before: Some(value),
                after: next,
            };
            changes.insert(name, changed);
        }
    }
    for (name, value) in after {
        let changed = Changed {
            before: None,
            after: Some(value),
        };
        changes.insert(name, changed);
    }
    (!changes.is_empty()).then_some(changes)
}

/// The attributes of a body that clients may read, by their full names. The `id` is in the event anyway.
fn readable(image: &ResourceImage, resource_type: &ResourceType) -> Map<String, Value> {
    let mut found = Map::new();
    let mut put = |name: String, value: &Value, attribute: Option<&Attribute>| {
        if let Some(value) = attribute.and_then(|attribute| readable_value(value, attribute)) {
            found.insert(name, value);
        }
    };
    for (name, value) in image.body.body() {
        match (resource_type.extension(name), value) {
            (Some(extension), Value::Object(parts)) => {
                let urn = &extension.schema.id;
                for (part, value) in parts {
                    let attribute = extension.schema.attribute(part);
                    put(format!("{urn}:{part}"), value, attribute);
                }
            }
            _ if name == "id" => {}
            _ => put(name.clone(), value, resource_type.attribute(name)),
        }
    }
    found
}

/// What clients may read of a value; `None` if it is nothing.
fn readable_value(value: &Value, attribute: &Attribute) -> Option<Value> {
    if attribute.returned == Returned::Never || attribute.mutability == Mutability::WriteOnly {
        return None;
    }
    if !attribute.is_complex() {
        return Some(value.clone());
    }
    match value {
        Value::Array(elements) => {
            let elements = elements.iter();
            let readable = elements.filter_map(|element| readable_value(element, attribute));
            Some(Value::Array(readable.collect()))
        }
        Value::Object(parts) => {
            let readable = parts.iter().filter_map(|(name, value)| {
                let value = readable_value(value, attribute.sub_attribute(name)?)?;
                Some((name.clone(), value))
            });
            Some(Value::Object(readable.collect()))
        }
        // A complex attribute has no other values.
        _ => None,
    }
}

/// Takes the values out of an event that would be too long, and the names if it still is.
fn shorten(body: &mut EventBody) {
    if body.json_bytes() > MAX_EVENT_BYTES {
        body.truncated = true;
        body.forget_values();
        if body.json_bytes() > MAX_EVENT_BYTES {
            body.changes = None;
        }
    }
}

#[cfg(test)]
mod tests {
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
        let renamed = json!({"userName": "lovelace", "active": true});
        let renamed_off = json!({"userName": "lovelace", "active": false});
        let silent = json!({"userName": "ada"});
        let titled = json!({"userName": "ada", "active": true, "title": "Countess"});
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
        let expected =
            json!({"userName": {"after": "ada"}, "name": {"after": {"givenName": "Ada"}}});
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
}
