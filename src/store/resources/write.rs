//! How a resource is written: one transaction of its item, its index entries and claims, and its part
//! in the count; one conditional update where only its body changes.

use super::entry::{Entries, Entry};
use crate::protocol::schema::ResourceType;
use crate::store::error::StoreError;
use crate::store::index_version::INDEX_VERSION;
use crate::store::items::{self, IndexItem};
use crate::store::keys::{self, Keys};
use crate::store::stored::{self, Item, Stored, n, s, signed, token};
use crate::store::table::Table;
use crate::store::table::transaction::{MAX_STEPS, Refused, Transaction};
use crate::store::table::write::{Check, Condition, Delete, Put, Request, Update};

/// What a write makes of a resource.
#[derive(Debug, Clone, Copy)]
pub struct Write<'w> {
    /// The canonical JSON text without `meta`.
    pub body: &'w str,
    /// Every key the resource stands under from now on.
    pub entries: &'w Entries,
    /// The argon2 hash of the password, where there is one.
    pub password: Option<&'w str>,
    /// The time of the write, in milliseconds since the Unix epoch.
    pub now: u64,
}

/// A resource to create.
#[derive(Debug, Clone, Copy)]
pub struct New<'n> {
    /// Its new id.
    pub id: &'n str,
    /// What to store.
    pub write: Write<'n>,
}

/// A change of a resource's body.
#[derive(Debug, Clone, Copy)]
pub struct BodyChange<'c> {
    /// Every key the resource stood under.
    pub entries_before: &'c Entries,
    /// The new body and keys.
    pub write: Write<'c>,
}

/// What belongs to a write of a resource besides its body, its index entries and its count.
pub(in crate::store) trait Besides: Sync {
    /// Adds what else changes in the resource's own item, and what has to hold of it.
    fn update(&self, _update: &mut Update) {}

    /// Adds further steps to the transaction of the write. It may be called again with another token.
    fn steps(&self, _table: &Table, _transaction: &mut Transaction<Refusal>, _token: &str) {}

    /// Makes the same changes in the resource as it will be.
    fn apply(&self, _after: &mut Stored) {}
}

/// Nothing else.
impl Besides for () {}

/// What it means that a step's condition did not hold.
#[derive(Debug)]
pub(in crate::store) enum Refusal {
    /// The resource is missing, deleted or in another version.
    Resource,
    /// The claim that the resource would give up belongs to another.
    NotHeld(Entry),
    /// Something else.
    Is(StoreError),
    /// The step has no condition.
    Never,
}

impl New<'_> {
    pub(in crate::store) fn stored(&self) -> Stored {
        Stored {
            id: self.id.to_owned(),
            body: self.write.body.to_owned(),
            revision: 1,
            created: self.write.now,
            modified: self.write.now,
            password: self.write.password.map(str::to_owned),
            lacks_id: false,
            index_version: INDEX_VERSION,
            group: None,
        }
    }
}

impl BodyChange<'_> {
    /// The steps that this takes in a transaction beside the resource itself.
    pub(in crate::store) fn steps(&self) -> usize {
        let (before, after) = (self.entries_before, self.write.entries);
        before.minus(after).count() + after.minus(before).count()
    }

    fn apply(&self, after: &mut Stored) {
        let Write {
            body,
            password,
            now,
            ..
        } = self.write;
        after.body = body.to_owned();
        after.lacks_id = false;
        after.index_version = INDEX_VERSION;
        after.revision += 1;
        after.modified = now;
        after.password = password.map(str::to_owned);
    }

    /// Adds to the update of a resource what makes it `after`.
    fn write(update: &mut Update, before: &Stored, after: &Stored) {
        update
            .set("body = :body, v = :v, modified = :modified, ix = :ix")
            .value(":body", s(&after.body))
            .value(":v", n(after.revision))
            .value(":modified", n(after.modified))
            .value(":ix", n(after.index_version))
            .require("v = :read")
            .value(":read", n(before.revision));
        match &after.password {
            Some(hash) => {
                update.set("pw = :pw").value(":pw", s(hash));
            }
            None if before.password.is_some() => {
                update.remove("pw");
            }
            None => {}
        }
    }
}

