//! How much a request may make the service compare and change, counted before the work is done.
//!
//! A small request can ask for a large amount of work: operations times elements, or terms of a filter
//! times values. Code that does such work takes the steps for it before it begins, and a request that
//! has no steps left is refused. Steps are counted, not timed, so the same request ends at the same
//! place on every machine.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::Value;

use crate::error::{Error, Result};

/// The number of steps that one request has. A step is about the cost of comparing two short texts.
pub const MAX_STEPS: u64 = 8_000_000;

/// The steps of changing, indexing or copying one element of a multi-valued attribute.
pub(crate) const ELEMENT: u64 = 16;

/// Each this many bytes of text that is compared, copied or measured take one more step.
const BYTES: usize = 64;

/// The steps that a request has left. Clones share one count, so the operations of a bulk request do.
#[derive(Debug, Clone)]
pub struct WorkBudget(Arc<AtomicI64>);

impl Default for WorkBudget {
    fn default() -> Self {
        Self::of(MAX_STEPS)
    }
}

impl WorkBudget {
    /// A request that has this many steps.
    #[must_use]
    pub fn of(steps: u64) -> Self {
        let steps = i64::try_from(steps).unwrap_or(i64::MAX);
        Self(Arc::new(AtomicI64::new(steps)))
    }

    /// Takes steps; returns whether that many were left.
    pub(crate) fn takes(&self, steps: u64) -> bool {
        let steps = i64::try_from(steps).unwrap_or(i64::MAX);
        // Saturated, so that the count never wraps around, however much a refused request still takes.
        let before = self.0.fetch_sub(steps, Ordering::Relaxed);
        if before < 0 {
            self.0.store(-1, Ordering::Relaxed);
        }
        before >= steps
    }

    /// Whether the request asked for more steps than it had.
    #[must_use]
    pub fn is_used_up(&self) -> bool {
        self.0.load(Ordering::Relaxed) < 0
    }

    /// The steps that are left.
    #[must_use]
    pub fn left(&self) -> u64 {
        u64::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Gives steps back, for work that is done again from its beginning.
    pub(crate) fn give_back(&self, steps: u64) {
        let steps = i64::try_from(steps).unwrap_or(i64::MAX);
        self.0.fetch_add(steps, Ordering::Relaxed);
    }
}

/// The steps of one computation. They are counted without sharing until the computation is over.
#[derive(Debug)]
pub(crate) struct Steps {
    limit: u64,
    taken: Cell<u64>,
}

impl Steps {
    /// The steps that the request has left.
    pub(crate) fn of(work: &WorkBudget) -> Self {
        Self {
            limit: work.left(),
            taken: Cell::new(0),
        }
    }

    /// An unlimited number of steps.
    pub(crate) fn unlimited() -> Self {
        Self {
            limit: u64::MAX,
            taken: Cell::new(0),
        }
    }

    /// Takes steps; returns whether that many were left.
    pub(crate) fn takes(&self, steps: u64) -> bool {
        let taken = self.taken.get().saturating_add(steps);
        self.taken.set(taken);
        taken <= self.limit
    }

    /// The number of steps taken so far.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.get()
    }
}

/// The steps that this many bytes of text add.
pub(crate) fn steps_of_bytes(bytes: usize) -> u64 {
    (bytes / BYTES) as u64
}

/// The steps of comparing a value. Text beyond ASCII takes more, because each character is folded.
pub(crate) fn steps_to_compare(value: Option<&Value>) -> u64 {
    match value.and_then(Value::as_str) {
        Some(text) if text.is_ascii() => 1 + steps_of_bytes(text.len()),
        Some(text) => 1 + text.len() as u64,
        None => 1,
    }
}

/// The error of a request whose changes would take more steps than it has.
pub(crate) fn too_much() -> Error {
    Error::payload_too_large(
        "The operations of the request look at too many elements in all (operations times elements \
         of the attributes that they change); send them in several requests",
    )
}

/// Refuses a filter that has compared more than a request may.
///
/// # Errors
/// Always `TooMany`.
pub(crate) fn check_filtering(work: &WorkBudget) -> Result<()> {
    if !work.is_used_up() {
        return Ok(());
    }
    Err(Error::too_many(
        "The filter compares too many values (its expressions times the values of the resources that \
         are looked at); use fewer expressions, or narrow the resources by an attribute with an index",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_taken_until_there_are_no_more() {
        let work = WorkBudget::of(10);
        assert!(work.takes(10));
        assert!(!work.is_used_up());
        assert!(!work.clone().takes(1));
        assert!(work.is_used_up());
        assert_eq!(work.left(), 0);
        assert!(!work.takes(u64::MAX));
        assert!(!work.takes(u64::MAX));
        assert!(work.is_used_up());
        assert_eq!(check_filtering(&work).unwrap_err().status(), 400);
    }

    #[test]
    fn repeated_work_counts_once() {
        let work = WorkBudget::of(10);
        assert!(work.takes(10));
        work.give_back(10);
        assert!(work.takes(10));
    }
}
