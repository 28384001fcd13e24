//! The embedded table: a DynamoDB endpoint inside this process, kept in a file or in memory.
//!
//! The store reaches it like any other DynamoDB endpoint, over the loopback interface, so that
//! there is one implementation of the store and what works here works against AWS.

use std::fmt;
use std::fs::{self, DirBuilder};
use std::io;
use std::path::{Path, PathBuf};

use dynoxide::Database;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use uuid::Uuid;

mod import;
mod stream_records;

pub use import::Importer;

use crate::protocol::BoxError;

/// The file of the table inside a data directory.
const TABLE_FILE: &str = "table.sqlite";
/// The threads of an endpoint; SQLite writes one thing at a time.
const THREADS: usize = 2;
/// What they are called.
const THREAD_NAME: &str = "table";
/// The file of the secrets inside a data directory.
const SECRETS_FILE: &str = "secrets.json";

/// Where the data of a local deployment is kept.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    /// The table is in memory, and the directory goes when this value does.
    in_memory: bool,
}

/// A running endpoint.
///
/// It has threads of its own, all with the same name, so that what it costs can be told from what the
/// service costs.
pub struct Embedded {
    endpoint: String,
    database: Database,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Result<(), String>>,
    _threads: Threads,
}

/// The runtime of an endpoint. It ends without waiting, because it is dropped where nobody may wait.
struct Threads {
    handle: Handle,
    runtime: Option<Runtime>,
}

/// Why local data cannot be used.
#[derive(Debug)]
pub enum EmbeddedError {
    /// The directory cannot be made or written.
    Directory(PathBuf, io::Error),
    /// The table's file cannot be opened as a table.
    Table(PathBuf, BoxError),
    /// The address could not be listened on.
    Listen(String, io::Error),
    /// Items could not be written in bulk.
    Import(BoxError),
}

impl DataDirectory {
    /// Uses a directory, which is made if it is missing, for its owner alone.
    ///
    /// # Errors
    /// `Directory` if it cannot be made or written.
    pub fn at(path: &Path) -> Result<Self, EmbeddedError> {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let in_memory = false;
        make_private(&path).map_err(|error| EmbeddedError::Directory(path.clone(), error))?;
        Ok(Self { path, in_memory })
    }

    /// Uses memory for the table and a temporary directory for the secrets.
    ///
    /// # Errors
    /// `Directory` if the temporary directory cannot be made.
    pub fn in_memory() -> Result<Self, EmbeddedError> {
        let path = std::env::temp_dir().join(format!("scim-{}", Uuid::now_v7()));
        let in_memory = true;
        make_private(&path).map_err(|error| EmbeddedError::Directory(path.clone(), error))?;
        Ok(Self { path, in_memory })
    }

    /// The file that holds the secrets.
    #[must_use]
    pub fn secrets_file(&self) -> PathBuf {
        self.path.join(SECRETS_FILE)
    }

    /// Opens the table of this directory for calls without an endpoint.
    ///
    /// # Errors
    /// `Table` if the file is damaged or no table.
    pub fn open_table(&self) -> Result<Database, EmbeddedError> {
        let path = self.path.join(TABLE_FILE);
        let broken = |error| EmbeddedError::Table(path.clone(), error);
        let open = || Database::new(&path.to_string_lossy()).map_err(|error| broken(error.into()));
        // The file has to be there before anybody else can change how it is laid out.
        drop(open()?);
        stream_records::tend(&path).map_err(|error| broken(error.into()))?;
        if !self.in_memory {
            return open();
        }
        let database = Database::memory().map_err(|error| broken(error.into()))?;
        let restored = database.restore_from(&path.to_string_lossy());
        restored.map_err(|error| broken(error.into()))?;
        Ok(database)
    }
}

impl fmt::Display for DataDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.in_memory {
            return f.write_str("in memory, gone when this command ends");
        }
        write!(f, "{}", self.path.display())
    }
}

impl Drop for DataDirectory {
    fn drop(&mut self) {
        if self.in_memory {
            // What cannot be removed is left to whoever cleans the temporary directory.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

impl Embedded {
    /// Starts an endpoint over the table of `data`, at `listen` or on any free port.
    ///
    /// # Errors
    /// `Table` if the file is damaged or no table, `Listen` if the port is taken.
    pub async fn start(data: &DataDirectory, listen: &str) -> Result<Self, EmbeddedError> {
        let database = data.open_table()?;
        let taken = |error| EmbeddedError::Listen(listen.to_owned(), error);
        let threads = Threads::start().map_err(taken)?;
        let handle = threads.handle.clone();
        let bound = handle.spawn(TcpListener::bind(listen.to_owned())).await;
        let listener = bound.map_err(io::Error::other).flatten().map_err(taken)?;
        let address = listener.local_addr().map_err(taken)?;
        let (stop, stopped) = oneshot::channel();
        let until = async {
            // A dropped sender means the same as a message.
            let _ = stopped.await;
        };
        let server = dynoxide::server::serve_with_shutdown(listener, database.clone(), until);
        Ok(Self {
            endpoint: format!("http://{address}"),
            database,
            stop,
            server: handle.spawn(server),
            _threads: threads,
        })
    }

    /// The URL of the endpoint, for the SDK.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Begins to write items in bulk to a table, past the endpoint.
    ///
    /// # Errors
    /// `Import`.
    pub fn importer(&self, table: &str) -> Result<Importer, EmbeddedError> {
        Importer::new(self.database.clone(), table)
    }

    /// Stops the endpoint once the calls that are running have been answered.
    pub async fn stop(self) {
        drop(self.stop);
        // Everything that was acknowledged is on disk; how the server ended changes nothing.
        let _ = self.server.await;
    }
}

impl Threads {
    fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name(THREAD_NAME)
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        let runtime = Some(runtime);
        Ok(Self { handle, runtime })
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Display for EmbeddedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path, error) => {
                write!(
                    f,
                    "Cannot write to the data directory {}: {error}",
                    path.display()
                )
            }
            Self::Table(path, error) => {
                write!(f, "Cannot open the table {}: {error}", path.display())
            }
            Self::Listen(address, error) => write!(f, "Cannot listen on {address}: {error}"),
            Self::Import(error) => write!(f, "Cannot write to the table: {error}"),
        }
    }
}

impl std::error::Error for EmbeddedError {}

/// Makes the directory if it is missing, and checks that it can be written to.
fn make_private(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)?;
    let probe = path.join(format!(".probe-{}", std::process::id()));
    fs::write(&probe, b"")?;
    fs::remove_file(&probe)
}
