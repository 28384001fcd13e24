//! The purge: removes everything of deleted tenants once their time is over.
//!
//! It is called every minute, and goes on where the last call ended or died: each step can be made again, and the
//! stack's list says how far a tenant is. The steps of one tenant:
//!
//! 1. At its time the purge *begins*: from here on the tenant cannot be restored. Then the feed ends, and the purge
//!    pauses until every append that has not seen the end is over.
//! 2. The journal is finished, so that no half-made change hides items, and removed. Then go the directory, the
//!    deliveries and the pages of the feed, the tenant's webhooks, the configuration, and at last the secret. The
//!    tenant is *emptied*. Its state stays, so that its requests are still refused.
//! 3. Once no process can have the secret in its cache, everything is emptied once more, for what another process
//!    may have written late. The head of the feed gets the time, and the tenant leaves the list with its state.
//!
//! It must not know who calls it.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::webhook::RemoveWebhook;
use super::{Actor, Admin, Asked, BUDGET, Failure};
use crate::clock::CLOCKS_DIFFER_MILLIS;
use crate::feed::lifecycle;
use crate::identity::{Cause, CauseKind, RequestId, TenantId};
use crate::logs::AUDIT;
use crate::protocol::error::{Error, Result};
use crate::protocol::schema::Registry;
use crate::provider::Tenant;
use crate::store::{
    Deletion, IndexEntries, LEASE_MILLIS, ListedTenant, Meter, PurgeStage, TenantConfig,
    TenantStore,
};

/// The number of tenants that one call works on, side by side: a large one keeps no other waiting.
const TENANTS: usize = 4;
/// After the end of the feed an append that has read the head before may still put a page, in milliseconds. It takes
/// less than this.
const FEED_PAUSE_MILLIS: u64 = 30_000;
/// After a finisher has taken an entry of the journal it may write for as long, in milliseconds.
const JOURNAL_PAUSE_MILLIS: u64 = LEASE_MILLIS + CLOCKS_DIFFER_MILLIS;
/// A process that cannot reach the secrets uses those in its cache for 15 minutes, in milliseconds.
const SECRETS_PAUSE_MILLIS: u64 = 16 * 60 * 1000;

/// What one step of a purge came to.
enum Step {
    /// There is more to do now; the time of this call was over.
    More,
    /// The tenant is looked at again at this time, in milliseconds since the Unix epoch.
    Wait(u64),
    /// Everything but the state is removed.
    Emptied,
    /// Nothing is left but the head of the feed.
    Ended,
}

/// One call's work on one tenant.
struct TenantPurge<'p> {
    admin: &'p Admin,
    tenant: &'p TenantId,
    until: Instant,
}

impl Admin {
    /// Goes on with the purge of the tenants that are due, and begins nothing after `until`. Returns the number of
    /// tenants of which nothing is left now.
    ///
    /// # Errors
    /// `Unavailable` if the table or the secrets are out of reach. The other tenants do not wait for the one that
    /// failed, which goes to the end of the line.
    pub async fn purge(&self, until: Instant) -> Result<usize> {
        let stack = self.stack_store();
        let now = self.clock.now_millis();
        let due = stack.tenant_list().due(now, TENANTS).await?;
        for key in &due.unreadable {
            tracing::error!(
                key,
                alarm = "purge",
                "a deleted tenant on the list of tenants cannot be read"
            );
        }
        let purges = due.tenants.iter().map(|listed| {
            let purge = TenantPurge {
                admin: self,
                tenant: &listed.id,
                until,
            };
            async move {
                let purged = purge.run(listed.clone()).await;
                if purged.is_err() {
                    purge.put_last().await;
                }
                purged
            }
        });
        // Collected first: a future that still held the closure would not be `Send`.
        let purges: Vec<_> = purges.collect();
        let (mut ended, mut outcome) = (0, Ok(()));
        for (listed, purged) in due.tenants.iter().zip(join_all(purges).await) {
            match purged {
                Ok(is_ended) => ended += usize::from(is_ended),
                Err(error) => {
                    // The caller gets one error only, but each may have another cause.
                    let cause = error.causes();
                    let tenant = &listed.id;
                    tracing::error!(tenant.id = %tenant, alarm = "purge", cause, "could not go on with a purge");
                    outcome = Err(error);
                }
            }
        }
        outcome.map(|()| ended)
    }
}

