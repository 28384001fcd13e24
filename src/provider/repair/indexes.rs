//! Builds indexes that were added to types with resources, and removes indexes that were switched
//! off.

use super::super::administration::Administration;
use super::super::finish::finish;
use super::super::pace::{BUILD, Stop};
use super::super::seats::{self, TenantAge};
use super::super::tenants::{LATEST_MILLIS, Tenant};
use super::Repair;
use super::findings::Findings;
use super::missing::mend_entries;
use super::seats::mend_seats;
use super::stray::{partitions, sweep_entries};
use crate::protocol::error::{Error, Result};
use crate::protocol::schema::Index;
use crate::store::{BuildingIndex, ConfigItem, IndexEntries, IndexVersion};

/// What the names of the steps begin with in which all entries are written anew.
const RENEW: &str = "build/all";

/// Builds indexes, as [`Provider::build_indexes`](super::super::Provider::build_indexes) says.
pub(in crate::provider) async fn build_indexes(
    admin: &Administration<'_>,
    findings: &mut Findings,
) -> Result<(), Stop> {
    let tenant = admin.tenant;
    let store = admin.store();
    let config = store.configuration().read().await?;
    let building = config.building.clone();
    let view = Tenant::new(tenant.clone(), config)?;
    renew_all_entries(admin, &view, findings).await?;
    for index in &building {
        if let Some(seconds) = seconds_until_known(admin, index.since) {
            return Err(Stop::Failed(Error::conflict(format!(
                "For another {seconds} seconds some processes may not know the index on `{}`; repeat the command then",
                index.path
            ))));
        }
        let Some(resource_type) = view.registry.resource_type(&index.resource_type) else {
            continue;
        };
        let is_off = index.path == Index::LAST_MODIFIED && !view.rules.switches.last_modified_index;
        if is_off {
            remove_index(admin, index, findings).await?;
            continue;
        }
        admin.pace.begin_unit(findings.found());
        let (name, path) = (&resource_type.name, &index.path);
        let step = format!("{BUILD}/entries/{name}/{path}");
        if let Some(step) = admin.pace.enter(step, findings.found())? {
            let (only, mend) = (Some(path.as_str()), Repair::Mend);
            mend_entries(admin, &view, resource_type, (step, only), mend, findings).await?;
        }
        let paths = (BUILD, &[path.clone()][..]);
        sweep_entries(admin, &view, resource_type, paths, Repair::Mend, findings).await?;
        if admin.pace.is_unit_complete(findings.found()) {
            admin
                .store()
                .configuration()
                .remove(ConfigItem::Building(index))
                .await?;
        }
    }
    admin.forget();
    begin_missing_count(admin, &view).await?;
    if view.seats.is_some_and(|count| !count.is_complete) {
        mend_seats(admin, &view, BUILD, Repair::Mend, findings).await?;
    }
    admin.pace.check_reached()
}

/// Begins to count active users where the rules have a limit and no count was begun, as after rules that were
/// stored by an earlier version.
///
/// # Errors
/// `Conflict` if it was begun now.
async fn begin_missing_count(admin: &Administration<'_>, view: &Tenant) -> Result<()> {
    let limit = view.rules.switches.max_active_users;
    if limit == 0 || view.seats.is_some() {
        return Ok(());
    }
    seats::set_limit(admin, None, limit, TenantAge::InUse).await?;
    admin.forget();
    Err(Error::conflict(
        "Active users are counted from now on; the count can be completed in two minutes",
    ))
}

/// The number of seconds for which other processes may still use a configuration from before
/// `since`, in milliseconds since the Unix epoch. `None` if no process does any more.
fn seconds_until_known(admin: &Administration<'_>, since: u64) -> Option<u64> {
    let wait = (since + LATEST_MILLIS).saturating_sub(admin.now());
    (wait > 0).then(|| wait.div_ceil(1000))
}

/// Gives every resource the index entries of this version, if the tenant may have entries of an
/// earlier one.
///
/// First the configuration says that the entries are being rebuilt, and processes of an earlier
/// version stop writing. Only when all of them have read that, no resource can get entries of an
/// earlier version any more, and all resources can be gone through.
async fn renew_all_entries(
    admin: &Administration<'_>,
    view: &Tenant,
    findings: &mut Findings,
) -> Result<(), Stop> {
    let since = match view.index_version.entries() {
        IndexEntries::Complete => return Ok(()),
        IndexEntries::Newer => return Ok(view.check_write()?),
        IndexEntries::Rebuilding(since) => since,
        IndexEntries::Earlier => {
            let now = admin.now();
            put_index_version(admin, IndexVersion::rebuilding(now)).await?;
            now
        }
    };
    if let Some(seconds) = seconds_until_known(admin, since) {
        return Err(Stop::Failed(Error::conflict(format!(
            "Processes of an earlier version may write for another {seconds} seconds; then all \
             index entries are written anew"
        ))));
    }
    // A change that an earlier version has begun may write entries of that version, so it is
    // finished first.
    if !admin.pace.is_passing() {
        finish(admin.tenants, admin.tenant, admin.cause.clone()).await?;
    }
    admin.pace.begin_unit(findings.found());
    for resource_type in view.registry.resource_types() {
        let (name, mend) = (&resource_type.name, Repair::Mend);
        let step = format!("{RENEW}/entries/{name}");
        if let Some(step) = admin.pace.enter(step, findings.found())? {
            mend_entries(admin, view, resource_type, (step, None), mend, findings).await?;
        }
        let paths = partitions(resource_type);
        sweep_entries(admin, view, resource_type, (RENEW, &paths), mend, findings).await?;
    }
    if admin.pace.is_unit_complete(findings.found()) {
        put_index_version(admin, IndexVersion::complete()).await?;
    }
    Ok(())
}

async fn put_index_version(admin: &Administration<'_>, version: IndexVersion) -> Result<()> {
    let store = admin.store();
    store
        .configuration()
        .put(ConfigItem::IndexVersion(&version))
        .await?;
    admin.forget();
    Ok(())
}

/// Removes an index that was switched off: first its announcement, then its entries. A process that still
/// has the earlier configuration may write further entries for a minute. `scim doctor` finds those as stray.
async fn remove_index(
    admin: &Administration<'_>,
    index: &BuildingIndex,
    findings: &mut Findings,
) -> Result<(), Stop> {
    let store = admin.store();
    store
        .configuration()
        .remove(ConfigItem::Building(index))
        .await?;
    let view = admin.view().await?;
    let Some(resource_type) = view.registry.resource_type(&index.resource_type) else {
        return Ok(());
    };
    // Once the announcement is removed, a call that goes on would not find this step any more. The examination that
    // comes after it removes the entries too, and can be gone on with.
    if admin.pace.may_pause() {
        return Ok(());
    }
    let paths = [index.path.clone()];
    let paths = (BUILD, &paths[..]);
    sweep_entries(admin, &view, resource_type, paths, Repair::Mend, findings).await
}
