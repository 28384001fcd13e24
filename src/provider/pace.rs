//! How far one call of an examination goes, and where the next one goes on.
//!
//! An examination is a fixed order of *steps*, each of which goes through something page by page. A call that goes on
//! runs through the same order: it passes over the steps before its [`CheckPlace`], and begins in the middle of that
//! step. Steps have names and no numbers, because a step may disappear once an index is complete.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::protocol::error::Error;
use crate::store::StoreError;

/// The number of findings with a name after which a call ends, so that its answer has a bound.
const MAX_NAMED: usize = 1_000;

/// The largest number that is kept: more than any tenant has of anything, and far from the end of the numbers.
const MAX_KEPT: u64 = 1 << 52;

/// Where an examination goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckPlace {
    #[serde(rename = "s")]
    step: String,
    /// What the last page ended with; `None` at the beginning of the step.
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    #[serde(rename = "k")]
    kept: Kept,
}

/// What later pages have to know of those before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    /// The obstacles so far to complete what is being built.
    #[serde(rename = "o", default)]
    obstacles: usize,
    /// The sum of a type's counters before its resources were counted.
    #[serde(rename = "t", default)]
    pub(super) said: u64,
    /// The number of resources, or of seats, that were counted so far.
    #[serde(rename = "c", default)]
    pub(super) counted: u64,
    /// The shards of the seats before their users were counted.
    #[serde(rename = "f", default)]
    pub(super) shards: String,
}

/// A step that is done now, or goes on.
pub(super) struct Step {
    name: String,
    /// What the last page ended with; `None` at the beginning.
    pub(super) after: Option<String>,
}

/// What a call has found so far, in numbers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Found {
    /// What no repair can mend.
    pub(super) obstacles: usize,
    /// The findings that have a name.
    pub(super) named: usize,
}

/// Why an examination ends early.
#[derive(Debug)]
pub(super) enum Stop {
    /// The time of the call is over. The pace has the place where the next call goes on.
    Paused,
    /// It has failed.
    Failed(Error),
}

/// The pace of one call.
pub(super) struct Pace {
    /// When it pauses; `None` if it goes to the end.
    until: Option<Instant>,
    state: Mutex<State>,
}

struct State {
    /// The place to go on at, until its step is reached.
    resumed: Option<CheckPlace>,
    /// Where the call has paused.
    paused: Option<CheckPlace>,
    kept: Kept,
    /// The number of obstacles that the findings of this call had when the present unit began.
    mark: usize,
    /// Whether a page was done. Otherwise a pause would lead to the same place.
    has_moved: bool,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl CheckPlace {
    /// Whether a call may have paused there. A caller may have made the place up, and counting on from it must not
    /// overflow.
    #[must_use]
    pub fn is_possible(&self) -> bool {
        let Kept {
            obstacles,
            said,
            counted,
            ..
        } = &self.kept;
        let numbers = [*obstacles as u64, *said, *counted];
        self.after.as_deref() != Some("") && numbers.iter().all(|number| *number <= MAX_KEPT)
    }

    /// Whether indexes were still being built there.
    pub(super) fn is_of_build(&self) -> bool {
        self.step.starts_with(BUILD)
    }
}

/// What the names of steps begin with in which indexes are built, and of the others.
pub(super) const BUILD: &str = "build";
pub(super) const CHECK: &str = "check";

impl Pace {
    /// To the end without a pause.
    pub(super) fn whole() -> Self {
        Self::part(None, None)
    }

    /// From a place, or from the beginning, until a time.
    pub(super) fn part(until: Option<Instant>, place: Option<CheckPlace>) -> Self {
        let kept = place.as_ref().map(|place| place.kept.clone());
        Self {
            until,
            state: Mutex::new(State {
                resumed: place,
                paused: None,
                kept: kept.unwrap_or_default(),
                mark: 0,
                has_moved: false,
            }),
        }
    }

    /// Whether it may pause.
    pub(super) fn may_pause(&self) -> bool {
        self.until.is_some()
    }

    /// Begins a step, or goes on with it. `None` if a call before has done it.
    ///
    /// # Errors
    /// [`Stop::Paused`].
    pub(super) fn enter(&self, name: String, found: Found) -> Result<Option<Step>, Stop> {
        let is_here = |place: &mut CheckPlace| place.step == name;
        let resumed = self.state().resumed.take_if(is_here);
        if let Some(CheckPlace { after, .. }) = resumed {
            return Ok(Some(Step { name, after }));
        }
        if self.is_passing() {
            return Ok(None);
        }
        let step = Step { name, after: None };
        self.pause_if_over(&step, found)?;
        Ok(Some(step))
    }

    /// A page of a step is done: goes on behind it. False if it was the last one.
    ///
    /// # Errors
    /// [`Stop::Paused`].
    pub(super) fn turn(
        &self,
        step: &mut Step,
        next: Option<String>,
        found: Found,
    ) -> Result<bool, Stop> {
        self.state().has_moved = true;
        step.after = next;
        if step.after.is_none() {
            return Ok(false);
        }
        self.pause_if_over(step, found)?;
        Ok(true)
    }

