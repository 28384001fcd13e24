//! The deployment that a command works on: one on this machine, or one in AWS.

use std::env;
use std::path::PathBuf;

use clap::Args;

use super::CommandError;
use super::external::{self, External};
use super::local::{DEFAULT_DATA, Local};
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
    /// Reach the table at this DynamoDB endpoint, not where the AWS settings lead
    #[arg(long, value_name = "URL", value_parser = external::endpoint)]
    endpoint: Option<String>,
}

/// A deployment that a command works on.
pub(super) enum Opened {
    Local(Box<Local>),
    External(Box<External>),
}

impl DeploymentArgs {
    /// Opens the deployment.
    pub(super) async fn open(&self) -> Result<Opened, CommandError> {
        let endpoint = self.endpoint.as_deref();
        if let (Some(data), Some(table)) = (&self.data, &self.table) {
            let external = External::with_data(table, endpoint, data, None).await?;
            return Ok(Opened::External(Box::new(external)));
        }
        let named = self.stack.is_some() || self.table.is_some();
        if self.data.is_none() && (named || env::var_os("SCIM_TABLE").is_some()) {
            let config = external::config(self.stack.as_deref(), self.table.as_deref())?;
            let external = External::deployed(config, endpoint).await?;
            return Ok(Opened::External(Box::new(external)));
        }
        if endpoint.is_some() {
            let text = "--endpoint needs a table: name it with --table or SCIM_TABLE";
            return Err(CommandError(text.to_owned()));
        }
        let data = self
            .data
            .clone()
            .unwrap_or_else(|| PathBuf::from(DEFAULT_DATA));
        let local = Local::open(&data, None).await?;
        Ok(Opened::Local(Box::new(local)))
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
