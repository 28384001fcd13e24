//! The order of a bulk request's operations: which waits for which, and how circles of references are
//! cut (RFC 7644 §3.7.1).
//!
//! An operation waits for those that make what it refers to, wherever they stand in the request, and
//! for earlier ones that touch what it touches. All others may run at the same time. Where POSTs refer
//! to each other in a circle, one is made without the reference, and a PATCH puts the reference in
//! once the other is there.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::claim::Effect;
use super::{BulkRequest, Label, Method, Operation, Target, reference};
use crate::error::Result;
use crate::profile::Switches;
use crate::schema::Registry;
use crate::urn;

/// What to do for a bulk request, and in which order.
#[derive(Debug)]
pub struct Plan {
    /// After how many errors to stop.
    pub fail_on_errors: Option<u32>,
    /// What the results repeat, by position in the request.
    pub labels: Vec<Label>,
    /// The steps; each stands behind all that it waits for.
    pub steps: Vec<Step>,
}

/// One thing to do.
#[derive(Debug)]
pub struct Step {
    /// The position in the request of the operation that this is, or is a part of.
    pub entry: usize,
    /// What to do once its references are [resolved](Operation::resolve); an error is the result of
    /// an operation that could not be read.
    pub operation: Result<Operation>,
    /// The steps that must have ended before, whatever became of them. With `failOnErrors` that is
    /// always the step before, since nothing may happen behind the last error.
    pub after: Vec<usize>,
    /// Whether this completes the resource that its entry's first step has made. If it fails, that is
    /// the entry's result.
    pub completes: bool,
}

impl BulkRequest {
    /// Finds an order.
    #[must_use]
    pub fn plan(self, registry: &Registry, switches: &Switches) -> Plan {
        let mut labels = Vec::with_capacity(self.entries.len());
        let mut operations = Vec::with_capacity(self.entries.len());
        let mut completions = HashMap::new();
        for (position, entry) in self.entries.into_iter().enumerate() {
            labels.push(entry.label);
            operations.push(entry.operation);
            completions.insert(position, entry.completions);
        }
        let order = Order::of(&operations);
        let mut steps = Steps::new(registry, switches, self.fail_on_errors.is_some());
        steps.take(operations, completions, &order);
        Plan {
            fail_on_errors: self.fail_on_errors,
            labels,
            steps: steps.steps,
        }
    }
}

/// Operations in an order in which references lead back, except those that close a circle.
struct Order {
    /// Positions in the request.
    entries: Vec<usize>,
    /// By operation: the operations that it refers to and that come later.
    later: HashMap<usize, Vec<usize>>,
}

impl Order {
    /// Goes through the request in order, and before each operation through what it refers to.
    fn of(operations: &[Result<Operation>]) -> Self {
        let makers = makers(operations);
        let references: Vec<Vec<usize>> = operations
            .iter()
            .map(|operation| {
                let names = operation.as_ref().map(Operation::references);
                let names = names.unwrap_or_default().into_iter();
                names
                    .filter_map(|name| makers.get(&name).copied())
                    .collect()
            })
            .collect();
        let mut order = Self {
            entries: Vec::with_capacity(operations.len()),
            later: HashMap::new(),
        };
        let mut state = vec![State::New; operations.len()];
        for root in 0..operations.len() {
            order.visit(root, &references, &mut state);
        }
        order
    }

