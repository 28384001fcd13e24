//! Writes down what has happened in each tenant, seldom enough that requests do not pay for it.
//!
//! This process remembers what it has written. It writes again when a [milestone](Milestones) is reached for the
//! first time, when a status of HTTP refuses a request for the first time in a while, and otherwise once an
//! hour for each credential. Refusals in between are counted here, and are written with the next write. If
//! the process ends before that, they are lost: the stored number is the least that were refused.
//!
//! Lambda freezes a process when it has answered, so every write ends before the answer is given. That of a
//! use runs beside the request's own calls. A write that fails is left out: it never changes an answer, and
//! never holds one up for longer than [`WRITE_BUDGET`].
//!
//! It must not know what a request asks for.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;

use crate::clock::Clock;
use crate::identity::{Cause, CauseKind, CredentialId, TenantId};
use crate::protocol::Error;
use crate::provider::Provider;
use crate::store::{Meter, Milestones, StoreError, TenantState, TenantStore};

/// How long after the use of a credential was written it is not written again.
const USE_MILLIS: u64 = 60 * 60 * 1000;
/// How long after refusals of a tenant were written others are only counted.
const REFUSALS_MILLIS: u64 = 10 * 60 * 1000;
/// How long after a write that failed it is not tried again.
const RETRY_MILLIS: u64 = 60 * 1000;
/// The time that one write may take.
const WRITE_BUDGET: Duration = Duration::from_secs(1);
/// The number of tenants that a process remembers. What it forgets, it writes once more than needed.
const MAX_TENANTS: usize = 10_000;

/// What this process has written down of each tenant.
pub struct StatusLog {
    clock: Arc<dyn Clock>,
    tenants: Mutex<HashMap<TenantId, Remembered>>,
}

/// What is known about one request, for the status of its tenant.
pub(super) struct Observed {
    caller: OnceLock<(TenantId, CredentialId)>,
    /// The tenant of a credential whose use is not noted.
    tenant: OnceLock<TenantId>,
    reached: AtomicU8,
    meter: Meter,
}

/// What this process remembers of one tenant. All times are in milliseconds since the Unix epoch.
#[derive(Default)]
struct Remembered {
    /// When the use of each credential is to be written again.
    due: HashMap<CredentialId, u64>,
    /// The milestones that are stored.
    reached: Milestones,
    /// The refusals that are not stored yet, by status.
    refusals: BTreeMap<u16, u64>,
    /// When refusals with a status are to be written again.
    refusals_due: HashMap<u16, u64>,
    /// When the last request came.
    touched: u64,
}

impl Observed {
    /// Nothing yet. The calls that are made for it are counted by `meter`.
    pub(super) fn new(meter: Meter) -> Self {
        Self {
            caller: OnceLock::new(),
            tenant: OnceLock::new(),
            reached: AtomicU8::new(0),
            meter,
        }
    }

    /// Records who is calling.
    pub(super) fn note_caller(&self, tenant: &TenantId, credential: &CredentialId) {
        // A request has one caller, so a second value would be the same one.
        let _ = self.caller.set((tenant.clone(), credential.clone()));
    }

    /// Records whose request it is, if it is not a use of its credential: that one has ended, or it has asked for a
    /// token. If the request is refused, this counts as a refusal of the tenant.
    pub(super) fn note_tenant(&self, tenant: &TenantId) {
        // A request has one tenant, so a second value would be the same one.
        let _ = self.tenant.set(tenant.clone());
    }

    /// Records which milestones the request has reached.
    pub(super) fn note_reached(&self, reached: Milestones) {
        self.reached.fetch_or(reached.bits(), Ordering::Relaxed);
    }
}

