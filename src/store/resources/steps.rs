//! The steps of a resource's transaction: a new item, index entries, claims and the counter. And what it means if a
//! step is refused.

use super::entry::{Entries, Entry};
use crate::protocol::schema::ResourceType;
use crate::store::error::StoreError;
use crate::store::items::{self, IndexItem};
use crate::store::keys::{self, Keys};
use crate::store::stored::{self, Item, Stored, s, signed};
use crate::store::table::Table;
use crate::store::table::transaction::{Refused, Transaction};
use crate::store::table::write::{Condition, Delete, Put, Update};

/// What it means for the write if a step's condition does not hold.
#[derive(Debug)]
pub(in crate::store) enum Refusal {
    /// The resource is gone, is being deleted, or has changed since it was read.
    Resource,
    /// The claim to remove belongs to another resource.
    NotHeld(Entry),
    /// There is no seat in the shard, or its count has ended.
    Seat,
    /// Something else.
    Is(StoreError),
    /// The step has no condition.
    Never,
}

/// Commits a transaction on a resource that was read before.
pub(super) async fn commit(
    table: &Table,
    transaction: Transaction<Refusal>,
    rid: &str,
) -> Result<(), StoreError> {
    match transaction.commit(table, rid).await? {
        Ok(()) => Ok(()),
        Err(Refused { refusal, item }) => Err(refusal.into_error(item.as_ref())),
    }
}

/// The step that adds `by` to the counter of this resource.
pub(super) fn count(keys: &Keys, resource_type: &ResourceType, id: &str, by: i64) -> Update {
    let counter = keys.counters(resource_type).key(keys::counter(id));
    let mut update = Update::unnamed(counter);
    update.add("n :by").value(":by", signed(by));
    update
}

/// Adds the steps that store a new resource: its own item, its index entries and its claims.
pub(super) fn add_new(
    transaction: &mut Transaction<Refusal>,
    table: &Table,
    resource_type: &ResourceType,
    stored: &Stored,
    entries: &Entries,
    rid: &str,
) {
    let keys = table.keys();
    let partition = keys.resources(resource_type);
    let item = stored.to_item(rid, table.cause());
    let item = items::to_item(partition.as_str(), item);
    let is_new = Condition::new("attribute_not_exists(pk)").showing_item();
    transaction.push(Put::new(item).when(is_new), Refusal::Resource);
    for entry in entries.iter() {
        add_entry(transaction, keys, resource_type, &stored.id, entry, rid);
    }
}

/// Adds the step that puts a claim or an index entry.
pub(super) fn add_entry(
    transaction: &mut Transaction<Refusal>,
    keys: &Keys,
    resource_type: &ResourceType,
    id: &str,
    entry: &Entry,
    rid: &str,
) {
    let put = Put::new(entry_item(keys, resource_type, id, entry, rid));
    if !entry.unique {
        transaction.push(put, Refusal::Never);
        return;
    }
    let is_free = Condition::new("attribute_not_exists(pk) OR id = :id")
        .value(":id", s(id))
        .showing_item();
    let attribute = entry.attribute().to_owned();
    let taken = StoreError::Taken { attribute };
    transaction.push(put.when(is_free), Refusal::Is(taken));
}

/// The item of a claim or an index entry. A claim names the write that made it.
pub(in crate::store) fn entry_item(
    keys: &Keys,
    resource_type: &ResourceType,
    id: &str,
    entry: &Entry,
    rid: &str,
) -> Item {
    let partition = keys.index(resource_type, &entry.path);
    let item = IndexItem {
        sk: entry.sort_key(id),
        id: id.to_owned(),
        rid: entry.unique.then(|| rid.to_owned()),
    };
    items::to_item(partition.as_str(), item)
}

/// Adds the step that removes a claim or an index entry. It cannot remove an entry of another
/// resource: the key of an index entry ends with the resource's id, and a claim is removed on the
/// condition that the resource holds it.
pub(super) fn remove_entry(
    transaction: &mut Transaction<Refusal>,
    keys: &Keys,
    resource_type: &ResourceType,
    id: &str,
    entry: &Entry,
) {
    let partition = keys.index(resource_type, &entry.path);
    let delete = Delete::new(partition.key(entry.sort_key(id)));
    if !entry.unique {
        transaction.push(delete, Refusal::Never);
        return;
    }
    let is_own = Condition::new("attribute_not_exists(pk) OR id = :id").value(":id", s(id));
    transaction.push(delete.when(is_own), Refusal::NotHeld(entry.clone()));
}

impl Refusal {
    /// The error of a refused write of a resource that was read before.
    pub(super) fn into_error(self, item: Option<&Item>) -> StoreError {
        match self {
            Self::Resource => stored::mismatch(item),
            Self::Is(error) => error,
            // The callers that can be refused for a claim or a seat handle it themselves, and a step without
            // a condition is never refused. If either comes here after all, reading the resource again
            // is always right.
            Self::NotHeld(_) | Self::Seat | Self::Never => StoreError::VersionMismatch,
        }
    }
}
