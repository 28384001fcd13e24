//! Turns the events of API Gateway and function URLs into requests for the router, which does not know
//! Lambda.
//!
//! `lambda_http` builds a URL from the host, the forwarded scheme, the stage, the path and the query of
//! an event, and panics if the result is not a URL. It also panics if a body is not base64. So these
//! parts are taken out of the event first, and put into the request that `lambda_http` has built. The
//! router needs only path and query of the URL, and never learns its own address from a header.
//!
//! `lambda_http` would encode an answer by the charset of its media type. Answers of the router are always
//! UTF-8, so they are passed on as they are, and the tables of all charsets stay out of the binary.

use std::convert::Infallible;
use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::header::{HOST, HeaderName, HeaderValue};
use axum::http::{HeaderMap, Request, Response, Uri};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lambda_http::aws_lambda_events::apigw::{ApiGatewayProxyRequest, ApiGatewayV2httpRequest};
use lambda_http::lambda_runtime::LambdaEvent;
use lambda_http::request::LambdaRequest;
use lambda_http::tower::{ServiceBuilder, ServiceExt};
use lambda_http::{Adapter, IntoResponse};
use scim_lambda::http::{Gateway, Origin, RefusedRequest, origin_form};
use scim_lambda::protocol::{Error, Result};
use serde::Serialize;

const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// The host from which `lambda_http` builds its URL.
const STAND_IN: HeaderValue = HeaderValue::from_static("localhost");

/// Answers an event with the router's answer to the request in it.
pub(crate) async fn answer(
    router: Router,
    mut event: LambdaEvent<LambdaRequest>,
) -> Result<impl Serialize + fmt::Debug, Infallible> {
    let parts = match &mut event.payload {
        LambdaRequest::ApiGatewayV1(request) => Some(EventParts::from_rest_api(request)),
        LambdaRequest::ApiGatewayV2(request) => Some(EventParts::from_http_api(request)),
        // `template.yaml` has no gateway that sends other events.
        _ => None,
    };
    let mut parts = parts.unwrap_or_default();
    let requests = ServiceBuilder::new()
        .map_request(move |request: lambda_http::Request| parts.put_into(request))
        .map_response(RouterResponse)
        .service(router);
    Adapter::from(requests).oneshot(event).await
}

/// An answer of the router.
struct RouterResponse(Response<Body>);

impl IntoResponse for RouterResponse {
    fn into_response(self) -> Pin<Box<dyn Future<Output = Response<lambda_http::Body>> + Send>> {
        let (parts, body) = self.0.into_parts();
        Box::pin(async {
            // The router's bodies are in memory, so reading one does not fail.
            let bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
            let body = match String::from_utf8(bytes.into()) {
                Ok(text) => lambda_http::Body::Text(text),
                Err(error) => lambda_http::Body::Binary(error.into_bytes()),
            };
            Response::from_parts(parts, body)
        })
    }
}

/// The parts that are taken out of an event before `lambda_http` builds a request from it.
#[derive(Debug, Clone, Default)]
struct EventParts {
    gateway: Option<Gateway>,
    uri: Uri,
    body: Bytes,
    /// The error of an event whose request cannot be carried out.
    refused: Option<RefusedRequest>,
}

impl EventParts {
    /// The parts of an event in format 2.0, which HTTP APIs and function URLs send. The path may be decoded;
    /// the query is as the client wrote it.
    fn from_http_api(event: &mut ApiGatewayV2httpRequest) -> Self {
        disguise(&mut event.headers);
        let context = &mut event.request_context;
        let gateway = Gateway::of_http_api(Origin {
            domain: context.domain_name.as_deref(),
            api_id: context.apiid.as_deref(),
            stage: context.stage.as_deref(),
            url_path: event.raw_path.as_deref(),
        });
        context.stage = None;
        let path = event.raw_path.take().unwrap_or_default();
        let query = event.raw_query_string.take().unwrap_or_default();
        let body = event.body.take();
        let is_base64 = mem::take(&mut event.is_base64_encoded);
        Self::new(gateway, (&path, &query), body, is_base64)
    }

    /// The parts of an event in format 1.0, which REST APIs send. The path is as the client wrote it, without
    /// the stage; the parameters of the query are decoded.
    fn from_rest_api(event: &mut ApiGatewayProxyRequest) -> Self {
        // The event has the headers twice: with all values, and with the last value only. `lambda_http`
        // would prefer the latter.
        if !event.multi_value_headers.is_empty() {
            event.headers.clear();
        }
        disguise(&mut event.headers);
        let context = &mut event.request_context;
        let path = event.path.take().unwrap_or_default();
        let origin = Origin {
            domain: context.domain_name.as_deref(),
            api_id: context.apiid.as_deref(),
            stage: context.stage.as_deref(),
            url_path: context.path.as_deref(),
        };
        let gateway = Gateway::of_rest_api(origin, &path);
        context.stage = None;
        let all = mem::take(&mut event.multi_value_query_string_parameters);
        let last = mem::take(&mut event.query_string_parameters);
        let parameters = if all.is_empty() { last } else { all };
        let query = parameters.to_query_string();
        let body = event.body.take();
        let is_base64 = mem::take(&mut event.is_base64_encoded);
        Self::new(gateway, (&path, &query), body, is_base64)
    }

    fn new(
        gateway: Gateway,
        (path, query): (&str, &str),
        body: Option<String>,
        is_base64: bool,
    ) -> Self {
        let (uri, too_long) = match origin_form(path, query) {
            Ok(uri) => (uri, None),
            // The path decides which protocol the error is written for.
            Err(error) => (origin_form(path, "").unwrap_or_default(), Some(error)),
        };
        let (body, unreadable) = match decoded(body.unwrap_or_default(), is_base64) {
            Ok(body) => (body, None),
            Err(error) => (Bytes::new(), Some(error)),
        };
        Self {
            gateway: Some(gateway),
            uri,
            body,
            refused: too_long
                .or(unreadable)
                .map(|error| RefusedRequest(Arc::new(error))),
        }
    }

    /// Completes the request that `lambda_http` has built from the rest.
    fn put_into(&mut self, request: lambda_http::Request) -> Request<Body> {
        let parts = mem::take(self);
        let mut request = request.map(|_| Body::from(parts.body));
        *request.uri_mut() = parts.uri;
        request.headers_mut().remove(HOST);
        let extensions = request.extensions_mut();
        if let Some(gateway) = parts.gateway {
            extensions.insert(gateway);
        }
        if let Some(refused) = parts.refused {
            extensions.insert(refused);
        }
        request
    }
}

/// Replaces the host by one from which a URL can always be built.
fn disguise(headers: &mut HeaderMap) {
    headers.remove(X_FORWARDED_PROTO);
    headers.insert(HOST, STAND_IN);
}

fn decoded(body: String, is_base64: bool) -> Result<Bytes> {
    match is_base64 {
        true => STANDARD.decode(body).map(Bytes::from).map_err(|error| {
            Error::invalid_syntax("The gateway's event holds a body that is not base64")
                .with_source(error)
        }),
        false => Ok(Bytes::from(body)),
    }
}
