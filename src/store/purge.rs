//! The removal of everything of one deleted tenant.
//!
//! - It is made when no request of the tenant is answered any more. Each of its calls can be made again, so
//!   whatever dies in between is completed by the next process.
//! - It reads and removes items page by page, so its memory does not grow with the tenant.
//! - What it cannot find by the keys of a partition, it finds by other items: the members of sets by the
//!   memberships, and index entries by the list of the indexes that the tenant has ever had. So these items go
//!   after those that they lead to.
//!
//! It must not know when a tenant is purged, nor what is outside of the table.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::time::Instant;

use super::error::StoreError;
use super::feed::PAGES;
use super::items::{self, MembershipItem, UsedIndexItem};
use super::key_range::{EVERY_KEY, KeyRange};
use super::keys::{ItemKey, Partition, SEPARATOR};
use super::projected_attributes::ProjectedAttributes;
use super::resources::entry::{CLAIMED_BY_SWITCH, claims_on};
use super::stored;
use super::table::Table;
use super::table::batch::{self, PlainWrite};
use super::table::query::{Query, Window};
use super::tenants::STATE_KEY;
use crate::protocol::schema::{Index, Registry};

/// The number of items that are read and removed at a time.
const ITEMS: usize = 200;
/// The number of partitions that are emptied at the same time.
const PARALLEL: usize = 8;
/// The `kind` of an index that the tenant has ever had.
const USED_INDEX_KIND: &str = "K";

/// The paths of indexes by the name of their resource type.
pub type IndexPaths = BTreeMap<String, BTreeSet<String>>;

/// The removal of everything of one tenant, until some time.
#[derive(Clone, Copy)]
pub struct Purge<'t> {
    table: &'t Table,
    until: Instant,
}

impl<'t> Purge<'t> {
    pub(super) fn new(table: &'t Table, until: Instant) -> Self {
        Self { table, until }
    }

