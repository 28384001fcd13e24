//! The page behind the newest one.

use super::brake::{BrakeRules, Tally};
use super::event::NewEvent;
use super::page;
use super::position::mark_of;
use super::tail::PageSummary;
use crate::protocol::error::Result;
use crate::protocol::profile::Switches;
use crate::store::{Epoch, FeedHead, FeedPage, PageKey, StreamGap};

/// The number of seconds in a day.
const DAY_SECONDS: u64 = 24 * 60 * 60;

/// What the next page of a feed begins with.
pub(super) struct NextPage {
    epoch: Epoch,
    /// Of the page before it: the number of its last event, its time, and when it expires.
    last: u64,
    time: u64,
    expires: u64,
    /// The mark of the page before it; `None` if the page is the first one of its epoch.
    before: Option<String>,
    /// The number of the last gap that the feed has reported with the next page.
    gap: u64,
    pub(super) tally: Tally,
    /// When the brake had tripped whose hold is released, in milliseconds since the Unix epoch.
    released: Option<u64>,
}

impl NextPage {
    /// The first page of the epoch that a feed has now.
    pub(super) fn first(head: &FeedHead) -> Self {
        Self {
            epoch: head.epoch.clone(),
            last: 0,
            time: 0,
            expires: 0,
            before: None,
            gap: 0,
            tally: Tally::default(),
            released: head.released,
        }
    }

    /// The page behind the newest one of a feed with this head.
    ///
    /// # Errors
    /// `Internal` for a page that this code did not write.
    pub(super) fn behind(newest: &PageSummary, head: &FeedHead) -> Result<Self> {
        Ok(Self {
            epoch: head.epoch.clone(),
            last: newest.last,
            time: newest.time,
            expires: newest.expires,
            before: Some(newest.mark.clone()),
            gap: newest.gap,
            tally: Tally::parse(&newest.tally)?,
            released: head.released,
        })
    }

    /// The same after the stack's last gap is reported. A process may know an earlier gap than the feed.
    pub(super) fn with_gap(self, gap: Option<StreamGap>) -> Self {
        let gap = gap.map_or(self.gap, |gap| gap.number.max(self.gap));
        Self { gap, ..self }
    }

    /// Makes the next page of the first events of `rest`, as many as fit, takes them off, and goes on behind
    /// it. `now` is in milliseconds since the Unix epoch.
    pub(super) fn take(
        &mut self,
        rest: &mut &[NewEvent],
        switches: &Switches,
        now: u64,
    ) -> Result<FeedPage> {
        let first = self.last + 1;
        let mut packed = page::pack_first(rest)?;
        let (events, after) = rest.split_at(packed.ids.len());
        let rules = BrakeRules::new(switches, now);
        let (tally, report) = self.tally.with_page(first, events, &rules, self.released);
        if let Some((place, report)) = report {
            let (before, behind) = events.split_at(place);
            packed = page::pack(before.iter().chain([&report]).chain(behind))?;
        }
        *rest = after;
        self.tally = tally;
        self.last += packed.ids.len() as u64;
        // Neither goes back, whatever the clock and the tenant's switches do: readers and appends rely on
        // the order.
        self.time = self.time.max(now);
        let days = u64::from(switches.event_days);
        self.expires = self.expires.max(self.time / 1000 + days * DAY_SECONDS);
        let page = FeedPage {
            key: PageKey {
                epoch: self.epoch.clone(),
                first,
            },
            last: self.last,
            time: self.time,
            ids: packed.ids,
            events: packed.events,
            gap: self.gap,
            tally: self.tally.to_text()?,
            expires: self.expires,
            before: self.before.take(),
            rewritten: 0,
        };
        self.before = Some(mark_of(&page));
        Ok(page)
    }
}
