//! An event: what a change is to those who follow the feed.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};

use crate::identity::{Cause, TenantId};
use crate::protocol::datetime::DateTime;
use crate::store::USER_PROTECTED;

/// What has happened, such as `user.created`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventType(String);

/// What has happened to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventVerb {
    /// It is new.
    Created,
    /// It has changed in a way that has no word of its own.
    Updated,
    /// It was not active and is now.
    Activated,
    /// It was active and is not any more.
    Deactivated,
    /// Its naming attribute has changed.
    Renamed,
    /// It is deleted.
    Deleted,
    /// It has a member.
    MemberAdded,
    /// It does not have a member.
    MemberRemoved,
}

impl EventType {
    /// The first event of every epoch.
    pub const FEED_STARTED: &str = "feed.started";
    /// Changes may be missing before it.
    pub const FEED_GAP: &str = "feed.gap";
    /// Nothing has changed for so long that the newest page would expire.
    pub const FEED_IDLE: &str = "feed.idle";
    /// More users than usual have lost their access.
    pub const TENANT_BRAKE: &str = "tenant.brake";
    /// Requests of the tenant are refused from now on. `detail` says until when a deleted tenant can be restored.
    pub const TENANT_SUSPENDED: &str = "tenant.suspended";
    /// Requests of the tenant are answered again.
    pub const TENANT_RESUMED: &str = "tenant.resumed";
    /// A protected user was neither deactivated nor deleted.
    pub const USER_PROTECTED: &str = USER_PROTECTED;
    /// A sample for the receiver of a webhook. No feed has one.
    pub const WEBHOOK_TEST: &str = "webhook.test";

    /// A credential of the tenant expires soon. `detail` says which and when.
    pub const CREDENTIAL_EXPIRING: &str = "credential.expiring";
    /// A webhook, or the event bus, gets no events of the tenant any more.
    pub const WEBHOOK_FAILED: &str = "webhook.failed";

    /// The type of events about resources of this type: its name in lower case and the verb.
    #[must_use]
    pub fn of(resource_type: &str, verb: EventVerb) -> Self {
        Self(format!("{}.{}", resource_type.to_lowercase(), verb.word()))
    }

    /// One of the types that are about no type of resource.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// Whether the event is about the feed itself.
    #[must_use]
    pub fn is_of_feed(&self) -> bool {
        // Not by the prefix: a tenant's own type may have the name `Feed`.
        let of_feed = [Self::FEED_STARTED, Self::FEED_GAP, Self::FEED_IDLE];
        of_feed.contains(&self.as_str())
    }

    /// The type as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl EventVerb {
    /// Every verb.
    pub const ALL: [Self; 8] = [
        Self::Created,
        Self::Updated,
        Self::Activated,
        Self::Deactivated,
        Self::Renamed,
        Self::Deleted,
        Self::MemberAdded,
        Self::MemberRemoved,
    ];

    fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Activated => "activated",
            Self::Deactivated => "deactivated",
            Self::Renamed => "renamed",
            Self::Deleted => "deleted",
            Self::MemberAdded => "member.added",
            Self::MemberRemoved => "member.removed",
        }
    }
}

/// The resource that an event is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    /// The name of its type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Its `id`.
    pub id: String,
    /// Its revision after the change: the number that `meta.version` begins with. `None` if the event
    /// does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// Its `externalId`, if it has one and the feed has values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
}

/// The member that an event about a group names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRef {
    /// The name of its resource type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Its `id`.
    pub id: String,
}

/// The changed attributes by their full names: `active`, and of an extension
/// `urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department`.
pub type Changes = BTreeMap<String, Changed>;

/// A changed attribute, whole. With neither value the event only says that it has changed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Changed {
    /// Its value before the change; `None` if it had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// Its value after the change; `None` if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// What an event says, apart from its place in the feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventBody {
    /// What has happened.
    #[serde(rename = "type")]
    pub event_type: EventType,
    /// When, in milliseconds since the Unix epoch. The table's stream gives it in whole seconds.
    pub time: u64,
    /// The resource that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<Subject>,
    /// The member, where the event is about a membership.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<MemberRef>,
    /// What has changed, as far as it may be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<Changes>,
    /// Whether `changes` has no values because the event would be too long.
    #[serde(default, skip_serializing_if = "is_false")]
    pub truncated: bool,
    /// What events say that are about no change of a resource, such as `{"complete":true}`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub detail: Map<String, Value>,
    /// Who made the change and why, if that is known.
    #[serde(
        default,
        deserialize_with = "known_cause",
        skip_serializing_if = "Option::is_none"
    )]
    pub cause: Option<Cause>,
}

/// What a change of a user does to who has access: a user has it while it exists and is active.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AccessChange {
    /// One user more has access.
    Gained,
    /// One user less.
    Lost,
}

/// An event that is not in the feed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Its id: that of the record that it comes from, or made of its subject and occasion. No other event
    /// of the epoch has it.
    pub id: String,
    /// What it says.
    pub body: EventBody,
    /// What it does to who has access, which the brake counts. The feed does not keep it.
    pub access: Option<AccessChange>,
}

/// An event of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its id.
    pub id: String,
    /// Its number: one more than that of the event before it in the epoch.
    pub seq: u64,
    /// Whose feed it is in.
    pub tenant: TenantId,
    /// What it says.
    pub body: EventBody,
}

