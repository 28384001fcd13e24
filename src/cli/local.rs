//! A deployment on this machine: the embedded table, and a secrets file beside it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{CommandError, docs};
use crate::embedded::{DataDirectory, Embedded};
use crate::http::PublicUrl;
use crate::protocol::Error;
use crate::stack::{Config, Stack, default_stack_secret};
use crate::store::Meter;
use crate::tenant::SecretsFile;

/// The data directory of commands without `--data`.
pub(super) const DEFAULT_DATA: &str = ".scim";
/// Where `scim serve` listens without `--listen`.
pub(super) const DEFAULT_LISTEN: &str = "127.0.0.1:9000";
/// The value of `--data` for a table in memory.
const MEMORY: &str = ":memory:";
/// The name of the local table.
pub(super) const TABLE: &str = "scim";
/// The name of the local stack.
const STACK: &str = "local";

/// The number of calls of one tenant that run at the same time on the embedded table. SQLite runs one call
/// at a time. With this number, the next call is ready while the answers of earlier ones are read. With two,
/// lists on eight connections took 1.5 times as long.
const CALLS_PER_TENANT: usize = 4;

/// How long reading the stream's position may take.
const POSITION_BUDGET: Duration = Duration::from_secs(10);

/// A running local deployment.
pub(super) struct Local {
    pub(super) stack: Stack,
    pub(super) config: Config,
    pub(super) data: DataDirectory,
    pub(super) table: Embedded,
}

impl Local {
    /// Opens the data at `data`, and creates what is missing.
    pub(super) async fn open(
        data: &Path,
        public_url: Option<PublicUrl>,
    ) -> Result<Self, CommandError> {
        let data = data_directory(data)?;
        prepare_secrets(&data)?;
        let table = Embedded::open(&data)?;
        let config = config(data.secrets_file(), public_url);
        let sdk = table.sdk_config();
        let mut stack = Stack::open_or_create(config.clone(), &sdk).await?;
        stack.store = stack.store.with_calls_per_tenant(CALLS_PER_TENANT);
        stack
            .store
            .create_table_if_missing()
            .await
            .map_err(Error::from)?;
        // Records that were not read yet are kept, however old they are: no process may have run for days.
        let store = stack.store.for_stack(Meter::default(), POSITION_BUDGET);
        let read = store.stream_position().await.map_err(Error::from)?;
        data.trim_stream(read.as_deref())?;
        Ok(Self {
            stack,
            config,
            data,
            table,
        })
    }
}

/// Creates the secrets file of a new deployment. This comes before the table is created, so that a table
/// without secrets is always one whose secrets were lost.
fn prepare_secrets(data: &DataDirectory) -> Result<(), CommandError> {
    let path = data.secrets_file();
    if data.has_table() && !path.exists() {
        return Err(CommandError::new(format!(
            "The table in {data} exists, but its secrets do not: restore {}, or use another \
             directory",
            path.display()
        )));
    }
    let created = SecretsFile::new(path).create_if_missing();
    Ok(created.map_err(Error::from)?)
}

/// The directory at `data`, which is created if it is missing; a temporary one for `:memory:`.
pub(super) fn data_directory(data: &Path) -> Result<DataDirectory, CommandError> {
    Ok(match data.to_str() {
        Some(MEMORY) => DataDirectory::in_memory()?,
        _ => DataDirectory::at(data)?,
    })
}

fn config(secrets_file: PathBuf, public_url: Option<PublicUrl>) -> Config {
    Config {
        table: TABLE.to_owned(),
        stack: STACK.to_owned(),
        stack_secret: default_stack_secret(STACK),
        secrets_file: Some(secrets_file),
        public_url,
        server_timing: true,
        functions: Vec::new(),
        docs: docs::folder(),
    }
}