    /// Whether the steps so far were done by calls before.
    pub(super) fn is_passing(&self) -> bool {
        self.state().resumed.is_some()
    }

    /// Begins the work on an index, or on all: it is complete if its steps meet no obstacles.
    pub(super) fn begin_unit(&self, found: Found) {
        let mut state = self.state();
        if state.resumed.is_none() {
            state.kept.obstacles = 0;
            state.mark = found.obstacles;
        }
    }

    /// Whether the steps of the unit have met no obstacles, and all of them are done.
    pub(super) fn is_unit_complete(&self, found: Found) -> bool {
        let state = self.state();
        state.resumed.is_none() && state.obstacles(found) == 0
    }

    /// What is kept for the steps that follow.
    pub(super) fn kept(&self) -> Kept {
        self.state().kept.clone()
    }

    /// Keeps something else.
    pub(super) fn keep(&self, change: impl FnOnce(&mut Kept)) {
        change(&mut self.state().kept);
    }

    /// Where it has paused, after [`Stop::Paused`].
    pub(super) fn paused(&self) -> Option<CheckPlace> {
        self.state().paused.take()
    }

    /// Fails if the place to go on at was never reached.
    pub(super) fn check_reached(&self) -> Result<(), Stop> {
        match self.is_passing() {
            false => Ok(()),
            true => Err(Stop::Failed(Error::invalid_value(
                "The tenant's types and indexes have changed since the part before; begin again without `cursor`",
            ))),
        }
    }

    fn pause_if_over(&self, step: &Step, found: Found) -> Result<(), Stop> {
        let Some(until) = self.until else {
            return Ok(());
        };
        let mut state = self.state();
        let is_over = Instant::now() >= until || found.named >= MAX_NAMED;
        if !is_over || !state.has_moved {
            return Ok(());
        }
        let kept = Kept {
            obstacles: state.obstacles(found),
            ..state.kept.clone()
        };
        state.paused = Some(CheckPlace {
            step: step.name.clone(),
            after: step.after.clone(),
            kept,
        });
        Err(Stop::Paused)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change of the state is one assignment, so a panic elsewhere leaves it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn obstacles(&self, found: Found) -> usize {
        self.kept.obstacles + found.obstacles.saturating_sub(self.mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over() -> Option<Instant> {
        Some(Instant::now())
    }

    fn enter(pace: &Pace, name: &str) -> Option<Step> {
        pace.enter(name.to_owned(), Found::default()).unwrap()
    }

    #[tokio::test]
    async fn a_call_goes_on_in_the_middle_of_the_step_in_which_the_one_before_has_paused() {
        let found = Found::default();
        let pace = Pace::part(over(), None);
        pace.begin_unit(found);
        let mut step = enter(&pace, "build/a").unwrap();
        let conflict = Found {
            obstacles: 1,
            named: 1,
        };
        let turned = pace.turn(&mut step, Some("7".to_owned()), conflict);
        assert!(matches!(turned, Err(Stop::Paused)));
        let place = pace.paused().unwrap();
        assert!(place.is_of_build());

        let found = Found::default();
        let pace = Pace::part(over(), Some(place));
        pace.begin_unit(found);
        assert!(enter(&pace, "build/earlier").is_none());
        assert!(!pace.is_unit_complete(found), "it was passed over");
        let mut step = enter(&pace, "build/a").unwrap();
        assert_eq!(step.after.as_deref(), Some("7"));
        assert!(!pace.turn(&mut step, None, found).unwrap());
        assert!(
            !pace.is_unit_complete(found),
            "the call before met an obstacle"
        );
        pace.begin_unit(found);
        assert!(pace.is_unit_complete(found));
        // A page was done, so the next step is for the next call.
        let next = pace.enter("check/b".to_owned(), found);
        assert!(matches!(next, Err(Stop::Paused)));
        let place = pace.paused().unwrap();
        assert_eq!((place.step.as_str(), place.after), ("check/b", None));
    }

    #[tokio::test]
    async fn a_call_does_one_page_however_little_time_it_has_and_none_without_an_end_pauses() {
        let found = Found::default();
        let pace = Pace::part(over(), None);
        assert!(enter(&pace, "check/a").is_some());
        assert!(enter(&pace, "check/b").is_some());
        let pace = Pace::whole();
        let mut step = enter(&pace, "check/a").unwrap();
        assert!(pace.turn(&mut step, Some("1".to_owned()), found).unwrap());
    }

    #[tokio::test]
    async fn a_step_that_is_gone_is_reported() {
        let first = Pace::part(over(), None);
        let mut step = enter(&first, "build/a").unwrap();
        let turned = first.turn(&mut step, Some("7".to_owned()), Found::default());
        assert!(turned.is_err());
        let pace = Pace::part(over(), first.paused());
        assert!(enter(&pace, "build/b").is_none());
        assert!(pace.check_reached().is_err());
    }
}
