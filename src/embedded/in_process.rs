//! The HTTP client that hands the SDK's requests to the embedded table, without a connection.
//!
//! The SDK builds, signs and reads its messages as it does for AWS, so the store has one
//! implementation. No port is open, so no other process can reach the table this way, and no
//! signature has to be checked.

use std::fmt;
use std::sync::Arc;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;

use super::engine::{Engine, Reply};
use super::threads::Threads;
use crate::protocol::BoxError;

/// The header that names the operation.
pub(super) const TARGET: &str = "x-amz-target";

/// Makes calls to a table in this process. Clones call the same table.
#[derive(Clone)]
pub struct InProcess {
    engine: Arc<Engine>,
    threads: Arc<Threads>,
}

impl InProcess {
    pub(super) fn new(engine: Engine, threads: Threads) -> Self {
        Self {
            engine: Arc::new(engine),
            threads: Arc::new(threads),
        }
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Makes a call on one of the table's threads. The call goes on to its end, even if the caller
    /// stops waiting.
    ///
    /// # Errors
    /// If the call panicked.
    pub(super) async fn answer(&self, operation: String, body: Bytes) -> Result<Reply, BoxError> {
        self.run(move |engine| engine.answer(&operation, &body))
            .await
    }

    /// Does work with the table on one of its threads. The work goes on to its end, even if the
    /// caller stops waiting.
    ///
    /// # Errors
    /// If it panicked.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Engine) -> T + Send + 'static,
    ) -> Result<T, BoxError> {
        let engine = Arc::clone(&self.engine);
        Ok(self.threads.run(move || work(&engine)).await?)
    }
}

impl HttpConnector for InProcess {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let table = self.clone();
        HttpConnectorFuture::new(async move {
            let operation = operation(request.headers().get(TARGET)).to_owned();
            let body = Bytes::copy_from_slice(request.body().bytes().unwrap_or_default());
            let broken = |error: BoxError| ConnectorError::other(error, None);
            let reply = table.answer(operation, body).await.map_err(broken)?;
            let status = reply.status.try_into();
            let status = status.map_err(|error| ConnectorError::other(Box::new(error), None))?;
            Ok(HttpResponse::new(status, SdkBody::from(reply.body)))
        })
    }
}

impl HttpClient for InProcess {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl fmt::Debug for InProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InProcess")
    }
}

/// The name of the operation in the value of `x-amz-target`, such as `DynamoDB_20120810.PutItem`.
pub(super) fn operation(target: Option<&str>) -> &str {
    let names = ["DynamoDB_20120810.", "DynamoDBStreams_20120810."];
    let target = target.unwrap_or_default();
    let operation = names.iter().find_map(|name| target.strip_prefix(name));
    operation.unwrap_or_default()
}
