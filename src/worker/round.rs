//! A round through the tenants of the stack, some at a time.

use tokio::time::Instant;

use crate::identity::TenantId;
use crate::protocol::error::Result;
use crate::store::{Round, StackStore};

/// The number of tenants that are read from the list at once.
const PAGE: usize = 50;

/// The part of a round through the tenants that one sweep makes.
pub(super) struct RoundPart<'r> {
    stack: &'r StackStore,
    round: &'r mut Round,
    /// The time of a round that begins with this part, in milliseconds since the Unix epoch. It is stored in
    /// the round once its first page counts: a round that fails before is begun again, as if it had not been.
    begins: Option<u64>,
    /// How many tenants are still to be looked at.
    rest: usize,
    deadline: Instant,
    /// Where the round goes on after the tenants that [`RoundPart::next`] has returned last. `Some(None)` if
    /// they are the last ones of the round.
    seen: Option<Option<TenantId>>,
}

impl<'r> RoundPart<'r> {
    pub(super) fn new(
        stack: &'r StackStore,
        round: &'r mut Round,
        most: usize,
        deadline: Instant,
    ) -> Self {
        Self {
            stack,
            round,
            begins: None,
            rest: most,
            deadline,
            seen: None,
        }
    }

    /// Begins another round, if none is under way and the last one began this long before `now`, in
    /// milliseconds. If it is too early for one, there are no tenants to look at.
    pub(super) fn begun(mut self, now: u64, every: u64) -> Self {
        if self.round.after.is_some() {
            return self;
        }
        if now.saturating_sub(self.round.began) < every {
            self.rest = 0;
            return self;
        }
        self.begins = Some(now);
        self
    }

    /// When the round before this one began, in milliseconds since the Unix epoch.
    pub(super) fn before(&self) -> u64 {
        match self.begins {
            Some(_) => self.round.began,
            None => self.round.before,
        }
    }

    /// The next tenants to look at; `None` if this sweep has looked at as many as it may, or at the last one.
    /// The tenants of a page count as looked at when the next page is asked for.
    ///
    /// # Errors
    /// `Unavailable`.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<TenantId>>> {
        if let Some(next) = self.seen.take() {
            if let Some(now) = self.begins.take() {
                self.round.before = self.round.began;
                self.round.began = now;
            }
            self.round.after = next;
            if self.round.after.is_none() {
                return Ok(None);
            }
        }
        if self.rest == 0 || Instant::now() >= self.deadline {
            return Ok(None);
        }
        let page = self
            .stack
            .tenant_list()
            .names(self.round.after.as_ref(), PAGE)
            .await?;
        for key in &page.unreadable {
            tracing::error!(
                key,
                "an item on the list of tenants cannot be read, and is passed over"
            );
        }
        self.rest = self.rest.saturating_sub(page.tenants.len());
        self.seen = Some(page.next);
        Ok(Some(page.tenants))
    }
}