impl TenantPurge<'_> {
    /// Makes the steps that can be made now for a tenant that is on the list as `seen`. Returns whether nothing is
    /// left of it.
    async fn run(&self, mut seen: ListedTenant) -> Result<bool> {
        let stack = self.admin.stack_store();
        loop {
            let now = self.admin.clock.now_millis();
            let due = seen.deletion.filter(|deletion| deletion.due <= now);
            // Otherwise an operator has restored the tenant, or another call is further.
            let Some(deletion) = due else {
                return Ok(false);
            };
            let step = match deletion.stage {
                PurgeStage::Waiting => Step::Wait(now),
                PurgeStage::Begun => self.empty(&seen).await?,
                PurgeStage::Emptied => self.end(&seen).await?,
            };
            let (stage, due) = match step {
                Step::More => return Ok(false),
                Step::Ended => return Ok(true),
                Step::Wait(due) => (PurgeStage::Begun, due),
                Step::Emptied => (PurgeStage::Emptied, now + SECRETS_PAUSE_MILLIS),
            };
            let next = seen.with_deletion(Some(Deletion {
                stage,
                due,
                ..deletion
            }));
            if !stack.tenant_list().change(&seen, &next).await? {
                // An operator has restored the tenant since it was read, or another call is further.
                return Ok(false);
            }
            let Some(changed) = stack.tenant_list().get(self.tenant).await? else {
                return Ok(false);
            };
            seen = changed;
        }
    }

    /// Puts a tenant that has failed behind all others that are due. Otherwise as many of them as one call takes
    /// would keep every other tenant waiting for as long as they fail.
    async fn put_last(&self) {
        let stack = self.admin.stack_store();
        let now = self.admin.clock.now_millis();
        let moved: Result<bool> = async {
            let Some(seen) = stack.tenant_list().get(self.tenant).await? else {
                return Ok(false);
            };
            let due = seen.deletion.filter(|deletion| deletion.due < now);
            // Otherwise an operator has restored the tenant, or another call is further.
            let Some(deletion) = due else {
                return Ok(false);
            };
            let next = seen.with_deletion(Some(Deletion {
                due: now,
                ..deletion
            }));
            Ok(stack.tenant_list().change(&seen, &next).await?)
        }
        .await;
        // The next call then takes the tenant first once more. The failure itself is the caller's to tell.
        if let Err(error) = moved {
            let cause = error.causes();
            tracing::warn!(tenant.id = %self.tenant, cause, "a failed purge keeps its place");
        }
    }

    /// Empties a tenant whose purge has begun.
    async fn empty(&self, seen: &ListedTenant) -> Result<Step> {
        let (store, now) = (self.store(), self.admin.clock.now_millis());
        if !lifecycle::is_ended(&store).await? {
            return self.end_feed(seen, &store, now).await;
        }
        let (config, faults) = store.configuration().read_for_purge().await?;
        for fault in faults {
            let cause = Error::from(fault).causes();
            tracing::error!(tenant.id = %self.tenant, cause, "a purge goes on without an item of the configuration");
        }
        let registry = self.registry(&config)?;
        // The configuration goes before the last look at the indexes.
        store.remember_indexes(&registry).await?;
        if !self.journal(&store, &registry).await? {
            return Ok(Step::Wait(now + JOURNAL_PAUSE_MILLIS));
        }
        let purge = store.purge(self.until);
        let names = config.resource_types.iter();
        let names: Vec<&str> = names
            .filter_map(|value| value.get("name")?.as_str())
            .collect();
        let indexes = purge.indexes(&registry, &names).await?;
        let is_done =
            purge.journal().await? && purge.directory(&indexes).await? && purge.feed().await?;
        if !is_done {
            return Ok(Step::More);
        }
        self.remove_webhooks().await?;
        if !purge.configuration().await? {
            return Ok(Step::More);
        }
        self.admin.credentials.remove(self.tenant).await?;
        Ok(Step::Emptied)
    }

    /// Ends the feed. The pause is written down before, so that it is kept whenever this process dies.
    async fn end_feed(&self, seen: &ListedTenant, store: &TenantStore, now: u64) -> Result<Step> {
        let pause = now + FEED_PAUSE_MILLIS;
        let next = seen.with_deletion(seen.deletion.map(|deletion| Deletion {
            due: pause,
            ..deletion
        }));
        let stack = self.admin.stack_store();
        if stack.tenant_list().change(seen, &next).await? {
            lifecycle::end(store).await?;
        }
        // Another call is further, or this one has written down the pause.
        Ok(Step::More)
    }

    /// Ends the purge of an emptied tenant.
    async fn end(&self, seen: &ListedTenant) -> Result<Step> {
        let store = self.store();
        let purge = store.purge(self.until);
        let indexes = purge.indexes(Registry::builtin(), &[]).await?;
        let is_done = purge.journal().await?
            && purge.directory(&indexes).await?
            && purge.feed().await?
            && purge.configuration().await?
            && purge.forget_indexes().await?;
        if !is_done {
            return Ok(Step::More);
        }
        self.remove_webhooks().await?;
        // A request that created a tenant of this name, and was frozen, may have made it again.
        self.admin.credentials.remove(self.tenant).await?;
        // Before the tenant leaves the list: from then on only this time keeps the name from being used.
        lifecycle::retire(&store).await?;
        let stack = self.admin.stack_store();
        if !stack.tenant_list().remove(seen).await? {
            return Ok(Step::More);
        }
        self.admin.provider.tenants().forget(self.tenant);
        tracing::info!(target: AUDIT, op = "purge", tenant = %self.tenant, "done");
        Ok(Step::Ended)
    }

    /// The types by which the journal is finished, and whose indexes are emptied. A configuration that cannot be
    /// understood has none of its own.
    ///
    /// A tenant of a newer version waits for that version. It may have entries in partitions that this version does
    /// not know. After the purge nothing would lead to them any more, and they would stay for good.
    fn registry(&self, config: &TenantConfig) -> Result<std::sync::Arc<Registry>> {
        if config.index_version.entries() == IndexEntries::Newer {
            return Err(Error::unavailable(
                "A newer version of the service has written the tenant, and has to purge it",
            ));
        }
        match Tenant::new(self.tenant.clone(), config.clone()) {
            Ok(tenant) => Ok(tenant.registry),
            Err(error) => {
                let cause = error.causes();
                tracing::error!(tenant.id = %self.tenant, cause, "a purge goes on without a configuration");
                Ok(Tenant::new(self.tenant.clone(), TenantConfig::default())?.registry)
            }
        }
    }

    /// Finishes the journal: afterwards memberships lead to every member. False if a finisher holds an entry. An
    /// entry that fails, or that only a later version knows, goes with the tenant.
    async fn journal(&self, store: &TenantStore, types: &Registry) -> Result<bool> {
        let unfinished = store.journal().unfinished().await?;
        if unfinished.iter().any(|entry| entry.is_held) {
            return Ok(false);
        }
        if unfinished.is_empty() {
            return Ok(true);
        }
        match store.journal().finish(types).await {
            Ok(finished) => {
                for entry in &finished.unknown {
                    let (key, work) = (&entry.key, &entry.work);
                    tracing::warn!(tenant.id = %self.tenant, key, work, "an entry of a purged journal is not known");
                }
            }
            Err(error) => {
                let error = Error::from(error);
                if error.kind() == crate::protocol::error::ErrorKind::Unavailable {
                    return Err(error);
                }
                let cause = error.causes();
                tracing::error!(tenant.id = %self.tenant, cause, "an entry of a purged journal failed");
            }
        }
        Ok(true)
    }

    /// Removes the webhooks of this tenant alone, with their secrets.
    async fn remove_webhooks(&self) -> Result<()> {
        let stack = self.admin.stack_store();
        let subscriptions = stack.subscriptions().list().await?;
        for subscription in subscriptions {
            if subscription.tenant.as_ref() != Some(self.tenant) {
                continue;
            }
            // Before the item, unlike an operator's removal: the item leads a process that comes after this one to
            // the secret, and no event of the tenant is signed any more.
            self.admin.secrets.remove(&subscription.id).await?;
            let remove = RemoveWebhook {
                id: subscription.id,
            };
            let removed = self.admin.ask(&remove, &asked()).await;
            removed.map_err(failed)?;
        }
        Ok(())
    }

    /// The tenant's part of the table, a little longer than until the last call begins.
    fn store(&self) -> TenantStore {
        let cause = Cause::without_credential(CauseKind::Service);
        let rest = self.until.saturating_duration_since(Instant::now());
        let budget = rest + Duration::from_secs(5);
        self.admin
            .store
            .for_tenant(self.tenant, cause, Meter::default(), budget.max(BUDGET / 4))
    }
}

/// Who asks for what the purge does by an operation.
fn asked() -> Asked {
    Asked {
        actor: Actor::of_purge(),
        request_id: RequestId::random(),
    }
}

fn failed(failure: Failure) -> Error {
    Error::unavailable("A webhook of the tenant could not be removed").with_source(failure)
}
