//! Items of resources that are loaded in bulk into an empty directory.
//!
//! Requests write by transactions on conditions; a loader knows that nothing is there, so it writes
//! the same items plainly, and the counters once at the end.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::TenantStore;
use super::groups::member::Member;
use super::item::{GroupState, Item, n, s};
use super::keys;
use super::resources::{New, token};
use crate::protocol::schema::ResourceType;

/// An item that has texts and numbers only, free of the SDK's types.
pub type PlainItem = Vec<(String, Scalar)>;

/// One value of a plain item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scalar {
    /// A string.
    Text(String),
    /// A number, in decimal digits.
    Number(String),
}

/// Turns resources into the items that stand for them.
pub struct Loading {
    store: TenantStore,
    token: String,
    totals: BTreeMap<(String, String), u64>,
    items: Vec<PlainItem>,
}

impl TenantStore {
    /// Begins a load. Nothing is written to the table here: the items are for whoever takes them.
    #[must_use]
    pub fn loading(&self) -> Loading {
        Loading {
            store: self.clone(),
            token: token(),
            totals: BTreeMap::new(),
            items: Vec::new(),
        }
    }
}

impl Loading {
    /// Adds a resource: its own item, its claims and index entries, and one to its counter.
    pub fn resource(&mut self, resource_type: &ResourceType, new: New<'_>) {
        let keys = &self.store.keys;
        let item = new
            .stored()
            .to_item(keys.resources(resource_type), &self.token);
        self.items.push(plain(item));
        for entry in new.write.entries.iter() {
            let item = self
                .store
                .entry_item(resource_type, new.id, entry, &self.token);
            self.items.push(plain(item));
        }
        let counter = (keys.counters(resource_type), keys::counter_shard(new.id));
        *self.totals.entry(counter).or_default() += 1;
    }

    /// Adds a member to a group's set, in both directions.
    pub fn member(&mut self, group: &str, state: &GroupState, member: &Member) {
        let store = &self.store;
        self.items
            .push(plain(store.member_item(group, state, member)));
        self.items
            .push(plain(store.membership_item(group, state, &member.id)));
    }

    /// The number of items that wait to be taken.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.items.len()
    }

    /// The items so far; each is given once.
    pub fn take(&mut self) -> Vec<PlainItem> {
        std::mem::take(&mut self.items)
    }

    /// Ends the load: the items that were not taken yet, and the counters.
    #[must_use]
    pub fn finish(mut self) -> Vec<PlainItem> {
        let counter = |((pk, sk), total): ((String, String), u64)| {
            Item::from([
                ("pk".to_owned(), s(pk)),
                ("sk".to_owned(), s(sk)),
                ("n".to_owned(), n(total)),
            ])
        };
        self.items
            .extend(self.totals.into_iter().map(counter).map(plain));
        self.items
    }
}

fn plain(item: Item) -> PlainItem {
    let scalar = |value| match value {
        AttributeValue::S(text) => Some(Scalar::Text(text)),
        AttributeValue::N(digits) => Some(Scalar::Number(digits)),
        _ => None,
    };
    item.into_iter()
        .filter_map(|(name, value)| Some((name, scalar(value)?)))
        .collect()
}