impl StatusLog {
    /// A process that remembers nothing.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            tenants: Mutex::default(),
        }
    }

    /// Writes down that the caller's credential is used, if that is due.
    pub(super) async fn note_use(&self, provider: &Provider, observed: &Observed) {
        let Some((tenant, credential)) = observed.caller.get() else {
            return;
        };
        if !self.takes_use(tenant, credential) {
            return;
        }
        let write = async |store: TenantStore| store.status().note_use(credential).await;
        if let Some(reached) = self.write(provider, observed, tenant, write).await {
            let next = self.clock.now_millis() + USE_MILLIS;
            let mut tenants = self.lock();
            let remembered = tenants.entry(tenant.clone()).or_default();
            remembered.reached = remembered.reached | reached;
            remembered.due.insert(credential.clone(), next);
        }
    }

    /// Writes down, once the answer is known, what the request has shown about its tenant.
    pub(super) async fn close(&self, provider: &Provider, observed: &Observed, status: StatusCode) {
        let caller = observed.caller.get().map(|(tenant, _)| tenant);
        let Some(tenant) = caller.or(observed.tenant.get()) else {
            return;
        };
        if !status.is_server_error() {
            // A request that was refused before it began has not noted its use.
            self.note_use(provider, observed).await;
        }
        if status.is_client_error() || status.is_server_error() {
            for (status, count) in self.takes_refusals(tenant, status) {
                let write =
                    async |store: TenantStore| store.status().add_refusals(status, count).await;
                self.write(provider, observed, tenant, write).await;
            }
        }
        let reached = Milestones::from_bits(observed.reached.load(Ordering::Relaxed));
        let reached = reached.without(self.reached(tenant));
        if !reached.is_empty() {
            let write = async |store: TenantStore| store.status().note_milestones(reached).await;
            if self.write(provider, observed, tenant, write).await == Some(true) {
                let mut tenants = self.lock();
                let remembered = tenants.entry(tenant.clone()).or_default();
                remembered.reached = remembered.reached | reached;
            }
        }
    }

    /// Makes one write; `None` if it failed.
    async fn write<T>(
        &self,
        provider: &Provider,
        observed: &Observed,
        tenant: &TenantId,
        write: impl AsyncFnOnce(TenantStore) -> Result<T, StoreError>,
    ) -> Option<T> {
        let (meter, cause) = (
            Meter::default(),
            Cause::without_credential(CauseKind::Service),
        );
        let store = provider.store();
        let store = store.for_tenant(tenant, cause, meter.clone(), WRITE_BUDGET);
        let known = provider.tenants().get(tenant, &store).await.ok()?;
        // The purge of a deleted tenant must leave nothing, so nothing is written of it. The purge begins later
        // than any process can still remember the state before the deletion.
        if matches!(known.state, TenantState::Deleting { .. }) {
            return None;
        }
        // The store's own limit ends between two calls. A call that hangs is given up here; if it takes effect
        // later, what it has written is true.
        let written = tokio::time::timeout(WRITE_BUDGET, write(store)).await;
        let written = match written {
            Ok(written) => written.map_err(Error::from),
            Err(_) => Err(Error::unavailable("The table did not answer in time")),
        };
        observed.meter.add_status(&meter.cost());
        written
            .inspect_err(|error| {
                tracing::warn!(
                    error = error as &dyn std::error::Error,
                    "the status of the tenant was not written"
                );
            })
            .ok()
    }

    /// Whether the use of a credential is to be written now. If it is, it is not due for another request.
    fn takes_use(&self, tenant: &TenantId, credential: &CredentialId) -> bool {
        let now = self.clock.now_millis();
        let mut tenants = self.lock();
        let remembered = touch(&mut tenants, tenant, now);
        if remembered.due.get(credential).is_some_and(|due| now < *due) {
            return false;
        }
        // What is due already is written again anyway, whether it is remembered or not.
        remembered.due.retain(|_, due| now < *due);
        let retry = now + RETRY_MILLIS;
        remembered.due.insert(credential.clone(), retry);
        true
    }

    /// Counts a refusal, and takes those that are to be written now, by status.
    fn takes_refusals(&self, tenant: &TenantId, status: StatusCode) -> BTreeMap<u16, u64> {
        let now = self.clock.now_millis();
        let mut tenants = self.lock();
        let remembered = touch(&mut tenants, tenant, now);
        *remembered.refusals.entry(status.as_u16()).or_default() += 1;
        let due = remembered.refusals_due.entry(status.as_u16()).or_default();
        // A request that the service could not carry out has spent its time, and the table may be out of
        // reach, so nothing is written then.
        if now < *due || status.is_server_error() {
            return BTreeMap::new();
        }
        *due = now + REFUSALS_MILLIS;
        std::mem::take(&mut remembered.refusals)
    }

    fn reached(&self, tenant: &TenantId) -> Milestones {
        let tenants = self.lock();
        let remembered = tenants.get(tenant);
        remembered.map_or(Milestones::default(), |remembered| remembered.reached)
    }

    /// A poisoned lock can be used, because no change under this lock can panic half-way.
    fn lock(&self) -> MutexGuard<'_, HashMap<TenantId, Remembered>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is remembered of a tenant. If there is no room for a new one, the tenant that was touched longest ago is
