//! The progress of a bulk request: created ids, results so far, and whether further operations
//! begin.

use std::collections::HashMap;

use super::operation::{Effect, subject_of};
use super::{Done, OperationSubject, Performed, RequestScope};
use crate::protocol::bulk::{self, BulkOperation, BulkPlan, OperationLabel};
use crate::protocol::error::{Error, Result};
use crate::protocol::version::Version;

/// A step that begins.
pub(super) struct Begun {
    /// What to perform, or why it cannot be performed.
    pub(super) operation: Result<BulkOperation>,
    /// The new resource to delete if the step fails.
    pub(super) made: Option<OperationSubject>,
}

/// A step of the plan.
struct PlannedStep {
    entry: usize,
    completes: bool,
    /// `None` once the step has begun.
    operation: Option<Result<BulkOperation>>,
    has_ended: bool,
}

/// The state of one operation of the request.
#[derive(Default)]
struct OperationState {
    has_begun: bool,
    /// The resource that it has created.
    made: Option<OperationSubject>,
    /// The resource of the operation.
    subject: Option<OperationSubject>,
    version: Option<Version>,
    outcome: Option<Result<Done>>,
}

pub(super) struct Progress<'s> {
    scope: &'s RequestScope,
    /// By position in the request.
    operations: Vec<(OperationLabel, OperationState)>,
    steps: Vec<PlannedStep>,
    /// The ids of created resources, by the client's `bulkId`.
    ids: HashMap<String, String>,
    errors_left: Option<u32>,
    is_out_of_time: bool,
}

impl<'s> Progress<'s> {
    pub(super) fn new(scope: &'s RequestScope, plan: BulkPlan) -> Self {
        let labels = plan.labels.into_iter();
        let steps = plan.steps.into_iter().map(|step| PlannedStep {
            entry: step.entry,
            completes: step.completes,
            operation: Some(step.operation),
            has_ended: false,
        });
        Self {
            scope,
            operations: labels
                .map(|label| (label, OperationState::default()))
                .collect(),
            steps: steps.collect(),
            ids: HashMap::new(),
            errors_left: plan.fail_on_errors,
            is_out_of_time: false,
        }
    }

    /// From now on no step begins, except steps that complete resources which are created already.
    pub(super) fn run_out_of_time(&mut self) {
        self.is_out_of_time = true;
    }

    fn has_too_many_errors(&self) -> bool {
        self.errors_left == Some(0)
    }

    /// Begins a step whose predecessors have ended. `None` if the step must not begin any more.
    pub(super) fn begin(&mut self, step: usize) -> Option<Begun> {
        let is_over = self.is_out_of_time || self.has_too_many_errors();
        let step = self.steps.get_mut(step)?;
        let (_, state) = self.operations.get_mut(step.entry)?;
        let made = state.made.clone().filter(|_| step.completes);
        let goes_on = if step.completes {
            made.is_some()
        } else {
            !is_over
        };
        let Some(operation) = step.operation.take().filter(|_| goes_on) else {
            step.has_ended = true;
            return None;
        };
        state.has_begun = true;
        let (ids, registry) = (&self.ids, &self.scope.tenant.registry);
        let mut subject = None;
        let operation = operation.and_then(|mut operation| {
            let resolved = bulk::resolve(&mut operation, registry, &|name| ids.get(name).cloned());
            subject = subject_of(self.scope, &operation);
            resolved.map(|()| operation)
        });
        if !step.completes {
            state.subject = subject;
        }
        Some(Begun { operation, made })
    }

    /// Records the result of a step.
    pub(super) fn end(&mut self, step: usize, result: Result<Effect>) {
        let Some(step) = self.steps.get_mut(step) else {
            return;
        };
        step.has_ended = true;
        let Some((label, state)) = self.operations.get_mut(step.entry) else {
            return;
        };
        match result {
            Ok(effect) if step.completes => {
                // A step that completes a resource may also change another resource, such as a
                // group.
                if state.subject.as_ref() == Some(&effect.subject) {
                    state.version = effect.version;
                }
            }
            Ok(effect) => {
                let made = (effect.done == Done::Created).then(|| effect.subject.clone());
                if let (Some(made), Some(name)) = (&made, &label.bulk_id) {
                    self.ids.insert(name.clone(), made.id.clone());
                }
                *state = OperationState {
                    has_begun: true,
                    made,
                    subject: Some(effect.subject),
                    version: effect.version,
                    outcome: Some(Ok(effect.done)),
                };
            }
            Err(error) => {
                if state.made.is_some()
                    && let Some(name) = &label.bulk_id
                {
                    self.ids.remove(name);
                }
                *state = OperationState {
                    has_begun: true,
                    subject: state.subject.take(),
                    outcome: Some(Err(error)),
                    ..OperationState::default()
                };
                let left = self.errors_left.as_mut();
                left.into_iter()
                    .for_each(|left| *left = left.saturating_sub(1));
            }
        }
    }

    /// The results in the order of the request. An operation that was not tried because of
    /// `failOnErrors` has no result. One that did not begin or end in time has an error as its
    /// result.
    pub(super) fn into_results(self) -> Vec<Performed> {
        let lists_all = !self.has_too_many_errors();
        let unfinished: Vec<usize> = self
            .steps
            .iter()
            .filter(|step| !step.has_ended)
            .map(|step| step.entry)
            .collect();
        let operations = self.operations.into_iter().enumerate();
        let results = operations.filter_map(|(entry, (label, state))| {
            let outcome = match state.outcome {
                Some(_) if unfinished.contains(&entry) => Err(unfinished_in_time()),
                Some(outcome) => outcome,
                None if state.has_begun => Err(unfinished_in_time()),
                None if lists_all => Err(not_begun_in_time()),
                None => return None,
            };
            Some(Performed {
                label,
                subject: state.subject,
                version: state.version.filter(|_| outcome.is_ok()),
                outcome,
            })
        });
        results.collect()
    }
}

fn not_begun_in_time() -> Error {
    Error::unavailable(
        "Ran out of time before this operation started. Nothing was changed; send it again",
    )
}

fn unfinished_in_time() -> Error {
    Error::unavailable(
        "The operation did not end in time; read the resource to see whether it was carried out",
    )
}
