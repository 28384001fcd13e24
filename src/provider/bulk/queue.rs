//! The queue of steps. A step can begin when its predecessors have ended. The steps that can begin
//! do so in the order of the request.

use std::collections::BTreeSet;

use crate::protocol::bulk::BulkStep;

/// The steps that have not begun yet.
pub(super) struct Queue {
    /// By step: the position of its operation in the request.
    entries: Vec<usize>,
    /// By step: the number of steps that it still waits for.
    waits: Vec<usize>,
    /// By step: the steps that wait for it.
    waiting: Vec<Vec<usize>>,
    /// The steps that can begin, in the order of their operations.
    ready: BTreeSet<(usize, usize)>,
}

impl Queue {
    pub(super) fn new(steps: &[BulkStep]) -> Self {
        let mut waiting = vec![Vec::new(); steps.len()];
        for (position, step) in steps.iter().enumerate() {
            let predecessors = step.after.iter();
            predecessors.for_each(|before| {
                if let Some(waiting) = waiting.get_mut(*before) {
                    waiting.push(position);
                }
            });
        }
        let entries: Vec<_> = steps.iter().map(|step| step.entry).collect();
        let waits: Vec<_> = steps.iter().map(|step| step.after.len()).collect();
        let free = waits
            .iter()
            .enumerate()
            .filter(|(_, waits)| **waits == 0)
            .filter_map(|(step, _)| Some((*entries.get(step)?, step)));
        Self {
            ready: free.collect(),
            entries,
            waits,
            waiting,
        }
    }

    /// Takes the next step that can begin.
    pub(super) fn next(&mut self) -> Option<usize> {
        self.ready.pop_first().map(|(_, step)| step)
    }

    /// Records that a step has ended, or will not begin.
    pub(super) fn end(&mut self, step: usize) {
        let waiting = self.waiting.get_mut(step).map(std::mem::take);
        for next in waiting.unwrap_or_default() {
            let Some(waits) = self.waits.get_mut(next) else {
                continue;
            };
            *waits = waits.saturating_sub(1);
            if *waits == 0 {
                let entry = self.entries.get(next).copied().unwrap_or_default();
                self.ready.insert((entry, next));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::error::Error;

    fn queue(steps: &[(usize, &[usize])]) -> Queue {
        let steps: Vec<_> = steps
            .iter()
            .map(|(entry, after)| BulkStep {
                entry: *entry,
                operation: Err(Error::invalid_value("")),
                after: after.to_vec(),
                completes: false,
            })
            .collect();
        Queue::new(&steps)
    }

    fn ready(queue: &mut Queue) -> Vec<usize> {
        std::iter::from_fn(|| queue.next()).collect()
    }

    #[test]
    fn a_step_is_ready_when_all_before_it_have_ended() {
        let mut queue = queue(&[(1, &[]), (0, &[0]), (2, &[0, 1]), (3, &[])]);
        assert_eq!(ready(&mut queue), [0, 3]);
        queue.end(3);
        assert_eq!(ready(&mut queue), [0; 0]);
        queue.end(0);
        assert_eq!(ready(&mut queue), [1]);
        queue.end(1);
        assert_eq!(ready(&mut queue), [2]);
    }

    #[test]
    fn earlier_operations_of_the_request_begin_first() {
        let mut queue = queue(&[(2, &[]), (0, &[]), (1, &[])]);
        assert_eq!(ready(&mut queue), [1, 2, 0]);
    }
}
