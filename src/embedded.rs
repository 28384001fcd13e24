//! The embedded table: DynamoDB's API inside this process, on a file or in memory.
//!
//! The store calls it with the SDK, as it calls DynamoDB in AWS, so there is one implementation of
//! the store. In `scim serve` and in tests no port is open: the SDK's HTTP client hands each request
//! to the table. Only `scim table` opens a port.

use std::fmt;
use std::io;
use std::path::PathBuf;

use aws_config::SdkConfig;
use dynoxide::Database;
use tokio::sync::watch;

mod data_directory;
mod engine;
mod import;
mod in_process;
mod port;
mod request_tokens;
mod stream;
mod stream_records;
mod threads;

pub use data_directory::DataDirectory;
pub use engine::{Engine, Reply};
pub use import::Importer;
pub use in_process::InProcess;
pub use port::Port;
pub use stream::{StreamPage, Wanted};

use crate::aws;
use crate::protocol::BoxError;
use threads::Threads;

/// A table in this process. It stays open until this value and all of its SDK configurations are
/// dropped.
///
/// It works on threads of its own, which all have the same name, so that a profile shows its costs
/// apart from those of the service.
pub struct Embedded {
    calls: InProcess,
}

/// Why the embedded table cannot be used.
#[derive(Debug)]
pub enum EmbeddedError {
    /// The directory, or a file in it, cannot be created or written.
    Directory(PathBuf, io::Error),
    /// The table's file cannot be opened as a table.
    Table(PathBuf, BoxError),
    /// The threads of the table could not be started.
    Threads(io::Error),
    /// The port at this address could not be opened.
    Listen(String, io::Error),
    /// The stream could not be read.
    Stream(BoxError),
    /// Items could not be written in bulk.
    Import(BoxError),
}

impl Embedded {
    /// Opens the table of `data`.
    ///
    /// # Errors
    /// `Table` if the file is damaged or is no table, `Threads`.
    pub fn open(data: &DataDirectory) -> Result<Self, EmbeddedError> {
        Self::over(data.open_table()?)
    }

    /// Uses an open table.
    ///
    /// # Errors
    /// `Threads`.
    pub fn over(database: Database) -> Result<Self, EmbeddedError> {
        let threads = Threads::new().map_err(EmbeddedError::Threads)?;
        let calls = InProcess::new(Engine::new(database), threads);
        Ok(Self { calls })
    }

    /// The configuration of an SDK client whose calls this table answers.
    #[must_use]
    pub fn sdk_config(&self) -> SdkConfig {
        aws::in_process(self.calls.clone())
    }

    /// Opens a port for the calls of other processes, at an address such as `127.0.0.1:8000`. Port 0
    /// picks a free one.
    ///
    /// # Errors
    /// `Listen` if the port is taken.
    pub async fn listen(&self, address: &str) -> Result<Port, EmbeddedError> {
        Port::open(self.calls.clone(), address).await
    }

    /// Reads up to `limit` records of the stream of `table` after a sequence number, or from the
    /// oldest record on, and returns the wanted ones. The stream must have only one reader.
    ///
    /// # Errors
    /// `Stream`.
    pub async fn read_stream(
        &self,
        table: &str,
        after: Option<&str>,
        limit: usize,
        wanted: Wanted,
    ) -> Result<StreamPage, EmbeddedError> {
        let (table, after) = (table.to_owned(), after.map(str::to_owned));
        let read = self.calls.run(move |engine| {
            stream::read(engine.database(), &table, after.as_deref(), limit, wanted)
        });
        read.await.flatten().map_err(EmbeddedError::Stream)
    }

    /// A channel that signals each write through the table's API.
    #[must_use]
    pub fn writes(&self) -> watch::Receiver<()> {
        self.calls.engine().writes()
    }

    /// Begins to write items to a table in bulk, without the SDK.
    ///
    /// # Errors
    /// `Import`.
    pub fn importer(&self, table: &str) -> Result<Importer, EmbeddedError> {
        Importer::new(self.calls.engine().database().clone(), table)
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
            Self::Threads(error) => write!(f, "Cannot start threads for the table: {error}"),
            Self::Listen(address, error) => write!(f, "Cannot listen on {address}: {error}"),
            Self::Stream(error) => write!(f, "Cannot read the table's stream: {error}"),
            Self::Import(error) => write!(f, "Cannot write to the table: {error}"),
        }
    }
}

impl std::error::Error for EmbeddedError {}
