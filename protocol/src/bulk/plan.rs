//! The order of a bulk request's operations: which waits for which, and how circular references are
//! cut (RFC 7644 §3.7.1).
//!
//! An operation waits for those that create the resources it refers to, before or after it in the
//! request, and for earlier ones that touch the same resources and values. All others may run at the
//! same time. Where POSTs refer to each other in a circle, one resource is created without the
//! reference, and a PATCH adds the reference once the other resource exists.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::claim::{UniqueEffect, claims};
use super::reference::{NameFinder, references};
use super::{BulkOperation, BulkRequest, Method, OperationLabel, OperationTarget};
use crate::error::Result;
use crate::profile::Switches;
use crate::schema::Registry;
use crate::urn;

/// The steps of a bulk request, and their order.
#[derive(Debug)]
pub struct BulkPlan {
    /// The number of errors after which to stop.
    pub fail_on_errors: Option<u32>,
    /// The parts of the operations that the results repeat, by position in the request.
    pub labels: Vec<OperationLabel>,
    /// The steps. Each comes after all steps that it waits for.
    pub steps: Vec<BulkStep>,
}

/// One step: an operation of the request, or a part of one.
#[derive(Debug)]
pub struct BulkStep {
    /// The position of that operation in the request.
    pub entry: usize,
    /// The operation to carry out once its references are [resolved](super::resolve). An error is the
    /// result of an operation that could not be read.
    pub operation: Result<BulkOperation>,
    /// The steps that must have ended before, with success or not. With `failOnErrors` that is always
    /// the step before, because nothing may happen after the last allowed error.
    pub after: Vec<usize>,
    /// Whether this step completes the resource that the first step of its operation has created. If
    /// it fails, its error is the operation's result.
    pub completes: bool,
}

/// Finds an order for the operations of a request.
#[must_use]
pub fn plan(request: BulkRequest, registry: &Registry, switches: &Switches) -> BulkPlan {
    let mut labels = Vec::with_capacity(request.entries.len());
    let mut operations = Vec::with_capacity(request.entries.len());
    let mut completions = HashMap::new();
    for (position, entry) in request.entries.into_iter().enumerate() {
        labels.push(entry.label);
        operations.push(entry.operation);
        completions.insert(position, entry.completions);
    }
    let mut planned: Vec<_> = operations
        .into_iter()
        .map(|operation| LinkedOperation::new(operation, registry))
        .collect();
    let order = ReferenceOrder::of(&planned);
    let mut steps = Scheduler::new(registry, switches, request.fail_on_errors.is_some());
    steps.take(&mut planned, completions, &order);
    BulkPlan {
        fail_on_errors: request.fail_on_errors,
        labels,
        steps: steps.steps,
    }
}

/// An operation with the names that it refers to, so that they are searched for once.
struct LinkedOperation {
    /// `None` once it has become a step.
    operation: Option<Result<BulkOperation>>,
    names: Vec<String>,
}

impl LinkedOperation {
    fn new(mut operation: Result<BulkOperation>, registry: &Registry) -> Self {
        let names = operation.as_mut().map(|it| references(it, registry));
        Self {
            names: names.unwrap_or_default(),
            operation: Some(operation),
        }
    }

    fn made_name(&self) -> Option<&str> {
        self.operation.as_ref()?.as_ref().ok()?.made_name()
    }
}

/// An operation that completes a resource. It waits until everything that it refers to is created.
struct Completion {
    entry: usize,
    planned: LinkedOperation,
    /// The number of its names that no step creates so far.
    missing: usize,
}

/// The operations in an order in which references lead back, except for those that close a circle.
struct ReferenceOrder {
    /// The operations, as positions in the request.
    entries: Vec<usize>,
    /// For an operation, the operations that it refers to and that come later.
    later: HashMap<usize, Vec<usize>>,
}

impl ReferenceOrder {
    /// Visits the operations in the order of the request, and before each the operations that it
    /// refers to.
    fn of(operations: &[LinkedOperation]) -> Self {
        let makers = makers(operations);
        let references: Vec<Vec<usize>> = operations
            .iter()
            .map(|planned| {
                let names = planned.names.iter();
                names
                    .filter_map(|name| makers.get(&**name).copied())
                    .collect()
            })
            .collect();
        let mut order = Self {
            entries: Vec::with_capacity(operations.len()),
            later: HashMap::new(),
        };
        let mut state = vec![VisitState::New; operations.len()];
        for root in 0..operations.len() {
            order.visit(root, &references, &mut state);
        }
        order
    }

    /// The names of later operations that an operation refers to.
    fn names_to_cut(&self, operations: &[LinkedOperation], entry: usize) -> HashSet<String> {
        let later = self.later.get(&entry).into_iter().flatten();
        // A resource may also refer to itself.
        let names = later.filter_map(|target| operations.get(*target)?.made_name());
        names.map(str::to_owned).collect()
    }

