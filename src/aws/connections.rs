//! The connections to AWS services: HTTP/1.1 by hyper, TLS by rustls.
//!
//! The SDK's own HTTP client puts the same libraries together, and always with HTTP/2 and proxies. Those are a
//! large part of a function's binary, and a function that starts cold loads all of it. Every AWS service answers
//! HTTP/1.1, so this client leaves both out.
//!
//! It owns the pool of connections, and which of their failures the SDK may try again. It must not know any
//! service.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::connection::{CaptureSmithyConnection, ConnectionMetadata};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::ErrorKind;
use axum::BoxError;
use axum::http::Uri;
use futures_util::FutureExt;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::connect::{
    CaptureConnection, Connect, HttpConnector as Tcp, capture_connection,
};
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use tokio_rustls::rustls::RootCertStore;
use tower::{ServiceExt, service_fn};

use crate::tls;

/// The longest time to make a connection, its TLS session included. A connection that takes longer would most
/// likely never be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A pool of connections, which the clients of all services share. It trusts servers with a certificate of one
/// of `roots`, and takes plain HTTP where an endpoint's URL says so.
pub(super) fn pool(roots: Arc<RootCertStore>) -> SharedHttpClient {
    let pool = connector(roots);
    http_client_fn(move |_, _| pool.clone())
}

fn connector(roots: Arc<RootCertStore>) -> SharedHttpConnector {
    let mut tcp = Tcp::new();
    tcp.enforce_http(false);
    // A request is written in pieces. Without this, a small piece waits until the one before it is acknowledged.
    tcp.set_nodelay(true);
    let https = HttpsConnectorBuilder::new()
        .with_tls_config(tls::client(roots))
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp);
    let connect = service_fn(move |uri: Uri| {
        let made = timeout(CONNECT_TIMEOUT, https.clone().oneshot(uri));
        async move { made.await.map_err(BoxError::from).flatten() }.boxed()
    });
    let mut client = Client::builder(TokioExecutor::new());
    // The pool closes idle connections only with a timer.
    client.pool_timer(TokioTimer::new());
    SharedHttpConnector::new(Pool(client.build(connect)))
}

struct Pool<C>(Client<C, SdkBody>);

impl<C> fmt::Debug for Pool<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pool")
    }
}

impl<C: Connect + Clone + Send + Sync + 'static> HttpConnector for Pool<C> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let mut request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(error) => {
                return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into())));
            }
        };
        let connection = capture_connection(&mut request);
        if let Some(capture) = request.extensions().get::<CaptureSmithyConnection>() {
            capture.set_connection_retriever(move || used(&connection));
        }
        let answer = self.0.request(request);
        HttpConnectorFuture::new(async move {
            let answer = answer.await.map_err(failure)?;
            HttpResponse::try_from(answer.map(SdkBody::from_body_1_x))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// What the SDK has to know of the connection that a request has used: how to keep other requests from it, after
/// an answer that says that its server is in trouble.
fn used(connection: &CaptureConnection) -> Option<ConnectionMetadata> {
    connection.connection_metadata().as_ref()?;
    let connection = connection.clone();
    let metadata = ConnectionMetadata::builder()
        .proxied(false)
        .poison_fn(move || {
            if let Some(connected) = connection.connection_metadata().as_ref() {
                connected.poison();
            }
        });
    Some(metadata.build())
}

/// The failure of a request as the SDK names it. It tries again after a timeout, after an error of a connection,
/// and after an answer that has broken off.
fn failure(error: legacy::Error) -> ConnectorError {
    if source::<Elapsed>(&error).is_some() {
        return ConnectorError::timeout(error.into());
    }
    if error.is_connect() || source::<io::Error>(&error).is_some() {
        return ConnectorError::io(error.into());
    }
    match source::<hyper::Error>(&error) {
        Some(of_http) if of_http.is_closed() || of_http.is_canceled() => {
            ConnectorError::io(error.into())
        }
        Some(of_http) if of_http.is_incomplete_message() => {
            ConnectorError::other(error.into(), Some(ErrorKind::TransientError))
        }
        Some(of_http) if of_http.is_user() => ConnectorError::user(error.into()),
        _ => ConnectorError::other(error.into(), None),
    }
}

/// The first error of type `E` that has led to `error`.
fn source<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests;
