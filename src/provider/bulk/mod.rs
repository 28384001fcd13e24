//! Bulk: many operations in one request (RFC 7644 §3.7).
//!
//! Each operation is what the single request would be: checked against the caller's permissions,
//! conditional on its own version, atomic by itself. Which waits for which is the plan's; whatever
//! does not wait runs at the same time, up to a bound. An operation that takes several writes is taken
//! back when a later one of them fails.
//!
//! Near the deadline nothing new begins, so that what has begun can end: the answer tells of every
//! operation whether it was done.

mod operation;
mod progress;
mod queue;

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, timeout_at};

use super::RequestScope;
use super::write_context::WriteContext;
use crate::protocol::bulk::{BulkRequest, OperationLabel, plan};
use crate::protocol::error::{Error, ErrorKind, Result};
use crate::protocol::version::Version;
use operation::{Effect, perform, take_back};
use progress::{Begun, Progress};
use queue::Queue;

/// Up to this many operations run at the same time.
const MAX_RUNNING: usize = 16;
/// Nothing new begins when the request has less time than this left.
const LEFT_TO_BEGIN: Duration = Duration::from_secs(5);
/// What still runs is given up when the request has only this left, which is for the answer.
const LEFT_TO_ANSWER: Duration = Duration::from_secs(1);

/// What became of one operation.
#[derive(Debug)]
pub struct Performed {
    /// What its result repeats.
    pub label: OperationLabel,
    /// The resource that it is about, as far as that is known: a POST that failed made none, and the
    /// path of an operation may lead nowhere.
    pub subject: Option<Subject>,
    /// The resource's version afterwards, which is its entity tag.
    pub version: Option<Version>,
    /// The status that the single request would have had, or why it failed.
    pub status: Result<u16>,
}

/// The resource that an operation is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The endpoint of its type: `Users`.
    pub endpoint: String,
    /// Its id.
    pub id: String,
}

/// Carries out a bulk request, as [`Provider::bulk`](super::Provider::bulk) says.
pub(super) async fn bulk(
    context: &WriteContext<'_>,
    request: BulkRequest,
    size: usize,
) -> Result<Vec<Performed>> {
    let scope = context.scope;
    let tenant = &scope.tenant;
    let plan = || plan(request, &tenant.registry, &tenant.rules.switches);
    let plan = scope.compute.run(size, plan).await?;
    let mut queue = Queue::new(&plan.steps);
    let mut progress = Progress::new(scope, plan);
    let deadline = scope.store.deadline();
    let (last_begin, end) = (deadline - LEFT_TO_BEGIN, deadline - LEFT_TO_ANSWER);
    let mut running = FuturesUnordered::new();
    loop {
        while running.len() < MAX_RUNNING
            && let Some(step) = queue.next()
        {
            if Instant::now() >= last_begin {
                progress.run_out_of_time();
            }
            match progress.begin(step) {
                // Boxed, as there are many and each is large.
                Some(begun) => running.push(Box::pin(async move {
                    (step, perform_step(context, begun).await)
                })),
                None => queue.end(step),
            }
        }
        // Nothing runs: everything is done. Or it does not end in time.
        let Ok(Some((step, result))) = timeout_at(end, running.next()).await else {
            break;
        };
        progress.end(step, result);
        queue.end(step);
    }
    Ok(progress.into_results())
}

/// Performs an operation. One that was to complete a new resource and fails takes that back.
async fn perform_step(context: &WriteContext<'_>, begun: Begun) -> Result<Effect> {
    let scope = context.scope;
    let result = match begun.operation {
        Ok(operation) => perform(context, operation).await,
        Err(error) => Err(error),
    };
    let Some(made) = begun.made else {
        return result;
    };
    if result.is_err() {
        take_back(scope, &made).await;
    }
    result.map_err(|error| match error.kind() {
        // It is the new resource that refers to nothing, and not the request.
        ErrorKind::NotFound => Error::invalid_value(error.detail()),
        _ => error,
    })
}