    /// Visits an operation after those that it refers to. It keeps a stack of its own, because the
    /// references of a request may form one long chain.
    fn visit(&mut self, root: usize, references: &[Vec<usize>], state: &mut [VisitState]) {
        if state[root] != VisitState::New {
            return;
        }
        state[root] = VisitState::Open;
        let mut stack = vec![(root, 0)];
        while let Some((entry, next)) = stack.pop() {
            let Some(&target) = references[entry].get(next) else {
                state[entry] = VisitState::Done;
                self.entries.push(entry);
                continue;
            };
            stack.push((entry, next + 1));
            match state[target] {
                VisitState::New => {
                    state[target] = VisitState::Open;
                    stack.push((target, 0));
                }
                VisitState::Open => self.later.entry(entry).or_default().push(target),
                VisitState::Done => {}
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum VisitState {
    New,
    Open,
    Done,
}

/// The operation that creates the resource of each name.
fn makers(operations: &[LinkedOperation]) -> HashMap<&str, usize> {
    let named = operations.iter().enumerate();
    named
        .filter_map(|(entry, planned)| Some((planned.made_name()?, entry)))
        .collect()
}

/// The steps so far, and which step touched a resource or value last.
struct Scheduler<'a> {
    registry: &'a Registry,
    switches: &'a Switches,
    one_by_one: bool,
    steps: Vec<BulkStep>,
    /// The step that creates a resource, by its name.
    makers: HashMap<String, usize>,
    /// The last step that touched a resource or value, by its key.
    last: HashMap<String, usize>,
    /// The latest steps that touched unique values, by endpoint.
    runs: HashMap<String, Runs>,
    /// Operations that complete resources, in the order in which they were cut off; `None` once one
    /// has become a step.
    open: Vec<Option<Completion>>,
    /// The positions in `open` of those that wait for a name.
    waiting: HashMap<String, Vec<usize>>,
    /// The positions in `open` of those that no longer wait.
    ready: Vec<usize>,
}

/// The latest steps with one effect on unique values, and the steps of another effect before them.
#[derive(Default)]
struct Runs {
    effect: Option<UniqueEffect>,
    current: Vec<usize>,
    previous: Vec<usize>,
}

impl<'a> Scheduler<'a> {
    fn new(registry: &'a Registry, switches: &'a Switches, one_by_one: bool) -> Self {
        Self {
            registry,
            switches,
            one_by_one,
            steps: Vec::new(),
            makers: HashMap::new(),
            last: HashMap::new(),
            runs: HashMap::new(),
            open: Vec::new(),
            waiting: HashMap::new(),
            ready: Vec::new(),
        }
    }

    fn take(
        &mut self,
        operations: &mut [LinkedOperation],
        mut completions: HashMap<usize, Vec<BulkOperation>>,
        order: &ReferenceOrder,
    ) {
        for &entry in &order.entries {
            let names = order.names_to_cut(operations, entry);
            let Some(planned) = operations.get_mut(entry) else {
                continue;
            };
            let Some(mut operation) = planned.operation.take() else {
                continue;
            };
            let mut referred = std::mem::take(&mut planned.names);
            if !names.is_empty()
                && let Ok(whole) = &mut operation
                && let Some(rest) = cut(whole, &names, self.registry)
            {
                referred = references(whole, self.registry);
                self.open(entry, rest);
            }
            self.push(entry, operation, &referred, false);
            for rest in completions.remove(&entry).unwrap_or_default() {
                self.open(entry, rest);
            }
            self.close();
        }
        // An operation that refers to a resource which no step creates becomes a step, so that it
        // fails.
        for open in std::mem::take(&mut self.open).into_iter().flatten() {
            self.complete(open);
        }
    }

    /// Keeps an operation until everything that it refers to is created.
    fn open(&mut self, entry: usize, operation: BulkOperation) {
        let planned = LinkedOperation::new(Ok(operation), self.registry);
        let position = self.open.len();
        let missing = planned.names.iter();
        let missing: Vec<_> = missing
            .filter(|name| !self.makers.contains_key(&**name))
            .cloned()
            .collect();
        if missing.is_empty() {
            self.ready.push(position);
        }
        self.open.push(Some(Completion {
            entry,
            planned,
            missing: missing.len(),
        }));
        for name in missing {
            self.waiting.entry(name).or_default().push(position);
        }
    }

    /// Records that a step creates the resource of this name.
    fn made(&mut self, name: &str, position: usize) {
        self.makers.insert(name.to_owned(), position);
        for waiting in self.waiting.remove(name).unwrap_or_default() {
            if let Some(Some(open)) = self.open.get_mut(waiting) {
                open.missing -= 1;
                if open.missing == 0 {
                    self.ready.push(waiting);
                }
            }
        }
    }

    /// Adds the steps that complete resources, if all their references are created by now.
    fn close(&mut self) {
        let mut ready = std::mem::take(&mut self.ready);
        ready.sort_unstable();
        for position in ready {
            if let Some(open) = self.open.get_mut(position).and_then(Option::take) {
                self.complete(open);
            }
        }
    }

    fn complete(&mut self, open: Completion) {
        if let Some(operation) = open.planned.operation {
            self.push(open.entry, operation, &open.planned.names, true);
        }
    }

    fn push(
        &mut self,
        entry: usize,
        operation: Result<BulkOperation>,
        names: &[String],
        completes: bool,
    ) {
        let position = self.steps.len();
        let mut after = match &operation {
            Ok(operation) => self.predecessors(position, operation, names),
            Err(_) => Vec::new(),
        };
        if self.one_by_one {
            after = position.checked_sub(1).into_iter().collect();
        }
        after.sort_unstable();
        after.dedup();
        self.steps.push(BulkStep {
            entry,
            operation,
            after,
            completes,
        });
    }

    /// The earlier steps that this one must wait for. It is recorded as the last that touched its
    /// keys.
    fn predecessors(
        &mut self,
        position: usize,
        operation: &BulkOperation,
        names: &[String],
    ) -> Vec<usize> {
        let mut after: Vec<usize> = names
            .iter()
            .filter_map(|name| self.makers.get(name).copied())
            .collect();
        if let Some(name) = operation.made_name() {
            self.made(name, position);
        }
        let claims = claims(operation, self.registry, self.switches);
        for key in claims.keys {
            after.extend(
                self.last
                    .insert(key, position)
                    .filter(|last| *last != position),
            );
        }
        if let Some(effect) = claims.effect {
            let runs = self.runs.entry(operation.endpoint.clone()).or_default();
            runs.join(position, effect);
            after.extend(&runs.previous);
        }
        after
    }
}

impl Runs {
    /// Adds a step to the current run if it has the same effect, else begins another run.
    fn join(&mut self, position: usize, effect: UniqueEffect) {
        if self.effect != Some(effect) || effect == UniqueEffect::Both {
            self.previous = std::mem::take(&mut self.current);
            self.effect = Some(effect);
        }
        self.current.push(position);
    }
}

/// Removes everything that refers to one of these names from the body of a POST, and returns the PATCH
/// that adds it again.
fn cut(
    whole: &mut BulkOperation,
    names: &HashSet<String>,
    registry: &Registry,
) -> Option<BulkOperation> {
    let OperationTarget::New(name) = &whole.target else {
        return None;
    };
    let cutting = BodyDivision {
        sites: NameFinder {
            resource_type: registry.at_endpoint(&whole.endpoint)?,
            registry,
        },
        names,
    };
    let mut operations = Vec::new();
    let mut kept = Map::new();
    for (key, value) in std::mem::take(&mut whole.data) {
        let extension = cutting.sites.resource_type.extension(&key);
        let value = match value {
            Value::Object(members) if extension.is_some() => {
                let mut container = Map::new();
                for (name, value) in members {
                    let path = format!("{key}:{name}");
                    if let Some(value) = cutting.keep(value, &path, &mut operations) {
                        container.insert(name, value);
                    }
                }
                Some(Value::Object(container))
            }
            value => cutting.keep(value, &key, &mut operations),
        };
        kept.extend(value.map(|value| (key, value)));
    }
    whole.data = kept;
    Some(BulkOperation {
        method: Method::Patch,
        endpoint: whole.endpoint.clone(),
        target: OperationTarget::BulkId(name.clone()),
        version: None,
        data: Map::from_iter([
            ("schemas".to_owned(), json!([urn::PATCH_OP])),
            ("Operations".to_owned(), Value::Array(operations)),
        ]),
    })
}

/// Divides the body of a POST into the part that refers to names not created yet, and the rest.
struct BodyDivision<'a> {
    sites: NameFinder<'a>,
    names: &'a HashSet<String>,
}

impl BodyDivision<'_> {
    /// The part of an attribute's value that refers to none of the names. The rest becomes an
    /// operation.
    fn keep(&self, mut value: Value, path: &str, operations: &mut Vec<Value>) -> Option<Value> {
        if !self.sites.refer(path, &mut value, self.names) {
            return Some(value);
        }
        let (kept, cut) = match value {
            Value::Array(elements) => {
                let (mut kept, mut cut) = (Vec::new(), Vec::new());
                for mut element in elements {
                    match self.sites.refer(path, &mut element, self.names) {
                        true => cut.push(element),
                        false => kept.push(element),
                    }
                }
                let kept = (!kept.is_empty()).then_some(Value::Array(kept));
                (kept, Value::Array(cut))
            }
            value => (None, value),
        };
        operations.push(json!({"op": "add", "path": path, "value": cut}));
        kept
    }
}

#[cfg(test)]
mod tests;