impl NewEvent {
    /// An event that changes nothing about who has access.
    #[cfg(feature = "worker")]
    pub(super) fn of(id: String, body: EventBody) -> Self {
        Self {
            id,
            body,
            access: None,
        }
    }
}

impl Subject {
    /// A resource of which the event says neither version nor `externalId`.
    #[cfg(feature = "worker")]
    pub(super) fn named(type_name: String, id: String) -> Self {
        Self {
            type_name,
            id,
            version: None,
            external_id: None,
        }
    }
}

impl AccessChange {
    /// What a change does to a user who had access before it or not, and has it after it or not.
    #[must_use]
    pub fn between(before: bool, after: bool) -> Option<Self> {
        match (before, after) {
            (false, true) => Some(Self::Gained),
            (true, false) => Some(Self::Lost),
            (false, false) | (true, true) => None,
        }
    }
}

impl EventBody {
    /// An event of this type and time that says nothing else yet.
    #[must_use]
    pub fn new(event_type: EventType, time: u64) -> Self {
        Self {
            event_type,
            time,
            resource: None,
            member: None,
            changes: None,
            truncated: false,
            detail: Map::new(),
            cause: None,
        }
    }

    /// An event of this time that says that changes of a resource may be missing.
    #[cfg(feature = "worker")]
    pub(super) fn gap_about(resource: Subject, time: u64) -> Self {
        Self {
            resource: Some(resource),
            ..Self::new(EventType::named(EventType::FEED_GAP), time)
        }
    }

    /// An event of this time that says that changes since `since` may be missing. Both are in milliseconds
    /// since the Unix epoch.
    #[cfg(feature = "worker")]
    #[must_use]
    pub fn gap_since(since: u64, time: u64) -> Self {
        Self::new(EventType::named(EventType::FEED_GAP), time)
            .with_detail([("since", json!(time_text(since)))])
    }

    /// The same with these members of `detail`.
    #[cfg(feature = "worker")]
    #[must_use]
    pub fn with_detail<const N: usize>(mut self, members: [(&str, Value); N]) -> Self {
        let members = members.into_iter();
        self.detail = members
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        self
    }

    /// Whether it has a value of an attribute.
    #[cfg(feature = "worker")]
    pub(super) fn has_values(&self) -> bool {
        let mut changed = self.changes.iter().flat_map(BTreeMap::values);
        let has_id = self
            .resource
            .as_ref()
            .is_some_and(|resource| resource.external_id.is_some());
        has_id || changed.any(|changed| *changed != Changed::default())
    }

    /// Takes out every value of an attribute, and leaves the names of those that have changed.
    pub fn forget_values(&mut self) {
        for changed in self.changes.iter_mut().flat_map(BTreeMap::values_mut) {
            *changed = Changed::default();
        }
        if let Some(resource) = &mut self.resource {
            resource.external_id = None;
        }
    }

    /// The length of its JSON text in a page, in bytes.
    #[cfg(feature = "worker")]
    pub(super) fn json_bytes(&self) -> usize {
        // An event that cannot be written counts as too long, so the writer takes its values out.
        serde_json::to_string(self).map_or(usize::MAX, |text| text.len())
    }
}

impl Event {
    /// The event as its readers get it.
    ///
    /// **Shape**: `{"id":…,"seq":…,"type":"user.updated","time":"2024-03-12T17:04:05.000Z","tenant":…,
    /// "resource":{"type","id","version","externalId"},"changes":{"active":{"before":true,"after":false}},
    /// "cause":{"request","credential","kind"}}`; `cause` is null if it is not known, and what does not
    /// apply is left out.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let body = &self.body;
        let mut json = Map::new();
        let mut put = |name: &str, value: Value| json.insert(name.to_owned(), value);
        put("id", json!(self.id));
        put("seq", json!(self.seq));
        put("type", json!(body.event_type));
        put("time", json!(time_text(body.time)));
        put("tenant", json!(self.tenant.as_str()));
        if let Some(resource) = &body.resource {
            put("resource", json!(resource));
        }
        if let Some(member) = &body.member {
            put("member", json!(member));
        }
        if let Some(changes) = &body.changes {
            put("changes", json!(changes));
        }
        if body.truncated {
            put("truncated", json!(true));
        }
        if !body.detail.is_empty() {
            put("detail", json!(body.detail));
        }
        put("cause", json!(body.cause));
        Value::Object(json)
    }
}

/// A time in milliseconds since the Unix epoch as text.
pub fn time_text(millis: u64) -> String {
    let millis = i64::try_from(millis).unwrap_or(i64::MAX);
    let time = DateTime::from_unix_milliseconds(millis);
    time.map_or_else(String::new, |time| time.to_string())
}

/// The cause, if this version knows its kind: a later one may have written the page.
fn known_cause<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Cause>, D::Error> {
    let cause = Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(cause).ok())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tenant may register a type of any name.
    #[test]
    fn events_of_a_type_named_feed_or_tenant_are_about_resources() {
        for verb in EventVerb::ALL {
            assert!(!EventType::of("Feed", verb).is_of_feed(), "{verb:?}");
            let name = EventType::of("Tenant", verb);
            assert_ne!(name.as_str(), EventType::TENANT_BRAKE);
        }
        for name in [
            EventType::FEED_STARTED,
            EventType::FEED_GAP,
            EventType::FEED_IDLE,
        ] {
            assert!(EventType::named(name).is_of_feed(), "{name}");
        }
    }
}
