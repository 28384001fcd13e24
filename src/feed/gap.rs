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
}
