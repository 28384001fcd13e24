//! A resource as it is stored, how its item is read, and the values that items are made of.
//! The types of whole items are in `items.rs`.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::cause;
use super::error::StoreError;
use super::index_version::{FIRST_INDEX_VERSION, INDEX_VERSION};
use super::items::ResourceItem;
use crate::identity::Cause;
use crate::protocol::resource::Resource;
use crate::protocol::version::Version;

/// An item as the SDK has it.
pub(super) type Item = HashMap<String, AttributeValue>;

/// A resource as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The resource's `id`.
    pub id: String,
    /// The canonical JSON text, without `meta` and without anything that depends on the public URL.
    pub body: String,
    /// Grows by one with each change of the body.
    pub revision: u64,
    /// When the resource was created, in milliseconds since the Unix epoch.
    pub created: u64,
    /// When the body last changed, in milliseconds since the Unix epoch.
    pub modified: u64,
    /// The argon2 hash of the password, where the tenant keeps one.
    pub password: Option<String>,
    /// The state of a group's members, if the resource is a group.
    pub(super) group: Option<GroupState>,
    /// The version of the service's index entries that the resource has.
    pub(super) index_version: u64,
    /// The number of the count in which the user has a seat, if the resource is a user that has one.
    pub seat: Option<u64>,
    /// Whether the stored text has no `id`, as in roles that earlier versions of `scim tenant
    /// add-roles` made. `body` has it nevertheless: it is taken from the key.
    pub lacks_id: bool,
}

/// Identifies a group's list of members. It stays the same while members are added and removed, and
/// changes when a new list replaces the whole. A walk through the members is bound to it. Serde
/// writes it as one text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MemberListId(String);

/// The attributes of a group's own item that are about its members.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct GroupState {
    /// Grows by one with each change of the members.
    pub(super) member_revision: u64,
    /// When the members last changed, in milliseconds since the Unix epoch; 0 for never.
    #[serde(rename = "member_stamp")]
    pub(super) members_modified: u64,
    /// The name of the current member set.
    pub(super) set: String,
    /// The number of partitions the current set is spread over.
    #[serde(rename = "shards")]
    pub(super) partitions: u32,
    /// Roughly the number of members.
    #[serde(default)]
    pub(super) about: i64,
    /// Whether the group has ever been a member of another one.
    #[serde(default)]
    pub(super) is_inner: bool,
    /// How many large changes of the current set are under way.
    #[serde(default)]
    pub(super) open: u64,
    /// Who has removed which members lately, as `groups/departures.rs` writes it. A journal entry does
    /// not have it.
    #[serde(skip)]
    pub(super) gone: String,
}

impl Stored {
    /// The entity tag: the revision of the body, and for a group that of its members (RFC 7644
    /// §3.14).
    #[must_use]
    pub fn version(&self) -> Version {
        match &self.group {
            Some(group) => Version::new(format!("{}.{}", self.revision, group.member_revision)),
            None => Version::new(self.revision.to_string()),
        }
    }

