//! Takes the values of one resource out of a feed.
//!
//! The pages keep their numbers and the ids of their events, so readers notice nothing. The events say what
//! has happened and which attributes have changed, and no value.

use super::page::{compress, unpack};
use crate::identity::TenantId;
use crate::protocol::error::{Error, Result};
use crate::store::{PageKey, TenantStore};

/// The number of pages that one step looks at.
const PAGES: usize = 50;

/// The result of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forgotten {
    /// The number of events from which values were taken.
    pub events: usize,
    /// The page to go on after; `None` begins again.
    pub next: Option<PageKey>,
    /// Whether there are no more pages.
    pub is_done: bool,
}

/// Takes the values of a resource out of the pages after one, at most `PAGES` of them, of every epoch.
/// Pages that have none of its values are not written. A step that fails can be made again, and so can all
/// of them.
///
/// Changes that are still in the stream have no event yet: after a change of the resource, wait until the
/// feed has its event.
///
/// # Errors
/// `Unavailable`.
pub async fn forget(
    tenant: &TenantId,
    store: &TenantStore,
    id: &str,
    after: Option<&PageKey>,
) -> Result<Forgotten> {
    let pages = store.feed().after(after, PAGES).await?;
    let is_done = pages.is_empty();
    let (mut forgotten, mut done) = (0, after.cloned());
    for page in pages {
        let mut bodies: Vec<_> = unpack(tenant, &page)?
            .into_iter()
            .map(|event| event.body)
            .collect();
        let mut found = 0;
        for body in &mut bodies {
            let is_about = body
                .resource
                .as_ref()
                .is_some_and(|subject| subject.id == id);
            if is_about && body.has_values() {
                body.forget_values();
                found += 1;
            }
        }
        if found > 0 {
            let texts = bodies.iter().map(serde_json::to_string);
            let texts = texts.collect::<std::result::Result<Vec<_>, _>>();
            let events = compress(&texts.map_err(Error::internal)?)?;
            if !store.feed().rewrite(&page, events).await? {
                // The page has expired, or another process has taken other values out of it: the next step
                // reads it again.
                return Ok(Forgotten {
                    events: forgotten,
                    next: done,
                    is_done: false,
                });
            }
            forgotten += found;
        }
        done = Some(page.key);
    }
    Ok(Forgotten {
        events: forgotten,
        next: done,
        is_done,
    })
}
