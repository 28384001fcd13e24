//! Items of resources that are loaded in bulk into an empty directory.
//!
//! Requests write these items in transactions with conditions. A loader knows that the directory is
//! empty, so it writes the same items without conditions, and the counters once at the end.

use std::collections::BTreeMap;

use serde_json::Value;

use super::groups::Member;
use super::groups::set::{self, Filling, MemberSet};
use super::items::{self, CounterItem};
use super::keys::{self, Partition};
use super::resources::steps::entry_item;
use super::resources::write::New;
use super::stored::{GroupState, Item, random_id, to_json};
use super::table::Table;
use crate::protocol::schema::ResourceType;

/// An item: the names of its attributes with their values, which are texts and whole numbers only.
pub type PlainItem = Vec<(String, Value)>;

/// Makes the items of the loaded resources.
pub struct Loading {
    table: Table,
    rid: String,
    totals: BTreeMap<(Partition, String), i64>,
    items: Vec<PlainItem>,
}

/// A group that is being loaded.
pub struct LoadingGroup {
    id: String,
    set: GroupState,
}

impl Loading {
    /// Begins a load. It writes nothing to the table: the caller takes the items.
    pub(super) fn new(table: Table) -> Self {
        Self {
            table,
            rid: random_id(),
            totals: BTreeMap::new(),
            items: Vec::new(),
        }
    }

    /// Adds a resource: its own item, its claims and its index entries. Its counter grows by one.
    pub fn resource(&mut self, resource_type: &ResourceType, new: New<'_>) {
        let keys = self.table.keys();
        let partition = keys.resources(resource_type);
        let item = new.stored().to_item(&self.rid, self.table.cause());
        let item = items::to_item(partition.as_str(), item);
        self.add(resource_type, new, item);
    }

    /// Adds a group that will get this number of members.
    pub fn group(
        &mut self,
        resource_type: &ResourceType,
        new: New<'_>,
        members: usize,
    ) -> LoadingGroup {
        let set = set::fresh(members, Filling::BeforeGroup);
        let keys = self.table.keys();
        let partition = keys.resources(resource_type);
        let item = set::first_state(new, &set).to_item(&self.rid, self.table.cause());
        let item = items::to_item(partition.as_str(), item);
        self.add(resource_type, new, item);
        LoadingGroup {
            id: new.id.to_owned(),
            set,
        }
    }

    fn add(&mut self, resource_type: &ResourceType, new: New<'_>, item: Item) {
        self.items.push(to_json(item));
        let keys = self.table.keys();
        for entry in new.write.entries.iter() {
            let item = entry_item(keys, resource_type, new.id, entry, &self.rid);
            self.items.push(to_json(item));
        }
        let counter = (keys.counters(resource_type), keys::counter(new.id));
        *self.totals.entry(counter).or_default() += 1;
    }

    /// Adds a member to a group, in both directions.
    pub fn member(&mut self, group: &LoadingGroup, member: &Member) {
        let set = MemberSet::new(&self.table, &group.id, &group.set);
        let items = [set.item(member), set.membership_item(&member.id)];
        self.items.extend(items.map(to_json));
    }

    /// The number of items that are ready to be taken.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.items.len()
    }

    /// Takes the items that are ready.
    pub fn take(&mut self) -> Vec<PlainItem> {
        std::mem::take(&mut self.items)
    }

    /// Ends the load. Returns the items that were not taken yet, and the counters.
    #[must_use]
    pub fn finish(mut self) -> Vec<PlainItem> {
        let counter = |((partition, sort), total): ((Partition, String), i64)| {
            let item = CounterItem { sk: sort, n: total };
            items::to_item(partition.as_str(), item)
        };
        let counters = self.totals.into_iter().map(counter).map(to_json);
        self.items.extend(counters);
        self.items
    }
}
