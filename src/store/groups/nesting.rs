//! Groups inside groups.
//!
//! When a group becomes a member of a group, an item outside the set says so, and this item is never
//! removed. By these items readers find the inner groups of a large group without reading all of its
//! members. They are only hints where to look: whether an inner group is a member now is said by the
//! member items.

use std::collections::{BTreeSet, HashSet};

use futures_util::future::try_join_all;

use super::member::Member;
use super::members::Members;
use crate::protocol::schema::{MembershipAttribute, Registry, ResourceType};
use crate::store::error::StoreError;
use crate::store::items::{self, NestingItem};
use crate::store::key_range::KeyRange;
use crate::store::keys::{self, NESTED, SEPARATOR};
use crate::store::projected_attributes::ProjectedAttributes;
use crate::store::stored::{self, Item, Stored, yes};
use crate::store::table::batch::{self, PlainWrite};
use crate::store::table::query::Query;
use crate::store::table::write::Update;
use crate::store::table::{Table, get};

/// One tenant's groups inside groups.
#[derive(Clone, Copy)]
pub struct Nesting<'t> {
    table: &'t Table,
}

impl<'t> Nesting<'t> {
    pub(in crate::store) fn new(table: &'t Table) -> Self {
        Self { table }
    }

    /// The ids of the groups that are members of a group.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn inner(self, group: &Stored) -> Result<HashSet<String>, StoreError> {
        let range = KeyRange::prefix(&keys::entry(&group.id, ""));
        let partition = self.table.keys().nesting();
        let edges = Query::new(&partition, &range, ProjectedAttributes::All);
        let edges = edges.all(self.table).await?;
        let inner = |item: Item| {
            let edge: NestingItem = items::from_item(item)?;
            Ok(edge.sk.split_once(SEPARATOR).map(|(_, id)| id.to_owned()))
        };
        let inner = edges.into_iter().filter_map(|item| inner(item).transpose());
        let noted = inner.collect::<Result<Vec<_>, StoreError>>()?;
        let group = std::slice::from_ref(group);
        Members::new(self.table).among(group, &noted).await
    }

    /// The group with this id, if it exists, and whether the tenant has ever had groups inside
    /// groups. One call.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn outer(
        self,
        resource_type: &ResourceType,
        id: &str,
    ) -> Result<(Option<Stored>, bool), StoreError> {
        let keys = self.table.keys();
        let group = keys.resources(resource_type).key(id);
        let wanted = BTreeSet::from([group, keys.nesting().key(NESTED)]);
        let is_flag = |item: &Item| {
            item.get("kind")
                .and_then(|kind| kind.as_s().ok())
                .is_some_and(|kind| kind == "N")
        };
        let items = get::many(self.table, wanted, ProjectedAttributes::All).await?;
        let has_nested = items.iter().any(is_flag);
        let group = items
            .into_iter()
            .find(|item| !is_flag(item) && !stored::is_deleted(item));
        Ok((group.map(Stored::from_item).transpose()?, has_nested))
    }
}

/// Writes the items that lead readers to inner groups, for those members that are groups. It must
/// run before they become members: from then on every reader has to find them. The items are never
/// removed. A needless one costs readers one lookup, and a missing one would make them miss members.
///
/// # Errors
/// `Unavailable`, `Backend`.
pub(super) async fn note_inner_groups(
    table: &Table,
    types: &Registry,
    group: &str,
    members: impl Iterator<Item = &Member>,
) -> Result<(), StoreError> {
    let mut types = types.resource_types().iter();
    let group_type = types.find(|known| known.membership == Some(MembershipAttribute::Members));
    let Some(group_type) = group_type else {
        return Ok(());
    };
    let inner = members.filter(|member| member.type_name == group_type.name);
    let inner: Vec<&str> = inner.map(|member| member.id.as_str()).collect();
    if inner.is_empty() {
        return Ok(());
    }
    try_join_all(inner.iter().map(|id| flag_inner(table, group_type, id))).await?;
    let nesting = table.keys().nesting();
    let edges = inner.iter().map(|inner| keys::entry(group, inner));
    let item = |sort: String| {
        let item = NestingItem {
            sk: sort,
            kind: "N".to_owned(),
        };
        items::to_item(nesting.as_str(), item)
    };
    let items = edges.chain([NESTED.to_owned()]).map(item);
    batch::write(table, items.map(PlainWrite::Put).collect()).await
}

/// Marks in a group's own item that the group has been a member of a group. The transaction that
/// adds the member checks that the group exists.
async fn flag_inner(table: &Table, group_type: &ResourceType, id: &str) -> Result<(), StoreError> {
    let mut update = Update::unnamed(table.keys().resources(group_type).key(id));
    update
        .require("attribute_exists(pk)")
        .set("#inner = :inner")
        .name("#inner", "inner")
        .value(":inner", yes());
    // If the group is gone it needs no flag: the transaction that adds the member is refused for it.
    update.send_if(table).await?;
    Ok(())
}
