//! Builds indexes that were registered late, and mends index entries and counters.
//!
//! Both go through all resources of a type, page by page, while requests go on: what they write is
//! conditional on the resource being as it was read, and what was changed meanwhile was written by
//! somebody who knows the index.

mod counts;

use std::collections::{BTreeSet, HashMap};

use super::entries::entries;
use super::tenants::CACHE_MILLIS;
use super::{Provider, REQUEST_BUDGET, Tenant};
use crate::protocol::error::{Error, Result};
use crate::protocol::resource::Resource;
use crate::protocol::schema::{Index, Membership, ResourceType};
use crate::store::{
    BuildingIndex, ConfigItem, Entries, ResourcePage, StoreError, Stored, StrayEntry, TenantStore,
    Unfinished, Window,
};
use crate::tenant::TenantId;

/// Resources looked at in one step.
const PAGE: usize = 100;
/// How long after a change of the configuration a request may still write by the earlier one, in
/// milliseconds.
const LATEST_MILLIS: u64 = CACHE_MILLIS + REQUEST_BUDGET.as_secs() * 1_000;

/// Whether what is wrong is mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// It is only counted.
    Look,
    /// It is mended.
    Mend,
}

/// What was found in a tenant's part of the table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Findings {
    /// Resources that were looked at.
    pub resources: u64,
    /// Resources whose stored text had no `id`.
    pub without_id: u64,
    /// Changes that a dead writer had begun, and that were finished.
    pub finished: usize,
    /// Entries of the journal that are not finished, the oldest first.
    pub unfinished: Vec<Unfinished>,
    /// Index entries that were missing.
    pub missing: u64,
    /// Index entries that no resource has.
    pub stray: u64,
    /// Counters that did not say the number of resources: by type, what they said and what is true.
    pub totals: Vec<(String, u64, u64)>,
    /// Groups that did not say the number of their members: by id, what they said and what is true. The
    /// number is approximate by design, so this is no fault.
    pub members: Vec<(String, i64, u64)>,
    /// Values of unique attributes that more than one resource has, as `type attribute id`.
    pub conflicts: Vec<String>,
    /// Resources with more values of an indexed attribute than the index holds, as
    /// `type attribute id`.
    pub crowded: Vec<String>,
}

impl Findings {
    /// Whether nothing was wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let entries = self.missing + self.stray + self.without_id;
        entries == 0 && self.totals.is_empty() && self.obstacles() == 0
    }

    /// Whether a repair mends all that is wrong.
    #[must_use]
    pub fn is_mendable(&self) -> bool {
        self.obstacles() == 0
    }

    /// What no repair can mend: values that have to change, and journal entries that nothing has
    /// finished in good time.
    fn obstacles(&self) -> usize {
        let overdue = self.unfinished.iter().filter(|entry| entry.is_overdue);
        self.conflicts.len() + self.crowded.len() + overdue.count()
    }
}

impl Provider {
    /// Writes the entries of every index that is being built, and lets queries use those that are
    /// complete. The entries of an index that was switched off are removed.
    ///
    /// # Errors
    /// `Conflict` saying how long to wait when processes may still run that do not know the index;
    /// `Unavailable` when the table is out of reach: nothing is lost by beginning again.
    pub async fn build_indexes(&self, tenant: &TenantId) -> Result<Findings> {
        let store = self.administration(tenant);
        let config = store.configuration().read().await?;
        let building = config.building.clone();
        let view = Tenant::new(tenant.clone(), config)?;
        let mut findings = Findings::default();
        for index in &building {
            let ready = index.since + LATEST_MILLIS;
            if let Some(wait) = ready.checked_sub(self.now()).filter(|wait| *wait > 0) {
                return Err(Error::conflict(format!(
                    "Other processes may not know the index on `{}` for another {} seconds",
                    index.path,
                    wait.div_ceil(1000)
                )));
            }
            let Some(resource_type) = view.registry.resource_type(&index.resource_type) else {
                continue;
            };
            let is_off =
                index.path == Index::LAST_MODIFIED && !view.rules.switches.last_modified_index;
            if is_off {
                self.remove_index(index, tenant, &mut findings).await?;
                continue;
            }
            let only = |candidate: &Index| candidate.path() == index.path;
            let obstacles = findings.obstacles();
            self.mend_entries(
                &view,
                resource_type,
                &only,
                Repair::Mend,
                tenant,
                &mut findings,
            )
            .await?;
            let paths = [index.path.clone()];
            self.sweep_entries(
                &view,
                resource_type,
                &paths,
                Repair::Mend,
                tenant,
                &mut findings,
            )
            .await?;
            if findings.obstacles() == obstacles {
                self.administration(tenant)
                    .configuration()
                    .remove(ConfigItem::Building(index))
                    .await?;
            }
        }
        self.tenants.forget(tenant);
        Ok(findings)
    }

