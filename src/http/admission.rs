//! Limits how many requests of one tenant run at the same time.
//!
//! A request beyond the limit waits a short time for an earlier one to end, before its body is read.
//! Then it is refused with 429. This matters where one process serves many connections: Lambda gives a
//! process one request at a time.

use std::time::Duration;

use tokio::time::timeout;

use crate::identity::TenantId;
use crate::pool::{Turn, Turns};
use crate::protocol::{Error, Result};

/// The number of requests of one tenant that run at the same time. An identity provider with many
/// workers sends half as many.
const MAX_RUNNING: usize = 64;
/// How long a request beyond [`MAX_RUNNING`] waits.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Admits requests, up to a limit for each tenant.
pub struct Admission {
    turns: Turns,
    longest_wait: Duration,
}

impl Default for Admission {
    fn default() -> Self {
        Self::new(MAX_RUNNING, LONGEST_WAIT)
    }
}

impl Admission {
    /// Lets `running` requests of each tenant run at the same time. Further ones wait up to
    /// `longest_wait`.
    #[must_use]
    pub fn new(running: usize, longest_wait: Duration) -> Self {
        Self {
            turns: Turns::new(running),
            longest_wait,
        }
    }

    /// Admits a request of the tenant. It counts as running until the turn is dropped.
    ///
    /// # Errors
    /// `TooManyRequests` with the limit, if no earlier request ended in time.
    pub(super) async fn admit(&self, tenant: &TenantId) -> Result<Turn> {
        let turn = timeout(self.longest_wait, self.turns.take(tenant)).await;
        turn.map_err(|_| {
            Error::too_many_requests(format!(
                "{} requests of this tenant are running, and no more are allowed at the same time; send this one again later",
                self.turns.size()
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::protocol::ErrorKind;

    fn tenant(name: &str) -> TenantId {
        TenantId::parse(name).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_beyond_the_limit_waits_and_is_refused() {
        let admission = Admission::default();
        let mut running = Vec::new();
        for _ in 0..MAX_RUNNING {
            running.push(admission.admit(&tenant("noisy")).await.unwrap());
        }
        let begun = Instant::now();
        let refused = admission.admit(&tenant("noisy")).await.map(|_| ());
        let refused = refused.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::TooManyRequests);
        assert!(refused.detail().contains("64 requests"), "{refused}");
        assert_eq!(begun.elapsed(), LONGEST_WAIT);
        admission.admit(&tenant("quiet")).await.unwrap();
        assert_eq!(begun.elapsed(), LONGEST_WAIT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_waits_goes_on_when_another_ends() {
        let admission = Admission::new(1, LONGEST_WAIT);
        let running = admission.admit(&tenant("a")).await.unwrap();
        let ends = async {
            tokio::task::yield_now().await;
            drop(running);
        };
        let (begun, a) = (Instant::now(), tenant("a"));
        let (admitted, ()) = tokio::join!(admission.admit(&a), ends);
        assert!(admitted.is_ok());
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}
