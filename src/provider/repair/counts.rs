//! Compares and corrects stored numbers: of the resources of a type, and of the members of a group.

use super::super::administration::Administration;
use super::super::pace::{CHECK, Stop};
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
) -> Result<(), Stop> {
    let name = format!("{CHECK}/members/{}", resource_type.name);
    let Some(mut step) = admin.pace.enter(name, findings.found())? else {
        return Ok(());
    };
    loop {
        let (_, page) = admin.page(resource_type, step.after.as_deref()).await?;
        for group in &page.resources {
            mend_member_count(admin, resource_type, group, repair, findings).await?;
            // A page of large groups takes longer than a call has, so it may end after each of them.
            let done = Some(group.id.clone());
            admin.pace.turn(&mut step, done, findings.found())?;
        }
        if !admin.pace.turn(&mut step, page.next, findings.found())? {
            return Ok(());
        }
    }
}

/// Does so for one group.
async fn mend_member_count(
    admin: &Administration<'_>,
    resource_type: &ResourceType,
    group: &Stored,
    repair: Repair,
    findings: &mut Findings,
) -> Result<()> {
    // A large change is under way, and is counted in the group when it ends.
    if group.members_are_changing() {
        return Ok(());
    }
    // Each group gets its own store with its own deadline, because counting a large group may take long.
    let store = admin.store();
    let (said, counted) = (group.about_members(), store.members().count(group).await?);
    // A request that changes members writes their items before the group's own item. So a
    // difference is real only if a second count has the same result and the group has not
    // changed before and after it.
    if i64::try_from(counted) == Ok(said)
        || has_changed(&store, resource_type, group).await?
        || store.members().count(group).await? != counted
        || has_changed(&store, resource_type, group).await?
    {
        return Ok(());
    }
    findings.members.push((group.id.clone(), said, counted));
    if repair == Repair::Mend {
        let corrected = store.groups().correct_count(resource_type, group, counted);
        ignore_changed(corrected.await)?;
    }
    Ok(())
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
