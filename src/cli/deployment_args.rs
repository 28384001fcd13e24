//! The deployment that a command works on: one on this machine, or one in AWS.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::CommandError;
use super::external::{self, External};
use super::local::{DEFAULT_DATA, Local};
use crate::admin::Admin;
use crate::clock::SystemClock;
use crate::delivery::{WebhookSecrets, WebhookSender};
use crate::embedded::{DataDirectory, Embedded};
use crate::outgoing::{Client, Reach, Settings};
use crate::stack::Stack;
use crate::tenant::Credentials;

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

/// A deployment that a command works on, or that `scim serve` serves.
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

    /// The arguments that name the same deployment in another command, each with a blank before it. None if the
    /// environment decides, as it does for that command.
    pub(super) fn to_text(&self) -> String {
        let data = self.data.as_ref().map(|data| data.to_string_lossy());
        let given = [
            ("--data", data.as_deref()),
            ("--stack", self.stack.as_deref()),
            ("--table", self.table.as_deref()),
            ("--endpoint", self.endpoint.as_deref()),
        ];
        let given = given.into_iter();
        let given = given.filter_map(|(name, value)| Some(argument(name, value?)));
        given.collect()
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

/// An argument as a shell takes it, with a blank before it.
pub(super) fn argument(name: &str, value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._/:@%+,=".contains(c);
    match !value.is_empty() && value.chars().all(is_plain) {
        true => format!(" {name} {value}"),
        false => format!(" {name} '{}'", value.replace('\'', r"'\''")),
    }
}

impl Opened {
    pub(super) fn stack(&self) -> &Stack {
        match self {
            Self::Local(local) => &local.stack,
            Self::External(external) => &external.stack,
        }
    }

    /// The operations on it. Only the webhooks of local data may go to this machine.
    pub(super) fn admin(&self) -> Admin<WebhookSender> {
        let reach = match self.is_local() {
            true => Reach::PublicAndLoopback,
            false => Reach::Public,
        };
        let (stack, clock) = (self.stack(), Arc::new(SystemClock));
        let secrets = WebhookSecrets::new(Arc::clone(&stack.secrets), stack.name(), clock.clone());
        let client = Client::new(Settings::new(reach));
        Admin {
            store: stack.store.clone(),
            credentials: Credentials::new(Arc::clone(&stack.secrets), stack.name()),
            sender: WebhookSender::new(client, secrets.clone(), clock.clone()),
            secrets,
            reach,
            clock,
        }
    }

    /// The embedded table, whose stream `scim serve` reads. The stream of another table is for the functions
    /// of its deployment to read.
    pub(super) fn embedded(&self) -> Option<&Embedded> {
        match self {
            Self::Local(local) => Some(&local.table),
            Self::External(_) => None,
        }
    }

    /// Whether its secrets are in a data directory of this machine. Then it is one of a developer: it gets a demo
    /// tenant, and its webhooks may go to this machine. A deployment that the environment describes has its
    /// own tenants, and a working token must not be printed at each start.
    pub(super) fn is_local(&self) -> bool {
        match self {
            Self::Local(_) => true,
            Self::External(external) => external.data.is_some(),
        }
    }
}

/// Displays where the data is stored.
impl fmt::Display for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(local) => local.data.fmt(f),
            Self::External(external) => {
                let table = external.stack.store.table();
                match &external.data {
                    Some(data) => write!(f, "table {table}; secrets {data}"),
                    None => write!(
                        f,
                        "table {table}; secrets of stack {}",
                        external.stack.name()
                    ),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_command_names_the_same_deployment() {
        let local = DeploymentArgs {
            data: Some(PathBuf::from("it's mine")),
            stack: None,
            table: None,
            endpoint: None,
        };
        assert_eq!(local.to_text(), r" --data 'it'\''s mine'");
        let remote = DeploymentArgs {
            data: None,
            stack: Some("my-stack".to_owned()),
            table: Some("scim".to_owned()),
            endpoint: Some("http://127.0.0.1:8000".to_owned()),
        };
        let expected = " --stack my-stack --table scim --endpoint http://127.0.0.1:8000";
        assert_eq!(remote.to_text(), expected);
        let by_environment = DeploymentArgs {
            data: None,
            stack: None,
            table: None,
            endpoint: None,
        };
        assert_eq!(by_environment.to_text(), "");
    }
}
