//! How a resource is written: one transaction of its item, its index entries and claims, and a
//! counter; one conditional update where only its body changes.

use super::entry::{Entries, Entry};
use super::steps::{Refusal, add_entry, add_new, commit, count, remove_entry};
use crate::protocol::schema::ResourceType;
use crate::store::cause;
use crate::store::error::StoreError;
use crate::store::index_version::INDEX_VERSION;
use crate::store::seats::{SeatChange, SeatStep};
use crate::store::stored::{Stored, n, random_id, s};
use crate::store::table::Table;
use crate::store::table::transaction::{MAX_STEPS, Refused, Transaction};
use crate::store::table::write::{Check, Condition, Update};

/// The new state of a resource's body, with what is stored beside it.
#[derive(Debug, Clone, Copy)]
pub struct Write<'w> {
    /// The canonical JSON text without `meta`.
    pub body: &'w str,
    /// All index entries and claims of the resource from now on.
    pub entries: &'w Entries,
    /// The argon2 hash of the password, where there is one.
    pub password: Option<&'w str>,
    /// What happens to the seat of a user.
    pub seat: SeatChange,
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

/// A resource that was exported, and is created again with its id and its times.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'n> {
    /// Its id, and what to store. The time of the write is when its body last changed.
    pub new: New<'n>,
    /// When it was created, in milliseconds since the Unix epoch.
    pub created: u64,
    /// Its revision. It must be greater than any that the tenant may have had for this id.
    pub revision: u64,
    /// Roughly the number of members that it will get, if it is a group. Its set gets the partitions that so many
    /// need.
    pub members: usize,
}

/// A change of a resource's body.
#[derive(Debug, Clone, Copy)]
pub struct BodyChange<'c> {
    /// All index entries and claims of the resource before.
    pub entries_before: &'c Entries,
    /// The new body and entries.
    pub write: Write<'c>,
}

/// What a write of a resource contains besides its body, its index entries and its counter.
pub(in crate::store) trait Besides: Sync {
    /// Adds further changes of the resource's own item, and further conditions on it.
    fn update(&self, _update: &mut Update) {}

    /// Adds further steps to the transaction of the write. It may be called again with another rid.
    fn steps(&self, _table: &Table, _transaction: &mut Transaction<Refusal>, _token: &str) {}

    /// Makes the same changes in `after`, the resource as it will be after the write.
    fn apply(&self, _after: &mut Stored) {}
}

/// A write that contains nothing else.
impl Besides for () {}

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
            seat: None,
            group: None,
        }
    }
}

impl Arrival<'_> {
    pub(in crate::store) fn stored(&self) -> Stored {
        Stored {
            revision: self.revision,
            created: self.created,
            ..self.new.stored()
        }
    }
}

