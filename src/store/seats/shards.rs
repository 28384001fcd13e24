//! The shards of a tenant's seats, read together.

use super::{SHARDS, key, random_id, sort_key};
use crate::store::error::StoreError;
use crate::store::items::SeatItem;
use crate::store::stored::{self, n, s, signed};
use crate::store::table::Table;
use crate::store::table::transaction::Transaction;
use crate::store::table::write::Update;

/// Whether users that become active are counted only, taken, or refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeatState {
    /// Users from before the switch are not all counted. No user is refused.
    Counting,
    /// A user that becomes active takes a seat that is there.
    Within,
    /// More users are active than the limit allows. No other becomes active.
    Over,
}

/// All shards, as they were read together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeatShards {
    /// The number of the count: when it began, in milliseconds since the Unix epoch.
    pub since: u64,
    /// The largest number of active users.
    pub limit: u64,
    /// The state of all shards.
    pub state: SeatState,
    /// The unused seats of each shard.
    unused: Vec<i64>,
}

/// Where a user that becomes active gets its seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SeatPlace {
    /// Nowhere: it is not counted, because the count has another number.
    Uncounted,
    /// From this shard.
    Shard(u64),
    /// From no shard yet: seats were given back, and have to be made available first.
    Given,
    /// From no shard.
    None,
}

impl SeatState {
    /// The state as it is stored.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Counting => "counting",
            Self::Within => "within",
            Self::Over => "over",
        }
    }

    fn read(word: &str) -> Option<Self> {
        let states = [Self::Counting, Self::Within, Self::Over];
        states.into_iter().find(|state| state.word() == word)
    }
}

impl SeatShards {
    /// The shards of a new count.
    pub(super) fn new(since: u64, limit: u64, state: SeatState) -> Self {
        Self {
            since,
            limit,
            state,
            unused: spread(as_signed(limit)),
        }
    }

    /// The shards of these items; `None` if there are none.
    ///
    /// # Errors
    /// `Backend` for items that no version of this service can have written.
    pub(super) fn of(items: &[SeatItem]) -> Result<Option<Self>, StoreError> {
        let Some(first) = items.first() else {
            return Ok(None);
        };
        let state = SeatState::read(&first.state);
        Ok(Some(Self {
            since: first.since,
            limit: first.most,
            state: state.ok_or_else(|| stored::malformed("state"))?,
            unused: items.iter().map(|item| item.unused).collect(),
        }))
    }

    /// The number of users that are counted as active.
    #[must_use]
    pub fn taken(&self) -> u64 {
        u64::try_from(as_signed(self.limit) - self.sum()).unwrap_or(0)
    }

    /// The items of the shards.
    pub(super) fn items(&self) -> impl Iterator<Item = SeatItem> {
        (0..).zip(&self.unused).map(|(shard, unused)| SeatItem {
            sk: sort_key(shard),
            kind: SeatItem::KIND.to_owned(),
            since: self.since,
            most: self.limit,
            unused: *unused,
            state: self.state.word().to_owned(),
        })
    }

    /// The same with another limit.
    pub(super) fn with_limit(&self, limit: u64) -> Self {
        let unused = self.sum() + as_signed(limit) - as_signed(self.limit);
        match limit == self.limit {
            true => self.clone(),
            false => self.with(limit, unused, self.state == SeatState::Counting),
        }
    }

    /// The same after every user is counted.
    pub(super) fn completed(&self) -> Self {
        let is_settled =
            self.state == SeatState::Within && self.unused.iter().all(|unused| *unused >= 0);
        match is_settled {
            true => self.clone(),
            false => self.with(self.limit, self.sum(), false),
        }
    }

    /// A text that two reads have in common if nothing was changed between them, whichever processes have made them.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let Self {
            since,
            limit,
            state,
            unused,
        } = self;
        let unused: Vec<_> = unused.iter().map(i64::to_string).collect();
        format!("{since}/{limit}/{state:?}/{}", unused.join("."))
    }

    /// The same with another number of taken seats.
    pub(super) fn with_taken(&self, taken: u64) -> Self {
        let unused = as_signed(self.limit) - as_signed(taken);
        self.with(self.limit, unused, self.state == SeatState::Counting)
    }

    fn with(&self, limit: u64, unused: i64, is_counting: bool) -> Self {
        let state = match (is_counting, unused >= 0) {
            (true, _) => SeatState::Counting,
            (false, true) => SeatState::Within,
            (false, false) => SeatState::Over,
        };
        Self {
            since: self.since,
            limit,
            state,
            unused: spread(unused),
        }
    }

    /// Where a user that becomes active gets its seat. `own` is the shard of the user. From other shards that
    /// have seats, `pick` chooses one by the number of them.
    pub(super) fn place(
        &self,
        since: u64,
        own: u64,
        pick: impl FnOnce(usize) -> usize,
    ) -> SeatPlace {
        if self.since != since {
            return SeatPlace::Uncounted;
        }
        let has_seat: Vec<u64> = (0..)
            .zip(&self.unused)
            .filter_map(|(shard, unused)| (*unused > 0).then_some(shard))
            .collect();
        match self.state {
            SeatState::Counting => SeatPlace::Shard(own),
            SeatState::Within if has_seat.contains(&own) => SeatPlace::Shard(own),
            SeatState::Within if has_seat.is_empty() => SeatPlace::None,
            SeatState::Within => SeatPlace::Shard(has_seat[pick(has_seat.len())]),
            SeatState::Over if self.sum() > 0 => SeatPlace::Given,
            SeatState::Over => SeatPlace::None,
        }
    }

    fn sum(&self) -> i64 {
        self.unused.iter().sum()
    }
}

