//! The SDK configuration that every AWS client of this process shares.
//!
//! It owns region, credentials, endpoints, the HTTP client and its time limits. The HTTP client is
//! built once, so that the clients of all services share one connection pool and one TLS
//! stack.
//!
//! It must not know any service.

mod connections;

use std::env;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_config::environment::{
    EnvironmentVariableCredentialsProvider, EnvironmentVariableRegionProvider,
};
use aws_config::meta::region::ProvideRegion;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::{HttpClient, SharedHttpClient};
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};
use tokio_rustls::rustls::RootCertStore;

use crate::tls;

/// The longest time of one attempt of a call, until its answer is read.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(4);
/// The longest time of one call with all its attempts; well within the 20 seconds that a request may
/// take.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(10);
/// A region for emulators, which ignore it.
const MADE_UP_REGION: &str = "us-east-1";

/// Reads region, credentials and endpoints from the variables that Lambda sets.
///
/// `AWS_ENDPOINT_URL_DYNAMODB` and `AWS_ENDPOINT_URL_SECRETS_MANAGER` redirect one service. Other
/// AWS tools also read files and ask services that do not exist in Lambda. The code for that is a
/// large part of the SDK's configuration, so a function leaves it out to start faster.
pub async fn in_lambda() -> SdkConfig {
    let is_on = |name: &str| variable(name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(EnvironmentVariableRegionProvider::new().region().await)
        .credentials_provider(SharedCredentialsProvider::new(
            EnvironmentVariableCredentialsProvider::new(),
        ))
        .use_fips(is_on("AWS_USE_FIPS_ENDPOINT"))
        .use_dual_stack(is_on("AWS_USE_DUALSTACK_ENDPOINT"))
        .service_config(ServiceVariables(variable))
        .http_client(http_client())
        .retry_config(retries())
        .timeout_config(timeouts())
        .build()
}

/// A variable that is set and not empty.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// Reads a variable of one service, or otherwise the variable of all services:
/// `AWS_ENDPOINT_URL_DYNAMODB`, or otherwise `AWS_ENDPOINT_URL`.
#[derive(Debug)]
struct ServiceVariables(fn(&str) -> Option<String>);

impl LoadServiceConfig for ServiceVariables {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let (service, name) = (key.service_id(), key.env());
        let service = service.to_ascii_uppercase().replace([' ', '-'], "_");
        (self.0)(&format!("{name}_{service}")).or_else(|| (self.0)(name))
    }
}

/// The login and the region that a person has named, instead of those of the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Login {
    /// A profile of the AWS settings. Its credentials are used also if there are others in the environment, as by
    /// other AWS tools.
    pub profile: Option<String>,
    /// A region, such as `eu-west-1`.
    pub region: Option<String>,
}

/// Reads region, credentials and endpoints from the environment, as every AWS tool does, apart from what `login`
/// names.
///
/// `AWS_ENDPOINT_URL_DYNAMODB` and `AWS_ENDPOINT_URL_SECRETS_MANAGER` redirect one service.
pub async fn from_environment(login: &Login) -> SdkConfig {
    loader(login).await.load().await
}

/// The same with every service at `endpoint`; endpoints in the environment are ignored.
///
/// An emulator on this machine needs some region and some credentials. If neither a profile nor
/// variables set them, it gets made-up ones.
pub async fn at(endpoint: &str, login: &Login) -> SdkConfig {
    let mut loader = loader(login).await.endpoint_url(endpoint);
    let is_set = |name: &str| variable(name).is_some();
    if is_loopback(endpoint) && login.profile.is_none() && !is_set("AWS_PROFILE") {
        if !is_set("AWS_ACCESS_KEY_ID") {
            loader = loader.credentials_provider(made_up_credentials());
        }
        if login.region.is_none() && !is_set("AWS_REGION") && !is_set("AWS_DEFAULT_REGION") {
            loader = loader.region(Region::new(MADE_UP_REGION));
        }
    }
    loader.load().await
}

