//! Batches: which events one request carries, found in the feed for the first time or once more.

use std::fmt::Write as _;

use ring::digest::{self, Context};
use tokio::time::Instant;

use crate::feed::lifecycle;
use crate::feed::read::{self, After, Found, Gone, Limits, Part, ReadError, Rest};
use crate::feed::{Event, EventBody, Wanted};
use crate::identity::TenantId;
use crate::protocol::error::{Error, Result};
use crate::protocol::profile::Switches;
use crate::store::{Batch, BatchGap, Delivery, Start, Subscription, TenantStore};

/// The largest batch: at most this many events, and about 1 MB of body.
const LIMITS: Limits = Limits {
    events: 100,
    bytes: 1_000_000,
};
/// The number of bytes of a message id that are shown, as hexadecimal digits.
const ID_BYTES: usize = 16;

/// Reads one tenant's feed for one subscription.
pub(super) struct BatchReader<'r> {
    pub(super) tenant: &'r TenantId,
    pub(super) store: &'r TenantStore,
    pub(super) subscription: &'r Subscription,
    pub(super) wanted: Wanted,
    /// What was found in the feed and is not sent yet, with the position that it begins at.
    found: Option<Found>,
}

/// What follows a position.
#[derive(Debug)]
pub(super) enum Next {
    /// A batch with its events. The first one is the gap, if the batch has one.
    Batch(Batch, Vec<Event>),
    /// Nothing that the receiver wants, up to this position.
    Nothing(String),
    /// Nothing up to this position, and what follows is held back by the brake.
    Held(String),
    /// Nothing up to this position, before the end of the feed: the job has to stop here.
    Stop(String),
}

impl<'r> BatchReader<'r> {
    pub(super) fn new(
        tenant: &'r TenantId,
        store: &'r TenantStore,
        subscription: &'r Subscription,
    ) -> Self {
        Self {
            tenant,
            store,
            subscription,
            wanted: Wanted::of(&subscription.types),
            found: None,
        }
    }

    /// Where the first delivery of the subscription begins in the feed, as text; `None` if the tenant is purged.
    /// A late job would otherwise leave a delivery behind that nothing removes.
    ///
    /// # Errors
    /// `Unavailable`, `Internal`.
    pub(super) async fn start(&self) -> Result<Option<String>> {
        if lifecycle::is_ended(self.store).await? {
            return Ok(None);
        }
        let start = match self.subscription.from {
            Start::Beginning => After::Beginning,
            Start::Created => read::position_at(self.store, self.subscription.created).await?,
        };
        Ok(Some(start.to_string()))
    }

    /// Forgets what was found, so that events which were appended since are found too.
    pub(super) fn look_again(&mut self) {
        self.found = None;
    }

    /// Keeps what was found in the form in which it was read, and returns its length in bytes.
    pub(super) fn pack(&mut self) -> usize {
        self.found.as_mut().map_or(0, Found::pack)
    }

    /// The next batch behind what a delivery has had accepted. It goes on with what an earlier call has found,
    /// and reads the feed if that is used up. `switches` are those of the tenant, for the brake.
    ///
    /// # Errors
    /// `Unavailable`, `Internal`.
    pub(super) async fn next(
        &mut self,
        delivery: &Delivery,
        switches: &Switches,
        until: Instant,
    ) -> Result<Next> {
        let mut after = parse(&delivery.after)?;
        let mut gap = None;
        loop {
            let mut found = match self.found.take() {
                Some(found) => found,
                None => match read::find(self.store, &after, LIMITS, Some(switches)).await {
                    Ok(found) => found,
                    Err(ReadError::Failed(error)) => return Err(error),
                    // The first event of the new epoch says whether the epoch is complete.
                    Err(ReadError::Gone(Gone::OtherEpoch)) => {
                        after = After::Beginning;
                        continue;
                    }
                    // The events that follow are lost. The gap is sent before the oldest events that are left.
                    Err(ReadError::Gone(Gone::Expired | Gone::NoSuchPlace)) => {
                        gap = Some(self.gap_behind(delivery));
                        after = After::Beginning;
                        continue;
                    }
                },
            };
            let part = found.part(self.tenant, LIMITS, |body| {
                self.wanted.takes(&body.event_type)
            })?;
            if after == After::Beginning && next_seq(&part.from) > 1 {
                // The epoch's first events have expired.
                gap = gap.or_else(|| Some(self.gap_behind(delivery)));
            }
            let rest = found.rest();
            if !part.events.is_empty() || gap.is_some() {
                if rest != Rest::Unread {
                    self.found = Some(found);
                }
                return Ok(self.batch(part, gap));
            }
            after = part.next;
            match rest {
                Rest::None => return Ok(Next::Nothing(after.to_string())),
                Rest::Held => return Ok(Next::Held(after.to_string())),
                Rest::Found | Rest::Unread if Instant::now() >= until => {
                    return Ok(Next::Stop(after.to_string()));
                }
                Rest::Found => self.found = Some(found),
                Rest::Unread => {}
            }
        }
    }