/// Stores a new resource: one transaction.
///
/// # Errors
/// `Taken` naming the unique attribute whose value belongs to another resource; `TooLarge`;
/// `TooManyEntries`.
pub(in crate::store) async fn create(
    table: &Table,
    resource_type: &ResourceType,
    stored: Stored,
    entries: &Entries,
    besides: &impl Besides,
) -> Result<Stored, StoreError> {
    let (keys, token) = (table.keys(), token());
    let mut transaction = Transaction::default();
    let partition = keys.resources(resource_type);
    let item = items::to_item(partition.as_str(), stored.to_item(&token));
    let is_new = Condition::new("attribute_not_exists(pk)").showing_item();
    transaction.push(Put::new(item).when(is_new), Refusal::Resource);
    for entry in entries.iter() {
        add_entry(
            &mut transaction,
            keys,
            resource_type,
            &stored.id,
            entry,
            &token,
        );
    }
    transaction.push(count(keys, resource_type, &stored.id, 1), Refusal::Never);
    besides.steps(table, &mut transaction, &token);
    match transaction.commit(table, &token).await? {
        Ok(()) => Ok(stored),
        Err(Refused { refusal, .. }) => Err(match refusal {
            Refusal::Is(error) => error,
            // A new id that exists already: two random numbers are the same.
            Refusal::Resource | Refusal::NotHeld(_) | Refusal::Never => StoreError::VersionMismatch,
        }),
    }
}

/// Changes a resource from the state that was read: one conditional update, or one transaction when
/// more than its own item changes.
///
/// # Errors
/// `NotFound` when it is gone, `VersionMismatch` when it has changed since it was read, `Taken`,
/// `TooLarge`, `TooManyEntries`, `Newer`; what `besides` may be refused for.
pub(in crate::store) async fn update(
    table: &Table,
    resource_type: &ResourceType,
    before: &Stored,
    body: Option<BodyChange<'_>>,
    besides: &impl Besides,
) -> Result<Stored, StoreError> {
    before.check_write()?;
    if let (Some(body), true) = (body, before.is_earlier()) {
        renew_entries(table, resource_type, before, body.entries_before).await?;
    }
    let mut held: Option<Entries> = None;
    loop {
        let body = body.map(|body| BodyChange {
            entries_before: held.as_ref().unwrap_or(body.entries_before),
            ..body
        });
        let refused = match update_once(table, resource_type, before, body, besides).await? {
            Ok(stored) => return Ok(stored),
            Err(refused) => refused,
        };
        match (refused.refusal, body) {
            // The claim is another resource's: both held the value when the values were made unique. So
            // there is nothing to give up, and the write is made without that.
            (Refusal::NotHeld(entry), Some(body)) => {
                held = Some(body.entries_before.without(&entry));
            }
            (refusal, _) => return Err(refusal.into_error(refused.item.as_ref())),
        }
    }
}

async fn update_once(
    table: &Table,
    resource_type: &ResourceType,
    before: &Stored,
    body: Option<BodyChange<'_>>,
    besides: &impl Besides,
) -> Result<Result<Stored, Refused<Refusal>>, StoreError> {
    let (keys, token, id) = (table.keys(), token(), &before.id);
    let mut transaction = Transaction::default();
    let mut after = before.clone();
    let mut update = Update::new(keys.resources(resource_type).key(id), &token);
    // An attempt that took effect, and whose answer was lost, must not take effect again.
    update.require("attribute_not_exists(del) AND rid <> :rid");
    if let Some(body) = body {
        for entry in body.entries_before.minus(body.write.entries) {
            remove_entry(&mut transaction, keys, resource_type, id, entry);
        }
        for entry in body.write.entries.minus(body.entries_before) {
            add_entry(&mut transaction, keys, resource_type, id, entry, &token);
        }
        body.apply(&mut after);
        BodyChange::write(&mut update, before, &after);
    }
    besides.apply(&mut after);
    besides.update(&mut update);
    besides.steps(table, &mut transaction, &token);
    if transaction.is_empty() {
        let item = update.send(table, &token).await?;
        return Stored::from_item(item).map(Ok);
    }
    transaction.push(update, Refusal::Resource);
    let committed = transaction.commit(table, &token).await?;
    Ok(committed.map(|()| after))
}

