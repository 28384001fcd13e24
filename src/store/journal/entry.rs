//! One journal entry: how it is written, advanced and removed.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use tokio::time::Instant;
use uuid::Uuid;

use super::{LEASE_MILLIS, Lease, Stage, lease_end, lost};
use crate::store::cause;
use crate::store::error::StoreError;
use crate::store::items::{self, JournalItem};
use crate::store::key_range::KeyRange;
use crate::store::keys::{ItemKey, SEPARATOR, stable_hash};
use crate::store::projected_attributes::ProjectedAttributes;
use crate::store::stored::{self, Item, n, random_id, s};
use crate::store::table::Table;
use crate::store::table::batch::{self, PlainWrite};
use crate::store::table::query::Query;
use crate::store::table::write::{Condition, Delete, Put, Request, Update};

/// How long before the end of its lease a writer makes its last call. It is longer than one call
/// takes, so that the call is over before the finisher begins.
const LAST_CALL: Duration = Duration::from_secs(5);

/// The largest text in one item of an entry, in bytes; DynamoDB takes items of 400 KB.
const PART_BYTES: usize = 300_000;

/// The `kind` of the head of an entry.
const HEAD: &str = "J";

/// The `kind` of the further parts of an entry.
pub(super) const PART: &str = "JP";

/// A journal entry that is not written yet.
#[derive(Debug, Clone)]
pub(in crate::store) struct NewEntry {
    pub(in crate::store) lease: Lease,
    lease_until: u64,
    head: Item,
    parts: Vec<Item>,
}

/// What a transaction changes in the journal.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) enum Note<'n> {
    /// An entry is written: a change begins, or a set is left to be swept.
    Begin(&'n NewEntry),
    /// The transaction makes the change of this lease's entry.
    Made(&'n Lease),
    /// The transaction ends the entry: no work is left.
    End(&'n Lease),
    /// The transaction removes a tombstone, and the members' set is left to be swept. Unlike the
    /// others, this note does not require that the writer holds the lease.
    Gone(&'n Lease),
    /// The transaction removes a tombstone, and no work is left. It does not require that the writer
    /// holds the lease either.
    Drop(&'n Lease),
}

impl NewEntry {
    /// An entry for a job of this name. The writer's lease begins now.
    ///
    /// # Errors
    /// `Backend` for a job that cannot be written as JSON.
    pub(in crate::store) fn new(
        table: &Table,
        name: &str,
        job: &impl Serialize,
    ) -> Result<Self, StoreError> {
        Self::with(
            table,
            name,
            job,
            entry_key(table.now_millis()),
            lease_end(table),
        )
    }

    /// An entry for a job that is begun because of a record of the table's stream. No writer holds
    /// it. Its key is derived from the record, so the same record always has the same entry. `time`
    /// is when the record was written, in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub(in crate::store) fn of_record(
        table: &Table,
        name: &str,
        job: &impl Serialize,
        record: &str,
        time: u64,
    ) -> Result<Self, StoreError> {
        // The lease is over from the beginning, so any finisher can take the entry.
        let lease_until = table.now_millis().saturating_sub(1);
        Self::with(table, name, job, record_key(record, time), lease_until)
    }

    fn with(
        table: &Table,
        name: &str,
        job: &impl Serialize,
        entry: String,
        lease_until: u64,
    ) -> Result<Self, StoreError> {
        let owner = random_id();
        let lease = Lease { entry, owner };
        let text = named(name, job)?;
        let mut texts = split(&text).enumerate();
        let first = texts.next().map_or("", |(_, part)| part);
        let journal = table.keys().journal();
        let part = |sk: String, kind: &str, work: &str| JournalItem {
            sk,
            kind: kind.to_owned(),
            work: work.to_owned(),
            lease_until,
            step: None,
            owner: None,
            by: None,
            rid: None,
        };
        let head = JournalItem {
            step: Some(Stage::Begun.number()),
            owner: Some(lease.owner.clone()),
            by: Some(cause::of_member(table.cause())),
            ..part(lease.entry.clone(), HEAD, first)
        };
        let head = items::to_item(journal.as_str(), head);
        let parts = texts.map(|(number, text)| part(part_key(&lease.entry, number), PART, text));
        let parts = parts
            .map(|part| items::to_item(journal.as_str(), part))
            .collect();
        Ok(Self {
            lease,
            lease_until,
            head,
            parts,
        })
    }

    /// The table for calls under the lease of this entry.
    pub(in crate::store) fn leased(&self, table: &Table) -> Table {
        leased_until(table, self.lease_until)
    }

    /// Writes the parts of the entry without its head. Without a head no finisher acts on them.
    pub(in crate::store) async fn write_parts(&self, table: &Table) -> Result<(), StoreError> {
        let parts = self.parts.iter().cloned().map(PlainWrite::Put);
        batch::write(table, parts.collect()).await
    }

    /// Removes the parts after the head was refused.
    pub(in crate::store) async fn drop_parts(&self, table: &Table) -> Result<(), StoreError> {
        let parts = (1..=self.parts.len()).map(|number| part_key(&self.lease.entry, number));
        delete(table, parts.collect()).await
    }

    /// Writes the whole entry. The head goes last, because a finisher takes an entry with a head for
    /// complete.
    pub(in crate::store) async fn begin(&self, table: &Table) -> Result<(), StoreError> {
        self.write_parts(table).await?;
        batch::write(table, vec![PlainWrite::Put(self.head.clone())]).await
    }

    /// Writes an entry that fits one item, unless an entry with its key exists. One call.
    pub(in crate::store) async fn begin_once(self, table: &Table) -> Result<(), StoreError> {
        let is_new = Condition::new("attribute_not_exists(pk)");
        // If the put is refused, an earlier delivery of the same record has written the entry.
        let _is_first = Put::new(self.head).when(is_new).send(table).await?;
        Ok(())
    }
}

/// The text of an entry for this job.
fn named(name: &str, job: &impl Serialize) -> Result<String, StoreError> {
    let text = serde_json::to_string(&NamedJob { name, job });
    text.map_err(|error| StoreError::Backend(error.into()))
}

/// A job under its name, as an entry holds it: `{"Sweep":{…}}`.
struct NamedJob<'w, J> {
    name: &'w str,
    job: &'w J,
}

impl<J: Serialize> Serialize for NamedJob<'_, J> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([(self.name, self.job)])
    }
}