    /// A walk in depth with a stack of its own, as a request may be one long chain.
    fn visit(&mut self, root: usize, references: &[Vec<usize>], state: &mut [State]) {
        if state[root] != State::New {
            return;
        }
        state[root] = State::Open;
        let mut stack = vec![(root, 0)];
        while let Some((entry, next)) = stack.pop() {
            let Some(&target) = references[entry].get(next) else {
                state[entry] = State::Done;
                self.entries.push(entry);
                continue;
            };
            stack.push((entry, next + 1));
            match state[target] {
                State::New => {
                    state[target] = State::Open;
                    stack.push((target, 0));
                }
                State::Open => self.later.entry(entry).or_default().push(target),
                State::Done => {}
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    Open,
    Done,
}

/// Which operation makes the resource of each name.
fn makers(operations: &[Result<Operation>]) -> HashMap<String, usize> {
    let named = operations
        .iter()
        .enumerate()
        .filter_map(
            |(entry, operation)| match &operation.as_ref().ok()?.target {
                Target::New(name) => Some((name.clone(), entry)),
                Target::Id(_) | Target::BulkId(_) => None,
            },
        );
    named.collect()
}

/// The steps so far, and who touched what last.
struct Steps<'a> {
    registry: &'a Registry,
    switches: &'a Switches,
    one_by_one: bool,
    steps: Vec<Step>,
    /// The step that makes a resource, by name.
    makers: HashMap<String, usize>,
    /// The last step that touched something, by key.
    last: HashMap<String, usize>,
    /// The latest steps that touched unique values, by endpoint.
    runs: HashMap<String, Runs>,
}

/// Steps of one effect on unique values, and those of another effect before them.
#[derive(Default)]
struct Runs {
    effect: Option<Effect>,
    current: Vec<usize>,
    previous: Vec<usize>,
}

impl<'a> Steps<'a> {
    fn new(registry: &'a Registry, switches: &'a Switches, one_by_one: bool) -> Self {
        Self {
            registry,
            switches,
            one_by_one,
            steps: Vec::new(),
            makers: HashMap::new(),
            last: HashMap::new(),
            runs: HashMap::new(),
        }
    }

    fn take(
        &mut self,
        operations: Vec<Result<Operation>>,
        mut completions: HashMap<usize, Vec<Operation>>,
        order: &Order,
    ) {
        let mut operations: Vec<_> = operations.into_iter().map(Some).collect();
        let mut open: Vec<(usize, Operation)> = Vec::new();
        for &entry in &order.entries {
            let Some(mut operation) = operations.get_mut(entry).and_then(Option::take) else {
                continue;
            };
            if let (Ok(operation), Some(later)) = (&mut operation, order.later.get(&entry)) {
                let names: Vec<_> = later
                    .iter()
                    .filter_map(|target| match operations.get(*target) {
                        Some(Some(Ok(target))) => target.made_name(),
                        // A resource that refers to itself.
                        _ => operation.made_name(),
                    })
                    .map(str::to_owned)
                    .collect();
                open.extend(operation.cut(&names).map(|rest| (entry, rest)));
            }
            self.push(entry, operation, false);
            let completions = completions.remove(&entry).unwrap_or_default();
            open.extend(completions.into_iter().map(|rest| (entry, rest)));
            self.close(&mut open);
        }
        // What refers to a resource that nothing makes has to fail, and say so.
        for (entry, rest) in open {
            self.push(entry, Ok(rest), true);
        }
    }

    /// Adds the steps that complete resources whose references are all made by now.
    fn close(&mut self, open: &mut Vec<(usize, Operation)>) {
        let makers = &self.makers;
        let (ready, waiting) = std::mem::take(open).into_iter().partition(|(_, rest)| {
            let mut names = rest.references().into_iter();
            names.all(|name| makers.contains_key(&name))
        });
        *open = waiting;
        let ready: Vec<_> = ready;
        for (entry, rest) in ready {
            self.push(entry, Ok(rest), true);
        }
    }

    fn push(&mut self, entry: usize, operation: Result<Operation>, completes: bool) {
        let position = self.steps.len();
        let mut after = match &operation {
            Ok(operation) => self.predecessors(position, operation),
            Err(_) => Vec::new(),
        };
        if self.one_by_one {
            after = position.checked_sub(1).into_iter().collect();
        }
        after.sort_unstable();
        after.dedup();
        self.steps.push(Step {
            entry,
            operation,
            after,
            completes,
        });
    }

    /// The steps before that this one must wait for; it is noted as the last to touch what it touches.
    fn predecessors(&mut self, position: usize, operation: &Operation) -> Vec<usize> {
        let mut after: Vec<usize> = operation
            .references()
            .iter()
            .filter_map(|name| self.makers.get(name).copied())
            .collect();
        if let Some(name) = operation.made_name() {
            self.makers.insert(name.to_owned(), position);
        }
        let claims = operation.claims(self.registry, self.switches);
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
    /// Takes part in the current run if that has the same effect, else begins another.
    fn join(&mut self, position: usize, effect: Effect) {
        if self.effect != Some(effect) || effect == Effect::Both {
            self.previous = std::mem::take(&mut self.current);
            self.effect = Some(effect);
        }
        self.current.push(position);
    }
}

impl Operation {
    /// The name of the resource that it makes.
    fn made_name(&self) -> Option<&str> {
        match &self.target {
            Target::New(name) => Some(name),
            Target::Id(_) | Target::BulkId(_) => None,
        }
    }

    /// Takes everything that refers to one of these names out of the body of a POST, and gives the
    /// PATCH that puts it back.
    fn cut(&mut self, names: &[String]) -> Option<Operation> {
        let Target::New(name) = &self.target else {
            return None;
        };
        let mut operations = Vec::new();
        let mut kept = Map::new();
        for (key, value) in std::mem::take(&mut self.data) {
            let is_container = key
                .get(..4)
                .is_some_and(|head| head.eq_ignore_ascii_case("urn:"));
            let value = match value {
                Value::Object(members) if is_container => {
                    let mut container = Map::new();
                    for (name, value) in members {
                        let path = format!("{key}:{name}");
                        if let Some(value) = keep(value, &path, names, &mut operations) {
                            container.insert(name, value);
                        }
                    }
                    Some(Value::Object(container))
                }
                value => keep(value, &key, names, &mut operations),
            };
            kept.extend(value.map(|value| (key, value)));
        }
        self.data = kept;
        Some(Operation {
            method: Method::Patch,
            endpoint: self.endpoint.clone(),
            target: Target::BulkId(name.clone()),
            version: None,
            data: Map::from_iter([
                ("schemas".to_owned(), json!([urn::PATCH_OP])),
                ("Operations".to_owned(), Value::Array(operations)),
            ]),
        })
    }
}

/// What of an attribute's value refers to none of these names; the rest becomes an operation.
fn keep(value: Value, path: &str, names: &[String], operations: &mut Vec<Value>) -> Option<Value> {
    let refers = |value: &Value| {
        let mut found = reference::names(value).into_iter();
        found.any(|name| names.contains(&name))
    };
    if !refers(&value) {
        return Some(value);
    }
    let (kept, cut) = match value {
        Value::Array(elements) => {
            let (cut, kept): (Vec<_>, Vec<_>) = elements.into_iter().partition(refers);
            let kept = (!kept.is_empty()).then_some(Value::Array(kept));
            (kept, Value::Array(cut))
        }
        value => (None, value),
    };
    operations.push(json!({"op": "add", "path": path, "value": cut}));
    kept
}

#[cfg(test)]
mod tests;
