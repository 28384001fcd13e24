//! Reads records of the table's stream as changes of items: the item before and after.

use aws_lambda_events::dynamodb::StreamRecord;
use serde_dynamo::AttributeValue;

use super::cause;
use super::items::{self, OccasionItem};
use super::journal::JournalRecord;
use super::keys::{self, StreamKey};
use super::stack::HEARTBEAT_KIND;
use super::stored::{self, Stored};
use super::tenants::{STATE_KEY, TenantState};
use crate::identity::{Cause, TenantId};
use crate::protocol::resource::Resource;

/// A change of an item.
#[derive(Debug, Clone, PartialEq)]
pub enum ItemChange {
    /// Of a resource.
    Resource(Box<ResourceChange>),
    /// Of a member of a set.
    Member(MemberItemChange),
    /// Of the state of a tenant.
    State(StateChange),
    /// Of nothing: a new occasion.
    Occasion(OccasionChange),
    /// Of a journal entry.
    Journal(JournalRecord),
    /// Of the stack's heartbeat, which was written at this time, in milliseconds since the Unix epoch.
    Heartbeat(u64),
    /// Of an item that the feed does not report, or whose kind this version does not know.
    Other,
    /// Of an item of a known kind that this version cannot read.
    Unreadable(UnreadableChange),
}

/// A change of a resource's item.
#[derive(Debug, Clone, PartialEq)]
pub struct ResourceChange {
    /// The tenant whose resource it is.
    pub tenant: TenantId,
    /// The name of its type.
    pub type_name: String,
    /// Its `id`.
    pub id: String,
    /// The item before the change; `None` if it is new.
    pub before: Option<ResourceImage>,
    /// The item after the change; `None` if it was removed.
    pub after: Option<ResourceImage>,
}

/// A resource's item before or after a change.
#[derive(Debug, Clone, PartialEq)]
pub struct ResourceImage {
    /// The resource.
    pub stored: Stored,
    /// Its body, parsed.
    pub body: Resource,
    /// Whether it is a tombstone.
    pub is_deleted: bool,
    /// The cause of the write that made this image, if that write stored one.
    pub cause: Option<Cause>,
}

/// A change of a member's item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberItemChange {
    /// The tenant whose group it is.
    pub tenant: TenantId,
    /// The group's `id`.
    pub group: String,
    /// The name of the set.
    pub set: String,
    /// The member's `id`.
    pub member: String,
    /// The name of the member's type.
    pub member_type: String,
    /// The revision of the group's members that the item's writer had read; `None` for an item of an
    /// early version.
    pub stamp: Option<u64>,
    /// Whether the item existed before the change.
    pub was_there: bool,
    /// Whether the item exists after the change.
    pub is_there: bool,
    /// The cause of the member's addition, if the item has one; `None` after a removal.
    pub cause: Option<Cause>,
}

/// A change of whether a tenant's requests are answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateChange {
    /// The tenant.
    pub tenant: TenantId,
    /// Its state before the change.
    pub before: TenantState,
    /// Its state after the change.
    pub after: TenantState,
}

/// A new occasion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OccasionChange {
    /// The tenant in which it has happened.
    pub tenant: TenantId,
    /// The type of the event that reports it.
    pub event: String,
    /// The name of the resource's type.
    pub type_name: String,
    /// The `id` of the resource.
    pub id: String,
    /// What was tried, in one word.
    pub what: String,
    /// The cause, if the item has one that this version knows.
    pub cause: Option<Cause>,
}

/// A change of an item of which only the key can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableChange {
    /// The tenant whose item it is.
    pub tenant: TenantId,
    /// The name of the resource's type; `None` for a group of which a member's item was changed.
    pub type_name: Option<String>,
    /// The `id` of the resource or of the group.
    pub id: String,
}

impl ItemChange {
    /// Reads a record.
    #[must_use]
    pub fn read(record: &StreamRecord) -> Self {
        let (Some(partition), Some(sort)) = (text(record, "pk"), text(record, "sk")) else {
            return Self::Other;
        };
        match keys::stream_key(partition) {
            StreamKey::Resource { tenant, type_name } => resource(record, tenant, type_name, sort),
            StreamKey::Member { tenant, group, set } => member(record, tenant, (group, set), sort),
            StreamKey::Configuration(tenant) if sort == STATE_KEY => state(record, tenant),
            StreamKey::Configuration(_) => Self::Other,
            StreamKey::Occasion { tenant } => {
                occasion(record, tenant).map_or(Self::Other, Self::Occasion)
            }
            StreamKey::Progress => heartbeat(record).map_or(Self::Other, Self::Heartbeat),
            StreamKey::Other => JournalRecord::read(record).map_or(Self::Other, Self::Journal),
        }
    }
}