/// Replaces all shards in one transaction, on the condition that none has changed since they were read. False
/// if one has.
pub(super) async fn replace(
    table: &Table,
    read: &SeatShards,
    next: &SeatShards,
) -> Result<bool, StoreError> {
    let mut transaction = Transaction::default();
    for (shard, (before, after)) in (0..).zip(read.unused.iter().zip(&next.unused)) {
        let mut update = Update::unnamed(key(table.keys(), shard));
        update
            .set("unused = :unused, most = :most, #state = :state")
            .require("since = :since AND unused = :read AND most = :readmost AND #state = :was")
            .name("#state", "state")
            .value(":unused", signed(*after))
            .value(":most", n(next.limit))
            .value(":state", s(next.state.word()))
            .value(":since", n(read.since))
            .value(":read", signed(*before))
            .value(":readmost", n(read.limit))
            .value(":was", s(read.state.word()));
        transaction.push(update, ());
    }
    Ok(transaction.commit(table, &random_id()).await?.is_ok())
}

/// This number of seats, the same for each shard as far as that goes.
fn spread(seats: i64) -> Vec<i64> {
    let shards = as_signed(SHARDS);
    let (each, more) = (seats.div_euclid(shards), seats.rem_euclid(shards));
    (0..shards)
        .map(|shard| each + i64::from(shard < more))
        .collect()
}

fn as_signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shards(state: SeatState, limit: u64, unused: &[i64]) -> SeatShards {
        let mut all = vec![0; usize::try_from(SHARDS).unwrap()];
        all[..unused.len()].copy_from_slice(unused);
        SeatShards {
            since: 7,
            limit,
            state,
            unused: all,
        }
    }

    fn place(shards: &SeatShards, own: u64) -> SeatPlace {
        shards.place(7, own, |count| count - 1)
    }

    #[test]
    fn a_user_gets_its_seat_where_there_is_one() {
        let within = shards(SeatState::Within, 9, &[0, 2, 1]);
        assert_eq!(place(&within, 1), SeatPlace::Shard(1));
        assert_eq!(place(&within, 0), SeatPlace::Shard(2));
        let full = shards(SeatState::Within, 9, &[]);
        assert_eq!((place(&full, 0), full.taken()), (SeatPlace::None, 9));
        // A shard may have less than none while users are counted, and nobody is refused.
        let counting = shards(SeatState::Counting, 9, &[-12]);
        assert_eq!(
            (place(&counting, 0), counting.taken()),
            (SeatPlace::Shard(0), 21)
        );
        let over = shards(SeatState::Over, 9, &[-3, 2]);
        assert_eq!((place(&over, 1), over.taken()), (SeatPlace::None, 10));
        let given = shards(SeatState::Over, 9, &[-3, 4]);
        assert_eq!(place(&given, 1), SeatPlace::Given);
        assert_eq!(within.place(8, 1, |_| 0), SeatPlace::Uncounted);
    }

    #[test]
    fn a_lower_limit_leaves_users_and_a_higher_one_has_seats_again() {
        let within = shards(SeatState::Within, 20, &[4, 3]);
        let over = within.with_limit(10);
        assert_eq!((over.state, over.taken()), (SeatState::Over, 13));
        let again = over.with_limit(20);
        assert_eq!((again.state, again.taken()), (SeatState::Within, 13));
        // As many users as seats: nobody is too many.
        let full = within.with_limit(13);
        assert_eq!(
            (full.state, place(&full, 0)),
            (SeatState::Within, SeatPlace::None)
        );
        assert_eq!(within.with_limit(20), within);
    }

    #[test]
    fn a_count_that_is_complete_is_enforced() {
        let complete = shards(SeatState::Counting, 9, &[-1, 4]).completed();
        assert_eq!((complete.state, complete.taken()), (SeatState::Within, 6));
        assert!(complete.unused.iter().all(|unused| *unused >= 0));
        assert_eq!(complete.completed(), complete);
        let over = shards(SeatState::Counting, 9, &[-1]).completed();
        assert_eq!((over.state, over.taken()), (SeatState::Over, 10));
    }

    proptest! {
        #[test]
        fn seats_are_spread_without_a_loss(seats in -5_000_000_i64..5_000_000) {
            let all = spread(seats);
            prop_assert_eq!(all.iter().sum::<i64>(), seats);
            prop_assert_eq!(all.len() as u64, SHARDS);
            let (least, most) = (all.iter().min().unwrap(), all.iter().max().unwrap());
            prop_assert!(most - least <= 1);
        }
    }
}
