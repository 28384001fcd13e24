//! How much of a tenant's budget of requests has been taken in each period, by all processes together.

use super::error::StoreError;
use super::items::RequestPeriodItem;
use super::stored::{n, s};
use super::table::Table;
use super::table::write::Update;

/// How long the item of a period is kept after the period, in seconds. Clocks of processes differ by much
/// less.
const KEPT_SECONDS: u64 = 3_600;

/// The length of a period, in milliseconds. Periods begin at multiples of it since the Unix epoch.
pub const PERIOD_MILLIS: u64 = 10_000;

/// The number of parts that the budget of a period has.
pub const PERIOD_PARTS: u64 = 10;

/// The budgets of requests of one tenant.
#[derive(Clone, Copy)]
pub struct RequestPeriods<'t> {
    table: &'t Table,
}

impl<'t> RequestPeriods<'t> {
    pub(super) fn new(table: &'t Table) -> Self {
        Self { table }
    }

    /// The time, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn now(self) -> u64 {
        self.table.now_millis()
    }

    /// Takes one part of the budget of the period with this number. False if all parts are taken. One call,
    /// one write unit.
    ///
    /// A call that is repeated because its answer was lost may take two parts. The tenant then has a part
    /// less in this period.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn take_part(self, period: u64) -> Result<bool, StoreError> {
        let key = self.table.keys().request_periods();
        let mut update = Update::unnamed(key.key(format!("{period:012}")));
        let ends = (period + 1) * PERIOD_MILLIS / 1_000;
        update
            .set("#kind = :kind, expires = :expires")
            .add("parts :one")
            .require("(attribute_not_exists(parts) OR parts < :most)")
            .name("#kind", "kind")
            .value(":kind", s(RequestPeriodItem::KIND))
            .value(":expires", n(ends + KEPT_SECONDS))
            .value(":one", n(1))
            .value(":most", n(PERIOD_PARTS));
        update.send_if(self.table).await
    }
}
