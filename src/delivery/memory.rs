//! The memory that the deliveries of a process take at the same time.
//!
//! To read the feed takes much of it for a short time, and to wait for a receiver takes little for a long time.
//! So a delivery that waits gives back what it does not need, and receivers that hang keep no other waiting.

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

/// The memory of all deliveries together, in KB. It fits a function of 512 MB.
const ALL_KB: usize = 360_000;
/// The memory of a delivery that reads the feed, in KB: a batch of 1 MB takes some 15 MB, most of it as events.
const READING_KB: u32 = 15_000;
/// How many times the length of its body a batch takes.
const BATCH_FACTOR: usize = 15;

/// The memory for the deliveries of a process.
#[derive(Debug)]
pub struct Memory(Semaphore);

/// The memory of one delivery.
pub(super) struct Share<'m> {
    memory: &'m Memory,
    /// `None` while the delivery waits for more.
    permit: Option<SemaphorePermit<'m>>,
}

impl Memory {
    /// The memory of a process that works on no delivery.
    #[must_use]
    pub fn unused() -> Self {
        Self(Semaphore::new(ALL_KB))
    }

    /// The share of a delivery that reads the feed, once there is enough. `None` if there is not enough by
    /// `until`.
    pub(super) async fn share(&self, until: Instant) -> Option<Share<'_>> {
        let mut share = Share {
            memory: self,
            permit: None,
        };
        share.grow(until).await.then_some(share)
    }
}

impl Share<'_> {
    /// Takes as much as reading the feed needs, once there is enough. False if there is not enough by `until`;
    /// then the delivery has nothing.
    pub(super) async fn grow(&mut self, until: Instant) -> bool {
        let held = self.permit.as_ref().map_or(0, SemaphorePermit::num_permits);
        if held >= READING_KB as usize {
            return true;
        }
        // Given back before more is asked for: deliveries that kept a part while they wait could wait for each
        // other.
        self.permit = None;
        let enough = timeout_at(until, self.memory.0.acquire_many(READING_KB));
        // The semaphore is never closed.
        self.permit = enough.await.ok().and_then(Result::ok);
        self.permit.is_some()
    }

    /// Gives back all but what a delivery needs that waits for its receiver: a batch with a body of `body` bytes,
    /// and `packed` bytes of the feed as they were read.
    pub(super) fn shrink(&mut self, body: usize, packed: usize) {
        let bytes = body.saturating_mul(BATCH_FACTOR).saturating_add(packed);
        let kept = self.permit.as_mut();
        if let Some(kept) = kept.and_then(|permit| permit.split(bytes / 1000 + 1)) {
            self.permit = Some(kept);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(1)
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_waiting_delivery_does_not_need_is_for_others() {
        let memory = Memory::unused();
        let mut shares = Vec::new();
        while let Some(share) = memory.share(soon()).await {
            shares.push(share);
        }
        assert_eq!(shares.len(), ALL_KB / READING_KB as usize);
        for share in &mut shares {
            share.shrink(2_000, 10_000);
        }
        let other = memory.share(soon()).await.expect("there is enough");
        // They read on one after the other, as before.
        for share in &mut shares[2..] {
            assert!(share.grow(soon()).await);
        }
        // The first one has a little of what this one lacks.
        assert!(!shares[1].grow(soon()).await);
        drop(other);
        assert!(shares[1].grow(soon()).await);
        assert!(shares[0].grow(soon()).await);
    }

    #[tokio::test(start_paused = true)]
    async fn deliveries_that_all_want_more_do_not_wait_for_each_other() {
        let memory = Memory::unused();
        let mut shares = Vec::new();
        for _ in 0..40 {
            let mut share = memory.share(soon()).await.expect("there is enough");
            share.shrink(500_000, 400_000);
            shares.push(share);
        }
        for share in &mut shares {
            assert!(share.grow(soon()).await);
            share.shrink(0, 0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_largest_batch_keeps_what_it_has() {
        let memory = Memory::unused();
        let mut share = memory.share(soon()).await.expect("there is enough");
        share.shrink(2_000_000, 1_000_000);
        assert!(share.grow(Instant::now()).await);
    }
}
