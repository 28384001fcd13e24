//! The part of a write of a user that is about its seat: a step of the transaction, and the mark on the user's
//! own item.

use super::shards::{self, SeatPlace, SeatState};
use super::{key, read, shard_of};
use crate::store::error::StoreError;
use crate::store::stored::{Stored, n, s, signed};
use crate::store::table::Table;
use crate::store::table::call::Backoff;
use crate::store::table::transaction::Transaction;
use crate::store::table::write::Update;

/// What a write does to the seat of a user. The number is that of the count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeatChange {
    /// Nothing, because no seats are counted, or because it is no user.
    Ignore,
    /// Nothing, but the mark must be the one that was read: a user may be counted at the same time.
    Keep,
    /// The user becomes active and takes a seat.
    Take(u64),
    /// The user becomes inactive, or is deleted, and gives its seat back.
    Give(u64),
}

/// The step of one write, over all its attempts.
#[derive(Debug)]
pub(in crate::store) struct SeatStep {
    change: SeatChange,
    shard: u64,
    /// Whether the user is not counted, because the count has ended or has another number.
    is_uncounted: bool,
    backoff: Backoff,
}

impl SeatStep {
    pub(in crate::store) fn new(change: SeatChange, id: &str) -> Self {
        Self {
            change,
            shard: shard_of(id),
            is_uncounted: false,
            backoff: Backoff::default(),
        }
    }

    /// Adds the step to the transaction, if there is one, with what its refusal means.
    pub(in crate::store) fn push<R>(
        &self,
        table: &Table,
        transaction: &mut Transaction<R>,
        refusal: R,
    ) {
        let (by, since, condition) = match self.change {
            _ if self.is_uncounted => return,
            SeatChange::Ignore | SeatChange::Keep => return,
            SeatChange::Take(since) => (
                -1,
                since,
                "since = :since AND (#state = :counting OR (#state = :within AND unused > :none))",
            ),
            SeatChange::Give(since) => (1, since, "since = :since"),
        };
        let mut update = Update::unnamed(key(table.keys(), self.shard));
        update
            .add("unused :by")
            .require(condition)
            .value(":by", signed(by))
            .value(":since", n(since));
        if by < 0 {
            update
                .name("#state", "state")
                .value(":counting", s(SeatState::Counting.word()))
                .value(":within", s(SeatState::Within.word()))
                .value(":none", n(0));
        }
        transaction.push(update, refusal);
    }

    /// The mark of the user after the write, given the mark before it.
    fn mark(&self, before: Option<u64>) -> Option<u64> {
        match self.change {
            SeatChange::Take(since) if !self.is_uncounted => Some(since),
            SeatChange::Give(_) => None,
            SeatChange::Ignore | SeatChange::Keep | SeatChange::Take(_) => before,
        }
    }

    /// Makes the change of the mark in `after`, the user as it will be after the write.
    pub(in crate::store) fn apply(&self, after: &mut Stored) {
        after.seat = self.mark(after.seat);
    }

    /// Adds the change of the mark to the update of the user's item, on the condition that the mark is the one
    /// that was read.
    pub(in crate::store) fn write(&self, update: &mut Update, before: &Stored) {
        if self.change == SeatChange::Ignore {
            return;
        }
        match before.seat {
            Some(mark) => update.require("seat = :mark").value(":mark", n(mark)),
            None => update.require("attribute_not_exists(seat)"),
        };
        let mark = self.mark(before.seat);
        if mark != before.seat {
            update.set_or_remove("seat", mark.map(n));
        }
    }

    /// Prepares the next attempt after the step was refused.
    ///
    /// # Errors
    /// `NoSeat` if no seat is left; `Unavailable` when other requests took the seats that were found until
    /// the deadline; `Backend`.
    pub(in crate::store) async fn refused(&mut self, table: &Table) -> Result<(), StoreError> {
        let SeatChange::Take(since) = self.change else {
            // The count that the seat belonged to has ended.
            self.is_uncounted = true;
            return Ok(());
        };
        let Some(found) = read(table).await? else {
            self.is_uncounted = true;
            return Ok(());
        };
        match found.place(since, self.shard, |count| fastrand::usize(..count)) {
            SeatPlace::Uncounted => self.is_uncounted = true,
            SeatPlace::None => return Err(StoreError::NoSeat { limit: found.limit }),
            SeatPlace::Shard(shard) => {
                // Another request may take the last seat of the shard in between. The wait lets requests that
                // came at once come apart.
                self.shard = shard;
                table.pause(&mut self.backoff).await?;
            }
            SeatPlace::Given => {
                // If another request was first, the next attempt finds what that one has made available.
                shards::replace(table, &found, &found.completed()).await?;
            }
        }
        Ok(())
    }
}
