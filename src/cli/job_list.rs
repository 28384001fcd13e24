//! Jobs of the background work that wait for their time.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::identity::TenantId;

/// Which tenants have a job to be done, and when.
#[derive(Debug, Default)]
pub(super) struct JobList(BTreeSet<(Instant, TenantId)>);

impl JobList {
    /// Adds a job that is to be done after this time.
    pub(super) fn add(&mut self, tenant: TenantId, wait: Duration) {
        self.0.insert((Instant::now() + wait, tenant));
    }

    /// Ends when a job is to be done. If there is no job, it never ends.
    pub(super) async fn wait(&self) {
        match self.0.first() {
            Some((at, _)) => tokio::time::sleep_until(*at).await,
            None => std::future::pending().await,
        }
    }

    /// Takes the jobs that are to be done now. Several jobs of one tenant are one.
    pub(super) fn take(&mut self) -> BTreeSet<TenantId> {
        let now = Instant::now();
        let due = self.0.iter().take_while(|(at, _)| *at <= now);
        let tenants = due.map(|(_, tenant)| tenant.clone()).collect();
        self.0.retain(|(at, _)| *at > now);
        tenants
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_job_is_taken_after_its_wait_and_once() {
        let tenant = |name| TenantId::parse(name).unwrap();
        let mut jobs = JobList::default();
        for (name, seconds) in [("b", 2), ("a", 1), ("a", 2), ("c", 0)] {
            jobs.add(tenant(name), Duration::from_secs(seconds));
        }
        let begun = Instant::now();
        for (seconds, expected) in [(0, vec!["c"]), (1, vec!["a"]), (2, vec!["a", "b"])] {
            jobs.wait().await;
            assert_eq!(begun.elapsed().as_secs(), seconds);
            let taken: Vec<_> = jobs.take().into_iter().collect();
            assert_eq!(taken, expected.into_iter().map(tenant).collect::<Vec<_>>());
        }
        assert!(jobs.take().is_empty());
    }
}