    fn gap_behind(&self, delivery: &Delivery) -> BatchGap {
        BatchGap {
            noticed: self.store.feed().now(),
            since: delivery.reached,
        }
    }

    fn batch(&self, part: Part, gap: Option<BatchGap>) -> Next {
        let batch = Batch {
            from: part.from.to_string(),
            to: part.next.to_string(),
            events: part.events.len() as u64,
            gap,
        };
        let events = self.with_gap(&batch, part);
        Next::Batch(batch, events)
    }

    /// The events of a batch that was written down earlier. `None` if they are not all there any more.
    ///
    /// # Errors
    /// `Unavailable`, `Internal`.
    pub(super) async fn again(&mut self, batch: &Batch) -> Result<Option<Vec<Event>>> {
        let (from, to) = (parse(&batch.from)?, parse(&batch.to)?);
        // Without the brake: the batch was let through when it was written down.
        let mut found = match read::find(self.store, &from, LIMITS, None).await {
            Ok(found) => found,
            Err(ReadError::Failed(error)) => return Err(error),
            // The events have expired, or the feed has begun anew. The caller reads on behind `after` instead.
            Err(ReadError::Gone(_)) => return Ok(None),
        };
        let mut part = found.part(self.tenant, LIMITS, |body| {
            self.wanted.takes(&body.event_type)
        })?;
        let end = next_seq(&to);
        part.events.retain(|event| event.seq < end);
        if part.events.len() as u64 != batch.events {
            return Ok(None);
        }
        Ok(Some(self.with_gap(batch, part)))
    }

    /// The events of a part, behind the gap of its batch.
    fn with_gap(&self, batch: &Batch, part: Part) -> Vec<Event> {
        let gap = batch.gap.map(|gap| Event {
            id: format!("gap-{}-{}", self.subscription.id, gap.noticed),
            seq: next_seq(&part.from).saturating_sub(1),
            tenant: self.tenant.clone(),
            body: EventBody::gap_since(gap.since, gap.noticed),
        });
        gap.into_iter().chain(part.events).collect()
    }
}

/// The id of the message that carries a batch: `msg_` and 32 hexadecimal digits. It has no dots, because
/// Standard Webhooks separates what is signed by dots.
pub(super) fn message_id(subscription: &Subscription, tenant: &TenantId, batch: &Batch) -> String {
    let gap = batch
        .gap
        .map_or(String::new(), |gap| gap.noticed.to_string());
    let parts = [
        subscription.id.as_str(),
        tenant.as_str(),
        &batch.from,
        &batch.to,
        &gap,
    ];
    let mut hash = Context::new(&digest::SHA256);
    for part in parts {
        hash.update(part.as_bytes());
        hash.update(b"\0");
    }
    let mut id = "msg_".to_owned();
    for byte in &hash.finish().as_ref()[..ID_BYTES] {
        // Writing to a string does not fail.
        let _ = write!(id, "{byte:02x}");
    }
    id
}

/// The number of the event behind a position; 1 for the beginning of a feed without events.
fn next_seq(after: &After) -> u64 {
    match after {
        After::Position(position) => position.next_seq(),
        After::Beginning | After::Now => 1,
    }
}

/// Reads a position that the table holds.
fn parse(text: &str) -> Result<After> {
    After::parse(text)
        .ok_or_else(|| Error::internal("a delivery has a text that is not a position"))
}
