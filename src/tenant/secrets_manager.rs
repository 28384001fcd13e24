//! Secrets in AWS Secrets Manager.
//!
//! Secrets Manager has no conditional write. So a new value is first put under a stage that no
//! reader asks for. Then `AWSCURRENT` is moved to it from exactly the version that was read, which
//! fails if that version is not current any more.

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::Config;
use aws_sdk_secretsmanager::error::SdkError;
use aws_sdk_secretsmanager::operation::create_secret::CreateSecretError;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use aws_sdk_secretsmanager::types::{Filter, FilterNameStringType};
use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;
use aws_smithy_runtime_api::client::retries::classifiers::{ClassifyRetry, RetryAction};
use futures_util::future::{BoxFuture, FutureExt};

use super::secrets::{Secret, SecretError, SecretStore, SecretVersion};

/// The stage that readers ask for.
const CURRENT: &str = "AWSCURRENT";
/// The stage of a value that is about to become current. All writers use the same name, because the
/// number of stages is limited. A writer that dies leaves at most this stage behind, and the next
/// writer takes it over.
const NEXT: &str = "SCIM_NEXT";

/// A [`SecretStore`] in AWS Secrets Manager.
#[derive(Debug)]
pub struct SecretsManager {
    client: Client,
}

/// Lets the SDK retry by the status alone. The body does not matter, because a proxy in front of
/// Secrets Manager answers with HTML or with nothing. By itself the SDK retries for only four of
/// these statuses.
#[derive(Debug)]
struct PassingStatus;

impl ClassifyRetry for PassingStatus {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let status = context.response().map(|response| response.status());
        match status {
            Some(status) if status.is_server_error() || matches!(status.as_u16(), 408 | 429) => {
                RetryAction::transient_error()
            }
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "passing status"
    }
}

impl SecretsManager {
    /// The store at the endpoint of `config`.
    #[must_use]
    pub fn new(config: impl Into<Config>) -> Self {
        let config = config.into().to_builder();
        let config = config.retry_classifier(PassingStatus).build();
        Self {
            client: Client::from_conf(config),
        }
    }

    async fn read(&self, name: &str) -> Result<Option<Secret>, SecretError> {
        let get = self.client.get_secret_value().secret_id(name);
        let answer = match get.version_stage(CURRENT).send().await {
            Ok(answer) => answer,
            // To read a secret that is scheduled for deletion is an `InvalidRequestException`.
            Err(SdkError::ServiceError(error))
                if matches!(
                    error.err(),
                    GetSecretValueError::ResourceNotFoundException(_)
                        | GetSecretValueError::InvalidRequestException(_)
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(SecretError::backend(name, error)),
        };
        let missing = |what: &str| SecretError::malformed(name, format!("it has no {what}"));
        Ok(Some(Secret {
            version: SecretVersion(answer.version_id.ok_or_else(|| missing("version"))?),
            value: answer.secret_string.ok_or_else(|| missing("text"))?,
        }))
    }

    async fn create(&self, name: &str, value: &str) -> Result<SecretVersion, SecretError> {
        let call = self.client.create_secret().name(name).secret_string(value);
        match call.send().await {
            Ok(answer) => version(name, answer.version_id),
            Err(SdkError::ServiceError(error))
                if matches!(error.err(), CreateSecretError::ResourceExistsException(_)) =>
            {
                Err(SecretError::Conflict)
            }
            Err(error) => Err(SecretError::backend(name, error)),
        }
    }

    async fn replace(
        &self,
        name: &str,
        value: &str,
        expected: &SecretVersion,
    ) -> Result<SecretVersion, SecretError> {
        let put = self.client.put_secret_value().secret_id(name);
        let put = put.secret_string(value).version_stages(NEXT);
        let answer = put
            .send()
            .await
            .map_err(|error| SecretError::backend(name, error))?;
        let next = version(name, answer.version_id)?;
        let moved = self
            .client
            .update_secret_version_stage()
            .secret_id(name)
            .version_stage(CURRENT)
            .remove_from_version_id(&expected.0)
            .move_to_version_id(&next.0)
            .send()
            .await;
        match moved {
            Ok(_) => Ok(next),
            Err(error) => {
                self.settle(name, expected, next, SecretError::backend(name, error))
                    .await
            }
        }
    }

    /// Finds out whether a failed move took effect. The answer of the first attempt may have been
    /// lost. Then the retry has failed because `expected` was not current any more.
    async fn settle(
        &self,
        name: &str,
        expected: &SecretVersion,
        next: SecretVersion,
        failure: SecretError,
    ) -> Result<SecretVersion, SecretError> {
        match self.read(name).await {
            Ok(Some(current)) if current.version == next => Ok(next),
            Ok(Some(current)) if current.version == *expected => Err(failure),
            Ok(_) => Err(SecretError::Conflict),
            // It is not known whether the move took effect. The error of the move is returned, not
            // that of this read.
            Err(_) => Err(failure),
        }
    }

    /// Without a time for recovery, so that the name is free again. Secrets Manager does not mind if there
    /// is no such secret.
    #[cfg(feature = "worker")]
    async fn delete(&self, name: &str) -> Result<(), SecretError> {
        let delete = self.client.delete_secret().secret_id(name);
        let delete = delete.force_delete_without_recovery(true);
        let deleted = delete.send().await;
        deleted.map_err(|error| SecretError::backend(name, error))?;
        Ok(())
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, SecretError> {
        let by_name = Filter::builder()
            .key(FilterNameStringType::Name)
            .values(prefix)
            .build();
        let list = self.client.list_secrets().filters(by_name);
        let mut pages = list.into_paginator().send();
        let mut names = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| SecretError::backend(prefix, error))?;
            let found = page.secret_list.unwrap_or_default();
            let found = found.into_iter().filter_map(|secret| secret.name);
            // The filter of Secrets Manager ignores case, and names do not.
            names.extend(found.filter(|name| name.starts_with(prefix)));
        }
        Ok(names)
    }
}

impl SecretStore for SecretsManager {
    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Secret>, SecretError>> {
        self.read(name).boxed()
    }

    fn put<'a>(
        &'a self,
        name: &'a str,
        value: &'a str,
        expected: Option<&'a SecretVersion>,
    ) -> BoxFuture<'a, Result<SecretVersion, SecretError>> {
        match expected {
            Some(expected) => self.replace(name, value, expected).boxed(),
            None => self.create(name, value).boxed(),
        }
    }

    #[cfg(feature = "worker")]
    fn remove<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), SecretError>> {
        self.delete(name).boxed()
    }

    fn names<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<String>, SecretError>> {
        self.list(prefix).boxed()
    }
}

fn version(name: &str, id: Option<String>) -> Result<SecretVersion, SecretError> {
    id.map(SecretVersion)
        .ok_or_else(|| SecretError::backend(name, "the answer names no version"))
}
