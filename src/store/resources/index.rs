//! The indexes of a type: which resource holds a unique value, which resources have entries in a
//! range, and which entries are missing or stray.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::entry::{Entries, Entry};
use super::steps::{self, Refusal};
use super::write;
use crate::protocol::schema::{Index, ResourceType};
use crate::store::error::StoreError;
use crate::store::items::{self, IndexItem};
use crate::store::key_range::{EVERY_KEY, KeyRange};
use crate::store::keys::{self, ItemKey, Partition};
use crate::store::projected_attributes::ProjectedAttributes;
use crate::store::stored::{self, Stored, n, random_id, s};
use crate::store::table::allowance::CountLimit;
use crate::store::table::query::{Query, Window};
use crate::store::table::transaction::Transaction;
use crate::store::table::write::{Check, Condition, Delete};
use crate::store::table::{Table, get};

/// The number of index entries that one call of [`Indexes::look`] reads.
const LOOK: usize = 100;

/// The indexes of one tenant.
#[derive(Clone, Copy)]
pub struct Indexes<'t> {
    table: &'t Table,
}

/// A page of an index.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IndexPage {
    /// The sort key and the resource's id of each entry, in order.
    pub entries: Vec<(String, String)>,
    /// The sort key to go on after, when there may be more.
    pub next: Option<String>,
}

/// An index entry that was found in the table and may belong to no resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StrayEntry {
    /// The sort key.
    pub key: String,
    /// The id of the resource that the entry names.
    pub id: String,
}

impl<'t> Indexes<'t> {
    pub(in crate::store) fn new(table: &'t Table) -> Self {
        Self { table }
    }

