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
    BuildingIndex, ConfigItem, Entries, IndexEntries, IndexVersion, ResourcePage, StoreError,
    Stored, StrayEntry, TenantStore, Unfinished, Window,
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
    /// Resources that an earlier version of the service has given their index entries.
    pub earlier: u64,
    /// Resources that a newer version of the service has written. They are not looked at.
    pub newer: u64,
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
        let entries = self.missing + self.stray + self.without_id + self.earlier;
        entries == 0 && self.totals.is_empty() && self.obstacles() == 0
    }

    /// Whether a repair mends all that is wrong.
    #[must_use]
    pub fn is_mendable(&self) -> bool {
        self.obstacles() == 0
    }

    /// What no repair can mend: values that have to change, what only a newer version of the service can
    /// look at, and journal entries that nothing has finished in good time.
    fn obstacles(&self) -> usize {
        let overdue = self.unfinished.iter().filter(|entry| entry.is_overdue);
        let newer = usize::try_from(self.newer).unwrap_or(usize::MAX);
        self.conflicts.len() + self.crowded.len() + overdue.count() + newer
    }
}

impl Provider {
    /// Writes the entries of every index that is being built, and lets queries use those that are
    /// complete. The entries of an index that was switched off are removed. Where the tenant's entries
    /// may be those of an earlier version of the service, all of them are written anew.
    ///
    /// # Errors
    /// `Conflict` saying how long to wait when processes may still run that do not know the index, or
    /// that write entries of an earlier version; `Unavailable` when a newer version has written the
    /// entries, or the table is out of reach: nothing is lost by beginning again.
    pub async fn build_indexes(&self, tenant: &TenantId) -> Result<Findings> {
        let store = self.administration(tenant);
        let config = store.configuration().read().await?;
        let building = config.building.clone();
        let view = Tenant::new(tenant.clone(), config)?;
        let mut findings = Findings::default();
        self.renew_all_entries(&view, &mut findings).await?;
        for index in &building {
            if let Some(seconds) = self.seconds_until_known(index.since) {
                return Err(Error::conflict(format!(
                    "Other processes may not know the index on `{}` for another {seconds} seconds",
                    index.path
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
            let obstacles = findings.obstacles();
            self.mend_entries(
                &view,
                resource_type,
                Some(&index.path),
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

    /// How long other processes may still write by a configuration from before this time, which is in
    /// milliseconds since the Unix epoch. `None` if none does any more.
    fn seconds_until_known(&self, since: u64) -> Option<u64> {
        let wait = (since + LATEST_MILLIS).saturating_sub(self.now());
        (wait > 0).then(|| wait.div_ceil(1000))
    }

    /// Gives every resource the index entries of this version, if the tenant may have those of an
    /// earlier one.
    ///
    /// First the tenant says so, and processes of an earlier version write nothing any more; only when
    /// all of them know it, what they have written can be looked through to the end.
    async fn renew_all_entries(&self, view: &Tenant, findings: &mut Findings) -> Result<()> {
        let tenant = &view.id;
        let since = match view.index_version.entries() {
            IndexEntries::Complete => return Ok(()),
            IndexEntries::Newer => return view.check_write(),
            IndexEntries::Rebuilding(since) => since,
            IndexEntries::Earlier => {
                let now = self.now();
                self.put_index_version(tenant, IndexVersion::rebuilding(now))
                    .await?;
                now
            }
        };
        if let Some(seconds) = self.seconds_until_known(since) {
            return Err(Error::conflict(format!(
                "Processes of an earlier version may write for another {seconds} seconds; then all \
                 index entries are written anew"
            )));
        }
        // What an earlier version has begun brings entries of its own.
        self.finish(tenant).await?;
        for resource_type in view.registry.resource_types() {
            let mend = Repair::Mend;
            self.mend_entries(view, resource_type, None, mend, tenant, findings)
                .await?;
            let paths = partitions(resource_type);
            self.sweep_entries(view, resource_type, &paths, mend, tenant, findings)
                .await?;
        }
        if findings.obstacles() == 0 {
            self.put_index_version(tenant, IndexVersion::complete())
                .await?;
        }
        Ok(())
    }

    async fn put_index_version(&self, tenant: &TenantId, version: IndexVersion) -> Result<()> {
        let store = self.administration(tenant);
        store
            .configuration()
            .put(ConfigItem::IndexVersion(&version))
            .await?;
        self.tenants.forget(tenant);
        Ok(())
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
    /// `Unavailable` when a newer version of the service has written the tenant's index entries, or the
    /// table is out of reach.
    pub async fn examine(&self, tenant: &TenantId, repair: Repair) -> Result<Findings> {
        let view = Tenant::new(tenant.clone(), self.config(tenant).await?)?;
        view.check_write()?;
        let mut findings = Findings::default();
        self.examine_journal(tenant, repair, &mut findings).await?;
        for resource_type in view.registry.resource_types() {
            let said = self
                .administration(tenant)
                .resources()
                .total(resource_type)
                .await?;
            let before = findings.resources;
            self.mend_entries(&view, resource_type, None, repair, tenant, &mut findings)
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

    /// Compares the entries of a type's resources with what they should be: in one index, by its path,
    /// or in all.
    async fn mend_entries(
        &self,
        view: &Tenant,
        resource_type: &ResourceType,
        only: Option<&str>,
        repair: Repair,
        tenant: &TenantId,
        findings: &mut Findings,
    ) -> Result<()> {
        let mut after: Option<String> = None;
        loop {
            let (store, mut page) = self.page(resource_type, tenant, after.as_deref()).await?;
            findings.resources += page.resources.len() as u64;
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

/// The entries that resources should have, in one index, by its path, or in all.
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

/// What entries are looked for.
#[derive(Clone, Copy)]
struct Mending<'m> {
    view: &'m Tenant,
    resource_type: &'m ResourceType,
    only: Option<&'m str>,
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
            only,
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
            // This version does not know which entries it has.
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
