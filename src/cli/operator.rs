//! The one way in which commands ask for the operations of [`admin`](crate::admin): on the table and the secrets
//! themselves, or by the stack's function, which does the same with its own rights.

use std::env;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::config::Builder;
use aws_sdk_lambda::config::retry::RetryConfig;
use aws_sdk_lambda::config::timeout::TimeoutConfig;
use aws_sdk_lambda::operation::invoke::InvokeError;
use aws_sdk_lambda::primitives::Blob;

use super::CommandError;
use super::columns::printable;
use super::deployment_args::{DeploymentArgs, FunctionPlace};
use super::external::check_region;
use super::find_stack::FoundStack;
use super::opened::Opened;
use crate::admin::{Actor, Admin, Asked, Code, Failure, Operation, read_answer, write_request};
use crate::aws;
use crate::http::PublicUrl;
use crate::protocol::Error;

/// The longest invocation: the function ends an operation after 50 seconds, and Lambda the function some seconds
/// later.
const INVOCATION: Duration = Duration::from_secs(65);
/// The number of invocations that the SDK makes for one call, if they time out or are refused for the moment.
const ATTEMPTS: u32 = 3;
/// The longest time of one call: every invocation, and the 20 seconds at most that the SDK waits before each.
const CALL: Duration = Duration::from_secs(ATTEMPTS as u64 * (INVOCATION.as_secs() + 20));
/// How long the command waits before it asks again for what was answered with `later`. The function has tried for
/// some seconds by then.
const WAITS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];

/// Who does the operations of a command.
pub(super) enum Operator {
    /// This process.
    Direct {
        opened: Box<Opened>,
        admin: Box<Admin>,
    },
    /// The function of the stack.
    Function(Box<Function>),
}

/// A function that is asked.
pub(super) struct Function {
    client: Client,
    name: String,
    /// Where clients reach the service, if its stack was looked up.
    public_url: Option<PublicUrl>,
}

/// Checks that a list goes on: `next`, where its next part begins, is not where this part has begun. A function that
/// answered with the same place again and again would otherwise be asked without an end.
pub(super) fn check_goes_on<T: PartialEq>(
    before: Option<&T>,
    next: Option<&T>,
) -> Result<(), CommandError> {
    match next.is_some() && next == before {
        true => Err(CommandError::new(
            "The answer does not go on: its next part begins where this one has begun",
        )),
        false => Ok(()),
    }
}

impl Operator {
    /// The operator of a deployment, of whom a line on stderr says which it is.
    pub(super) async fn open(deployment: &DeploymentArgs) -> Result<Self, CommandError> {
        match deployment.function()? {
            Some(function) => Self::function(deployment, function).await,
            None => Self::direct(deployment.open().await?),
        }
    }

    /// The same, but creates what is missing of local data, if its directory is named.
    pub(super) async fn open_or_create(deployment: &DeploymentArgs) -> Result<Self, CommandError> {
        match deployment.function()? {
            Some(function) => Self::function(deployment, function).await,
            None => Self::direct(deployment.open_or_create().await?),
        }
    }

    /// Asks for an operation.
    ///
    /// A call whose answer is lost is made again under the same name, so it takes effect once.
    pub(super) async fn ask<O: Operation>(&self, operation: &O) -> Result<O::Answer, CommandError> {
        let asked = asked();
        match self {
            Self::Direct { admin, .. } => Ok(admin.ask(operation, &asked).await?),
            Self::Function(function) => function.ask(operation, &asked).await,
        }
    }

    /// Where clients reach the service, if that is known here.
    pub(super) fn public_url(&self) -> Option<PublicUrl> {
        match self {
            Self::Direct { opened, .. } => opened.public_url(),
            Self::Function(function) => function.public_url.clone(),
        }
    }

    fn direct(opened: Opened) -> Result<Self, CommandError> {
        let provider = Arc::new(opened.stack().provider());
        let admin = Box::new(opened.admin(provider));
        let opened = Box::new(opened);
        Ok(Self::Direct { opened, admin })
    }

    async fn function(
        deployment: &DeploymentArgs,
        function: FunctionPlace<'_>,
    ) -> Result<Self, CommandError> {
        let login = deployment.login();
        // An endpoint on this machine is that of `scim serve`, which asks for no AWS credentials.
        let endpoint = env::var("AWS_ENDPOINT_URL_LAMBDA").ok();
        let sdk = match endpoint.filter(|url| aws::is_loopback(url)) {
            Some(endpoint) => aws::at(&endpoint, &login).await,
            None => aws::from_environment(&login).await,
        };
        check_region(&sdk, &login).await?;
        let region = sdk.region().map(ToString::to_string).unwrap_or_default();
        let (name, public_url) = match function {
            FunctionPlace::Named(name) => {
                eprintln!("Deployment: function {name}, {region}");
                (name.to_owned(), None)
            }
            FunctionPlace::Of(stack) => {
                let found = FoundStack::look_up(&sdk, stack).await?;
                let name = found.function()?;
                eprintln!("Deployment: stack {stack}, function {name}, {region}");
                (name, found.public_url())
            }
        };
        Ok(Self::Function(Box::new(Function {
            client: client(&sdk),
            name,
            public_url,
        })))
    }
}

