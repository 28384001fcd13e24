//! Limits how many requests of one tenant are answered in a time, by all processes together.
//!
//! Time is divided into periods of ten seconds, in each of which a tenant has a budget: ten times its
//! `requestsPerSecond`. A process answers the first [`FREE`] requests of a tenant in a period without asking,
//! so a tenant with an ordinary load costs nothing. For more it takes a tenth of the budget at a time from
//! the table, until all tenths are taken. So in one period all processes together answer at most the budget
//! and [`FREE`] requests for each process.
//!
//! If the table does not answer soon, the process goes on without it: it counts the whole budget as its own
//! and asks no more in this period. A table that is slow or throttles would otherwise stop tenants that are
//! far below their limits, and their requests meet the same table anyway.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::identity::TenantId;
use crate::protocol::{Error, Result};
use crate::store::{PERIOD_MILLIS, PERIOD_PARTS, StoreError, TenantStore};

/// The number of requests of one tenant that a process answers in a period without asking the table.
const FREE: u64 = 10;
/// How long a process waits for a part of the budget. DynamoDB answers such a call within 20 milliseconds
/// nearly always.
const LONGEST_ASK: Duration = Duration::from_millis(200);

/// The requests of all tenants in the present period.
#[derive(Default)]
pub struct RequestRates {
    /// How long a request beyond the budget waits for the next period.
    longest_wait: Duration,
    counted: Mutex<Counted>,
}

/// The counts of one period. With the next period all of them are dropped, so tenants that send nothing
/// take no memory.
#[derive(Default)]
struct Counted {
    period: u64,
    tenants: HashMap<TenantId, Arc<TenantCount>>,
}

#[derive(Default)]
struct TenantCount {
    count: Mutex<Count>,
    /// Held while a part is taken, so that requests that come meanwhile do not take one each.
    asking: tokio::sync::Mutex<()>,
}

/// The requests of one tenant in one period, as one process counts them.
#[derive(Debug, PartialEq, Eq)]
struct Count {
    /// The number of requests that can be answered before the process asks the table.
    left: u64,
    /// The number of requests that it has been given beyond the free ones.
    given: u64,
    /// Whether asking the table may give more.
    may_ask: bool,
}

/// What is to be done about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Answer,
    Ask,
    Refuse,
}

impl Default for Count {
    fn default() -> Self {
        Self {
            left: FREE,
            given: 0,
            may_ask: true,
        }
    }
}

impl Count {
    /// Counts a request, if it can be answered.
    fn next(&mut self) -> Next {
        match (self.left, self.may_ask) {
            (0, true) => Next::Ask,
            (0, false) => Next::Refuse,
            _ => {
                self.left -= 1;
                Next::Answer
            }
        }
    }

    /// The process has taken a part of the budget.
    fn give(&mut self, requests: u64) {
        self.left += requests;
        self.given += requests;
    }

    /// All parts of the budget are taken.
    fn end(&mut self) {
        self.may_ask = false;
    }

    /// The table has not answered: what is left of the whole budget is the process's own.
    fn go_alone(&mut self, budget: u64) {
        self.give(budget.saturating_sub(self.given));
        self.may_ask = false;
    }
}

impl RequestRates {
    /// Lets a request beyond the budget wait up to this time for the next period. On Lambda it must not:
    /// a request that waits keeps an environment busy.
    pub fn wait_up_to(&mut self, longest_wait: Duration) {
        self.longest_wait = longest_wait;
    }

    /// Counts a request of a tenant that may send `per_second` requests a second, 0 for any number.
    ///
    /// # Errors
    /// `TooManyRequests` with the limit and the time to the next period.
    pub(super) async fn admit(
        &self,
        tenant: &TenantId,
        store: &TenantStore,
        per_second: u32,
    ) -> Result<()> {
        if per_second == 0 {
            return Ok(());
        }
        let Err(left_millis) = self.count(tenant, store, per_second).await else {
            return Ok(());
        };
        let left = Duration::from_millis(left_millis);
        if left > self.longest_wait {
            return Err(refusal(per_second, left_millis));
        }
        sleep(left).await;
        let counted = self.count(tenant, store, per_second).await;
        counted.map_err(|left_millis| refusal(per_second, left_millis))
    }

    /// Counts a request in the present period, or returns how many milliseconds of the period are left.
    async fn count(
        &self,
        tenant: &TenantId,
        store: &TenantStore,
        per_second: u32,
    ) -> Result<(), u64> {
        let now = store.request_periods().now();
        let (period, tenant) = self.of(tenant, now / PERIOD_MILLIS);
        let over = || PERIOD_MILLIS - now % PERIOD_MILLIS;
        match lock(&tenant.count).next() {
            Next::Answer => return Ok(()),
            Next::Refuse => return Err(over()),
            Next::Ask => {}
        }
        let _asking = tenant.asking.lock().await;
        // Each round takes a part, or finds out that this process gets no more. So rounds end.
        loop {
            // Another request may have taken a part while this one waited for the lock.
            match lock(&tenant.count).next() {
                Next::Answer => return Ok(()),
                Next::Refuse => return Err(over()),
                Next::Ask => {}
            }
            let asked = timeout(LONGEST_ASK, store.request_periods().take_part(period)).await;
            let mut count = lock(&tenant.count);
            match asked {
                Ok(Ok(true)) => count.give(per_second.into()),
                Ok(Ok(false)) => count.end(),
                failed => {
                    note_failure(failed.ok().and_then(Result::err));
                    count.go_alone(u64::from(per_second) * PERIOD_PARTS);
                }
            }
        }
    }

