//! What is counted beside the resources: how many there are of a type, and how many members a group
//! has.

use super::super::administration::Administration;
use super::{Findings, Repair, ignore_changed};
use crate::protocol::error::Result;
use crate::protocol::schema::ResourceType;
use crate::store::{Stored, TenantStore};

/// Corrects a counter, if nothing was created or deleted while the resources were counted.
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

/// Corrects what groups say of the number of their members.
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
            // A store is for one request; counting a large group may take long.
            let store = admin.store();
            // A large change that is under way counts at its end.
            if group.members_are_changing() {
                continue;
            }
            let (said, counted) = (group.about_members(), store.members().count(group).await?);
            // A request that changes members writes their items before the group. So the count is
            // compared only if two counts agree and the group did not change between them.
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

/// Whether a resource is not as it was read any more.
async fn has_changed(
    store: &TenantStore,
    resource_type: &ResourceType,
    read: &Stored,
) -> Result<bool> {
    let now = store.resources().get(resource_type, &read.id).await?;
    Ok(now.is_none_or(|now| now.version() != read.version()))
}
