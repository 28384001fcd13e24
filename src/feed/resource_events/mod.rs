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

mod readable;
#[cfg(test)]
mod tests;

pub(super) use readable::is_known;

use readable::changes;
use serde_json::Value;

use super::brake::USER;
use super::event::{AccessChange, EventBody, EventType, EventVerb, NewEvent, Subject};
use super::page::MAX_EVENT_BYTES;
use super::record::Record;
use crate::protocol::profile::EventValues;
use crate::protocol::schema::{Registry, ResourceType};
use crate::store::{ResourceChange, ResourceImage};

/// The attributes that name a resource, for people. The first one that a type has is its naming attribute.
const NAMING: [&str; 2] = ["userName", "displayName"];
/// The attribute that says whether a resource is in use.
const ACTIVE: &str = "active";

/// The event of a change of a resource; `None` if there is nothing to report.
pub(super) fn event(
    record: &Record,
    change: &ResourceChange,
    types: &Registry,
    values: EventValues,
) -> Option<NewEvent> {
    let (before, after) = (living(&change.before), living(&change.after));
    if change.before.is_some() && before.is_none() {
        // The deletion was reported when the tombstone was written.
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
