//! Puts a deployment together: the table, the secrets, and the service that uses both.
//!
//! It reads all variables of the environment, except `SCIM_LOG`, which `logs` reads:
//!
//! | variable | meaning |
//! |---|---|
//! | `SCIM_TABLE` | the table's name |
//! | `SCIM_STACK` | the stack's name, which every secret's name begins with |
//! | `SCIM_STACK_SECRET` | the name or ARN of the stack secret; `{stack}/stack` if not set |
//! | `SCIM_SECRETS_FILE` | a local file to use instead of Secrets Manager |
//! | `SCIM_PUBLIC_URL` | where clients reach the service, if that is not what the gateway says |
//! | `SCIM_FUNCTIONS` | the names of the functions that share the table, with commas, for `stack.status` |
//! | `SCIM_SERVER_TIMING` | `on`: a header of each answer says what the request cost |
//! | `SCIM_DOCS` | the folder with the files of `/docs`; without it, `/docs` and `/openapi.json` lead nowhere |
//!
//! Region, credentials and endpoints come from the AWS SDK's own variables.

use std::env;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;

#[cfg(feature = "worker")]
use crate::admin::Admin;
#[cfg(feature = "worker")]
use crate::admin::stack::Deployment;
use crate::clock::SystemClock;
#[cfg(feature = "worker")]
use crate::delivery::{WebhookSecrets, WebhookSender};
use crate::http::{Admission, PublicUrl, RequestRates, Service, StatusLog};
use crate::identity::TenantId;
#[cfg(feature = "worker")]
use crate::outgoing::{Client, Reach, Settings};
use crate::pages::Docs;
use crate::protocol::{Error, Result};
use crate::provider::{Cursors, Provider};
use crate::store::{Meter, Store};
use crate::tenant::{
    Authenticator, Credentials, Issuer, ReadOnly, SecretStore, SecretsFile, SecretsManager,
    StackKeys,
};

/// How long a tenant may take to get on the list.
const LIST_BUDGET: Duration = Duration::from_secs(10);

/// Which deployment a process belongs to, and how clients reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The table's name.
    pub table: String,
    /// The stack's name.
    pub stack: String,
    /// The name or ARN of the stack secret.
    pub stack_secret: String,
    /// The local file that is used instead of Secrets Manager.
    pub secrets_file: Option<PathBuf>,
    /// Where clients reach the service.
    pub public_url: Option<PublicUrl>,
    /// Whether each answer has a header with what it cost.
    pub server_timing: bool,
    /// The names of the functions that share the table, if they are known.
    pub functions: Vec<String>,
    /// The folder with the files of the interactive documentation, if the deployment has it.
    pub docs: Option<PathBuf>,
}

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    /// `InvalidValue` naming the variable that is missing or cannot be read.
    pub fn from_environment() -> Result<Self> {
        Self::read(|name| env::var(name).ok())
    }

    /// The same from another source of variables.
    ///
    /// # Errors
    /// As [`from_environment`](Self::from_environment).
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let required = |name: &str| {
            variable(name).ok_or_else(|| Error::invalid_value(format!("{name} is not set")))
        };
        let stack = required("SCIM_STACK")?;
        let public_url = variable("SCIM_PUBLIC_URL").map(|url| PublicUrl::parse(&url));
        Ok(Self {
            table: required("SCIM_TABLE")?,
            stack_secret: variable("SCIM_STACK_SECRET")
                .unwrap_or_else(|| default_stack_secret(&stack)),
            secrets_file: variable("SCIM_SECRETS_FILE").map(PathBuf::from),
            public_url: public_url.transpose()?,
            server_timing: variable("SCIM_SERVER_TIMING").as_deref() == Some("on"),
            functions: variable("SCIM_FUNCTIONS").map_or_else(Vec::new, |names| {
                names.split(',').map(str::to_owned).collect()
            }),
            docs: variable("SCIM_DOCS").map(PathBuf::from),
            stack,
        })
    }
}

