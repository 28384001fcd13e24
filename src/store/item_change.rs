//! What a record of the table's stream says of an item: what the item was, and what it is.

use aws_lambda_events::dynamodb::StreamRecord;
use serde_dynamo::AttributeValue;

use super::cause;
use super::journal::JournalRecord;
use super::keys::{self, StreamKey};
use super::stored::{self, Stored};
use crate::identity::{Cause, TenantId};
use crate::protocol::resource::Resource;

/// A change of an item.
#[derive(Debug, Clone, PartialEq)]
pub enum ItemChange {
    /// Of a resource.
    Resource(Box<ResourceChange>),
    /// Of a member of a set.
    Member(MemberItemChange),
    /// Of a journal entry.
    Journal(JournalRecord),
    /// Of something that the feed does not report, or of a kind that this version does not know.
    Other,
    /// Of an item that this version should know and cannot read.
    Unreadable(UnreadableChange),
}

/// A change of a resource's item.
#[derive(Debug, Clone, PartialEq)]
pub struct ResourceChange {
    /// Whose resource it is.
    pub tenant: TenantId,
    /// The name of its type.
    pub type_name: String,
    /// Its `id`.
    pub id: String,
    /// What it was; `None` if it is new.
    pub before: Option<ResourceImage>,
    /// What it is; `None` if its item was removed.
    pub after: Option<ResourceImage>,
}

/// A resource's item at one time.
#[derive(Debug, Clone, PartialEq)]
pub struct ResourceImage {
    /// The resource.
    pub stored: Stored,
    /// Its body, read.
    pub body: Resource,
    /// Whether it is a tombstone.
    pub is_deleted: bool,
    /// Who wrote it and why, if the write that made this image said it.
    pub cause: Option<Cause>,
}

/// A change of a member's item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberItemChange {
    /// Whose group it is.
    pub tenant: TenantId,
    /// The group's `id`.
    pub group: String,
    /// The name of the set.
    pub set: String,
    /// The member's `id`.
    pub member: String,
    /// The name of the member's type.
    pub member_type: String,
    /// Whether the item was there before the change.
    pub was_there: bool,
    /// Whether the item is there after the change.
    pub is_there: bool,
    /// Who has added the member and why, if the item says it; `None` after a removal.
    pub cause: Option<Cause>,
}

/// A change of which only the key can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableChange {
    /// Whose item it is.
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
    // What is wrong with the item is not repeated, because it may be a value.
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
        was_there: !record.old_image.is_empty(),
        is_there: !record.new_image.is_empty(),
        // What was removed says who had added the member, and not who has removed it.
        cause: by(&record.new_image).and_then(cause::member_cause),
    })
}

fn by(image: &serde_dynamo::Item) -> Option<&str> {
    match image.get("by")? {
        AttributeValue::S(text) => Some(text),
        _ => None,
    }
}

fn text<'r>(record: &'r StreamRecord, name: &str) -> Option<&'r str> {
    match record.keys.get(name)? {
        AttributeValue::S(text) => Some(text),
        _ => None,
    }
}
