//! The beginning and the end of a tenant's feed.

use crate::protocol::error::{Error, Result};
use crate::store::{Epoch, FeedHead, FeedState, TenantStore};

/// How often the head is read again after another process has written it.
const MAX_ATTEMPTS: usize = 8;

/// Begins the feed of a tenant that is created now and has no resources yet, so the feed will have every
/// change. A feed that has begun already stays as it is. Two calls.
///
/// # Errors
/// `Unavailable`.
pub async fn create(store: &TenantStore) -> Result<()> {
    let now = store.feed().now();
    write_head(store, |seen| match seen {
        Some(head) if head.state == FeedState::Live => None,
        seen => Some(FeedHead {
            state: FeedState::Live,
            generation: seen.map_or(0, |head| head.generation) + 1,
            since: now,
            epoch: Epoch::after(seen.map(|head| &head.epoch), now),
            is_complete: true,
            stream: None,
            released: None,
        }),
    })
    .await
}

/// Ends the feed of a tenant that is deleted: records of the stream that come later give no events. Two
/// calls.
///
/// # Errors
/// `Unavailable`.
pub async fn end(store: &TenantStore) -> Result<()> {
    write_head(store, |seen| {
        let head = seen.filter(|head| head.state == FeedState::Live)?;
        Some(FeedHead {
            state: FeedState::Deleted,
            ..head.clone()
        })
    })
    .await
}

/// Writes the head that `next` makes of the one that is there, if it makes one.
async fn write_head(
    store: &TenantStore,
    next: impl Fn(Option<&FeedHead>) -> Option<FeedHead>,
) -> Result<()> {
    let feed = store.feed();
    for _ in 0..MAX_ATTEMPTS {
        let (seen, _) = feed.tail(0).await?;
        let Some(head) = next(seen.as_ref()) else {
            return Ok(());
        };
        if feed.put_head(seen.as_ref(), &head).await? {
            return Ok(());
        }
        // Another process has written the head, or an attempt whose answer was lost has.
    }
    Err(Error::unavailable("The feed is being changed by others"))
}
