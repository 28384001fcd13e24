//! The deployment that a command works on: one on this machine, or one in AWS.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, FromArgMatches, ValueEnum};

use super::CommandError;
use super::external::{self, External, TablePlace};
use super::find_stack::FoundStack;
use super::local::{DEFAULT_DATA, DEFAULT_LISTEN, Local};
use crate::admin::Admin;
use crate::aws::{self, Login};
use crate::delivery::WebhookSender;
use crate::embedded::{DataDirectory, Embedded};
use crate::http::PublicUrl;
use crate::outgoing::Reach;
use crate::provider::Provider;
use crate::stack::Stack;

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

/// A deployment that a command works on, or that `scim serve` serves.
pub(super) enum Opened {
    Local(Box<Local>),
    External(Box<External>),
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
impl Opened {
    pub(super) fn stack(&self) -> &Stack {
        match self {
            Self::Local(local) => &local.stack,
            Self::External(external) => &external.stack,
        }
    }

    /// The operations on it, for a process that answers requests by this provider.
    pub(super) fn admin(&self, provider: Arc<Provider>) -> Admin {
        self.stack().admin(self.reach(), provider)
    }

    /// What sends to its webhooks.
    pub(super) fn sender(&self) -> WebhookSender {
        self.stack().sender(self.reach())
    }

    /// Only the webhooks of local data may go to this machine.
    fn reach(&self) -> Reach {
        match self.is_local() {
            true => Reach::PublicAndLoopback,
            false => Reach::Public,
        }
    }

    /// Where clients reach it, if that is known here. `scim serve` serves local data, at its usual address.
    pub(super) fn public_url(&self) -> Option<PublicUrl> {
        match self {
            Self::Local(_) => PublicUrl::parse(&format!("http://{DEFAULT_LISTEN}")).ok(),
            Self::External(external) => external.stack.public_url().cloned(),
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

    /// The directory on this machine that has its secrets; `None` if it has none.
    pub(super) fn data_directory(&self) -> Option<&DataDirectory> {
        match self {
            Self::Local(local) => Some(&local.data),
            Self::External(external) => external.data.as_ref(),
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

/// Displays which deployment it is: `local data /home/ada/.scim`, `stack acme-prod, table …, eu-west-1`.
impl fmt::Display for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(local) => write!(f, "local data {}", local.data),
            Self::External(external) => external.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The arguments as they were typed, beside what variables say.
    fn args(typed: &[(&'static str, &str)], environment: Given) -> Result<DeploymentArgs, String> {
        let mut given = environment;
        for (name, value) in typed {
            let value = Some((*value).to_owned());
            match *name {
                "data" => given.data = value.map(PathBuf::from),
                "stack" => given.stack = value,
                "table" => given.table = value,
                "endpoint" => given.endpoint = value,
                "function" => given.function = value,
                name => panic!("{name}"),
            }
        }
        let typed = typed
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        given
            .settled(typed.collect())
            .map_err(|error| error.to_string())
    }

    fn variables(data: &str, stack: &str, table: &str) -> Given {
        let text = |text: &str| Some(text.to_owned());
        Given {
            data: text(data).map(PathBuf::from),
            stack: text(stack),
            table: text(table),
            ..Given::default()
        }
    }

    #[test]
    fn what_is_typed_decides_before_variables() {
        let stack = |stack, table| Place::Stack { stack, table };
        let data = |data| Place::Data(Path::new(data));
        let both = || variables("", "prod", "scim-prod");
        let cases = [
            (vec![], both(), stack("prod", Some("scim-prod"))),
            (vec![], Given::default(), data(".scim")),
            (vec![], variables("d", "", ""), data("d")),
            (vec![("stack", "test")], both(), stack("test", None)),
            (
                vec![("stack", "test")],
                variables("d", "", ""),
                stack("test", None),
            ),
            (
                vec![("table", "other")],
                both(),
                stack("prod", Some("other")),
            ),
            (vec![("data", "d")], both(), data("d")),
            (
                vec![("data", "d"), ("table", "t")],
                both(),
                Place::TableWithData {
                    table: "t",
                    data: Path::new("d"),
                },
            ),
        ];
        for (typed, environment, expected) in cases {
            let args = args(&typed, environment).unwrap();
            assert_eq!(args.place().unwrap(), expected, "{typed:?}");
        }
    }

    #[test]
    fn what_names_two_deployments_or_none_is_refused() {
        let both = args(&[("data", "d"), ("stack", "s")], Given::default());
        assert!(both.unwrap_err().contains("--data is local"));
        let both = args(&[], variables("d", "s", ""));
        assert!(both.unwrap_err().contains("SCIM_DATA"));
        let table = args(&[("table", "t")], Given::default()).unwrap();
        assert!(table.place().unwrap_err().to_string().contains("--stack"));
        let endpoint = args(&[("endpoint", "http://a")], Given::default()).unwrap();
        assert!(
            endpoint
                .place()
                .unwrap_err()
                .to_string()
                .contains("--table")
        );
    }

    #[test]
    fn a_function_is_asked_only_if_it_is_wanted() {
        let lambda = |given: Given| Given {
            via: Some(Via::Lambda),
            ..given
        };
        let of_stack = args(&[], lambda(variables("", "prod", ""))).unwrap();
        assert_eq!(
            of_stack.function().unwrap(),
            Some(FunctionPlace::Of("prod"))
        );
        let named = args(&[("function", "f")], variables("", "prod", "")).unwrap();
        assert_eq!(named.function().unwrap(), Some(FunctionPlace::Named("f")));
        assert!(named.place().is_err());
        let direct = args(&[], variables("", "prod", "")).unwrap();
        assert_eq!(direct.function().unwrap(), None);
        let nowhere = args(&[], lambda(Given::default())).unwrap();
        assert!(
            nowhere
                .function()
                .unwrap_err()
                .to_string()
                .contains("--function")
        );
        // Data that was typed is not in AWS, whatever variables say.
        let function = Some("f".to_owned());
        let local = args(
            &[("data", "d")],
            lambda(Given {
                function,
                ..Given::default()
            }),
        )
        .unwrap();
        assert_eq!(local.function().unwrap(), None);
    }

    #[test]
    fn a_printed_command_names_the_same_deployment() {
        let local = args(&[("data", "it's mine")], Given::default()).unwrap();
        assert_eq!(local.to_text(), r" --data 'it'\''s mine'");
        let typed = [
            ("stack", "my-stack"),
            ("table", "scim"),
            ("endpoint", "http://127.0.0.1:8000"),
        ];
        let remote = args(&typed, Given::default()).unwrap();
        let expected = " --stack my-stack --table scim --endpoint http://127.0.0.1:8000";
        assert_eq!(remote.to_text(), expected);
        let by_environment = args(&[], variables("", "prod", "")).unwrap();
        assert_eq!(by_environment.to_text(), "");
    }
}
