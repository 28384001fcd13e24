//! The threads on which the embedded table makes its calls.
//!
//! Its calls wait for SQLite, so they must not run on the threads that answer requests. All of these
//! threads have one name, by which a profile shows what the table costs apart from the service.

use std::io;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinError;

/// SQLite makes one write at a time. Meanwhile the second thread can read and write JSON.
const THREADS: usize = 2;
/// The name of each thread. `benches/load.py` and `benches/sdk.rs` look for it.
const THREAD_NAME: &str = "table";

/// An idle thread is kept, because its processor time can be read only while it exists.
const KEEP_ALIVE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Threads that may block.
#[derive(Debug)]
pub(super) struct Threads {
    handle: Handle,
    runtime: Option<Runtime>,
}

impl Threads {
    /// Threads that start when there is work for them.
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

    /// Does work that may block. It goes on to its end, even if the caller stops waiting.
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
        // The last owner may be asynchronous code, which must not wait for the threads to end.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
