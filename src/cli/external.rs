//! A DynamoDB table that is not embedded: in AWS, or at another endpoint.

use std::env;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_smithy_types::error::display::DisplayErrorContext;

use super::CommandError;
use super::causes::{self, NO_REGION};
use super::{docs, local};
use crate::aws::{self, Login};
use crate::clock::SystemClock;
use crate::embedded::DataDirectory;
use crate::http::PublicUrl;
use crate::protocol::Error;
use crate::stack::{Config, Stack, default_stack_secret};
use crate::store::Store;
use crate::tenant::{SecretStore, SecretsFile};

/// A deployment on a table that is not embedded.
pub(super) struct External {
    pub(super) stack: Stack,
    /// The data directory with its secrets; `None` if they are where the environment says.
    pub(super) data: Option<DataDirectory>,
    /// Where the table is: a region, or the URL of an endpoint.
    place: String,
}

/// Where a table is, and who reaches it.
pub(super) struct TablePlace<'a> {
    /// The URL of a DynamoDB endpoint, instead of the one that the AWS settings name.
    pub(super) endpoint: Option<&'a str>,
    pub(super) login: &'a Login,
}

impl External {
    /// A deployment on `table`, which is created if it is missing, with the secrets of a data directory.
    ///
    /// A directory may hold the secrets of several tables, each under its own names.
    pub(super) async fn with_data(
        table: &str,
        at: &TablePlace<'_>,
        data: &Path,
        public_url: Option<PublicUrl>,
    ) -> Result<Self, CommandError> {
        let data = local::data_directory(data)?;
        let stack = format!("table-{table}");
        let config = Config {
            table: table.to_owned(),
            stack_secret: default_stack_secret(&stack),
            stack,
            secrets_file: Some(data.secrets_file()),
            public_url,
            server_timing: true,
            functions: Vec::new(),
            docs: docs::folder(),
        };
        let sdk = at.sdk().await?;
        let store = Store::new(&sdk, table, Arc::new(SystemClock));
        let made = store.create_table_if_missing().await;
        made.map_err(Error::from)?;
        check_secrets(&store, &data, &config).await?;
        let stack = Stack::open_or_create(config, &sdk).await?;
        Ok(Self {
            stack,
            data: Some(data),
            place: at.name(&sdk),
        })
    }

    /// The deployment that `config` describes, with its table at the endpoint if one is given. The table is
    /// not created, because the template of the deployment has created it.
    pub(super) async fn deployed(
        config: Config,
        at: &TablePlace<'_>,
    ) -> Result<Self, CommandError> {
        let table = config.table.clone();
        let sdk = at.login_only().sdk().await?;
        let mut stack = Stack::open(config, &sdk).await?;
        let mut place = at.name(&sdk);
        if at.endpoint.is_some() {
            let sdk = at.sdk().await?;
            stack.store = Store::new(&sdk, &table, Arc::new(SystemClock));
            place = at.name(&sdk);
        }
        Ok(Self {
            stack,
            data: None,
            place,
        })
    }
}

/// Displays which deployment it is, and where.
impl fmt::Display for External {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (table, place) = (self.stack.store.table(), &self.place);
        match &self.data {
            Some(data) => write!(f, "table {table}, {place}, secrets in {data}"),
            None => write!(f, "stack {}, table {table}, {place}", self.stack.name()),
        }
    }
}

impl TablePlace<'_> {
    /// The settings of the SDK.
    async fn sdk(&self) -> Result<SdkConfig, CommandError> {
        let sdk = match self.endpoint {
            Some(endpoint) => aws::at(endpoint, self.login).await,
            None => aws::from_environment(self.login).await,
        };
        check_region(&sdk, self.login).await?;
        Ok(sdk)
    }

    /// The place of everything but the table.
    fn login_only(&self) -> Self {
        Self {
            endpoint: None,
            login: self.login,
        }
    }

    /// The endpoint, wherever it is set, or the region.
    fn name(&self, sdk: &SdkConfig) -> String {
        let variables = ["AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL"].into_iter();
        let mut set =
            variables.filter_map(|name| env::var(name).ok().filter(|url| !url.is_empty()));
        let endpoint = self.endpoint.map(str::to_owned).or_else(|| set.next());
        endpoint.unwrap_or_else(|| sdk.region().map(ToString::to_string).unwrap_or_default())
    }
}

/// Fails if no region is known. The SDK would fail too, with every call and in words of its own.
pub(super) async fn check_region(sdk: &SdkConfig, login: &Login) -> Result<(), CommandError> {
    if sdk.region().is_some() {
        return Ok(());
    }
    // A profile that does not exist has no region either, and then its name is what is wrong.
    if let (Some(_), Some(provider)) = (&login.profile, sdk.credentials_provider())
        && let Err(error) = provider.provide_credentials().await
        && let Some(words) = causes::no_profile(&DisplayErrorContext(&error).to_string())
    {
        return Err(CommandError::new(words));
    }
    Err(CommandError::new(NO_REGION))
}

/// Checks that the data directory has the secrets of a table that holds items. With new secrets, every token
/// that was issued for the table would be refused.
async fn check_secrets(
    store: &Store,
    data: &DataDirectory,
    config: &Config,
) -> Result<(), CommandError> {
    let secrets = SecretsFile::new(data.secrets_file());
    secrets.create_if_missing().map_err(Error::from)?;
    let found = secrets
        .get(&config.stack_secret)
        .await
        .map_err(Error::from)?;
    if found.is_some() || store.is_empty().await.map_err(Error::from)? {
        return Ok(());
    }
    Err(CommandError::new(format!(
        "The table {} is in use, but its secrets are not in {}: name the directory that has them with \
         --data, or the deployment with SCIM_STACK",
        config.table,
        data.secrets_file().display()
    )))
}

/// The configuration from the environment. Arguments take precedence.
pub(super) fn config(stack: Option<&str>, table: Option<&str>) -> Result<Config, Error> {
    Config::read(|name| {
        let argument = match name {
            "SCIM_STACK" => stack,
            "SCIM_TABLE" => table,
            _ => None,
        };
        argument.map(str::to_owned).or_else(|| env::var(name).ok())
    })
}

/// Checks the URL of an endpoint.
pub(super) fn endpoint(text: &str) -> Result<String, String> {
    let is_url = ["http://", "https://"].iter().any(|scheme| {
        let rest = text.strip_prefix(scheme);
        rest.is_some_and(|rest| {
            rest.starts_with(|first: char| first.is_alphanumeric() || first == '[')
        })
    });
    if is_url && text.parse::<axum::http::Uri>().is_ok() {
        return Ok(text.to_owned());
    }
    Err("an endpoint is a URL such as http://127.0.0.1:8000".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_url_with_a_host() {
        for text in [
            "http://127.0.0.1:8000",
            "https://dynamodb.eu-west-1.amazonaws.com",
            "http://[::1]:8000",
        ] {
            assert_eq!(endpoint(text).as_deref(), Ok(text));
        }
        for text in [
            "",
            "127.0.0.1:8000",
            "http://",
            "http:///",
            "ftp://example.com",
            "http://a b",
        ] {
            assert!(endpoint(text).is_err(), "{text}");
        }
    }
}