impl Note<'_> {
    /// The step of the transaction with this rid. If it is refused, the entry is [`lost`].
    pub(in crate::store) fn request(self, table: &Table, rid: &str) -> Request {
        match self {
            Self::Begin(entry) => Put::new(entry.head.clone()).into(),
            Self::Made(lease) => {
                let mut update = update_held(table, lease, rid);
                // A new lease begins here. When it is over, every request that could have begun to
                // read the replaced set has ended too, and the finisher sweeps that set.
                update
                    .set("step = :made, leaseUntil = :until")
                    .value(":made", n(Stage::Made.number()))
                    .value(":until", n(lease_end(table)));
                update.into()
            }
            Self::Gone(lease) => {
                let mut update = Update::new(key(table, &lease.entry), rid);
                update
                    .require("attribute_exists(pk)")
                    .set("step = :made")
                    .value(":made", n(Stage::Made.number()));
                update.into()
            }
            Self::End(lease) => {
                let is_own = Condition::new("#owner = :owner")
                    .name("#owner", "owner")
                    .value(":owner", s(&lease.owner));
                Delete::new(key(table, &lease.entry)).when(is_own).into()
            }
            Self::Drop(lease) => Delete::new(key(table, &lease.entry)).into(),
        }
    }
}

impl Lease {
    /// Marks the entry as refused: neither this writer nor a finisher will make the change.
    ///
    /// # Errors
    /// `Unavailable` when a finisher has taken over the entry.
    pub(in crate::store) async fn refuse(&self, table: &Table) -> Result<(), StoreError> {
        let rid = random_id();
        let mut update = update_held(table, self, &rid);
        update
            .set("step = :refused")
            .value(":refused", n(Stage::Refused.number()));
        match update.send(table, &rid).await {
            Ok(_) => Ok(()),
            // The entry has another owner or another step, or is gone: a finisher has taken it over,
            // and decides whether the change is made.
            Err(StoreError::NotFound | StoreError::VersionMismatch) => Err(lost()),
            Err(error) => Err(error),
        }
    }

    /// Replaces the job of an entry that fits one item.
    ///
    /// # Errors
    /// `Unavailable`, also when another process has the entry.
    pub(in crate::store) async fn rewrite(
        &self,
        table: &Table,
        name: &str,
        job: &impl Serialize,
    ) -> Result<(), StoreError> {
        let rid = random_id();
        let mut update = update_held(table, self, &rid);
        update
            .set("#work = :work")
            .name("#work", "work")
            .value(":work", s(named(name, job)?));
        match update.send(table, &rid).await {
            Ok(_) => Ok(()),
            // Another process has taken the entry over, and may have removed it.
            Err(StoreError::NotFound | StoreError::VersionMismatch) => Err(lost()),
            Err(error) => Err(error),
        }
    }

    /// Removes an entry whose work is done. The head goes first, so that no finisher reads a job of
    /// which parts are missing.
    pub(in crate::store) async fn end(&self, table: &Table) -> Result<(), StoreError> {
        delete(table, vec![self.entry.clone()]).await?;
        self.end_parts(table).await
    }

    /// Removes the parts of an entry whose head is gone.
    pub(in crate::store) async fn end_parts(&self, table: &Table) -> Result<(), StoreError> {
        let range = KeyRange::prefix(&format!("{}{SEPARATOR}", self.entry));
        let items = items(table, &range).await?;
        let parts = items
            .into_iter()
            .filter_map(|mut item| stored::take_text(&mut item, "sk").ok());
        delete(table, parts.collect()).await
    }
}