fn resource(record: &StreamRecord, tenant: TenantId, type_name: &str, id: &str) -> ItemChange {
    let (before, after) = (image(&record.old_image), image(&record.new_image));
    let (Ok(before), Ok(after)) = (before, after) else {
        return ItemChange::Unreadable(UnreadableChange {
            tenant,
            type_name: Some(type_name.to_owned()),
            id: id.to_owned(),
        });
    };
    ItemChange::Resource(Box::new(ResourceChange {
        tenant,
        type_name: type_name.to_owned(),
        id: id.to_owned(),
        before,
        after,
    }))
}

/// The resource of an image; `None` if the record has no such image.
fn image(image: &serde_dynamo::Item) -> Result<Option<ResourceImage>, ()> {
    if image.is_empty() {
        return Ok(None);
    }
    let item: stored::Item = image.clone().into();
    let is_deleted = stored::is_deleted(&item);
    let cause = stored::cause(&item);
    // The error is dropped, because it may contain a value of the item.
    let stored = Stored::from_item(item).map_err(drop)?;
    Ok(Some(ResourceImage {
        cause,
        body: Resource::from_text(&stored.body).map_err(drop)?,
        stored,
        is_deleted,
    }))
}

fn member(
    record: &StreamRecord,
    tenant: TenantId,
    (group, set): (&str, &str),
    member: &str,
) -> ItemChange {
    let image = match record.new_image.is_empty() {
        true => &record.old_image,
        false => &record.new_image,
    };
    let Some(AttributeValue::S(member_type)) = image.get("type") else {
        return ItemChange::Unreadable(UnreadableChange {
            tenant,
            type_name: None,
            id: group.to_owned(),
        });
    };
    ItemChange::Member(MemberItemChange {
        tenant,
        group: group.to_owned(),
        set: set.to_owned(),
        member: member.to_owned(),
        member_type: member_type.clone(),
        stamp: match image.get("stamp") {
            Some(AttributeValue::N(digits)) => digits.parse().ok(),
            _ => None,
        },
        was_there: !record.old_image.is_empty(),
        is_there: !record.new_image.is_empty(),
        // Only the new image is read: the old one has the cause of the addition, not of the removal.
        cause: by(&record.new_image).and_then(cause::member_cause),
    })
}

/// The change of a tenant's state. A state that only a later version knows is for that version to report.
fn state(record: &StreamRecord, tenant: TenantId) -> ItemChange {
    let state = |image: &serde_dynamo::Item| match image.get("body") {
        None => Some(TenantState::Active),
        Some(AttributeValue::S(text)) => TenantState::parse(text).ok(),
        Some(_) => None,
    };
    match (state(&record.old_image), state(&record.new_image)) {
        (Some(before), Some(after)) => ItemChange::State(StateChange {
            tenant,
            before,
            after,
        }),
        _ => ItemChange::Other,
    }
}

/// A new occasion; `None` for the removal of one, and for an item of another form.
fn occasion(record: &StreamRecord, tenant: TenantId) -> Option<OccasionChange> {
    let item: stored::Item = record.new_image.clone().into();
    let item: OccasionItem = items::from_item(item).ok()?;
    Some(OccasionChange {
        tenant,
        event: item.event,
        type_name: item.type_name,
        id: item.id,
        what: item.what,
        cause: cause::member_cause(&item.by),
    })
}

fn by(image: &serde_dynamo::Item) -> Option<&str> {
    match image.get("by")? {
        AttributeValue::S(text) => Some(text),
        _ => None,
    }
}

/// The time of the heartbeat; `None` for a record of another item of its partition.
fn heartbeat(record: &StreamRecord) -> Option<u64> {
    match (record.new_image.get("kind")?, record.new_image.get("at")?) {
        (AttributeValue::S(kind), AttributeValue::N(at)) if kind == HEARTBEAT_KIND => {
            at.parse().ok()
        }
        _ => None,
    }
}

fn text<'r>(record: &'r StreamRecord, name: &str) -> Option<&'r str> {
    match record.keys.get(name)? {
        AttributeValue::S(text) => Some(text),
        _ => None,
    }
}
