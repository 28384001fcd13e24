//! Which deployment a command is about: one on this machine, or one in AWS.

use std::env;
use std::path::PathBuf;

use clap::Args;

use super::Failure;
use super::local::{DEFAULT_DATA, Local};
use crate::aws;
use crate::protocol::Result;
use crate::stack::{Config, Stack};

/// Where a command finds the deployment. Without any of these the environment decides: with
/// `SCIM_TABLE` set it is the deployment that the environment describes, else the local one.
#[derive(Debug, Args)]
pub(super) struct Place {
    /// Use the local data in this directory
    #[arg(long, value_name = "DIR", conflicts_with_all = ["stack", "table"])]
    data: Option<PathBuf>,
    /// Use the deployment with this stack name, in the account and region of the AWS settings
    #[arg(long, value_name = "NAME")]
    stack: Option<String>,
    /// Use this table, where SCIM_TABLE is not set
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
}

/// A deployment that a command works on.
pub(super) enum Opened {
    Local(Box<Local>),
    Remote(Box<Stack>),
}

impl Place {
    /// Opens the deployment.
    pub(super) async fn open(&self) -> Result<Opened, Failure> {
        let named = self.stack.is_some() || self.table.is_some();
        if self.data.is_none() && (named || env::var_os("SCIM_TABLE").is_some()) {
            let sdk = aws::from_environment().await;
            let stack = Stack::open(self.config()?, &sdk).await?;
            return Ok(Opened::Remote(Box::new(stack)));
        }
        let data = self
            .data
            .clone()
            .unwrap_or_else(|| PathBuf::from(DEFAULT_DATA));
        let local = Local::open(&data, None).await?;
        Ok(Opened::Local(Box::new(local)))
    }

    /// The environment, with what the arguments say in place of it.
    fn config(&self) -> Result<Config> {
        Config::read(|name| {
            let argument = match name {
                "SCIM_STACK" => self.stack.clone(),
                "SCIM_TABLE" => self.table.clone(),
                _ => None,
            };
            argument.or_else(|| env::var(name).ok())
        })
    }
}

impl Opened {
    pub(super) fn stack(&self) -> &Stack {
        match self {
            Self::Local(local) => &local.stack,
            Self::Remote(stack) => stack,
        }
    }
}
