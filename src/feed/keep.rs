//! Lets the feed of a tenant without changes keep its number, and report a gap.
//!
//! A feed goes on with the number after that of its newest page. If that page expired, the number would be
//! lost. So before that, a page is put behind it, with an event that says that nothing
//! has changed.

use std::sync::{Mutex, PoisonError};

use super::append::{Appended, Appender, Source, Tail};
use super::event::{EventBody, EventType, NewEvent};
use crate::identity::TenantId;
use crate::protocol::error::Result;
use crate::store::StreamGap;

/// A page is followed by another one this long before it expires, in seconds. Pages are kept for two days at
/// least, so a feed gets such an event once a day at most.
const MARGIN_SECONDS: u64 = 24 * 60 * 60;

/// The source of the event that says that nothing has changed.
struct Idle {
    /// In milliseconds since the Unix epoch.
    now: u64,
    /// When the page has to be followed by another one that the last attempt has found to be the newest, in
    /// seconds since the Unix epoch.
    due: Mutex<Option<u64>>,
    gap: Option<StreamGap>,
}

/// Puts a page behind the newest one of a feed, if that one expires soon or the feed has not reported the
/// stack's last gap. Returns when the feed has to be looked at again, in seconds since the Unix epoch; `None`
/// if it has no pages. One call, or two; one more if the feed was complete before the gap.
///
/// # Errors
/// As [`Appender::append`].
pub async fn keep(
    appender: &Appender<'_>,
    tenant: &TenantId,
    gap: Option<StreamGap>,
) -> Result<Option<u64>> {
    let now = appender.now();
    let idle = Idle {
        now,
        gap,
        due: Mutex::new(None),
    };
    let appended = appender.append(tenant, &idle).await?;
    let due = idle.due.into_inner();
    Ok(match appended {
        Appended::NoFeed => None,
        Appended::Events(0) => due.unwrap_or_else(PoisonError::into_inner),
        Appended::Events(_) => Some(now / 1000 + MARGIN_SECONDS),
    })
}

impl Source for Idle {
    fn ids(&self) -> Vec<&str> {
        Vec::new()
    }

    fn oldest(&self) -> Option<u64> {
        None
    }

    async fn events(&self, tail: &Tail<'_>) -> Result<Vec<NewEvent>> {
        let Some(expires) = tail.expires else {
            return Ok(Vec::new());
        };
        let due = expires.saturating_sub(MARGIN_SECONDS);
        *self.due.lock().unwrap_or_else(PoisonError::into_inner) = Some(due);
        if due > self.now / 1000 {
            return Ok(Vec::new());
        }
        let body = EventBody::new(EventType::named(EventType::FEED_IDLE), self.now);
        Ok(vec![NewEvent::of(format!("idle-{expires}"), body)])
    }

    fn gap(&self) -> Option<StreamGap> {
        self.gap
    }

    fn begins_feed(&self) -> bool {
        false
    }
}
