//! What a read has found, and the parts of it that a reader takes.

use std::collections::VecDeque;

use super::after::After;
use crate::feed::brake::Hold;
use crate::feed::event::{Event, EventBody};
use crate::feed::page::unpack;
use crate::feed::position::Position;
use crate::identity::TenantId;
use crate::protocol::error::Error;
use crate::store::FeedPage;

/// The most bytes of packed events that one read unpacks before it returns what it has; a page is at
/// most 300 KB. A reader that wants few of the events goes on from there.
const MAX_PACKED_BYTES: usize = 600_000;

/// How much a reader gets at once; reading stops at whichever is reached first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most events, at least one.
    pub events: usize,
    /// The most bytes of JSON text, unless a single event is longer.
    pub bytes: usize,
}

/// A part of a feed, with its events in the form that the reader has asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<E = Event> {
    /// The events, in order. None of them does not mean that there are no more.
    pub events: Vec<E>,
    /// The position before the first event that was looked at.
    pub from: After,
    /// Where to go on.
    pub next: After,
    /// How many events there are behind `next`, of whatever types.
    pub behind: u64,
    /// The number of the stack's last gap that the feed has reported; 0 for none.
    pub gap: u64,
    /// What the brake holds back, if it does. Those events are among the ones behind `next`.
    pub held: Option<Hold>,
}

/// How much of what was found is not taken yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// Some of it.
    Found,
    /// Nothing of it, but the feed has more.
    Unread,
    /// Only what the brake holds back.
    Held,
    /// Nothing: the feed had no more when it was read.
    None,
}

/// What a read has found in the table, before any of it is unpacked.
#[derive(Debug)]
pub struct Found {
    /// The pages from the reader's position on, each of which follows the one before it.
    pub(super) pages: VecDeque<FeedPage>,
    /// How many events of the first page come before the position.
    pub(super) skipped: u64,
    /// The events of the first page from the position on, once they are unpacked.
    pub(super) unpacked: VecDeque<Event>,
    /// The number of the newest event; 0 if there is none.
    pub(super) newest: u64,
    /// The number of the stack's last gap that the feed has reported.
    pub(super) gap: u64,
    /// What the brake holds back.
    pub(super) held: Option<Hold>,
    /// Where the reader is.
    pub(super) at: After,
}

impl Found {
    /// The length of what has to be unpacked, in bytes and before it is.
    #[must_use]
    pub fn packed_bytes(&self) -> usize {
        self.pages.iter().map(|page| page.events.len()).sum()
    }

    /// Forgets the events that were unpacked and not taken yet, which are unpacked again when they are wanted.
    /// Returns the length of what is left, in bytes.
    pub fn pack(&mut self) -> usize {
        self.unpacked = VecDeque::new();
        self.packed_bytes()
    }

    /// How much there is to take after the last part.
    #[must_use]
    pub fn rest(&self) -> Rest {
        let passed = self.passed();
        match self.held {
            _ if passed >= self.newest => Rest::None,
            Some(hold) if passed + 1 >= hold.from => Rest::Held,
            _ if self.pages.is_empty() => Rest::Unread,
            _ => Rest::Found,
        }
    }

    /// Takes the next events that the reader wants, as many as fit, and unpacks the pages that they are in.
    ///
    /// # Errors
    /// `Internal` for a page that this code did not write.
    pub fn part(
        &mut self,
        tenant: &TenantId,
        limits: Limits,
        wanted: impl Fn(&EventBody) -> bool,
    ) -> Result<Part, Error> {
        let with_length = |event: &Event| {
            let length = event.to_json().to_string().len();
            (event.clone(), length)
        };
        self.part_in(tenant, limits, wanted, with_length)
    }

    /// Takes the next events as [`part`](Self::part) does, as their JSON texts. `text` writes one.
    ///
    /// # Errors
    /// `Internal` for a page that this code did not write.
    pub fn texts(
        &mut self,
        tenant: &TenantId,
        limits: Limits,
        wanted: impl Fn(&EventBody) -> bool,
        text: impl Fn(&Event) -> String,
    ) -> Result<Part<String>, Error> {
        let with_length = |event: &Event| {
            let text = text(event);
            let length = text.len();
            (text, length)
        };
        self.part_in(tenant, limits, wanted, with_length)
    }

    /// Takes the next events in some form, each with its length in bytes.
    fn part_in<E>(
        &mut self,
        tenant: &TenantId,
        limits: Limits,
        wanted: impl Fn(&EventBody) -> bool,
        form: impl Fn(&Event) -> (E, usize),
    ) -> Result<Part<E>, Error> {
        let mut part = Part {
            events: Vec::new(),
            from: self.begin(),
            next: self.at.clone(),
            behind: 0,
            gap: self.gap,
            held: self.held,
        };
        let (mut bytes, mut packed) = (0, 0);
        'pages: while let Some(page) = self.pages.front() {
            if packed > MAX_PACKED_BYTES {
                break;
            }
            packed += page.events.len();
            let place = Position::within(page, 0);
            if self.unpacked.is_empty() {
                let events = unpack(tenant, page)?.into_iter();
                self.unpacked = events.skip(count(self.skipped)).collect();
            }
            while let Some(event) = self.unpacked.front() {
                let seq = event.seq;
                if self.held.is_some_and(|hold| seq >= hold.from) {
                    break 'pages;
                }
                if wanted(&event.body) {
                    let (event, length) = form(event);
                    let is_full =
                        part.events.len() >= limits.events || bytes + length > limits.bytes;
                    if is_full && !part.events.is_empty() {
                        break 'pages;
                    }
                    bytes += length;
                    part.events.push(event);
                }
                self.unpacked.pop_front();
                self.skipped = seq + 1 - place.page.first;
                self.at = After::Position(place.after(self.skipped));
            }
            self.pages.pop_front();
            self.skipped = 0;
        }
        part.next = self.at.clone();
        part.behind = self.newest.saturating_sub(self.passed());
        Ok(part)
    }

    /// The position before the next event.
    fn begin(&self) -> After {
        let first = self.pages.front();
        let begin = first.map(|page| After::Position(Position::within(page, self.skipped)));
        begin.unwrap_or_else(|| self.at.clone())
    }

    /// The number of the last event before the next one; 0 if there is none.
    fn passed(&self) -> u64 {
        match &self.at {
            After::Position(position) => position.next_seq().saturating_sub(1),
            After::Beginning | After::Now => 0,
        }
    }
}

/// A number of events of one page, which is never larger than a page.
fn count(events: u64) -> usize {
    usize::try_from(events).unwrap_or(usize::MAX)
}