/// forgotten.
fn touch<'t>(
    tenants: &'t mut HashMap<TenantId, Remembered>,
    tenant: &TenantId,
    now: u64,
) -> &'t mut Remembered {
    if tenants.len() >= MAX_TENANTS && !tenants.contains_key(tenant) {
        let oldest = tenants.iter().min_by_key(|(_, known)| known.touched);
        if let Some(oldest) = oldest.map(|(tenant, _)| tenant.clone()) {
            tenants.remove(&oldest);
        }
    }
    let remembered = tenants.entry(tenant.clone()).or_default();
    remembered.touched = now;
    remembered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::manual::ManualClock;

    fn tenant(name: &str) -> TenantId {
        TenantId::parse(name).unwrap()
    }

    fn credential(id: &str) -> CredentialId {
        CredentialId::parse(id).unwrap()
    }

    fn log() -> (Arc<ManualClock>, StatusLog) {
        let clock = Arc::new(ManualClock::at_seconds(1_000_000));
        (clock.clone(), StatusLog::new(clock))
    }

    #[test]
    fn a_use_is_due_once_for_each_credential_and_again_after_a_failure() {
        let (clock, log) = log();
        for (id, name) in [("1", "acme"), ("2", "acme"), ("1", "umbrella")] {
            assert!(log.takes_use(&tenant(name), &credential(id)));
            assert!(!log.takes_use(&tenant(name), &credential(id)));
        }
        // No write has ended, so the next minute tries again.
        clock.advance_seconds(59);
        assert!(!log.takes_use(&tenant("acme"), &credential("1")));
        clock.advance_seconds(1);
        assert!(log.takes_use(&tenant("acme"), &credential("1")));
    }

    #[test]
    fn refusals_are_written_at_once_and_then_together() {
        let (clock, log) = log();
        let acme = tenant("acme");
        let refuse = |status: u16| -> Vec<(u16, u64)> {
            let status = StatusCode::from_u16(status).unwrap();
            log.takes_refusals(&acme, status).into_iter().collect()
        };
        assert_eq!(refuse(409), [(409, 1)]);
        assert_eq!(refuse(409), []);
        assert_eq!(refuse(503), []);
        assert_eq!(refuse(400), [(400, 1), (409, 1), (503, 1)]);
        for _ in 0..1000 {
            assert_eq!(refuse(409), []);
        }
        clock.advance_seconds(10 * 60);
        assert_eq!(refuse(409), [(409, 1001)]);
    }

    #[test]
    fn the_tenant_that_was_seen_longest_ago_is_forgotten_first() {
        let (clock, log) = log();
        let id = credential("1");
        assert!(log.takes_use(&tenant("first"), &id));
        clock.advance_seconds(1);
        for n in 1..MAX_TENANTS {
            log.takes_use(&tenant(&format!("t{n}")), &id);
        }
        assert!(!log.takes_use(&tenant("first"), &id));
        clock.advance_seconds(1);
        assert!(log.takes_use(&tenant("new"), &id));
        assert!(!log.takes_use(&tenant("first"), &id));
        assert_eq!(log.lock().len(), MAX_TENANTS);
    }
}
