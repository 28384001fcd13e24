//! A pool for long work, and turns of tenants.
//!
//! A time-out can end a request only where the request waits. Work that never waits, such as parsing
//! a body of 4 MiB, cannot be ended that way, and meanwhile no other request can use its thread.
//! Such work is a job of the [`Pool`]. At most `cores - 1` jobs run at the same time, and at most
//! one of each tenant, so requests without a job always find a thread.
//!
//! It must not know what a job does.

mod turns;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::available_parallelism;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Semaphore;
use tokio::task::block_in_place;
use tokio::time::{Instant, timeout_at};

pub use turns::{Turn, Turns};

use crate::identity::TenantId;
use crate::protocol::error::{Error, Result};

/// Work on up to this number of bytes of JSON takes less than 20 ms, whatever the work is, so it
/// need not be a job. `docs/performance.md` has the measurement.
pub const SMALL_BYTES: usize = 128 * 1024;

/// A bound on the jobs that run at the same time. All tenants share it.
#[derive(Clone)]
pub struct Pool(Arc<Shared>);

struct Shared {
    size: usize,
    threads: Semaphore,
    turns: Turns,
    jobs: AtomicU64,
}

impl Pool {
    /// A pool of this number of threads, and at least one.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        let size = threads.clamp(1, Semaphore::MAX_PERMITS);
        Self(Arc::new(Shared {
            size,
            threads: Semaphore::new(size),
            turns: Turns::new(1),
            jobs: AtomicU64::new(0),
        }))
    }

    /// A pool that leaves one core of this machine to all other work.
    #[must_use]
    pub fn of_machine() -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        Self::new(cores.saturating_sub(1))
    }

    /// The number of jobs that can run at the same time.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.0.size
    }

    /// The number of jobs that have begun so far.
    #[must_use]
    pub fn jobs(&self) -> u64 {
        self.0.jobs.load(Ordering::Relaxed)
    }

    /// Runs a job as soon as the tenant's earlier jobs have ended and a thread is free.
    ///
    /// Jobs of one tenant begin in the order of the calls. Each tenant has at most one job in the
    /// queue for a thread, so a tenant with many jobs does not hold up the others.
    ///
    /// # Errors
    /// `Unavailable` if the job could not begin before `deadline`; then it is not run at all.
    pub async fn run<T>(
        &self,
        tenant: &TenantId,
        deadline: Instant,
        job: impl FnOnce() -> T,
    ) -> Result<T> {
        let shared = &self.0;
        let places = async {
            // The turn is taken before the thread: a job that waits for its tenant's turn must not
            // hold a thread.
            let turn = shared.turns.take(tenant).await;
            (turn, shared.threads.acquire().await)
        };
        let places = timeout_at(deadline, places).await;
        let _places = places.map_err(|_| out_of_time())?;
        check_time(deadline)?;
        shared.jobs.fetch_add(1, Ordering::Relaxed);
        Ok(in_place(job))
    }
}

/// Checks that a request still has time. A job that works on many resources calls it before each of
/// them.
///
/// # Errors
/// `Unavailable` at and after the deadline.
pub fn check_time(deadline: Instant) -> Result<()> {
    match Instant::now() < deadline {
        true => Ok(()),
        false => Err(out_of_time()),
    }
}

fn out_of_time() -> Error {
    Error::unavailable("The request ran out of time before its data was processed; send it again")
}

