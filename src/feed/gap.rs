//! Reports in one feed the changes that the table's stream never brings.

use super::append::{Appender, Source, Tail};
use super::event::{EventBody, NewEvent};
use crate::identity::TenantId;
use crate::protocol::error::Result;

/// The source of the event that says so.
struct Missing {
    id: String,
    /// In milliseconds since the Unix epoch.
    now: u64,
    since: u64,
}

/// The source of no event, of changes that are to come.
struct Loading;

/// Marks a tenant's feed as not complete, before a load that goes past the stream: if the process that loads
/// dies, no reader takes the feed for complete. [`say_missing`] is called after the load.
///
/// # Errors
/// As [`Appender::append`].
pub async fn expect_load(appender: &Appender<'_>, tenant: &TenantId) -> Result<()> {
    appender.append(tenant, &Loading).await?;
    Ok(())
}

/// Says in a tenant's feed that changes since `since`, in milliseconds since the Unix epoch, may be
/// missing, as after a load that goes past the stream. Said once, however often it is called for one
/// `since`.
///
/// # Errors
/// As [`Appender::append`].
pub async fn say_missing(appender: &Appender<'_>, tenant: &TenantId, since: u64) -> Result<()> {
    let missing = Missing {
        id: format!("missing-{since}"),
        now: appender.now(),
        since,
    };
    appender.append(tenant, &missing).await?;
    Ok(())
}

impl Source for Missing {
    fn ids(&self) -> Vec<&str> {
        vec![&self.id]
    }

    fn oldest(&self) -> Option<u64> {
        Some(self.since)
    }

    async fn events(&self, tail: &Tail<'_>) -> Result<Vec<NewEvent>> {
        if tail.has(&self.id) {
            return Ok(Vec::new());
        }
        let body = EventBody::gap_since(self.since, self.now);
        Ok(vec![NewEvent::of(self.id.clone(), body)])
    }

    fn misses_changes(&self) -> bool {
        true
    }
}

impl Source for Loading {
    fn ids(&self) -> Vec<&str> {
        Vec::new()
    }

    fn oldest(&self) -> Option<u64> {
        None
    }

    async fn events(&self, _: &Tail<'_>) -> Result<Vec<NewEvent>> {
        Ok(Vec::new())
    }

    fn misses_changes(&self) -> bool {
        true
    }
}