/// The name of the stack secret if none is given.
#[must_use]
pub fn default_stack_secret(stack: &str) -> String {
    format!("{stack}/stack")
}

/// An opened deployment.
pub struct Stack {
    /// The table.
    pub store: Store,
    /// Where secrets are kept.
    pub secrets: Arc<dyn SecretStore>,
    /// The keys with which every credential of the deployment is signed.
    pub keys: Arc<StackKeys>,
    config: Config,
}

impl Stack {
    /// Opens the deployment that `config` names, at the endpoints of `sdk`.
    ///
    /// # Errors
    /// `Internal` if there is no usable stack secret, `Unavailable` if it cannot be read.
    pub async fn open(config: Config, sdk: &SdkConfig) -> Result<Self> {
        Self::open_with(secrets(&config, sdk), config, sdk).await
    }

    /// The same for the function that answers HTTP. It reads the secrets of tenants and of the stack, and
    /// changes none.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_for_http(config: Config, sdk: &SdkConfig) -> Result<Self> {
        let secrets: Arc<dyn SecretStore> = match &config.secrets_file {
            Some(path) => Arc::new(ReadOnly(SecretsFile::new(path))),
            None => Arc::new(ReadOnly(SecretsManager::new(sdk))),
        };
        Self::open_with(secrets, config, sdk).await
    }

    async fn open_with(
        secrets: Arc<dyn SecretStore>,
        config: Config,
        sdk: &SdkConfig,
    ) -> Result<Self> {
        let (name, clock) = (&config.stack_secret, Arc::new(SystemClock));
        let keys = StackKeys::open(Arc::clone(&secrets), name, clock).await?;
        Ok(Self::with(config, sdk, secrets, keys))
    }

    /// The same for a local deployment. Its secrets file and its stack secret are created if they do
    /// not exist.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_or_create(config: Config, sdk: &SdkConfig) -> Result<Self> {
        if let Some(path) = &config.secrets_file {
            SecretsFile::new(path).create_if_missing()?;
        }
        let secrets = secrets(&config, sdk);
        let (name, clock) = (&config.stack_secret, Arc::new(SystemClock));
        let keys = StackKeys::open_or_create(Arc::clone(&secrets), name, clock).await?;
        Ok(Self::with(config, sdk, secrets, keys))
    }

    fn with(
        config: Config,
        sdk: &SdkConfig,
        secrets: Arc<dyn SecretStore>,
        keys: StackKeys,
    ) -> Self {
        Self {
            store: Store::new(sdk, &config.table, Arc::new(SystemClock)),
            secrets,
            keys: Arc::new(keys),
            config,
        }
    }

    /// The stack's name, with which the names of its secrets begin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.config.stack
    }

    /// Where clients reach the service, if that is known here and not only to the gateway.
    #[must_use]
    pub fn public_url(&self) -> Option<&PublicUrl> {
        self.config.public_url.as_ref()
    }

    /// Makes a tenant without credentials, and puts it on the stack's list.
    ///
    /// # Errors
    /// `Conflict` if there is one of this name; `Unavailable` if the table or secrets are out of reach.
    pub async fn create_tenant(&self, tenant: &TenantId) -> Result<()> {
        // On the list first: a tenant that is listed and was not made does no harm, and one that was made
        // and is not listed would be left out by the sweep.
        let stack = self.store.for_stack(Meter::default(), LIST_BUDGET);
        stack.list_tenant(tenant).await?;
        self.issuer().create_tenant(tenant).await
    }

    /// Issues and revokes credentials of this deployment.
    #[must_use]
    pub fn issuer(&self) -> Issuer {
        let (keys, credentials) = (Arc::clone(&self.keys), self.credentials());
        Issuer::new(keys, credentials, Arc::new(SystemClock))
    }

    /// A provider of this deployment, with a cache of its own.
    #[must_use]
    pub fn provider(&self) -> Provider {
        let cursors = Cursors::new(Arc::clone(&self.keys));
        Provider::new(self.store.clone(), Arc::new(SystemClock), cursors)
    }

    /// The HTTP service of this deployment.
    #[must_use]
    pub fn service(&self) -> Arc<Service> {
        let (keys, credentials) = (Arc::clone(&self.keys), self.credentials());
        Arc::new(Service {
            provider: Arc::new(self.provider()),
            authenticator: Authenticator::new(keys, credentials, Arc::new(SystemClock)),
            admission: Admission::default(),
            status: StatusLog::new(Arc::new(SystemClock)),
            rates: RequestRates::default(),
            public_url: self.config.public_url.clone(),
            server_timing: self.config.server_timing,
            docs: self.config.docs.clone().map(Docs::in_folder),
        })
    }

    /// The operations of the people and programs that run this deployment. `reach` says which addresses the URL of
    /// a webhook may have. A process that answers requests has one `provider` for both, so that a request notices
    /// at once what an operation has changed.
    #[cfg(feature = "worker")]
    #[must_use]
    pub fn admin(&self, reach: Reach, provider: Arc<Provider>) -> Admin {
        Admin {
            store: self.store.clone(),
            credentials: self.credentials(),
            issuer: self.issuer(),
            keys: Arc::clone(&self.keys),
            provider,
            secrets: self.webhook_secrets(),
            reach,
            sender: Arc::new(self.sender(reach)),
            clock: Arc::new(SystemClock),
            deployment: Deployment {
                stack: self.config.stack.clone(),
                functions: self.config.functions.clone(),
                origin: self.config.public_url.as_ref().map(PublicUrl::root_url),
            },
        }
    }

    /// Sends messages to the webhooks of this deployment.
    #[cfg(feature = "worker")]
    #[must_use]
    pub fn sender(&self, reach: Reach) -> WebhookSender {
        let client = Client::new(Settings::new(reach));
        WebhookSender::new(client, self.webhook_secrets(), Arc::new(SystemClock))
    }

    #[cfg(feature = "worker")]
    fn webhook_secrets(&self) -> WebhookSecrets {
        let secrets = Arc::clone(&self.secrets);
        WebhookSecrets::new(secrets, &self.config.stack, Arc::new(SystemClock))
    }

    /// The credentials of the tenants.
    #[must_use]
    pub fn credentials(&self) -> Credentials {
        Credentials::new(Arc::clone(&self.secrets), &self.config.stack)
    }
}

