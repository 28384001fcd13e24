//! The end of a feed as an append reads it, and what a process remembers of it.
//!
//! A record may come twice, so an append looks for its records among the events of the newest pages: back
//! to [`WINDOW_MILLIS`] before the oldest of the records. An earlier page cannot have one of them. A page
//! is never changed but for the values of its events, so a process need not read again what it has read or
//! put. It always reads the newest page, because another process may have put it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::position::mark_of;
use crate::identity::TenantId;
use crate::store::{FeedHead, FeedPage, PageKey, StoreError, TenantStore};

/// A page's time may be this much earlier than that of a record whose event it has, in milliseconds. The time of a page comes from
/// the clock of the process that put it, and the time of a record from DynamoDB: this is more than the two
/// are apart.
const WINDOW_MILLIS: u64 = 2 * 60 * 1000;

/// How many pages a process reads at once that remembers nothing of the feed. Most feeds have fewer in the
/// window.
const FIRST_PAGES: usize = 8;
/// How many pages are read at once further back; a call also reads no more than 1 MB.
const MORE_PAGES: usize = 200;

/// How many ids of events a process remembers, of all feeds together. An id takes some 33 bytes.
const MAX_REMEMBERED: usize = 500_000;

/// A page without its events, as a process remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PageSummary {
    pub(super) key: PageKey,
    pub(super) last: u64,
    pub(super) time: u64,
    pub(super) gap: u64,
    pub(super) expires: u64,
    pub(super) tally: String,
    pub(super) mark: String,
    /// The ids of its events, with blanks between them.
    ids: String,
    events: usize,
}

/// The end of a feed at one time.
#[derive(Debug, Clone)]
pub(super) struct FeedEnd {
    /// The head; `None` if there is no feed.
    pub(super) head: Option<FeedHead>,
    /// The newest page of the epoch; `None` if it has none.
    pub(super) newest: Option<Arc<PageSummary>>,
    /// Which of the ids that were asked for are those of events in the feed.
    pub(super) known: HashSet<String>,
}

/// The newest pages of a feed, each of which follows the one before it, the oldest first.
type Run = VecDeque<Arc<PageSummary>>;

/// The newest pages of some feeds.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<HashMap<TenantId, Run>>);

impl PageSummary {
    pub(super) fn of(page: &FeedPage) -> Self {
        Self {
            key: page.key.clone(),
            last: page.last,
            time: page.time,
            gap: page.gap,
            expires: page.expires,
            tally: page.tally.clone(),
            mark: mark_of(page),
            ids: page.ids.join(" "),
            events: page.ids.len(),
        }
    }

    /// Whether this page follows the other one.
    fn follows(&self, page: &Self) -> bool {
        self.key.epoch == page.key.epoch && self.key.first == page.last + 1
    }
}

impl Memory {
    /// Reads the end of a feed, and which of these ids of records are in it. `oldest` is the time of the
    /// oldest record among them, in milliseconds since the Unix epoch; `None` if there are no records.
    /// One call, if the process remembers the pages before the newest one, or has to look at no more than
    /// [`FIRST_PAGES`].
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub(super) async fn read(
        &self,
        tenant: &TenantId,
        store: &TenantStore,
        ids: &[&str],
        oldest: Option<u64>,
    ) -> Result<FeedEnd, StoreError> {
        let remembered = self.lock().get(tenant).cloned().unwrap_or_default();
        let first = match (oldest, remembered.is_empty()) {
            (Some(_), true) => FIRST_PAGES,
            (Some(_), false) | (None, _) => 1,
        };
        let (head, pages) = store.feed().tail(first).await?;
        let Some(head) = head else {
            return Ok(FeedEnd {
                head: None,
                newest: None,
                known: HashSet::new(),
            });
        };
        let bound = oldest.map_or(u64::MAX, |time| time.saturating_sub(WINDOW_MILLIS));
        let mut run = Run::new();
        for page in pages.iter().take_while(|page| page.key.epoch == head.epoch) {
            run.push_front(Arc::new(PageSummary::of(page)));
        }
        complete(store, &mut run, &remembered, bound).await?;
        let end = FeedEnd {
            newest: run.back().cloned(),
            known: known(&run, ids, bound),
            head: Some(head),
        };
        self.remember(tenant, run, bound);
        Ok(end)
    }

    /// Remembers a page that this process has put behind the newest one.
    pub(super) fn add(&self, tenant: &TenantId, page: &Arc<PageSummary>) {
        let mut runs = self.lock();
        let run = runs.entry(tenant.clone()).or_default();
        if run.back().is_some_and(|newest| !page.follows(newest)) {
            run.clear();
        }
        run.push_back(Arc::clone(page));
    }

    /// Remembers the pages that the records of the next batch may be in, which are seldom older than those
    /// of this one, and one page before them, by which the next append sees that it need not look further.
    fn remember(&self, tenant: &TenantId, mut run: Run, bound: u64) {
        while run.get(1).is_some_and(|page| page.time < bound) {
            run.pop_front();
        }
        let mut runs = self.lock();
        runs.insert(tenant.clone(), run);
        let pages = runs.values().flatten();
        if pages.map(|page| page.events).sum::<usize>() > MAX_REMEMBERED {
            runs.clear();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TenantId, Run>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts the pages before the oldest one of a run in front of it, until one is older than `bound`: those that
/// are remembered, otherwise those that the table has.
async fn complete(
    store: &TenantStore,
    run: &mut Run,
    remembered: &Run,
    bound: u64,
) -> Result<(), StoreError> {
    while let Some(oldest) = run.front().cloned() {
        if oldest.time < bound || oldest.key.first == 1 {
            return Ok(());
        }
        let before = remembered.iter().rposition(|page| oldest.follows(page));
        if let Some(before) = before {
            for page in remembered.iter().take(before + 1).rev() {
                run.push_front(Arc::clone(page));
            }
            continue;
        }
        let pages = store.feed().before(&oldest.key, MORE_PAGES).await?;
        let mut is_over = true;
        for page in pages
            .iter()
            .take_while(|page| page.key.epoch == oldest.key.epoch)
        {
            run.push_front(Arc::new(PageSummary::of(page)));
            is_over = false;
        }
        // Earlier pages have expired and are gone.
        if is_over {
            return Ok(());
        }
    }
    Ok(())
}

/// Which of these ids are those of events in the pages of a run that are not older than `bound`.
fn known(run: &Run, ids: &[&str], bound: u64) -> HashSet<String> {
    let wanted: HashSet<&str> = ids.iter().copied().collect();
    let pages = run.iter().filter(|page| page.time >= bound);
    let found = pages.flat_map(|page| page.ids.split(' '));
    found
        .filter(|id| wanted.contains(id))
        .map(str::to_owned)
        .collect()
}
