//! The deployment that a command works on: one on this machine, or one in AWS.

use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, FromArgMatches, ValueEnum};

use super::CommandError;
use super::external::{self, External, TablePlace};
use super::find_stack::FoundStack;
use super::local::{DEFAULT_DATA, Local};
use super::opened::Opened;
use crate::aws::{self, Login};
use crate::embedded::DataDirectory;

/// The arguments that choose the deployment.
///
/// An argument that was typed decides before all variables of the environment. Without any of either, it is the
/// local deployment in `.scim`.
#[derive(Debug, Default)]
pub(super) struct DeploymentArgs {
    given: Given,
    /// The arguments that were typed, by their names.
    typed: Vec<(&'static str, String)>,
}

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Deployment")]
struct Given {
    /// Use the local data in this directory; with --table, its secrets only
    #[arg(long, value_name = "DIR", env = "SCIM_DATA", hide_env_values = true)]
    data: Option<PathBuf>,
    /// Use the stack with this name; its table is found by the name
    #[arg(long, value_name = "NAME", env = "SCIM_STACK", hide_env_values = true)]
    stack: Option<String>,
    /// Use this table instead of looking the stack up
    #[arg(long, value_name = "NAME", env = "SCIM_TABLE", hide_env_values = true)]
    table: Option<String>,
    /// Reach the table at this DynamoDB endpoint instead of the one that the AWS settings name
    #[arg(long, value_name = "URL", value_parser = external::endpoint)]
    endpoint: Option<String>,
    /// Use this profile of the AWS settings
    #[arg(long, value_name = "NAME", env = "AWS_PROFILE", hide_env_values = true)]
    aws_profile: Option<String>,
    /// Use this AWS region
    #[arg(
        long,
        value_name = "REGION",
        env = "AWS_REGION",
        hide_env_values = true
    )]
    region: Option<String>,
    /// Ask the stack's function for operators, which needs no other permission, or work on table and secrets
    #[arg(long, value_enum, env = "SCIM_VIA", hide_env_values = true)]
    via: Option<Via>,
    /// Ask this function instead of looking the stack up; implies --via lambda
    #[arg(
        long,
        value_name = "NAME",
        env = "SCIM_FUNCTION",
        hide_env_values = true
    )]
    function: Option<String>,
}

/// How operations are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Via {
    /// On the table and the secrets themselves
    Direct,
    /// By the stack's function for operators
    Lambda,
}

/// Where the data of a deployment is.
#[derive(Debug, PartialEq, Eq)]
enum Place<'a> {
    /// In a local directory.
    Data(&'a Path),
    /// In a table, with its secrets in a local directory.
    TableWithData { table: &'a str, data: &'a Path },
    /// Where the stack has it.
    Stack {
        stack: &'a str,
        table: Option<&'a str>,
    },
}

impl DeploymentArgs {
    /// Opens the deployment, and says on stderr which it is. It fails without creating anything if there is no
    /// local data.
    pub(super) async fn open(&self) -> Result<Opened, CommandError> {
        if let Place::Data(data) | Place::TableWithData { data, .. } = self.place()?
            && !DataDirectory::is_used(data)
        {
            return Err(no_data(data));
        }
        self.open_place().await
    }

    /// The same, but creates what is missing of local data, if its directory is named.
    pub(super) async fn open_or_create(&self) -> Result<Opened, CommandError> {
        match self.given.data {
            Some(_) => self.open_place().await,
            None => self.open().await,
        }
    }

    /// The function to ask for operations; `None` if they are to be done on the table and the secrets.
    pub(super) fn function(&self) -> Result<Option<FunctionPlace<'_>>, CommandError> {
        let Given {
            via,
            function,
            stack,
            ..
        } = &self.given;
        let is_asked = match via {
            Some(via) => *via == Via::Lambda,
            None => function.is_some(),
        };
        if !is_asked {
            return Ok(None);
        }
        match (function, stack) {
            (Some(name), _) => Ok(Some(FunctionPlace::Named(name))),
            (None, Some(stack)) => Ok(Some(FunctionPlace::Of(stack))),
            (None, None) => Err(CommandError::usage(
                "--via lambda asks the function of a stack: name the stack with --stack, or the function with \
                 --function",
            )),
        }
    }

    /// The arguments that name the same deployment in another command, each with a blank before it. None if the
    /// environment decides, as it does for that command.
    pub(super) fn to_text(&self) -> String {
        let typed = self.typed.iter();
        let typed =
            typed.map(|(id, value)| argument(&format!("--{}", id.replace('_', "-")), value));
        typed.collect()
    }

    /// Who reaches AWS, and where.
    pub(super) fn login(&self) -> Login {
        let is_typed = |name: &str| self.typed.iter().any(|(typed, _)| *typed == name);
        let (profile, region) = (&self.given.aws_profile, &self.given.region);
        Login {
            // The SDK reads the variable itself. There it comes after keys in the environment.
            profile: profile.clone().filter(|_| is_typed("aws_profile")),
            region: region.clone(),
        }
    }

    fn place(&self) -> Result<Place<'_>, CommandError> {
        let Given {
            data,
            stack,
            table,
            endpoint,
            ..
        } = &self.given;
        if self.function()?.is_some() {
            return Err(CommandError::usage(
                "This command works on the table and the secrets itself: add --via direct",
            ));
        }
        if endpoint.is_some() && table.is_none() {
            let text = "--endpoint needs a table: name it with --table or SCIM_TABLE";
            return Err(CommandError::usage(text));
        }
        Ok(match (data, stack, table) {
            (Some(data), _, Some(table)) => Place::TableWithData { table, data },
            (Some(data), _, None) => Place::Data(data),
            (None, Some(stack), table) => Place::Stack {
                stack,
                table: table.as_deref(),
            },
            (None, None, Some(table)) => {
                return Err(CommandError::usage(format!(
                    "The secrets of table {table} are those of a stack or of local data: name them with --stack or \
                     --data"
                )));
            }
            (None, None, None) => Place::Data(Path::new(DEFAULT_DATA)),
        })
    }

    async fn open_place(&self) -> Result<Opened, CommandError> {
        let login = self.login();
        let at = TablePlace {
            endpoint: self.given.endpoint.as_deref(),
            login: &login,
        };
        let opened = match self.place()? {
            Place::Data(data) => Opened::Local(Box::new(Local::open(data, None).await?)),
            Place::TableWithData { table, data } => {
                Opened::External(Box::new(External::with_data(table, &at, data, None).await?))
            }
            Place::Stack { stack, table } => {
                let (mut found, mut table) = (None, table.map(str::to_owned));
                if table.is_none() {
                    let sdk = aws::from_environment(&login).await;
                    external::check_region(&sdk, &login).await?;
                    let stack = FoundStack::look_up(&sdk, stack).await?;
                    table = Some(stack.table()?);
                    found = stack.public_url();
                }
                let mut config = external::config(Some(stack), table.as_deref())?;
                config.public_url = config.public_url.or(found);
                Opened::External(Box::new(External::deployed(config, &at).await?))
            }
        };
        eprintln!("Deployment: {opened}");
        Ok(opened)
    }
}