/// The client that waits for as long as operations take. The limits of `sdk` are for calls of a request, which are
/// over within seconds, and hold where the client says nothing else.
fn client(sdk: &SdkConfig) -> Client {
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(INVOCATION)
        .operation_timeout(CALL)
        .build();
    let retries = RetryConfig::standard().with_max_attempts(ATTEMPTS);
    let config = Builder::from(sdk)
        .timeout_config(timeouts)
        .retry_config(retries);
    Client::from_conf(config.build())
}

/// The person who has started the command, by the name of their account on this machine, and a new name for the
/// request.
fn asked() -> Asked {
    let mut asked = Asked::by_command();
    let user = ["USER", "USERNAME"]
        .into_iter()
        .find_map(|name| env::var(name).ok());
    let actor = user.and_then(|user| Actor::parse(&format!("scim {user}")).ok());
    asked.actor = actor.unwrap_or(asked.actor);
    asked
}

impl Function {
    /// Asks for an operation. An answer that says `later` is awaited by asking again.
    async fn ask<O: Operation>(
        &self,
        operation: &O,
        asked: &Asked,
    ) -> Result<O::Answer, CommandError> {
        let mut waits = WAITS.into_iter();
        loop {
            match (self.invoke(operation, asked).await?, waits.next()) {
                (Err(failure), Some(wait)) if failure.code == Code::Later => {
                    eprintln!("Not now: {}; asking again", printable(&failure.detail));
                    tokio::time::sleep(wait).await;
                }
                (answer, _) => return Ok(answer?),
            }
        }
    }

    /// Asks once. The SDK repeats an invocation that timed out or was refused for the moment, with the same bytes.
    async fn invoke<O: Operation>(
        &self,
        operation: &O,
        asked: &Asked,
    ) -> Result<Result<O::Answer, Failure>, CommandError> {
        let name = &self.name;
        let request = Blob::new(write_request(operation, asked)?);
        let invocation = self.client.invoke().function_name(name).payload(request);
        let answer = invocation.send().await.map_err(|error| {
            let refusal = error.as_service_error();
            match refusal.is_some_and(InvokeError::is_resource_not_found_exception) {
                true => CommandError::new(format!(
                    "There is no function {name} in this region and account; --function, --region and --aws-profile \
                     name others"
                )),
                false => Error::unavailable(format!("The function {name} could not be asked"))
                    .with_source(error)
                    .into(),
            }
        })?;
        if answer.function_error.is_some() {
            return Err(CommandError::new(format!(
                "The function {name} failed before it could answer, and its log says why. The operation may be half \
                 done: the same command completes it"
            )));
        }
        let text = answer.payload.map(Blob::into_inner).unwrap_or_default();
        Ok(read_answer::<O>(&text))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use aws_smithy_runtime_api::client::http::{
        HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
    };
    use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
    use aws_smithy_types::body::SdkBody;
    use serde_json::json;

    use super::*;
    use crate::admin::tenant::ListTenants;

    /// A function that takes its time for every answer, and answers the first invocations never.
    #[derive(Debug, Clone)]
    struct Slow {
        takes: Duration,
        lost: u32,
        asked: Arc<AtomicU32>,
    }

    impl HttpConnector for Slow {
        fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
            let number = self.asked.fetch_add(1, Ordering::SeqCst);
            let takes = match number < self.lost {
                true => Duration::from_secs(24 * 60 * 60),
                false => self.takes,
            };
            HttpConnectorFuture::new(async move {
                tokio::time::sleep(takes).await;
                let answer = json!({"ok": {"tenants": []}}).to_string();
                Ok(HttpResponse::new(
                    200.try_into().unwrap(),
                    SdkBody::from(answer),
                ))
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_awaited_for_as_long_as_an_operation_takes() {
        for (takes, lost, expected) in [(1, 0, 1), (50, 0, 1), (60, 2, 3)] {
            let slow = Slow {
                takes: Duration::from_secs(takes),
                lost,
                asked: Arc::default(),
            };
            let asked = Arc::clone(&slow.asked);
            let connector = SharedHttpConnector::new(slow);
            let sdk = aws::in_process(http_client_fn(move |_, _| connector.clone()));
            let function = Operator::Function(Box::new(Function {
                client: client(&sdk),
                name: "scim-admin".to_owned(),
                public_url: None,
            }));
            let list = ListTenants {
                after: None,
                limit: None,
            };
            let answer = function.ask(&list).await;
            assert!(answer.is_ok_and(|list| list.tenants.is_empty()), "{takes}");
            assert_eq!(asked.load(Ordering::SeqCst), expected, "{takes}");
        }
    }
}
