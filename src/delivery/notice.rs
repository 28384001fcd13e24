//! Reports in a tenant's feed that a subscription gets no events any more.

use serde_json::json;

use crate::feed::append::{Appender, Source, Tail};
use crate::feed::{EventBody, EventType, NewEvent};
use crate::identity::{SubscriptionId, TenantId};
use crate::protocol::error::Result;

/// Only a process that takes over from a dead one appends it again, and it does so soon. So the event is looked
/// for in this much of the feed's end, in milliseconds.
const LOOK_BACK_MILLIS: u64 = 10 * 60 * 1000;

/// The source of the event.
pub(super) struct Notice<'n> {
    id: String,
    subscription: &'n SubscriptionId,
    code: &'n str,
    now: u64,
}

impl<'n> Notice<'n> {
    /// That a subscription gets nothing any more since `now`, in milliseconds since the Unix epoch, and why, as
    /// a short code. `occasion` is the same for a process that reports it once more: when the delivery first
    /// failed, or the message that the receiver refused for good.
    pub(super) fn new(
        subscription: &'n SubscriptionId,
        code: &'n str,
        occasion: &str,
        now: u64,
    ) -> Self {
        Self {
            id: format!("webhook-{subscription}-{occasion}"),
            subscription,
            code,
            now,
        }
    }

    /// Appends the event, unless it is in the feed.
    ///
    /// # Errors
    /// As [`Appender::append`].
    pub(super) async fn tell(&self, appender: &Appender<'_>, tenant: &TenantId) -> Result<()> {
        appender.append(tenant, self).await?;
        Ok(())
    }
}

impl Source for Notice<'_> {
    fn ids(&self) -> Vec<&str> {
        vec![&self.id]
    }

    fn oldest(&self) -> Option<u64> {
        Some(self.now.saturating_sub(LOOK_BACK_MILLIS))
    }

    async fn events(&self, tail: &Tail<'_>) -> Result<Vec<NewEvent>> {
        if tail.has(&self.id) {
            return Ok(Vec::new());
        }
        let event_type = EventType::named(EventType::WEBHOOK_FAILED);
        let body = EventBody::new(event_type, self.now).with_detail([
            ("webhook", json!(self.subscription)),
            ("code", json!(self.code)),
        ]);
        Ok(vec![NewEvent {
            id: self.id.clone(),
            body,
            access: None,
        }])
    }

    fn begins_feed(&self) -> bool {
        false
    }
}