/// Takes a resource's index entries, its claims and its count away, and makes of its item what `item`
/// says: one transaction.
///
/// # Errors
/// `NotFound` when it is gone, `VersionMismatch` when it has changed since it was read,
/// `TooManyEntries`, `Newer`.
pub(in crate::store) async fn remove(
    table: &Table,
    resource_type: &ResourceType,
    before: &Stored,
    entries: &Entries,
    item: impl Fn(&str) -> Request,
    besides: impl Fn(&mut Transaction<Refusal>, &str),
) -> Result<(), StoreError> {
    before.check_write()?;
    let (keys, id) = (table.keys(), &before.id);
    let mut held = entries.clone();
    loop {
        let token = token();
        let mut transaction = Transaction::default();
        transaction.push(item(&token), Refusal::Resource);
        for entry in held.iter() {
            remove_entry(&mut transaction, keys, resource_type, id, entry);
        }
        transaction.push(count(keys, resource_type, id, -1), Refusal::Never);
        besides(&mut transaction, &token);
        match transaction.commit(table, &token).await? {
            Ok(()) => return Ok(()),
            // As in an update: the claim is another resource's and stays.
            Err(Refused {
                refusal: Refusal::NotHeld(entry),
                ..
            }) => held = held.without(&entry),
            Err(Refused { refusal, item }) => return Err(refusal.into_error(item.as_ref())),
        }
    }
}

/// Writes entries of a resource, on the condition that it is still as it was read.
///
/// # Errors
/// `Taken` when a claim belongs to another resource; `NotFound` or `VersionMismatch` when the resource
/// has changed.
pub(super) async fn put_entries(
    table: &Table,
    resource_type: &ResourceType,
    stored: &Stored,
    entries: &Entries,
) -> Result<(), StoreError> {
    let (keys, id) = (table.keys(), &stored.id);
    let entries: Vec<&Entry> = entries.iter().collect();
    for part in entries.chunks(MAX_STEPS - 1) {
        let token = token();
        let mut transaction = Transaction::default();
        let is_as_read = Condition::new("v = :v AND attribute_not_exists(del)")
            .value(":v", n(stored.revision))
            .showing_item();
        let check = Check::new(keys.resources(resource_type).key(id), is_as_read);
        transaction.push(check, Refusal::Resource);
        for entry in part {
            add_entry(&mut transaction, keys, resource_type, id, entry, &token);
        }
        commit(table, transaction, &token).await?;
    }
    Ok(())
}

/// Writes all entries of a resource whose entries may be those of an earlier version of the service.
async fn renew_entries(
    table: &Table,
    resource_type: &ResourceType,
    stored: &Stored,
    entries: &Entries,
) -> Result<(), StoreError> {
    let mut wanted = entries.clone();
    loop {
        match put_entries(table, resource_type, stored, &wanted).await {
            // The two resources had different keys in the earlier version. The client did not ask for
            // the value, so its change is not refused; `scim doctor` names the two.
            Err(StoreError::Taken { attribute }) => {
                wanted = wanted.filtered(|entry| !entry.unique || entry.attribute() != attribute);
            }
            outcome => return outcome,
        }
    }
}

/// Commits a transaction about a resource that was read before.
pub(super) async fn commit(
    table: &Table,
    transaction: Transaction<Refusal>,
    token: &str,
) -> Result<(), StoreError> {
    match transaction.commit(table, token).await? {
        Ok(()) => Ok(()),
        Err(Refused { refusal, item }) => Err(refusal.into_error(item.as_ref())),
    }
}

/// The step that counts resources in or out, in the counter of this id.
pub(super) fn count(keys: &Keys, resource_type: &ResourceType, id: &str, by: i64) -> Update {
    let counter = keys.counters(resource_type).key(keys::counter_shard(id));
    let mut update = Update::unnamed(counter);
    update.add("n :by").value(":by", signed(by));
    update
}

/// Puts a claim or an index entry.
pub(super) fn add_entry(
    transaction: &mut Transaction<Refusal>,
    keys: &Keys,
    resource_type: &ResourceType,
    id: &str,
    entry: &Entry,
    token: &str,
) {
    let put = Put::new(entry_item(keys, resource_type, id, entry, token));
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
    token: &str,
) -> Item {
    let partition = keys.index(resource_type, &entry.path);
    let item = IndexItem {
        sk: entry.sort_key(id),
        id: id.to_owned(),
        rid: entry.unique.then(|| token.to_owned()),
    };
    items::to_item(partition.as_str(), item)
}

/// Removes a claim or an index entry. Only an entry of this resource's can have this key: a plain
/// entry's key ends with the id, and a claim is checked.
fn remove_entry(
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
    /// What the refusal means for a write of a resource that was read before.
    pub(super) fn into_error(self, item: Option<&Item>) -> StoreError {
        match self {
            Self::Resource => stored::mismatch(item),
            Self::Is(error) => error,
            Self::NotHeld(_) | Self::Never => StoreError::VersionMismatch,
        }
    }
}
