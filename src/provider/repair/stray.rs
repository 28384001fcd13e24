//! Finds and removes index entries that no resource has.

use std::collections::{BTreeSet, HashMap};

use super::super::administration::Administration;
use super::super::entries::entries;
use super::super::pace::Stop;
use super::super::tenants::Tenant;
use super::findings::Findings;
use super::{Repair, ignore_changed};
use crate::protocol::error::Result;
use crate::protocol::resource::Resource;
use crate::protocol::schema::{Index, ResourceType};
use crate::store::{Entries, StoreError, Stored, StrayEntry, TenantStore};

/// Reads these partitions of a type's indexes, by path, and removes the entries that their resources
/// do not have: a step for each partition, in this phase.
pub(super) async fn sweep_entries(
    admin: &Administration<'_>,
    view: &Tenant,
    resource_type: &ResourceType,
    (phase, paths): (&str, &[String]),
    repair: Repair,
    findings: &mut Findings,
) -> Result<(), Stop> {
    for path in paths {
        let name = format!("{phase}/strays/{}/{path}", resource_type.name);
        let Some(mut step) = admin.pace.enter(name, findings.found())? else {
            continue;
        };
        loop {
            let store = admin.store();
            let (found, next) = store
                .indexes()
                .look(resource_type, path, step.after.as_deref())
                .await?;
            for (stray, seen) in strays(&store, view, resource_type, path, found).await? {
                findings.stray += 1;
                if repair == Repair::Mend {
                    drop_stray(&store, view, resource_type, path, (stray, seen)).await?;
                }
            }
            if !admin.pace.turn(&mut step, next, findings.found())? {
                break;
            }
        }
    }
    Ok(())
}

/// The partitions that can have entries of a type, by path: those of its indexes, and that of the
/// index which a switch may have ended.
pub(super) fn partitions(resource_type: &ResourceType) -> Vec<String> {
    let own = resource_type
        .indexes
        .iter()
        .flat_map(|index| Entries::partitions(index));
    let ended = resource_type
        .changes_by_body()
        .then(|| Index::LAST_MODIFIED.to_owned());
    own.chain(ended)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}

/// Those of the entries that their resources do not have, each with its resource if that exists.
async fn strays(
    store: &TenantStore,
    view: &Tenant,
    resource_type: &ResourceType,
    path: &str,
    found: Vec<StrayEntry>,
) -> Result<Vec<(StrayEntry, Option<Stored>)>> {
    let ids: Vec<String> = found.iter().map(|entry| entry.id.clone()).collect();
    let resources: HashMap<String, Stored> = store
        .resources()
        .get_many(resource_type, &ids)
        .await?
        .into_iter()
        .map(|stored| (stored.id.clone(), stored))
        .collect();
    let mut strays = Vec::new();
    for entry in found {
        let seen = resources.get(&entry.id);
        let belongs = match seen {
            // This version does not know which entries such a resource has.
            Some(stored) if stored.is_newer() => true,
            Some(stored) => {
                let body = Resource::from_text(&stored.body)?;
                entries(body.body(), stored.modified, resource_type, &view.rules)
                    .has(path, &entry.key, &entry.id)
            }
            None => false,
        };
        if !belongs {
            strays.push((entry, seen.cloned()));
        }
    }
    Ok(strays)
}

/// Removes an entry that its resource does not have. If the resource changes meanwhile, it is read
/// and checked again.
async fn drop_stray(
    store: &TenantStore,
    view: &Tenant,
    resource_type: &ResourceType,
    path: &str,
    (mut stray, mut seen): (StrayEntry, Option<Stored>),
) -> Result<()> {
    loop {
        let dropped = store
            .indexes()
            .drop_stray(resource_type, path, &stray, seen.as_ref());
        match dropped.await {
            // The resource has changed and may have the entry now. It is read again below.
            Err(StoreError::VersionMismatch) => {}
            other => return ignore_changed(other),
        }
        let again = strays(store, view, resource_type, path, vec![stray]).await?;
        match again.into_iter().next() {
            Some(found) => (stray, seen) = found,
            None => return Ok(()),
        }
    }
}
