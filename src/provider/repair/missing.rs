//! Finds and writes index entries that are missing.

use super::super::administration::Administration;
use super::super::entries::entries;
use super::super::pace::{Step, Stop};
use super::super::tenants::Tenant;
use super::findings::Findings;
use super::{Repair, ignore_changed};
use crate::protocol::error::Result;
use crate::protocol::resource::Resource;
use crate::protocol::schema::{Index, ResourceType};
use crate::store::{Entries, StoreError, Stored, TenantStore};

/// Compares the entries of a type's resources with those that they should have, and writes the
/// missing ones: in the index with the path `only`, or in all.
pub(super) async fn mend_entries(
    admin: &Administration<'_>,
    view: &Tenant,
    resource_type: &ResourceType,
    (mut step, only): (Step, Option<&str>),
    repair: Repair,
    findings: &mut Findings,
) -> Result<(), Stop> {
    loop {
        let (store, mut page) = admin.page(resource_type, step.after.as_deref()).await?;
        let read = page.resources.len() as u64;
        findings.resources += read;
        admin.pace.keep(|kept| kept.counted += read);
        let newer = page.resources.extract_if(.., |stored| stored.is_newer());
        findings.newer += newer.count() as u64;
        for stored in page.resources.iter().filter(|stored| stored.lacks_id) {
            findings.without_id += 1;
            if repair == Repair::Mend {
                ignore_changed(store.resources().write_id(resource_type, stored).await)?;
            }
        }
        let expected = expected(view, resource_type, &page.resources, only, findings)?;
        for (position, missing) in store.indexes().missing(resource_type, &expected).await? {
            findings.missing += missing.iter().count() as u64;
            if let (Repair::Mend, Some((stored, _))) = (repair, expected.get(position)) {
                let work = Mending {
                    view,
                    resource_type,
                    only,
                };
                work.mend(&store, stored, missing, findings).await?;
            }
        }
        let earlier = page.resources.iter().filter(|stored| stored.is_earlier());
        for stored in earlier.filter(|_| only.is_none()) {
            findings.earlier += 1;
            if repair == Repair::Mend {
                ignore_changed(
                    store
                        .resources()
                        .write_index_version(resource_type, stored)
                        .await,
                )?;
            }
        }
        if !admin.pace.turn(&mut step, page.next, findings.found())? {
            return Ok(());
        }
    }
}

/// The entries that resources should have: in the index with the path `only`, or in all.
fn expected<'s>(
    view: &Tenant,
    resource_type: &ResourceType,
    resources: &'s [Stored],
    only: Option<&str>,
    findings: &mut Findings,
) -> Result<Vec<(&'s Stored, Entries)>> {
    let indexes: Vec<&Index> = resource_type
        .indexes
        .iter()
        .map(AsRef::as_ref)
        .filter(|index| only.is_none_or(|path| index.path() == path))
        .collect();
    resources
        .iter()
        .map(|stored| {
            let body = Resource::from_text(&stored.body)?;
            let all = entries(body.body(), stored.modified, resource_type, &view.rules);
            let is_wanted = |path: &str| indexes.iter().any(|index| index.path() == path);
            let crowded = all.crowded().filter(|(path, _)| is_wanted(path));
            let crowded =
                crowded.map(|(path, _)| format!("{} {path} {}", resource_type.name, stored.id));
            findings.crowded.extend(crowded);
            Ok((
                stored,
                all.filtered(|entry| indexes.iter().any(|index| entry.is_of(index))),
            ))
        })
        .collect()
}

/// Which entries are written.
#[derive(Clone, Copy)]
struct Mending<'m> {
    view: &'m Tenant,
    resource_type: &'m ResourceType,
    only: Option<&'m str>,
}

impl Mending<'_> {
    /// Writes the missing entries of a resource. If a request changes the resource meanwhile, it
    /// writes only the entries that it changes, so the resource is read again for the other ones.
    async fn mend(
        self,
        store: &TenantStore,
        stored: &Stored,
        mut missing: Entries,
        findings: &mut Findings,
    ) -> Result<()> {
        let Self {
            view,
            resource_type,
            only,
        } = self;
        let mut stored = stored.clone();
        loop {
            match store.indexes().put(resource_type, &stored, &missing).await {
                // Another request has changed the resource. It is read again below.
                Err(StoreError::VersionMismatch) => {}
                // Two resources have the same unique value. A repair cannot decide which of them
                // keeps it, so it is reported.
                Err(StoreError::Taken { attribute }) => {
                    let conflict = format!("{} {attribute} {}", resource_type.name, stored.id);
                    findings.conflicts.push(conflict);
                    return Ok(());
                }
                other => return ignore_changed(other),
            }
            let Some(now) = store.resources().get(resource_type, &stored.id).await? else {
                return Ok(());
            };
            let looked_at = std::slice::from_ref(&now);
            let mut again = Findings::default();
            let expected = expected(view, resource_type, looked_at, only, &mut again)?;
            let left = store.indexes().missing(resource_type, &expected).await?;
            match left.into_iter().next() {
                Some((_, left)) => missing = left,
                None => return Ok(()),
            }
            stored = now;
        }
    }
}