async fn loader(login: &Login) -> ConfigLoader {
    let loader = || {
        let loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http_client())
            .retry_config(retries())
            .timeout_config(timeouts());
        match &login.region {
            Some(region) => loader.region(Region::new(region.clone())),
            None => loader,
        }
    };
    let Some(profile) = &login.profile else {
        return loader();
    };
    let with_profile = || loader().profile_name(profile);
    let region = with_profile().load().await.region().cloned();
    let provider = ProviderConfig::without_region()
        .with_behavior_version(Some(BehaviorVersion::latest()))
        .with_http_client(http_client())
        .with_region(region);
    let credentials = ProfileFileCredentialsProvider::builder()
        .configure(&provider)
        .profile_name(profile)
        .build();
    with_profile().credentials_provider(credentials)
}

/// Whether a URL leads to this machine.
#[must_use]
pub fn is_loopback(url: &str) -> bool {
    let uri = url.parse::<axum::http::Uri>().ok();
    let uri = uri.as_ref().filter(|uri| uri.scheme().is_some());
    uri.and_then(axum::http::Uri::host).is_some_and(|host| {
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
        host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|ip| ip.is_loopback())
    })
}

fn made_up_credentials() -> SharedCredentialsProvider {
    SharedCredentialsProvider::new(Credentials::from_keys("emulator", "emulator", None))
}

/// The configuration for an emulator at `endpoint`, such as `http://127.0.0.1:8000`.
///
/// It reads nothing from the environment, because calls that are meant for an emulator must not
/// reach an account that is configured there. It uses plain HTTP, so a local command need not spend
/// time and memory on reading the machine's certificates.
#[must_use]
pub fn emulator(endpoint: &str) -> SdkConfig {
    local(endpoint, plain_http_client())
}

/// The configuration for a service in this process, which answers the requests that `client` gets.
///
/// Like the configuration of an [`emulator`], it reads nothing from the environment.
#[must_use]
pub fn in_process(client: impl HttpClient + 'static) -> SdkConfig {
    // The name can never be resolved (RFC 2606 §2), so a request that left the process would fail.
    local("http://table.invalid", SharedHttpClient::new(client))
}

fn local(endpoint: &str, client: SharedHttpClient) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(MADE_UP_REGION))
        .credentials_provider(made_up_credentials())
        .endpoint_url(endpoint)
        .http_client(client)
        .retry_config(retries())
        .timeout_config(timeouts())
        .build()
}

fn http_client() -> SharedHttpClient {
    connections::pool(tls::roots_of_machine())
}

/// A client that trusts no certificate, for endpoints without TLS.
fn plain_http_client() -> SharedHttpClient {
    connections::pool(Arc::new(RootCertStore::empty()))
}

fn retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(3)
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_of_a_service_comes_before_that_of_all_services() {
        let endpoint = |service: &str, variables: fn(&str) -> Option<String>| {
            let key = ServiceConfigKey::builder()
                .service_id(service)
                .env("AWS_ENDPOINT_URL")
                .profile("endpoint_url");
            ServiceVariables(variables).load_config(key.build().unwrap())
        };
        let both = |name: &str| match name {
            "AWS_ENDPOINT_URL_SECRETS_MANAGER" => Some("own".to_owned()),
            "AWS_ENDPOINT_URL" => Some("all".to_owned()),
            _ => None,
        };
        assert_eq!(endpoint("Secrets Manager", both).as_deref(), Some("own"));
        assert_eq!(endpoint("DynamoDB", both).as_deref(), Some("all"));
        assert_eq!(endpoint("DynamoDB", |_| None), None);
    }

    #[test]
    fn an_emulator_on_this_machine_is_recognised() {
        for url in [
            "http://localhost:8000",
            "http://127.0.0.1:4566/",
            "https://127.1.2.3",
            "http://[::1]:8000",
        ] {
            assert!(is_loopback(url), "{url}");
        }
        for url in [
            "https://dynamodb.eu-west-1.amazonaws.com",
            "http://dynamodb:8000",
            "http://localhost.example.com",
            "http://10.0.0.1",
            "127.0.0.1",
        ] {
            assert!(!is_loopback(url), "{url}");
        }
    }
}