    /// The period in which a request at this period is counted, and the count of its tenant.
    fn of(&self, tenant: &TenantId, period: u64) -> (u64, Arc<TenantCount>) {
        let mut counted = lock(&self.counted);
        // A request may have read the clock just before another one that has begun the next period. It is
        // counted there. If the clock was set back further, its periods count.
        if period > counted.period || period + 1 < counted.period {
            *counted = Counted {
                period,
                tenants: HashMap::new(),
            };
        }
        let period = counted.period;
        if let Some(count) = counted.tenants.get(tenant) {
            return (period, Arc::clone(count));
        }
        let count = Arc::<TenantCount>::default();
        counted.tenants.insert(tenant.clone(), Arc::clone(&count));
        (period, count)
    }
}

fn refusal(per_second: u32, left_millis: u64) -> Error {
    let seconds = left_millis.div_ceil(1_000);
    Error::too_many_requests(format!(
        "This tenant may send {per_second} requests a second, counted over ten seconds, and has sent more; \
         send this one again in {seconds} s"
    ))
    .retrying_after(seconds)
}

/// Logs why a part could not be taken. The request goes on.
fn note_failure(error: Option<StoreError>) {
    let cause = error.map_or_else(
        || "no answer in time".to_owned(),
        |error| Error::from(error).causes(),
    );
    tracing::warn!(cause, "requests of a tenant are counted without the table");
}

/// A poisoned lock can be used: every statement under it leaves the counts complete.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_requests_are_free_and_each_part_has_as_many_as_a_second() {
        let mut count = Count::default();
        for _ in 0..FREE {
            assert_eq!(count.next(), Next::Answer);
        }
        assert_eq!(count.next(), Next::Ask);
        count.give(2);
        assert_eq!(
            [count.next(), count.next(), count.next()],
            [Next::Answer, Next::Answer, Next::Ask]
        );
        count.end();
        assert_eq!(count.next(), Next::Refuse);
        assert_eq!(count.next(), Next::Refuse);
    }

    #[test]
    fn a_process_without_the_table_answers_no_more_than_the_budget() {
        let mut count = Count::default();
        while count.next() == Next::Answer {}
        count.give(5);
        count.go_alone(50);
        let answered =
            std::iter::repeat_with(|| count.next()).take_while(|next| *next == Next::Answer);
        assert_eq!(answered.count(), 50);
        assert_eq!(count.next(), Next::Refuse);
    }

    /// What the table does when a process asks it.
    #[derive(Debug, Clone, Copy)]
    enum Table {
        Answers,
        Hangs,
    }

    proptest! {
        /// Any number of processes in one period, each with any load, on a table that may hang.
        #[test]
        fn all_processes_together_answer_the_budget_and_the_free_requests(
            per_second in 1_u64..60,
            loads in prop::collection::vec(0_usize..900, 1..6),
            turns in prop::collection::vec(any::<prop::sample::Index>(), 1..40),
            hangs in prop::collection::vec(prop::bool::weighted(0.1), 60),
        ) {
            let budget = per_second * PERIOD_PARTS;
            let mut processes: Vec<_> = loads.iter().map(|load| (Count::default(), *load)).collect();
            let (mut parts, mut asks, mut alone, mut answered) = (0, 0, 0_u64, 0_u64);
            let mut refused = false;
            for turn in turns.iter().cycle() {
                processes.retain(|(_, load)| *load > 0);
                let Some((count, load)) = (!processes.is_empty()).then(|| {
                    let place = turn.index(processes.len());
                    &mut processes[place]
                }) else { break };
                match count.next() {
                    Next::Answer => { answered += 1; *load -= 1; }
                    Next::Refuse => { refused = true; *load -= 1; }
                    Next::Ask => {
                        let table = if hangs.get(asks).copied().unwrap_or(false) { Table::Hangs } else { Table::Answers };
                        asks += 1;
                        match table {
                            Table::Hangs => { alone += 1; count.go_alone(budget); }
                            Table::Answers if parts < PERIOD_PARTS => { parts += 1; count.give(per_second); }
                            Table::Answers => count.end(),
                        }
                    }
                }
            }
            let most = FREE * loads.len() as u64 + budget * (1 + alone);
            prop_assert!(answered <= most);
            // Nothing is refused while a part of the budget is left, or all of it is with processes.
            prop_assert!(!refused || alone > 0 || parts == PERIOD_PARTS);
            // Each process asks once for each part, and once more.
            prop_assert!(asks as u64 <= PERIOD_PARTS + loads.len() as u64);
        }
    }
}
