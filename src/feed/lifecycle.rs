//! The beginning and the end of a tenant's feed.
//!
//! The head of a feed is never removed. It is all that is left of a tenant that was purged: it says that
//! late records of the stream give no events, and since when the name is free.

use crate::protocol::error::{Error, Result};
use crate::store::{Epoch, FeedHead, FeedState, TenantStore};

/// How often the head is read again after another process has written it.
const MAX_ATTEMPTS: usize = 8;

/// How long the name of a purged tenant cannot be used again, in milliseconds. The stream keeps a record for
/// as long, so nothing of the old tenant comes after the new one is created.
pub const RETIRED_MILLIS: u64 = 24 * 60 * 60 * 1000;

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
            purged: None,
        }),
    })
    .await?;
    Ok(())
}

/// Ends the feed of a tenant that is purged: records of the stream that come later give no events, and a feed
/// that has not begun never begins. Returns whether it had not ended before. Two calls.
///
/// # Errors
/// `Unavailable`.
pub async fn end(store: &TenantStore) -> Result<bool> {
    let now = store.feed().now();
    write_head(store, |seen| match seen {
        Some(head) if head.state == FeedState::Deleted => None,
        Some(head) => Some(FeedHead {
            state: FeedState::Deleted,
            released: None,
            ..head.clone()
        }),
        None => Some(FeedHead {
            state: FeedState::Deleted,
            generation: 1,
            since: 0,
            epoch: Epoch::after(None, now),
            is_complete: false,
            stream: None,
            released: None,
            purged: None,
        }),
    })
    .await
}

/// Writes down that nothing of the tenant is left but the head of its feed. Once it is written, this time stays.
/// Two calls.
///
/// # Errors
/// `Unavailable`.
pub async fn retire(store: &TenantStore) -> Result<()> {
    let now = store.feed().now();
    write_head(store, |seen| {
        let ended = seen.filter(|head| head.state == FeedState::Deleted)?;
        match ended.purged {
            Some(_) => None,
            None => Some(FeedHead {
                purged: Some(now),
                ..ended.clone()
            }),
        }
    })
    .await?;
    Ok(())
}

/// Until when the name of a tenant cannot be used, in milliseconds since the Unix epoch; `None` if it can. One
/// call.
///
/// # Errors
/// `Unavailable`.
pub async fn retired_until(store: &TenantStore) -> Result<Option<u64>> {
    let (head, _) = store.feed().tail(0).await?;
    let purged = head.and_then(|head| head.purged);
    let until = purged.map(|purged| purged.saturating_add(RETIRED_MILLIS));
    Ok(until.filter(|until| *until > store.feed().now()))
}

/// Whether the feed has ended. One call.
///
/// # Errors
/// `Unavailable`.
pub async fn is_ended(store: &TenantStore) -> Result<bool> {
    let (head, _) = store.feed().tail(0).await?;
    Ok(head.is_some_and(|head| head.state == FeedState::Deleted))
}

/// Writes the head that `next` makes of the one that is there, if it makes one. Returns whether it did.
async fn write_head(
    store: &TenantStore,
    next: impl Fn(Option<&FeedHead>) -> Option<FeedHead>,
) -> Result<bool> {
    let feed = store.feed();
    for _ in 0..MAX_ATTEMPTS {
        let (seen, _) = feed.tail(0).await?;
        let Some(head) = next(seen.as_ref()) else {
            return Ok(false);
        };
        if feed.put_head(seen.as_ref(), &head).await? {
            return Ok(true);
        }
        // Another process has written the head, or an attempt whose answer was lost has.
    }
    Err(Error::unavailable("The feed is being changed by others"))
}
