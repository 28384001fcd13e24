//! The embedded table: DynamoDB's API inside this process, on a file or in memory.
//!
//! The store reaches it with the SDK, like any other DynamoDB, so there is one implementation of the
//! store and what works here works against AWS. In `scim serve` and in tests nothing listens: the
//! SDK's HTTP client hands each request to the table. Only `scim table` opens a port.

use std::fmt;
use std::io;
use std::path::PathBuf;

use aws_config::SdkConfig;
use dynoxide::Database;

mod data_directory;
mod engine;
mod import;
mod in_process;
mod port;
mod request_tokens;
mod stream_records;
mod threads;

pub use data_directory::DataDirectory;
pub use engine::{Engine, Reply};
pub use import::Importer;
pub use in_process::InProcess;
pub use port::Port;

use crate::aws;
use crate::protocol::BoxError;
use threads::Threads;

/// A table in this process; it is open as long as this or one of its SDK configurations is kept.
///
/// It works on threads of its own, all with the same name, so that its costs can be told from those
/// of the service.
pub struct Embedded {
    calls: InProcess,
}

/// Why local data cannot be used.
#[derive(Debug)]
pub enum EmbeddedError {
    /// The directory, or a file in it, cannot be made or written.
    Directory(PathBuf, io::Error),
    /// The table's file cannot be opened as a table.
    Table(PathBuf, BoxError),
    /// The threads of the table could not be prepared.
    Threads(io::Error),
    /// The address could not be listened on.
    Listen(String, io::Error),
    /// Items could not be written in bulk.
    Import(BoxError),
}

impl Embedded {
    /// Opens the table of `data`.
    ///
    /// # Errors
    /// `Table` if the file is damaged or no table, `Threads`.
    pub fn open(data: &DataDirectory) -> Result<Self, EmbeddedError> {
        Self::over(data.open_table()?)
    }

    /// Offers a table that is open.
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

    /// Answers the calls of other processes at an address such as `127.0.0.1:8000`; port 0 picks a
    /// free one.
    ///
    /// # Errors
    /// `Listen` if the port is taken.
    pub async fn listen(&self, address: &str) -> Result<Port, EmbeddedError> {
        Port::open(self.calls.clone(), address).await
    }

    /// Begins to write items in bulk to a table, past the SDK.
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
            Self::Import(error) => write!(f, "Cannot write to the table: {error}"),
        }
    }
}

impl std::error::Error for EmbeddedError {}