    /// The indexes that the tenant has ever had: those of these types and of the types of the service, those that
    /// `remember_indexes` has stored, and those that an early version may have removed without storing them:
    /// a type that the tenant has `registered` may have had each of its schemas as an extension.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn indexes(
        self,
        types: &Registry,
        registered: &[&str],
    ) -> Result<IndexPaths, StoreError> {
        let mut paths = index_paths(Registry::builtin());
        for (type_name, indexes) in index_paths(types) {
            paths.entry(type_name).or_default().extend(indexes);
        }
        for name in registered {
            if let Some(resource_type) = types.resource_type(name) {
                let conceivable = types.conceivable_indexes(resource_type);
                let of_type = paths.entry(resource_type.name.clone()).or_default();
                of_type.extend(conceivable);
            }
        }
        let partition = self.table.keys().used_indexes();
        let query = Query::new(&partition, &EVERY_KEY, ProjectedAttributes::Keys);
        for item in query.all(self.table).await? {
            let key = stored::text(&item, "sk")?;
            let (type_name, path) = key
                .split_once(SEPARATOR)
                .ok_or_else(|| stored::malformed("sk"))?;
            let of_type = paths.entry(type_name.to_owned()).or_default();
            if !path.is_empty() {
                of_type.insert(path.to_owned());
            }
        }
        Ok(paths)
    }

    /// Removes the journal, held entries too. False if the time was over before the end.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn journal(self) -> Result<bool, StoreError> {
        let journal = self.table.keys().journal();
        self.empty(&journal, &EVERY_KEY).await
    }

    /// Removes the directory: memberships and members, then index entries, resources and counters of these
    /// indexes and types, and whatever else requests have left. False if the time was over before the end.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn directory(self, indexes: &IndexPaths) -> Result<bool, StoreError> {
        for partition in self.table.keys().all_memberships() {
            if !self.memberships(&partition).await? {
                return Ok(false);
            }
        }
        self.empty_all(self.directory_partitions(indexes)).await
    }

    /// Removes the deliveries and the pages of the feed. The head stays for good. False if the time was over
    /// before the end.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn feed(self) -> Result<bool, StoreError> {
        let keys = self.table.keys();
        Ok(self.empty(&keys.deliveries(), &EVERY_KEY).await?
            && self.empty(&keys.feed(), &PAGES).await?)
    }

    /// Removes the configuration except the state, by which requests are refused. False if the time was over
    /// before the end.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn configuration(self) -> Result<bool, StoreError> {
        let partition = self.table.keys().tenant();
        let (before, after) = (KeyRange::less(STATE_KEY), KeyRange::greater(STATE_KEY));
        Ok(self.empty(&partition, &before).await? && self.empty(&partition, &after).await?)
    }

    /// Removes the list of the indexes that the tenant has ever had. It must be the last: index entries that are
    /// left are not found afterwards. False if the time was over before the end.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn forget_indexes(self) -> Result<bool, StoreError> {
        let partition = self.table.keys().used_indexes();
        self.empty(&partition, &EVERY_KEY).await
    }

    fn directory_partitions(self, indexes: &IndexPaths) -> Vec<Partition> {
        let keys = self.table.keys();
        let mut partitions = vec![
            keys.page_marks(),
            keys.nesting(),
            keys.signatures(),
            keys.status(),
            keys.seats(),
            keys.request_periods(),
            keys.occasions(),
        ];
        for (type_name, paths) in indexes {
            // Switches add an index on this path, and claims on the values of another one.
            let by_switch = iter::once(Index::LAST_MODIFIED);
            let paths: BTreeSet<&str> = paths.iter().map(String::as_str).chain(by_switch).collect();
            for path in paths {
                partitions.push(keys.index_named(type_name, path));
            }
            partitions.push(keys.index_named(type_name, &claims_on(CLAIMED_BY_SWITCH)));
            partitions.push(keys.resources_named(type_name));
            partitions.push(keys.counters_named(type_name));
        }
        partitions
    }

    /// Empties partitions side by side; false if the time was over before the end.
    async fn empty_all(self, partitions: Vec<Partition>) -> Result<bool, StoreError> {
        let emptied = partitions
            .into_iter()
            .map(async |partition| self.empty(&partition, &EVERY_KEY).await);
        // Collected first: a stream that still held the closure would not be `Send`.
        let emptied: Vec<_> = emptied.collect();
        let emptied = stream::iter(emptied).buffer_unordered(PARALLEL);
        let emptied: Vec<bool> = emptied.try_collect().await?;
        Ok(emptied.into_iter().all(|is_done| is_done))
    }

    /// Empties a range of a partition; false if the time was over before the end.
    async fn empty(self, partition: &Partition, range: &KeyRange) -> Result<bool, StoreError> {
        let query = Query::new(partition, range, ProjectedAttributes::Keys);
        self.pages(query, |item| {
            Ok(vec![partition.key(stored::text(item, "sk")?)])
        })
        .await
    }

    /// Empties a partition of memberships, each after the member that it leads to.
    async fn memberships(self, partition: &Partition) -> Result<bool, StoreError> {
        let query = Query::new(partition, &EVERY_KEY, ProjectedAttributes::All);
        self.pages(query, |item| {
            let item: MembershipItem = items::from_item(item.clone())?;
            let mut parts = item.sk.splitn(3, SEPARATOR);
            let names = (parts.next(), parts.next(), parts.next());
            let mut keys = Vec::new();
            if let (Some(member), Some(group), Some(set)) = names {
                let members = self.table.keys().members(group, set, item.shard);
                keys.push(members.key(member));
            }
            keys.push(partition.key(item.sk));
            Ok(keys)
        })
        .await
    }

    /// Removes what the items of a query lead to: first the first key of each item, at last the last one.
    async fn pages(
        self,
        query: Query<'_>,
        keys_of: impl Fn(&stored::Item) -> Result<Vec<ItemKey>, StoreError>,
    ) -> Result<bool, StoreError> {
        loop {
            if Instant::now() >= self.until {
                return Ok(false);
            }
            let window = Window {
                limit: Some(ITEMS),
                ..Window::default()
            };
            let page = query.within(window).page(self.table).await?;
            let keys = page.items.iter().map(&keys_of);
            let keys: Vec<Vec<ItemKey>> = keys.collect::<Result<_, _>>()?;
            let mut last = Vec::new();
            let mut first = Vec::new();
            for mut keys in keys {
                last.extend(keys.pop().map(PlainWrite::Delete));
                first.extend(keys.into_iter().map(PlainWrite::Delete));
            }
            // In this order: an item that leads to another one is removed after it, whatever dies in between.
            batch::write(self.table, first).await?;
            batch::write(self.table, last).await?;
            if page.next.is_none() {
                return Ok(true);
            }
        }
    }
}

