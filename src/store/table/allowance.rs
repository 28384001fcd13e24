//! A limit on what counting may read, and how much of it is left.

/// The number of items that one read unit is assumed to read before a call has shown it: index
/// entries and member items are shorter than 1 KB, and a unit reads 4 KB.
const ITEMS_PER_UNIT: u64 = 4;

/// Limits on what counting may read; it stops at whichever is reached first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountLimit {
    /// The largest number of items that are counted.
    pub items: u64,
    /// The largest number of read units. The last call may exceed it by a few.
    pub read_units: u64,
}

impl CountLimit {
    /// No limit.
    pub const NONE: Self = Self {
        items: u64::MAX,
        read_units: u64::MAX,
    };
}

/// What is left of a limit while items are counted.
#[derive(Debug)]
pub(super) struct Allowance {
    items: u64,
    /// In thousandths of a read unit, like `spent`.
    left: u64,
    seen: u64,
    spent: u64,
}

impl Allowance {
    pub(super) fn new(limit: CountLimit) -> Self {
        Self {
            items: limit.items,
            left: limit.read_units.saturating_mul(1_000),
            seen: 0,
            spent: 0,
        }
    }

    /// The number of items that each of `calls` calls may read; `None` if the limit is reached.
    pub(super) fn share(&self, calls: usize) -> Option<usize> {
        let affordable = match self.spent {
            0 => self.left.saturating_mul(ITEMS_PER_UNIT) / 1_000,
            spent => self.left.saturating_mul(self.seen) / spent,
        };
        // One more than may be counted, which shows that there are more.
        let wanted = self.items.saturating_add(1).saturating_sub(self.seen);
        let calls = calls.max(1) as u64;
        let share = affordable.min(wanted.max(1)) / calls;
        let is_left = self.left > 0 && self.seen <= self.items;
        (is_left && share > 0).then(|| usize::try_from(share).unwrap_or(usize::MAX))
    }

    /// Subtracts what a call has read: the number of items, and their cost in thousandths of a read
    /// unit if the table reports it.
    pub(super) fn spend(&mut self, items: u64, milliunits: Option<u64>) {
        // If the table reports no capacity, the assumption about the items of a unit is used.
        let guess = || items.saturating_mul(1_000) / ITEMS_PER_UNIT;
        let units = milliunits.unwrap_or_else(guess);
        self.seen = self.seen.saturating_add(items);
        self.spent = self.spent.saturating_add(units);
        self.left = self.left.saturating_sub(units);
    }

    /// Whether more items were read than may be counted.
    pub(super) fn is_exceeded(&self) -> bool {
        self.seen > self.items
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_shared_among_calls() {
        let limit = |items, read_units| CountLimit { items, read_units };
        let share = |limit, calls| Allowance::new(limit).share(calls);
        assert_eq!(share(limit(u64::MAX, 1_000), 1), Some(4_000));
        assert_eq!(share(limit(u64::MAX, 1_000), 64), Some(62));
        assert_eq!(share(limit(20, 1_000), 1), Some(21));
        assert_eq!(share(limit(u64::MAX, 10), 64), None);
        assert!(share(CountLimit::NONE, 1).is_some());
    }

    #[test]
    fn later_calls_use_the_cost_that_earlier_calls_had() {
        let mut allowance = Allowance::new(CountLimit {
            items: 10_000,
            read_units: 100,
        });
        allowance.spend(400, Some(10_000));
        assert_eq!(allowance.share(1), Some(3_600));
        allowance.spend(3_600, Some(90_000));
        assert_eq!((allowance.share(1), allowance.is_exceeded()), (None, false));
    }

    #[test]
    fn the_limit_holds_without_reports_of_capacity() {
        let mut allowance = Allowance::new(CountLimit {
            items: u64::MAX,
            read_units: 100,
        });
        allowance.spend(400, None);
        assert_eq!(allowance.share(1), None);
        let mut few = Allowance::new(CountLimit {
            items: 3,
            read_units: 100,
        });
        few.spend(4, Some(500));
        assert!(few.is_exceeded() && few.share(1).is_none());
    }
}