    /// Ends an index that was switched off.
    async fn remove_index(
        &self,
        index: &BuildingIndex,
        tenant: &TenantId,
        findings: &mut Findings,
    ) -> Result<()> {
        let store = self.administration(tenant);
        store
            .configuration()
            .remove(ConfigItem::Building(index))
            .await?;
        let view = Tenant::new(tenant.clone(), store.configuration().read().await?)?;
        let Some(resource_type) = view.registry.resource_type(&index.resource_type) else {
            return Ok(());
        };
        let paths = [index.path.clone()];
        self.sweep_entries(&view, resource_type, &paths, Repair::Mend, tenant, findings)
            .await
    }

    /// Looks for what dead writers left half done, compares index entries and counters with the
    /// resources, and finishes and mends if asked to.
    ///
    /// # Errors
    /// `Unavailable` when the table is out of reach.
    pub async fn examine(&self, tenant: &TenantId, repair: Repair) -> Result<Findings> {
        let view = Tenant::new(tenant.clone(), self.config(tenant).await?)?;
        let mut findings = Findings::default();
        self.examine_journal(tenant, repair, &mut findings).await?;
        for resource_type in view.registry.resource_types() {
            let said = self
                .administration(tenant)
                .resources()
                .total(resource_type)
                .await?;
            let before = findings.resources;
            self.mend_entries(
                &view,
                resource_type,
                &|_| true,
                repair,
                tenant,
                &mut findings,
            )
            .await?;
            let counted = findings.resources - before;
            self.sweep_entries(
                &view,
                resource_type,
                &partitions(resource_type),
                repair,
                tenant,
                &mut findings,
            )
            .await?;
            self.mend_total(
                resource_type,
                (said, counted),
                repair,
                tenant,
                &mut findings,
            )
            .await?;
            if resource_type.membership == Some(Membership::Members) {
                self.mend_member_counts(resource_type, repair, tenant, &mut findings)
                    .await?;
            }
        }
        Ok(findings)
    }

    /// Lists what the journal holds; first finishes what no writer holds any more, if asked to.
    async fn examine_journal(
        &self,
        tenant: &TenantId,
        repair: Repair,
        findings: &mut Findings,
    ) -> Result<()> {
        if repair == Repair::Mend {
            match self.finish(tenant).await {
                Ok(finished) => findings.finished = finished,
                // What could not be finished is in the list below; everything else can be mended.
                Err(error) => {
                    let cause = error.causes();
                    tracing::warn!(tenant.id = %tenant, cause, "could not finish half-done changes");
                }
            }
        }
        findings.unfinished = self.administration(tenant).journal().unfinished().await?;
        Ok(())
    }

    /// The page of resources after an id, and a store for what is done with it: a store is for one
    /// request, and all pages may take as long as the directory is large.
    pub(super) async fn page(
        &self,
        resource_type: &ResourceType,
        tenant: &TenantId,
        after: Option<&str>,
    ) -> Result<(TenantStore, ResourcePage)> {
        let store = self.administration(tenant);
        let window = Window {
            after,
            limit: Some(PAGE),
            ..Window::default()
        };
        let page = store.resources().page(resource_type, window).await?;
        Ok((store, page))
    }

