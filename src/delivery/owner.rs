//! The writes of one delivery by one process.
//!
//! Each is made on the condition that the delivery was not written since this process read it. So a process
//! whose lease is over writes nothing any more, and a process that lets a delivery go notices when another job
//! has asked for one more look meanwhile.

use crate::identity::SubscriptionId;
use crate::protocol::error::{Error, Result};
use crate::store::{Delivery, TenantStore};

/// How often a delivery is read again because another process has written it in between.
pub(super) const MAX_CONFLICTS: usize = 20;

/// The owner of a delivery's lease: the name under which a process takes the delivery, and the writes that need it.
pub(super) struct Owner<'o> {
    store: &'o TenantStore,
    subscription: &'o SubscriptionId,
    name: String,
}

/// The result of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// It was made.
    Done,
    /// It was not made: another job has asked for one more look. The delivery is still this process's.
    Marked,
    /// It was not made: the delivery is another process's, or is removed.
    Lost,
}

/// The result of a write that is made whatever other jobs have asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// It was made.
    Unmarked,
    /// It was made, and the mark of another job is gone. There may be events that this process has not seen.
    Marked,
    /// It was not made: the delivery is another process's, or is removed.
    Lost,
}

impl<'o> Owner<'o> {
    /// An owner with a new random name.
    pub(super) fn new(store: &'o TenantStore, subscription: &'o SubscriptionId) -> Self {
        Self {
            store,
            subscription,
            name: format!("{:016x}", fastrand::u64(..)),
        }
    }

    /// The name of the process in a lease.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Writes a delivery that this process takes or has. If another job has marked it meanwhile, `delivery` has
    /// the new revision afterwards.
    ///
    /// # Errors
    /// `Unavailable`.
    pub(super) async fn write(&self, delivery: &mut Delivery) -> Result<Written> {
        let deliveries = self.store.deliveries();
        if deliveries.put(delivery).await? {
            delivery.revision += 1;
            return Ok(Written::Done);
        }
        let Some(current) = deliveries.get(self.subscription).await? else {
            return Ok(Written::Lost);
        };
        let ours = Delivery {
            revision: delivery.revision + 1,
            ..delivery.clone()
        };
        if current == ours {
            // An earlier attempt of this write took effect, and its answer was lost.
            delivery.revision += 1;
            return Ok(Written::Done);
        }
        let owner = current.lease.as_ref().map(|lease| lease.owner.as_str());
        if owner == Some(&self.name) {
            delivery.revision = current.revision;
            return Ok(Written::Marked);
        }
        Ok(Written::Lost)
    }

    /// Writes a delivery whatever other jobs have asked for meanwhile.
    ///
    /// # Errors
    /// `Unavailable`.
    pub(super) async fn keep(&self, delivery: &mut Delivery) -> Result<Kept> {
        let mut kept = Kept::Unmarked;
        for _ in 0..MAX_CONFLICTS {
            match self.write(delivery).await? {
                Written::Done => return Ok(kept),
                Written::Marked => kept = Kept::Marked,
                Written::Lost => return Ok(Kept::Lost),
            }
        }
        Err(too_many_conflicts())
    }
}

/// The error after [`MAX_CONFLICTS`].
pub(super) fn too_many_conflicts() -> Error {
    Error::unavailable("Other processes changed the delivery before every attempt to write it")
}
