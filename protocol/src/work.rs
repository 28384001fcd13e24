//! How much a request may make the service compare and change, counted before it is done.
//!
//! A request that is small can ask for work that is not: operations times elements, terms of a filter
//! times values. Code that does such work says how much before it begins, in steps, and a request that
//! has used up its steps is refused. Steps are counted and not timed, so the same request ends in the
//! same place on every machine.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::Value;

use crate::error::{Error, Result};

/// The steps of one request. A step is about what it costs to compare two short texts.
pub const MAX_STEPS: u64 = 8_000_000;

/// The steps of changing, indexing or copying one element of a multi-valued attribute.
pub(crate) const ELEMENT: u64 = 16;

/// This many bytes of text that is compared, copied or measured are one more step.
const BYTES: usize = 64;

/// The steps that a request has left. Clones share them, as do the operations of a bulk request.
#[derive(Debug, Clone)]
pub struct Work(Arc<AtomicI64>);

impl Default for Work {
    fn default() -> Self {
        Self::of(MAX_STEPS)
    }
}

impl Work {
    /// Work of this many steps.
    #[must_use]
    pub fn of(steps: u64) -> Self {
        let steps = i64::try_from(steps).unwrap_or(i64::MAX);
        Self(Arc::new(AtomicI64::new(steps)))
    }

    /// Takes steps; tells whether there were that many left.
    pub fn takes(&self, steps: u64) -> bool {
        let steps = i64::try_from(steps).unwrap_or(i64::MAX);
        // Never below the smallest number, however many are taken from what is used up.
        let before = self.0.fetch_sub(steps, Ordering::Relaxed);
        if before < 0 {
            self.0.store(-1, Ordering::Relaxed);
        }
        before >= steps
    }

    /// Whether more steps were taken than there were.
    #[must_use]
    pub fn is_used_up(&self) -> bool {
        self.0.load(Ordering::Relaxed) < 0
    }

    /// The steps that are left.
    #[must_use]
    pub fn left(&self) -> u64 {
        u64::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Gives steps back, of work that is done again from its beginning.
    pub(crate) fn give_back(&self, steps: u64) {
        let steps = i64::try_from(steps).unwrap_or(i64::MAX);
        self.0.fetch_add(steps, Ordering::Relaxed);
    }
}

/// The steps of one computation, counted without sharing until it is over.
#[derive(Debug)]
pub(crate) struct Steps {
    limit: u64,
    taken: Cell<u64>,
}

impl Steps {
    /// As many as the request has left.
    pub(crate) fn of(work: &Work) -> Self {
        Self {
            limit: work.left(),
            taken: Cell::new(0),
        }
    }

    /// More than there can be.
    pub(crate) fn unlimited() -> Self {
        Self {
            limit: u64::MAX,
            taken: Cell::new(0),
        }
    }

    /// Takes steps; tells whether there were that many left.
    pub(crate) fn takes(&self, steps: u64) -> bool {
        let taken = self.taken.get().saturating_add(steps);
        self.taken.set(taken);
        taken <= self.limit
    }

    /// The steps that were taken.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.get()
    }
}

/// The steps that this many bytes of text add.
pub(crate) fn steps_of_bytes(bytes: usize) -> u64 {
    (bytes / BYTES) as u64
}

/// The steps of comparing a value: text beyond ASCII is folded character by character.
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

/// The error of a filter that would compare more than a request may.
///
/// # Errors
/// Always `TooMany`.
pub(crate) fn check_filtering(work: &Work) -> Result<()> {
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
        let work = Work::of(10);
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
    fn what_is_done_again_counts_once() {
        let work = Work::of(10);
        assert!(work.takes(10));
        work.give_back(10);
        assert!(work.takes(10));
    }
}