    async fn mend_entries(
        &self,
        view: &Tenant,
        resource_type: &ResourceType,
        wanted: &(dyn Fn(&Index) -> bool + Sync),
        repair: Repair,
        tenant: &TenantId,
        findings: &mut Findings,
    ) -> Result<()> {
        let mut after: Option<String> = None;
        loop {
            let (store, page) = self.page(resource_type, tenant, after.as_deref()).await?;
            findings.resources += page.resources.len() as u64;
            for stored in page.resources.iter().filter(|stored| stored.lacks_id) {
                findings.without_id += 1;
                if repair == Repair::Mend {
                    ignore_changed(store.resources().write_id(resource_type, stored).await)?;
                }
            }
            let expected = expected(view, resource_type, &page.resources, wanted, findings)?;
            for (position, missing) in store.indexes().missing(resource_type, &expected).await? {
                findings.missing += missing.iter().count() as u64;
                if let (Repair::Mend, Some((stored, _))) = (repair, expected.get(position)) {
                    let work = Mending {
                        view,
                        resource_type,
                        wanted,
                    };
                    work.mend(&store, stored, missing, findings).await?;
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    async fn sweep_entries(
        &self,
        view: &Tenant,
        resource_type: &ResourceType,
        paths: &[String],
        repair: Repair,
        tenant: &TenantId,
        findings: &mut Findings,
    ) -> Result<()> {
        for path in paths {
            let mut after: Option<String> = None;
            loop {
                let store = self.administration(tenant);
                let (found, next) = store
                    .indexes()
                    .look(resource_type, path, after.as_deref())
                    .await?;
                for (stray, seen) in strays(&store, view, resource_type, path, found).await? {
                    findings.stray += 1;
                    if repair == Repair::Mend {
                        drop_stray(&store, view, resource_type, path, (stray, seen)).await?;
                    }
                }
                after = next;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// Where entries of a type can be: in its indexes, and in the one that a switch may have ended.
fn partitions(resource_type: &ResourceType) -> Vec<String> {
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

/// The entries that resources should have, of the wanted indexes.
fn expected<'s>(
    view: &Tenant,
    resource_type: &ResourceType,
    resources: &'s [Stored],
    wanted: &(dyn Fn(&Index) -> bool + Sync),
    findings: &mut Findings,
) -> Result<Vec<(&'s Stored, Entries)>> {
    let indexes: Vec<&Index> = resource_type
        .indexes
        .iter()
        .map(AsRef::as_ref)
        .filter(|index| wanted(index))
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

/// What entries are looked for.
#[derive(Clone, Copy)]
struct Mending<'m> {
    view: &'m Tenant,
    resource_type: &'m ResourceType,
    wanted: &'m (dyn Fn(&Index) -> bool + Sync),
}

impl Mending<'_> {
    /// Writes the missing entries of a resource. Whoever changes it meanwhile writes those that
    /// change, so it is looked at again for the others.
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
            wanted,
        } = self;
        let mut stored = stored.clone();
        loop {
            match store.indexes().put(resource_type, &stored, &missing).await {
                Err(StoreError::VersionMismatch) => {}
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
            let expected = expected(view, resource_type, looked_at, wanted, &mut again)?;
            let left = store.indexes().missing(resource_type, &expected).await?;
            match left.into_iter().next() {
                Some((_, left)) => missing = left,
                None => return Ok(()),
            }
            stored = now;
        }
    }
}

/// Somebody who changed or deleted the resource meanwhile has changed what was to be mended.
fn ignore_changed(result: Result<(), StoreError>) -> Result<()> {
    match result {
        Ok(()) | Err(StoreError::NotFound | StoreError::VersionMismatch) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Removes an entry that its resource does not have; a resource that changes meanwhile is looked at
/// again.
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

/// Those of the entries that their resources do not have, with the resource where there is one.
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
