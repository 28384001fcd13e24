//! Finds members to add that do not exist.

use std::collections::BTreeMap;

use super::member::Member;
use crate::protocol::schema::Registry;
use crate::store::error::StoreError;
use crate::store::resources::Resources;
use crate::store::table::Table;

/// Checks that every member exists and is not being deleted.
///
/// # Errors
/// `NoMember` naming one that does not exist; `Unavailable`, `Backend`.
pub(super) async fn check(
    table: &Table,
    members: impl Iterator<Item = &Member>,
    types: &Registry,
) -> Result<(), StoreError> {
    let missing = find(table, members, types).await?;
    match missing.into_iter().next() {
        Some(id) => Err(StoreError::NoMember { id }),
        None => Ok(()),
    }
}

/// The ids of those members that do not exist or are being deleted.
///
/// # Errors
/// `Unavailable`, `Backend`.
pub(super) async fn find(
    table: &Table,
    members: impl Iterator<Item = &Member>,
    types: &Registry,
) -> Result<Vec<String>, StoreError> {
    let mut by_kind = BTreeMap::<&str, Vec<String>>::new();
    for member in members {
        by_kind
            .entry(&member.type_name)
            .or_default()
            .push(member.id.clone());
    }
    let mut missing = Vec::new();
    for (kind, mut ids) in by_kind {
        let found = match types.resource_type(kind) {
            Some(resource_type) => Resources::new(table).existing(resource_type, &ids).await?,
            None => Vec::new(),
        };
        ids.retain(|id| found.binary_search(id).is_err());
        missing.extend(ids);
    }
    Ok(missing)
}