/// The function that is asked for operations.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FunctionPlace<'a> {
    /// The one with this name.
    Named(&'a str),
    /// That of this stack.
    Of(&'a str),
}

fn no_data(data: &Path) -> CommandError {
    let data = data.display();
    CommandError::new(format!(
        "There is no data in {data}; say which deployment is meant, with --data DIR or --stack NAME"
    ))
}

impl Args for DeploymentArgs {
    fn augment_args(command: clap::Command) -> clap::Command {
        Given::augment_args(command)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Given::augment_args_for_update(command)
    }
}

impl FromArgMatches for DeploymentArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Self::from_arg_matches_mut(&mut matches.clone())
    }

    fn from_arg_matches_mut(matches: &mut ArgMatches) -> Result<Self, clap::Error> {
        let mut typed = Vec::new();
        for name in NAMES {
            if matches.value_source(name) == Some(ValueSource::CommandLine) {
                let mut values = matches.get_raw(name).into_iter().flatten();
                let value = values.next().unwrap_or_default();
                typed.push((name, value.to_string_lossy().into_owned()));
            }
        }
        let given = Given::from_arg_matches_mut(matches)?;
        given.settled(typed)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The names of the arguments.
const NAMES: [&str; 8] = [
    "data",
    "stack",
    "table",
    "endpoint",
    "aws_profile",
    "region",
    "via",
    "function",
];

impl Given {
    /// Drops what variables say about another deployment than the one that was typed: whoever types `--stack` means
    /// neither the table nor the data of the environment.
    fn settled(
        mut self,
        typed: Vec<(&'static str, String)>,
    ) -> Result<DeploymentArgs, clap::Error> {
        let is_typed = |name: &str| typed.iter().any(|(known, _)| *known == name);
        self.data = self.data.filter(|data| !data.as_os_str().is_empty());
        for text in [
            &mut self.stack,
            &mut self.table,
            &mut self.aws_profile,
            &mut self.region,
            &mut self.function,
        ] {
            *text = text.take().filter(|text| !text.is_empty());
        }
        if is_typed("data") && (is_typed("stack") || is_typed("function")) {
            return Err(conflict(
                "--data is local, and --stack and --function are in AWS: give one of them",
            ));
        }
        if is_typed("data") {
            self.stack = None;
            self.table = self.table.filter(|_| is_typed("table"));
            self.function = None;
            self.via = self.via.filter(|_| is_typed("via"));
        } else if is_typed("stack") || is_typed("function") {
            self.data = None;
            self.table = self.table.filter(|_| is_typed("table"));
            self.function = self.function.filter(|_| is_typed("function"));
        } else if is_typed("table") && self.stack.is_some() {
            self.data = None;
        } else if self.data.is_some() && (self.stack.is_some() || self.function.is_some()) {
            return Err(conflict(
                "SCIM_DATA is local, and SCIM_STACK and SCIM_FUNCTION are in AWS: unset one of them, or give --data \
                 or --stack",
            ));
        }
        Ok(DeploymentArgs { given: self, typed })
    }
}

fn conflict(text: &str) -> clap::Error {
    clap::Error::raw(ErrorKind::ArgumentConflict, format!("{text}\n"))
}

/// An argument as a shell takes it, with a blank before it.
pub(super) fn argument(name: &str, value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._/:@%+,=".contains(c);
    match !value.is_empty() && value.chars().all(is_plain) {
        true => format!(" {name} {value}"),
        false => format!(" {name} '{}'", value.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests;
