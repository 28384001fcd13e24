//! Bulk: many operations in one request (RFC 7644 §3.7).
//!
//! Each operation does what the single request would do: it is checked against the caller's
//! permissions, conditional on its own version, and atomic by itself. The plan decides which
//! operation waits for which. Operations that do not wait run at the same time, up to a bound. If an
//! operation takes several steps and a later one fails, the earlier ones are undone.
//!
//! Near the deadline no new operation begins, so that the running ones can end. The answer has a
//! result for every operation that was tried, or that the time did not suffice for.

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

/// The largest number of operations that run at the same time.
const MAX_RUNNING: usize = 16;
/// No new operation begins when the request has less time than this left.
const LEFT_TO_BEGIN: Duration = Duration::from_secs(5);
/// Operations that still run are given up when the request has only this time left. It is needed for
/// the answer.
const LEFT_TO_ANSWER: Duration = Duration::from_secs(1);

/// The result of one operation.
#[derive(Debug)]
pub struct Performed {
    /// What the result repeats of the operation: its method, `bulkId` and so on.
    pub label: OperationLabel,
    /// The resource of the operation. `None` after a failed POST, which has created none, and for a
    /// path that leads to no resource.
    pub subject: Option<OperationSubject>,
    /// The resource's version afterwards, which is its entity tag.
    pub version: Option<Version>,
    /// What the operation did, or why it failed.
    pub outcome: Result<Done>,
}

/// What a successful operation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// It created the resource.
    Created,
    /// It changed the resource, or found it as it should be. The single request would be answered with
    /// the resource.
    Changed,
    /// The same, but the single request would be answered without the resource.
    ChangedUnseen,
    /// It deleted the resource.
    Deleted,
}

/// The resource of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationSubject {
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
                // Boxed, because there are many of these futures and each is large.
                Some(begun) => running.push(Box::pin(async move {
                    (step, perform_step(context, begun).await)
                })),
                None => queue.end(step),
            }
        }
        // Either no operation is running, so all are done; or the running ones do not end in time.
        let Ok(Some((step, result))) = timeout_at(end, running.next()).await else {
            break;
        };
        progress.end(step, result);
        queue.end(step);
    }
    Ok(progress.into_results())
}

/// Performs a step. If it was to complete a new resource and fails, that resource is deleted again.
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
        // What was not found is a resource that the new one refers to, such as a group that it
        // should be in. The path of the operation itself is right, so this is a fault of a value and
        // not a 404.
        ErrorKind::NotFound => Error::invalid_value(error.detail()),
        _ => error,
    })
}