    /// When the body or the members last changed, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn last_modified(&self) -> u64 {
        self.group.as_ref().map_or(self.modified, |group| {
            self.modified.max(group.members_modified)
        })
    }

    /// Roughly the number of members of a group. It is wrong after a writer has died, or has lost an
    /// answer while other requests wrote. So it may decide whether members are read, but must not be
    /// shown to clients.
    #[must_use]
    pub fn about_members(&self) -> i64 {
        self.group.as_ref().map_or(0, |group| group.about)
    }

    /// Whether a large change of a group's members has begun and is not finished.
    #[must_use]
    pub fn members_are_changing(&self) -> bool {
        self.group.as_ref().is_some_and(|group| group.open > 0)
    }

    /// The id of a group's list of members; a resource without members always has the same.
    #[must_use]
    pub fn member_list_id(&self) -> MemberListId {
        let group = self.group.as_ref();
        MemberListId(group.map_or_else(String::new, |group| group.set.clone()))
    }

    /// Whether it is a group that is or was a member of another group.
    #[must_use]
    pub fn is_inner(&self) -> bool {
        self.group.as_ref().is_some_and(|group| group.is_inner)
    }

    /// Whether the resource's index entries are those of a newer version of the service.
    #[must_use]
    pub fn is_newer(&self) -> bool {
        self.index_version > INDEX_VERSION
    }

    /// Whether the resource's index entries may be those of an earlier version of the service.
    #[must_use]
    pub fn is_earlier(&self) -> bool {
        self.index_version < INDEX_VERSION
    }

    /// Checks that this version of the service may write the resource.
    ///
    /// # Errors
    /// `Newer`.
    pub fn check_write(&self) -> Result<(), StoreError> {
        match self.is_newer() {
            true => Err(StoreError::Newer),
            false => Ok(()),
        }
    }

    /// The item of a resource in its first state, as the write with this `rid` puts it.
    pub(super) fn to_item(&self, rid: &str, cause: &Cause) -> ResourceItem {
        let group = self.group.as_ref();
        ResourceItem {
            sk: self.id.clone(),
            kind: "R".to_owned(),
            body: self.body.clone(),
            v: self.revision,
            created: self.created,
            modified: self.modified,
            ix: Some(self.index_version),
            rid: Some(rid.to_owned()),
            by: Some(cause::of_resource(rid, cause)),
            pw: self.password.clone(),
            del: None,
            seat: self.seat,
            mv: group.map(|group| group.member_revision),
            ms: group.map(|group| group.members_modified),
            set: group.map(|group| group.set.clone()),
            n: group.map(|group| group.partitions),
            about: group.map(|group| group.about),
            // A new group has never been in another group, no large change of it has begun, and no
            // member was removed.
            inner: None,
            open: None,
            gone: None,
        }
    }

    /// Reads a resource's item. This is written by hand and does not use serde, because a list reads
    /// hundreds of items and serde takes about a microsecond more for each.
    pub(super) fn from_item(mut item: Item) -> Result<Self, StoreError> {
        let group = item
            .contains_key("set")
            .then(|| GroupState::take(&mut item))
            .transpose()?;
        let id = take_text(&mut item, "sk")?;
        let text = take_text(&mut item, "body")?;
        let named = with_id(&text, &id)?;
        Ok(Self {
            lacks_id: named.is_some(),
            body: named.unwrap_or(text),
            id,
            revision: number(&item, "v")?,
            created: number(&item, "created")?,
            modified: number(&item, "modified")?,
            index_version: number(&item, "ix").unwrap_or(FIRST_INDEX_VERSION),
            password: item
                .contains_key("pw")
                .then(|| take_text(&mut item, "pw"))
                .transpose()?,
            seat: number(&item, "seat").ok(),
            group,
        })
    }
}

impl GroupState {
    /// Reads the current set, and who was removed lately, from an item of which no other attribute was
    /// read.
    pub(super) fn take_set(item: &mut Item) -> Result<Self, StoreError> {
        Ok(Self {
            set: take_text(item, "set")?,
            partitions: u32::try_from(number(item, "n")?)
                .map_err(|error| StoreError::Backend(error.into()))?,
            gone: take_text(item, "gone").unwrap_or_default(),
            ..Self::default()
        })
    }

    fn take(item: &mut Item) -> Result<Self, StoreError> {
        Ok(Self {
            member_revision: number(item, "mv")?,
            members_modified: number(item, "ms")?,
            about: item
                .get("about")
                .and_then(|value| value.as_n().ok())
                .and_then(|digits| digits.parse().ok())
                .unwrap_or(0),
            is_inner: item.contains_key("inner"),
            open: number(item, "open").unwrap_or(0),
            ..Self::take_set(item)?
        })
    }
}

/// The body with its `id` added; `None` if the text has it already.
fn with_id(text: &str, id: &str) -> Result<Option<String>, StoreError> {
    // `id` follows `schemas` in a canonical body, so nearly every text need not be parsed.
    let after_schemas = text.split_once(']').map_or("", |(_, rest)| rest);
    if after_schemas.starts_with(r#","id":""#) {
        return Ok(None);
    }
    let resource = Resource::from_text(text).map_err(|error| StoreError::Backend(error.into()))?;
    let is_named = resource.id() == id;
    Ok((!is_named).then(|| resource.with_id(id).to_text()))
}

/// Whether the item is a resource that is being deleted.
pub(super) fn is_deleted(item: &Item) -> bool {
    item.contains_key("del")
}

