//! The threads on which the embedded table works.
//!
//! Its calls wait for SQLite, so they must not run on the threads that answer requests. Their threads
//! share one name, which tells a profile what the table costs beside the service.

use std::io;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinError;

/// SQLite writes one thing at a time; the second thread reads and writes JSON meanwhile.
const THREADS: usize = 2;
/// The name of each of them; `benches/load.py` and `benches/sdk.rs` look for it.
const THREAD_NAME: &str = "table";

/// An idle thread is kept, because what it cost can be read only as long as it is there.
const KEEP_ALIVE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Threads that may block.
#[derive(Debug)]
pub(super) struct Threads {
    handle: Handle,
    runtime: Option<Runtime>,
}

impl Threads {
    /// Threads that begin when there is work for them.
    ///
    /// # Errors
    /// Those of the operating system.
    pub(super) fn new() -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .max_blocking_threads(THREADS)
            .thread_name(THREAD_NAME)
            .thread_keep_alive(KEEP_ALIVE)
            .build()?;
        let handle = runtime.handle().clone();
        let runtime = Some(runtime);
        Ok(Self { handle, runtime })
    }

    /// Does something that may block. It is done to its end, also if the caller stops waiting.
    ///
    /// # Errors
    /// `JoinError` if it panicked.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        self.handle.spawn_blocking(work).await
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // The last owner may be asynchronous code, which must not wait for the threads.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
