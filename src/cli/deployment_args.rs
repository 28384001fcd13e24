//! The deployment that a command works on: one on this machine, or one in AWS.

use std::env;
use std::path::{Path, PathBuf};

use clap::Args;

use super::CommandError;
use super::external::{self, External};
use super::local::{DEFAULT_DATA, Local};
use crate::embedded::DataDirectory;
use crate::stack::Stack;

/// The arguments that choose the deployment. Without any of them, it is the deployment that the environment
/// describes if `SCIM_TABLE` is set, else the local one.
#[derive(Debug, Args)]
pub(super) struct DeploymentArgs {
    /// Use the local data in this directory; with --table, its secrets only
    #[arg(long, value_name = "DIR", conflicts_with = "stack")]
    data: Option<PathBuf>,
    /// Use the deployment with this stack name, in the account and region of the AWS settings
    #[arg(long, value_name = "NAME")]
    stack: Option<String>,
    /// Use this table instead of the one in SCIM_TABLE
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    /// Reach the table at this DynamoDB endpoint instead of the one that the AWS settings name
    #[arg(long, value_name = "URL", value_parser = external::endpoint)]
    endpoint: Option<String>,
}

/// A deployment that a command works on.
pub(super) enum Opened {
    Local(Box<Local>),
    External(Box<External>),
}

impl DeploymentArgs {
    /// Opens the deployment. It fails without creating anything if there is no local data.
    pub(super) async fn open(&self) -> Result<Opened, CommandError> {
        match self.directory()? {
            Some(data) if !DataDirectory::is_used(data) => Err(CommandError(format!(
                "There is no data in {}; name it with --data",
                data.display()
            ))),
            _ => self.open_or_create().await,
        }
    }

    /// Opens the deployment, and creates what is missing of local data.
    pub(super) async fn open_or_create(&self) -> Result<Opened, CommandError> {
        let endpoint = self.endpoint.as_deref();
        let external = match (self.directory()?, &self.table) {
            (Some(data), None) => {
                let local = Local::open(data, None).await?;
                return Ok(Opened::Local(Box::new(local)));
            }
            (Some(data), Some(table)) => External::with_data(table, endpoint, data, None).await?,
            (None, table) => {
                let config = external::config(self.stack.as_deref(), table.as_deref())?;
                External::deployed(config, endpoint).await?
            }
        };
        Ok(Opened::External(Box::new(external)))
    }

    /// The directory of the data or of the secrets; `None` if the deployment has none.
    fn directory(&self) -> Result<Option<&Path>, CommandError> {
        let is_named = self.stack.is_some() || self.table.is_some();
        let has_table = is_named || env::var_os("SCIM_TABLE").is_some();
        let data = match &self.data {
            Some(data) => data.as_path(),
            None if has_table => return Ok(None),
            None => Path::new(DEFAULT_DATA),
        };
        if self.endpoint.is_some() && self.table.is_none() {
            let text = "--endpoint needs a table: name it with --table or SCIM_TABLE";
            return Err(CommandError(text.to_owned()));
        }
        Ok(Some(data))
    }
}

impl Opened {
    pub(super) fn stack(&self) -> &Stack {
        match self {
            Self::Local(local) => &local.stack,
            Self::External(external) => &external.stack,
        }
    }
}
