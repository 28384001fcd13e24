//! Turns: they bound how much one tenant does at the same time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::identity::TenantId;

/// The turns of all tenants. Each tenant can take a fixed number of them at the same time.
///
/// Turns of one tenant are given in the order in which they were asked for. Tenants do not wait for
/// each other. A tenant that neither has a turn nor waits for one takes no memory.
#[derive(Clone)]
pub struct Turns {
    size: usize,
    tenants: Arc<Mutex<Semaphores>>,
}

type Semaphores = HashMap<TenantId, Arc<Semaphore>>;

/// A taken turn. It is given back when this value is dropped.
// The order of the fields matters, because they are dropped in it. The permit holds a reference to
// the semaphore, and when `SemaphoreUse` is dropped it counts the references that are left.
pub struct Turn {
    _permit: Option<OwnedSemaphorePermit>,
    _semaphore_use: SemaphoreUse,
}

/// The use of a tenant's semaphore by a turn, or by a request that waits for one.
struct SemaphoreUse {
    tenants: Arc<Mutex<Semaphores>>,
    tenant: TenantId,
    semaphore: Arc<Semaphore>,
}

impl Turns {
    /// Turns of which each tenant can have `size` at the same time.
    #[must_use]
    pub fn new(size: usize) -> Self {
        Self {
            size,
            tenants: Arc::default(),
        }
    }

    /// The number of turns that a tenant can have at the same time.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// The number of tenants that have a turn or wait for one.
    #[must_use]
    pub fn tenants(&self) -> usize {
        lock(&self.tenants).len()
    }

    /// Waits for a turn, after those that were asked for earlier.
    pub async fn take(&self, tenant: &TenantId) -> Turn {
        self.take_some(tenant, 1).await
    }

    /// Waits for all turns of the tenant at once, after those that were asked for earlier.
    pub async fn take_all(&self, tenant: &TenantId) -> Turn {
        self.take_some(tenant, self.size).await
    }

    async fn take_some(&self, tenant: &TenantId, count: usize) -> Turn {
        let semaphore_use = self.semaphore(tenant);
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let permit = Arc::clone(&semaphore_use.semaphore)
            .acquire_many_owned(count)
            .await;
        Turn {
            // An error would mean that the semaphore is closed, and no code closes it.
            _permit: permit.ok(),
            _semaphore_use: semaphore_use,
        }
    }

    fn semaphore(&self, tenant: &TenantId) -> SemaphoreUse {
        let mut tenants = lock(&self.tenants);
        let semaphore = match tenants.get(tenant) {
            Some(semaphore) => Arc::clone(semaphore),
            None => {
                let semaphore = Arc::new(Semaphore::new(self.size));
                tenants.insert(tenant.clone(), Arc::clone(&semaphore));
                semaphore
            }
        };
        SemaphoreUse {
            tenants: Arc::clone(&self.tenants),
            tenant: tenant.clone(),
            semaphore,
        }
    }
}

impl Drop for SemaphoreUse {
    fn drop(&mut self) {
        let mut tenants = lock(&self.tenants);
        // The map and this value hold one reference each. A third one would belong to another use or
        // to its permit, and new uses are made under the same lock. So with two references there is
        // no other use.
        if Arc::strong_count(&self.semaphore) == 2 {
            tenants.remove(&self.tenant);
        }
    }
}

/// A poisoned lock can be used: every statement under it leaves the map complete, so a panic has not
/// left it half changed.
fn lock(tenants: &Mutex<Semaphores>) -> std::sync::MutexGuard<'_, Semaphores> {
    tenants.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::parse(name).unwrap()
    }

    #[tokio::test]
    async fn each_tenant_has_its_own_turns() {
        let turns = Turns::new(2);
        let (a, b) = (tenant("a"), tenant("b"));
        let first = turns.take(&a).await;
        let _second = turns.take(&a).await;
        assert!(turns.take(&a).now_or_never().is_none());
        let _other = turns.take(&b).await;
        drop(first);
        assert!(turns.take(&a).now_or_never().is_some());
    }

    #[tokio::test]
    async fn turns_are_taken_in_the_order_in_which_they_were_asked_for() {
        let (turns, a) = (Turns::new(1), tenant("a"));
        let taken = turns.take(&a).await;
        let mut earlier = Box::pin(turns.take(&a));
        assert!((&mut earlier).now_or_never().is_none());
        drop(taken);
        assert!(turns.take(&a).now_or_never().is_none());
        assert!(earlier.now_or_never().is_some());
    }

    #[tokio::test]
    async fn all_turns_are_taken_when_the_earlier_ones_have_ended() {
        let (turns, a) = (Turns::new(2), tenant("a"));
        let first = turns.take(&a).await;
        let mut all = Box::pin(turns.take_all(&a));
        assert!((&mut all).now_or_never().is_none());
        // It does not wait for turns that were asked for later.
        assert!(turns.take(&a).now_or_never().is_none());
        drop(first);
        let all = all.now_or_never().unwrap();
        assert!(turns.take(&a).now_or_never().is_none());
        drop(all);
        assert_eq!(turns.tenants(), 0);
    }

    #[tokio::test]
    async fn a_tenant_without_turns_is_forgotten() {
        let (turns, a) = (Turns::new(1), tenant("a"));
        let taken = turns.take(&a).await;
        // A request that gives up while it waits leaves nothing behind either.
        assert!(turns.take(&a).now_or_never().is_none());
        assert_eq!(turns.tenants(), 1);
        drop(taken);
        assert_eq!(turns.tenants(), 0);
    }

    #[tokio::test]
    async fn a_request_that_waited_longer_than_the_holder_is_forgotten_too() {
        let (turns, a) = (Turns::new(1), tenant("a"));
        let taken = turns.take(&a).await;
        let mut waiting = Box::pin(turns.take(&a));
        assert!((&mut waiting).now_or_never().is_none());
        drop(taken);
        drop(waiting);
        assert_eq!(turns.tenants(), 0);
    }
}