impl BodyChange<'_> {
    /// The number of steps that change index entries and claims in the transaction.
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
    seat: SeatChange,
    besides: &impl Besides,
) -> Result<Stored, StoreError> {
    let mut seat = SeatStep::new(seat, &stored.id);
    loop {
        let (mut stored, rid) = (stored.clone(), random_id());
        seat.apply(&mut stored);
        let mut transaction = Transaction::default();
        add_new(
            &mut transaction,
            table,
            resource_type,
            &stored,
            entries,
            &rid,
        );
        let counter = count(table.keys(), resource_type, &stored.id, 1);
        transaction.push(counter, Refusal::Never);
        besides.steps(table, &mut transaction, &rid);
        // The last step: a value that is taken is said before a seat that is missing.
        seat.push(table, &mut transaction, Refusal::Seat);
        let Err(Refused { refusal, .. }) = transaction.commit(table, &rid).await? else {
            return Ok(stored);
        };
        match refusal {
            Refusal::Seat => seat.refused(table).await?,
            Refusal::Is(error) => return Err(error),
            // The new id exists already. Ids are random, so this happens practically never.
            Refusal::Resource | Refusal::NotHeld(_) | Refusal::Never => {
                return Err(StoreError::VersionMismatch);
            }
        }
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
    let change = body.map_or(SeatChange::Ignore, |body| body.write.seat);
    let mut seat = SeatStep::new(change, &before.id);
    loop {
        let body = body.map(|body| BodyChange {
            entries_before: held.as_ref().unwrap_or(body.entries_before),
            ..body
        });
        let refused = match update_once(table, resource_type, before, body, &seat, besides).await? {
            Ok(stored) => return Ok(stored),
            Err(refused) => refused,
        };
        match (refused.refusal, body) {
            (Refusal::Seat, _) => seat.refused(table).await?,
            // The claim belongs to another resource. Both resources had the value before a switch
            // made the values unique, and only one got the claim. So this one has no claim to
            // remove, and the write is tried again without that step.
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
    seat: &SeatStep,
    besides: &impl Besides,
) -> Result<Result<Stored, Refused<Refusal>>, StoreError> {
    let (keys, rid, id) = (table.keys(), random_id(), &before.id);
    let mut transaction = Transaction::default();
    let mut after = before.clone();
    let mut update = update_item(table, resource_type, id, &rid);
    // If an earlier attempt took effect and its answer was lost, this attempt must not take effect
    // again.
    update.require("attribute_not_exists(del) AND rid <> :rid");
    if let Some(body) = body {
        for entry in body.entries_before.minus(body.write.entries) {
            remove_entry(&mut transaction, keys, resource_type, id, entry);
        }
        for entry in body.write.entries.minus(body.entries_before) {
            add_entry(&mut transaction, keys, resource_type, id, entry, &rid);
        }
        body.apply(&mut after);
        BodyChange::write(&mut update, before, &after);
    }
    seat.apply(&mut after);
    seat.write(&mut update, before);
    besides.apply(&mut after);
    besides.update(&mut update);
    besides.steps(table, &mut transaction, &rid);
    seat.push(table, &mut transaction, Refusal::Seat);
    if transaction.is_empty() {
        let item = update.send(table, &rid).await?;
        return Stored::from_item(item).map(Ok);
    }
    transaction.push(update, Refusal::Resource);
    let committed = transaction.commit(table, &rid).await?;
    Ok(committed.map(|()| after))
}

/// Removes a resource's index entries, its claims, its part in the count and its seat, in one transaction
/// with the update that `item` makes of the resource's own item.
///
/// # Errors
/// `NotFound` when it is gone, `VersionMismatch` when it has changed since it was read,
/// `TooManyEntries`, `Newer`.
pub(in crate::store) async fn remove(
    table: &Table,
    resource_type: &ResourceType,
    before: &Stored,
    entries: &Entries,
    seat: SeatChange,
    item: impl Fn(&str) -> Update,
    besides: impl Fn(&mut Transaction<Refusal>, &str),
) -> Result<(), StoreError> {
    before.check_write()?;
    let (keys, id) = (table.keys(), &before.id);
    let mut held = entries.clone();
    let mut seat = SeatStep::new(seat, id);
    loop {
        let rid = random_id();
        let mut transaction = Transaction::default();
        let mut item = item(&rid);
        seat.write(&mut item, before);
        transaction.push(item, Refusal::Resource);
        for entry in held.iter() {
            remove_entry(&mut transaction, keys, resource_type, id, entry);
        }
        transaction.push(count(keys, resource_type, id, -1), Refusal::Never);
        besides(&mut transaction, &rid);
        seat.push(table, &mut transaction, Refusal::Seat);
        match transaction.commit(table, &rid).await? {
            Ok(()) => return Ok(()),
            // As in an update, the claim belongs to another resource and stays.
            Err(Refused {
                refusal: Refusal::NotHeld(entry),
                ..
            }) => held = held.without(&entry),
            Err(Refused {
                refusal: Refusal::Seat,
                ..
            }) => seat.refused(table).await?,
            Err(Refused { refusal, item }) => return Err(refusal.into_error(item.as_ref())),
        }
    }
}

/// Writes entries of a resource, on the condition that the resource has not changed since it was
/// read.
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
        let rid = random_id();
        let mut transaction = Transaction::default();
        let is_as_read = Condition::new("v = :v AND attribute_not_exists(del)")
            .value(":v", n(stored.revision))
            .showing_item();
        let check = Check::new(keys.resources(resource_type).key(id), is_as_read);
        transaction.push(check, Refusal::Resource);
        for entry in part {
            add_entry(&mut transaction, keys, resource_type, id, entry, &rid);
        }
        commit(table, transaction, &rid).await?;
    }
    Ok(())
}

/// Writes all entries of a resource whose entries may be those of an earlier version of the service.
/// It runs before the update that raises the resource's `ix`: a resource must never have an `ix`
/// whose entries are incomplete.
async fn renew_entries(
    table: &Table,
    resource_type: &ResourceType,
    stored: &Stored,
    entries: &Entries,
) -> Result<(), StoreError> {
    let mut wanted = entries.clone();
    loop {
        match put_entries(table, resource_type, stored, &wanted).await {
            // Another resource holds the claim, because the two values had different keys in the
            // earlier version. The client does not change this value, so its request is not refused
            // and the claim is left out. `scim doctor` names the two resources.
            Err(StoreError::Taken { attribute }) => {
                wanted = wanted.filtered(|entry| !entry.unique || entry.attribute() != attribute);
            }
            outcome => return outcome,
        }
    }
}

/// An update of a resource's own item, which says why it is made: `rid` and `by` are always written
/// together.
pub(in crate::store) fn update_item(
    table: &Table,
    resource_type: &ResourceType,
    id: &str,
    rid: &str,
) -> Update {
    let mut update = Update::new(table.keys().resources(resource_type).key(id), rid);
    update
        .set("#by = :by")
        .name("#by", "by")
        .value(":by", s(cause::of_resource(rid, table.cause())));
    update
}
