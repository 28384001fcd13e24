//! Compares and corrects stored numbers: of the resources of a type, and of the members of a group.

use super::super::administration::Administration;
use super::{Findings, Repair, ignore_changed};
use crate::protocol::error::Result;
use crate::protocol::schema::ResourceType;
use crate::store::{Stored, TenantStore};

/// Compares the counters of a type with the number of its resources, and corrects them. If the
/// counters have changed while the resources were counted, nothing is done.
pub(super) async fn mend_total(
    admin: &Administration<'_>,
    resource_type: &ResourceType,
    (said, counted): (u64, u64),
    repair: Repair,
    findings: &mut Findings,
) -> Result<()> {
    let store = admin.store();
    if said == counted || store.resources().total(resource_type).await? != said {
        return Ok(());
    }
    findings
        .totals
        .push((resource_type.name.clone(), said, counted));
    if repair == Repair::Mend {
        let by =
            i64::try_from(counted).unwrap_or(i64::MAX) - i64::try_from(said).unwrap_or(i64::MAX);
        store.resources().correct_total(resource_type, by).await?;
    }
    Ok(())
}

/// Compares the number of members in each group's own item with its member items, and corrects it.
pub(super) async fn mend_member_counts(
    admin: &Administration<'_>,
    resource_type: &ResourceType,
    repair: Repair,
    findings: &mut Findings,
) -> Result<()> {
    let mut after: Option<String> = None;
    loop {
        let (_, page) = admin.page(resource_type, after.as_deref()).await?;
        for group in &page.resources {
            // Each group gets its own store with its own deadline, because counting a large group
            // may take long.
            let store = admin.store();
            // A large change is under way, and is counted in the group when it ends.
            if group.members_are_changing() {
                continue;
            }
            let (said, counted) = (group.about_members(), store.members().count(group).await?);
            // A request that changes members writes their items before the group's own item. So a
            // difference is real only if a second count has the same result and the group has not
            // changed before and after it.
            if i64::try_from(counted) == Ok(said)
                || has_changed(&store, resource_type, group).await?
                || store.members().count(group).await? != counted
                || has_changed(&store, resource_type, group).await?
            {
                continue;
            }
            findings.members.push((group.id.clone(), said, counted));
            if repair == Repair::Mend {
                let corrected = store.groups().correct_count(resource_type, group, counted);
                ignore_changed(corrected.await)?;
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}

/// Whether a resource has changed since it was read.
async fn has_changed(
    store: &TenantStore,
    resource_type: &ResourceType,
    read: &Stored,
) -> Result<bool> {
    let now = store.resources().get(resource_type, &read.id).await?;
    Ok(now.is_none_or(|now| now.version() != read.version()))
}