/// Stores which indexes a tenant has beyond those of the service. This must be stored before any resource has
/// an entry in one of them, so that the purge finds the entries even if the type or its schema is removed before.
///
/// # Errors
/// `Unavailable`, `Backend`.
pub(super) async fn remember_indexes(table: &Table, types: &Registry) -> Result<(), StoreError> {
    let partition = table.keys().used_indexes();
    let builtin = index_paths(Registry::builtin());
    let mut writes = Vec::new();
    for (type_name, paths) in index_paths(types) {
        let known = builtin.get(&type_name);
        let is_new = |path: &&String| known.is_none_or(|known| !known.contains(*path));
        let new = paths.iter().filter(is_new).map(String::as_str);
        // Without a path: the purge has to know the type even if it has no index of its own.
        let of_type = known.is_none().then_some("");
        for path in new.chain(of_type) {
            let item = UsedIndexItem {
                sk: format!("{type_name}{SEPARATOR}{path}"),
                kind: USED_INDEX_KIND.to_owned(),
            };
            writes.push(PlainWrite::Put(items::to_item(partition.as_str(), item)));
        }
    }
    batch::write(table, writes).await
}

/// The indexes of every type.
fn index_paths(types: &Registry) -> IndexPaths {
    let paths = |indexes: &[Arc<Index>]| {
        let paths = indexes.iter().map(|index| index.path().to_owned());
        paths.collect()
    };
    let types = types.resource_types().iter();
    types
        .map(|resource_type| (resource_type.name.clone(), paths(&resource_type.indexes)))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    /// The methods of `Keys`, and which part of the purge empties the partition.
    const EMPTIED: [(&str, &str); 21] = [
        (
            "tenant",
            "configuration, and at last the state with the list",
        ),
        ("resources", "directory"),
        ("resources_named", "directory"),
        ("index", "directory"),
        ("index_named", "directory"),
        ("members", "directory, by the memberships"),
        ("memberships", "directory"),
        ("all_memberships", "directory"),
        ("nesting", "directory"),
        ("journal", "journal"),
        ("page_marks", "directory"),
        ("used_indexes", "forget_indexes"),
        ("signatures", "directory"),
        ("status", "directory"),
        ("seats", "directory"),
        ("request_periods", "directory"),
        ("occasions", "directory"),
        ("feed", "feed, except for the head"),
        ("deliveries", "feed"),
        ("counters", "directory"),
        ("counters_named", "directory"),
    ];

    #[test]
    fn every_partition_of_a_tenant_is_emptied() {
        let text = include_str!("keys.rs");
        let (_, methods) = text.split_once("impl Keys {").unwrap();
        let (methods, _) = methods.split_once("\n}\n").unwrap();
        let names = methods.split("pub(super) fn ").skip(1);
        let names: BTreeSet<&str> = names
            .map(|text| text.split('(').next().unwrap())
            .filter(|name| *name != "new")
            .collect();
        let emptied: BTreeSet<&str> = EMPTIED.iter().map(|(name, _)| *name).collect();
        assert_eq!(emptied.len(), EMPTIED.len(), "a method is named once");
        assert_eq!(
            names, emptied,
            "a partition that the purge leaves is never found again"
        );
    }
    #[test]
    fn no_partition_is_emptied_twice() {
        let text = include_str!("purge.rs");
        let (_, list) = text.split_once("let mut partitions = vec![").unwrap();
        let (list, _) = list.split_once("];").unwrap();
        let lines: Vec<&str> = list.lines().filter(|line| !line.is_empty()).collect();
        let distinct: BTreeSet<&&str> = lines.iter().collect();
        assert!(distinct.len() > 5);
        assert_eq!(distinct.len(), lines.len(), "{list}");
    }
}