fn secrets(config: &Config, sdk: &SdkConfig) -> Arc<dyn SecretStore> {
    match &config.secrets_file {
        Some(path) => Arc::new(SecretsFile::new(path)),
        None => Arc::new(SecretsManager::new(sdk)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Config> {
        Config::read(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn table_and_stack_are_enough() {
        let config = read(&[("SCIM_TABLE", "t"), ("SCIM_STACK", "s")]).unwrap();
        let expected = Config {
            table: "t".to_owned(),
            stack: "s".to_owned(),
            stack_secret: "s/stack".to_owned(),
            secrets_file: None,
            public_url: None,
            server_timing: false,
            functions: Vec::new(),
            docs: None,
        };
        assert_eq!(config, expected);
    }

    #[test]
    fn a_variable_that_is_missing_or_wrong_is_named() {
        fn check(variables: &[(&str, &str)], name: &str) {
            let error = read(variables).unwrap_err();
            assert!(error.detail().contains(name), "{error}");
        }
        check(&[("SCIM_TABLE", "t")], "SCIM_STACK");
        check(&[("SCIM_STACK", "s"), ("SCIM_TABLE", "")], "SCIM_TABLE");
        let both = [("SCIM_TABLE", "t"), ("SCIM_STACK", "s")];
        check(
            &[both[0], both[1], ("SCIM_PUBLIC_URL", "nowhere")],
            "nowhere",
        );
    }
}