/// Whether the item is a resource that a newer version of the service has written.
pub(super) fn is_newer(item: &Item) -> bool {
    number(item, "ix").is_ok_and(|version| version > INDEX_VERSION)
}

/// The error of a refused condition, given the item that did not meet it: `NotFound` if there is no
/// item or it is a tombstone, `VersionMismatch` otherwise.
pub(super) fn mismatch(item: Option<&Item>) -> StoreError {
    match item {
        Some(item) if !is_deleted(item) => StoreError::VersionMismatch,
        _ => StoreError::NotFound,
    }
}

/// A random id of 12 characters, such as the `rid` of one logical write, which is the same for each
/// attempt of the write.
///
/// It has 70 random bits. A `rid` is compared only with those of earlier writes of the same item. It
/// is also the request token of a transaction, which DynamoDB keeps for ten minutes. If another
/// transaction had the same request token, it would be refused and answered with 500, with nothing
/// changed. At 1,000 transactions a second this happens once in some 60,000 years.
pub(super) fn random_id() -> String {
    // The last 9 of the 16 bytes of a UUIDv4: random but for two bits, which mark its form.
    URL_SAFE_NO_PAD.encode(&Uuid::new_v4().as_bytes()[7..])
}

/// The `rid` of the write that last changed the item.
pub(super) fn rid_of(item: Option<&Item>) -> Option<&str> {
    item?.get("rid")?.as_s().ok().map(String::as_str)
}

/// The cause of the last write of a resource's item, if the process that wrote it stored one.
pub(super) fn cause(item: &Item) -> Option<Cause> {
    let by = item.get("by")?.as_s().ok()?;
    cause::resource_cause(rid_of(Some(item))?, by)
}

/// A string attribute value.
pub(super) fn s(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

/// A number attribute value.
pub(super) fn n(number: u64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// A number attribute value that may be negative.
pub(super) fn signed(number: i64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// A true attribute value.
pub(super) fn yes() -> AttributeValue {
    AttributeValue::Bool(true)
}

/// An attribute value that is true or false.
pub(super) fn boolean(value: bool) -> AttributeValue {
    AttributeValue::Bool(value)
}

/// A binary attribute value.
pub(super) fn bytes(bytes: Vec<u8>) -> AttributeValue {
    AttributeValue::B(Blob::new(bytes))
}

/// An item in JSON. It may have texts and numbers only.
pub(super) fn to_json(item: Item) -> Vec<(String, Value)> {
    let json = |value| match value {
        AttributeValue::S(text) => Some(Value::String(text)),
        AttributeValue::N(digits) => Some(Value::Number(digits.parse().ok()?)),
        _ => None,
    };
    item.into_iter()
        .filter_map(|(name, value)| Some((name, json(value)?)))
        .collect()
}

/// Takes a string out of an item.
pub(super) fn take_text(item: &mut Item, name: &str) -> Result<String, StoreError> {
    match item.remove(name) {
        Some(AttributeValue::S(text)) => Ok(text),
        _ => Err(malformed(name)),
    }
}

/// Reads a string of an item.
pub(super) fn text<'i>(item: &'i Item, name: &str) -> Result<&'i str, StoreError> {
    match item.get(name) {
        Some(AttributeValue::S(text)) => Ok(text),
        _ => Err(malformed(name)),
    }
}

/// Reads a number of an item.
pub(super) fn number(item: &Item, name: &str) -> Result<u64, StoreError> {
    item.get(name)
        .and_then(|value| value.as_n().ok())
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| malformed(name))
}

/// The error of an item that this service cannot have written.
pub(super) fn malformed(name: &str) -> StoreError {
    StoreError::Backend(format!("an item has no usable `{name}`").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_names_a_resource_whose_text_does_not() {
        let with_id = |text: &str| with_id(text, "7").unwrap();
        assert_eq!(
            with_id(r#"{"schemas":["urn:a"],"name":"Reader"}"#).as_deref(),
            Some(r#"{"schemas":["urn:a"],"id":"7","name":"Reader"}"#)
        );
        assert_eq!(with_id(r#"{"schemas":["urn:a"],"id":"7","n":1}"#), None);
        assert_eq!(with_id(r#"{"schemas":["urn:a]","b"],"id":"7"}"#), None);
        assert_eq!(with_id("{}").as_deref(), Some(r#"{"id":"7"}"#));
    }
}