/// An update of an entry, on the condition that this writer holds it and that its change is neither
/// made nor refused.
fn update_held(table: &Table, lease: &Lease, rid: &str) -> Update {
    let mut update = Update::new(key(table, &lease.entry), rid);
    update
        .require("#owner = :owner AND step = :begun")
        .value(":owner", s(&lease.owner))
        .name("#owner", "owner")
        .value(":begun", n(Stage::Begun.number()));
    update
}

/// The table for a writer whose lease ends at this time, in milliseconds since the Unix epoch.
pub(super) fn leased_until(table: &Table, lease_until: u64) -> Table {
    let longest = Duration::from_millis(LEASE_MILLIS) - LAST_CALL;
    table.until(Instant::now() + longest).leased(lease_until)
}

/// The key of an item of the journal.
pub(super) fn key(table: &Table, sort: &str) -> ItemKey {
    table.keys().journal().key(sort)
}

/// The items of the journal in a range.
pub(super) async fn items(table: &Table, range: &KeyRange) -> Result<Vec<Item>, StoreError> {
    let partition = table.keys().journal();
    Query::new(&partition, range, ProjectedAttributes::All)
        .all(table)
        .await
}

/// Removes the items of the journal with these sort keys.
pub(super) async fn delete(table: &Table, keys: Vec<String>) -> Result<(), StoreError> {
    let deletes = keys.iter().map(|sort| PlainWrite::Delete(key(table, sort)));
    batch::write(table, deletes.collect()).await
}

/// The sort key of a new entry: a UUIDv7 in hexadecimal digits. As texts such keys are in order of
/// time.
fn entry_key(now: u64) -> String {
    // The bits after the time in a UUIDv7: a counter and random bits. The time itself is that of the
    // store's clock.
    let mut bits = [0; 10];
    bits.copy_from_slice(&Uuid::now_v7().as_bytes()[6..]);
    key_at(now, &bits)
}

/// The sort key of an entry that is begun because of a record of the stream: a UUIDv7 with the time
/// of the record, and with a hash of the record's id instead of random bits.
fn record_key(record: &str, time: u64) -> String {
    let mut bits = [0; 10];
    bits[2..].copy_from_slice(&stable_hash(record).to_be_bytes());
    key_at(time, &bits)
}

fn key_at(millis: u64, bits: &[u8; 10]) -> String {
    let uuid = uuid::Builder::from_unix_timestamp_millis(millis, bits).into_uuid();
    uuid.simple().to_string()
}

/// When the entry with this key was begun, in milliseconds since the Unix epoch. Earlier versions wrote
/// the UUID in base64url, in which texts are in no order of time.
pub(in crate::store) fn begun(key: &str) -> Option<u64> {
    let uuid = Uuid::try_parse(key).ok().or_else(|| {
        let bytes = URL_SAFE_NO_PAD.decode(key).ok()?;
        Uuid::from_slice(&bytes).ok()
    })?;
    let (seconds, nanoseconds) = uuid.get_timestamp()?.to_unix();
    Some(seconds * 1000 + u64::from(nanoseconds) / 1_000_000)
}

/// The sort key of a further part of an entry.
fn part_key(op: &str, number: usize) -> String {
    format!("{op}{SEPARATOR}{number:03}")
}

/// Cuts a text into parts of at most [`PART_BYTES`], between characters.
fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (part, tail) = rest.split_at(rest.floor_char_boundary(PART_BYTES));
        rest = tail;
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_order_of_time() {
        let keys: Vec<String> = (1..1000).map(entry_key).collect();
        assert!(keys.is_sorted_by(|one, next| one < next));
        assert!(keys.iter().map(|key| begun(key)).eq((1..1000).map(Some)));
    }

    #[test]
    fn both_forms_of_a_key_hold_the_time_when_the_entry_was_begun() {
        let uuid = Uuid::parse_str("0199c3a7-15be-7aaa-8bbb-0123456789ab").unwrap();
        let millis = Some(0x0199_c3a7_15be);
        assert_eq!(begun(&uuid.simple().to_string()), millis);
        let earlier = URL_SAFE_NO_PAD.encode(uuid.as_bytes());
        assert_eq!((earlier.len(), begun(&earlier)), (22, millis));
        assert_eq!(begun("no key of an entry"), None);
    }

    #[test]
    fn a_record_has_one_key_that_tells_its_time() {
        let key = record_key("a", 1_700_000_000_000);
        assert_eq!(record_key("a", 1_700_000_000_000), key);
        assert_ne!(record_key("b", 1_700_000_000_000), key);
        assert_eq!(begun(&key), Some(1_700_000_000_000));
        assert_eq!(key.len(), entry_key(1).len());
    }
}