    /// The id of the resource that holds this unique value, if there is one. One call.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn claimed(
        self,
        resource_type: &ResourceType,
        index: &Index,
        text: &str,
    ) -> Result<Option<String>, StoreError> {
        let key = self.partition(resource_type, index).key(keys::claim(text));
        let claim = get::one(self.table, &key).await?;
        claim
            .map(|claim| Ok(items::from_item::<IndexItem>(claim)?.id))
            .transpose()
    }

    /// The ids of the resources that hold these unique values, by value. One call for each batch of
    /// values.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn all_claimed(
        self,
        resource_type: &ResourceType,
        index: &Index,
        texts: &[String],
    ) -> Result<HashMap<String, String>, StoreError> {
        let partition = self.partition(resource_type, index);
        let keys = texts.iter().map(|text| partition.key(keys::claim(text)));
        let claims = get::many(self.table, keys.collect(), ProjectedAttributes::Entry).await?;
        let claims = claims.into_iter().map(|item| {
            let IndexItem { sk, id, .. } = items::from_item(item)?;
            let text = sk.strip_suffix(keys::SEPARATOR).unwrap_or(&sk);
            Ok((text.to_owned(), id))
        });
        claims.collect()
    }

    /// A page of an index: what one call reads.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn page(
        self,
        resource_type: &ResourceType,
        index: &Index,
        range: &KeyRange,
        window: Window<'_>,
    ) -> Result<IndexPage, StoreError> {
        if range.is_empty() {
            return Ok(IndexPage::default());
        }
        let partition = self.partition(resource_type, index);
        self.entries(&partition, range, window).await
    }

    /// The number of entries in a range of an index, after the window's key if it has one. `None` if
    /// the entries are more, or cost more to read, than the limit.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn count(
        self,
        resource_type: &ResourceType,
        index: &Index,
        range: &KeyRange,
        from: Window<'_>,
        limit: CountLimit,
    ) -> Result<Option<u64>, StoreError> {
        if range.is_empty() {
            return Ok(Some(0));
        }
        let partition = self.partition(resource_type, index);
        let query = Query::new(&partition, range, ProjectedAttributes::Count).within(from);
        query.count(self.table, limit).await
    }

    /// The number of resources that have at least one entry in a range of an index. `None` if that
    /// costs more to read than the limit.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn count_distinct(
        self,
        resource_type: &ResourceType,
        index: &Index,
        range: &KeyRange,
        limit: CountLimit,
    ) -> Result<Option<u64>, StoreError> {
        if range.is_empty() {
            return Ok(Some(0));
        }
        let partition = self.partition(resource_type, index);
        let query = Query::new(&partition, range, ProjectedAttributes::Entry);
        let mut ids = HashSet::new();
        let end = query.read(self.table, limit, |page| {
            for entry in page.items {
                ids.insert(items::from_item::<IndexItem>(entry)?.id);
            }
            Ok(())
        });
        Ok(end.await?.then_some(ids.len() as u64))
    }

    /// The entries of these resources that are not in the table, each with the position of the
    /// resource.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn missing(
        self,
        resource_type: &ResourceType,
        resources: &[(&Stored, Entries)],
    ) -> Result<Vec<(usize, Entries)>, StoreError> {
        let key = |entry: &Entry, id: &str| {
            let partition = self.table.keys().index(resource_type, &entry.path);
            partition.key(entry.sort_key(id))
        };
        let wanted: BTreeSet<ItemKey> = resources
            .iter()
            .flat_map(|(stored, entries)| entries.iter().map(|entry| key(entry, &stored.id)))
            .collect();
        let mut found = HashSet::new();
        for mut item in get::many(self.table, wanted, ProjectedAttributes::All).await? {
            let id = stored::take_text(&mut item, "id")?;
            found.insert((ItemKey::of(&mut item)?, id));
        }
        let is_missing =
            |entry: &Entry, id: &str| !found.contains(&(key(entry, id), id.to_owned()));
        let missing = resources
            .iter()
            .enumerate()
            .map(|(position, (stored, entries))| {
                let missing = entries.filtered(|entry| is_missing(entry, &stored.id));
                (position, missing)
            });
        Ok(missing.filter(|(_, entries)| !entries.is_empty()).collect())
    }

    /// Writes entries of a resource, on the condition that the resource has not changed since it was
    /// read.
    ///
    /// # Errors
    /// `Taken` when a claim belongs to another resource; `NotFound` or `VersionMismatch` when the
    /// resource has changed, in which case its writer has written the entries.
    pub async fn put(
        self,
        resource_type: &ResourceType,
        stored: &Stored,
        entries: &Entries,
    ) -> Result<(), StoreError> {
        write::put_entries(self.table, resource_type, stored, entries).await
    }

    /// A page of one of the partitions of an index ([`Entries::partitions`]), as it is in the table.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn look(
        self,
        resource_type: &ResourceType,
        path: &str,
        after: Option<&str>,
    ) -> Result<(Vec<StrayEntry>, Option<String>), StoreError> {
        let window = Window {
            after,
            limit: Some(LOOK),
            ..Window::default()
        };
        let partition = self.table.keys().index(resource_type, path);
        let page = self.entries(&partition, &EVERY_KEY, window).await?;
        let entries = page.entries.into_iter();
        let entries = entries.map(|(key, id)| StrayEntry { key, id });
        Ok((entries.collect(), page.next))
    }

    /// Removes an entry that its resource does not have, on the condition that the resource has not
    /// changed since it was read, or is still missing.
    ///
    /// # Errors
    /// `VersionMismatch` or `NotFound` when the resource has changed.
    pub async fn drop_stray(
        self,
        resource_type: &ResourceType,
        path: &str,
        stray: &StrayEntry,
        seen: Option<&Stored>,
    ) -> Result<(), StoreError> {
        let keys = self.table.keys();
        let is_as_seen = match seen {
            Some(stored) => Condition::new("v = :v").value(":v", n(stored.revision)),
            None => Condition::new("attribute_not_exists(pk) OR attribute_exists(del)"),
        };
        let resource = keys.resources(resource_type).key(&stray.id);
        let entry = keys.index(resource_type, path).key(&stray.key);
        let is_same = Condition::new("id = :id").value(":id", s(&stray.id));
        let mut transaction = Transaction::default();
        let check = Check::new(resource, is_as_seen.showing_item());
        transaction.push(check, Refusal::Resource);
        // The key has become a claim of another resource since it was read.
        let gone = Refusal::Is(StoreError::NotFound);
        transaction.push(Delete::new(entry).when(is_same), gone);
        steps::commit(self.table, transaction, &random_id()).await
    }

    fn partition(self, resource_type: &ResourceType, index: &Index) -> Partition {
        self.table.keys().index(resource_type, index.path())
    }

    async fn entries(
        self,
        partition: &Partition,
        range: &KeyRange,
        window: Window<'_>,
    ) -> Result<IndexPage, StoreError> {
        let query = Query::new(partition, range, ProjectedAttributes::Entry).within(window);
        let page = query.page(self.table).await?;
        let entries = page.items.into_iter().map(|item| {
            let IndexItem { sk, id, .. } = items::from_item(item)?;
            Ok((sk, id))
        });
        Ok(IndexPage {
            entries: entries.collect::<Result<_, StoreError>>()?,
            next: page.next,
        })
    }
}