/// Runs a job on the current thread.
///
/// On a runtime of several threads, the other tasks of this thread move to another thread first. On
/// a runtime of one thread they wait. Only Lambda, where there is one request at a time, and tests
/// have such a runtime.
fn in_place<T>(job: impl FnOnce() -> T) -> T {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => block_in_place(job),
        _ => job(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc;
    use std::time::Duration;

    use futures_util::future::join_all;

    use super::*;
    use crate::protocol::ErrorKind;

    fn tenant(name: &str) -> TenantId {
        TenantId::parse(name).unwrap()
    }

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(600)
    }

    /// Records the largest number of jobs that ran at the same time.
    #[derive(Default)]
    struct Peak {
        running: AtomicUsize,
        most: AtomicUsize,
    }

    impl Peak {
        /// A job that yields often, so that other jobs can overlap with it.
        fn job(&self) {
            let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(running, Ordering::SeqCst);
            (0..1_000).for_each(|_| std::thread::yield_now());
            self.running.fetch_sub(1, Ordering::SeqCst);
        }
    }

    async fn most_at_once(threads: usize, tenants: &[&str]) -> usize {
        let (pool, peak) = (Pool::new(threads), Arc::new(Peak::default()));
        let jobs = (0..24).map(|number| {
            let (pool, peak) = (pool.clone(), Arc::clone(&peak));
            let tenant = tenant(tenants[number % tenants.len()]);
            tokio::spawn(async move { pool.run(&tenant, later(), || peak.job()).await })
        });
        for job in join_all(jobs).await {
            job.unwrap().unwrap();
        }
        assert_eq!(pool.jobs(), 24);
        peak.most.load(Ordering::SeqCst)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn jobs_run_up_to_the_pools_size_and_one_of_each_tenant() {
        assert_eq!(most_at_once(4, &["a"]).await, 1);
        assert_eq!(most_at_once(1, &["a", "b", "c"]).await, 1);
        assert!(most_at_once(2, &["a", "b", "c"]).await <= 2);
        assert!(most_at_once(4, &["a", "b"]).await <= 2);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn other_tasks_go_on_while_a_job_runs() {
        let (sender, receiver) = mpsc::channel();
        let pool = Pool::new(1);
        // The runtime has one worker. If the job kept it, the second task could never send.
        let job = tokio::spawn(async move {
            let job = move || receiver.recv().unwrap();
            pool.run(&tenant("a"), later(), job).await
        });
        let other = tokio::spawn(async move { sender.send(7).unwrap() });
        assert_eq!(job.await.unwrap().unwrap(), 7);
        other.await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_tenant_with_many_jobs_does_not_hold_up_another() {
        let (pool, order) = (Pool::new(1), Arc::new(std::sync::Mutex::new(Vec::new())));
        let (go, wait) = mpsc::channel::<()>();
        let (begun, is_running) = tokio::sync::oneshot::channel();
        let first = pool.clone();
        let first = tokio::spawn(async move {
            let job = move || {
                begun.send(()).unwrap();
                wait.recv().unwrap();
            };
            first.run(&tenant("noisy"), later(), job).await
        });
        is_running.await.unwrap();
        let run = |name: &'static str| {
            let (pool, order) = (pool.clone(), Arc::clone(&order));
            async move {
                let job = || order.lock().unwrap().push(name);
                pool.run(&tenant(name), later(), job).await.unwrap();
            }
        };
        let noisy = join_all((0..5).map(|_| run("noisy")));
        let all = futures_util::future::join3(noisy, run("quiet"), async { go.send(()).unwrap() });
        all.await;
        first.await.unwrap().unwrap();
        let order = order.lock().unwrap();
        let quiet = order.iter().position(|name| *name == "quiet").unwrap();
        assert_eq!(quiet, 0, "{order:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_that_cannot_begin_in_time_is_not_run() {
        let pool = Pool::new(1);
        let deadline = Instant::now() + Duration::from_secs(20);
        let elsewhere = pool.0.threads.acquire().await.unwrap();
        let job = || panic!("it has no time");
        let error = pool.run(&tenant("a"), deadline, job).await;
        let error: Error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(Instant::now() >= deadline);
        drop(elsewhere);
        let late = pool.run(&tenant("a"), deadline, || ()).await;
        assert_eq!(late.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(pool.jobs(), 0);
    }

    #[tokio::test]
    async fn a_runtime_of_one_thread_runs_jobs_too() {
        let pool = Pool::new(0);
        assert_eq!(pool.threads(), 1);
        assert_eq!(pool.run(&tenant("a"), later(), || 7).await.unwrap(), 7);
    }
}
