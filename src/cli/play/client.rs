//! Sends requests to a SCIM server.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, Error};
use hyper_util::rt::TokioExecutor;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::Value;
use tokio_rustls::rustls::crypto::ring;

use super::super::CommandError;
use crate::http::PublicUrl;

/// The longest time of a request, which is more than the 20 seconds that the service gives it.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The longest answer that is read, in bytes: more than any answer of the service.
const MAX_ANSWER: usize = 8_000_000;
/// What is encoded in a path and query that is written for people.
const ENCODED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'+')
    .add(b'<')
    .add(b'>')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// A client of one base URL with one token.
pub(super) struct Client {
    http: legacy::Client<HttpsConnector<HttpConnector>, Body>,
    base_url: String,
    headers: HeaderMap,
}

/// The answer to a request.
pub(super) struct Answer {
    /// The status.
    pub(super) status: u16,
    /// The body; null if there is none, or if it is not JSON.
    pub(super) body: Value,
}

impl Client {
    /// A client of the base URL `base_url`, which sends these headers and this token with each request.
    pub(super) fn new(
        base_url: &str,
        token: &str,
        headers: &BTreeMap<String, String>,
    ) -> Result<Self, CommandError> {
        let invalid = |name: &str| CommandError::new(format!("not a value for the header {name}"));
        let mut sent = HeaderMap::new();
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).map_err(|_| invalid(name))?;
            let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid(name))?;
            sent.insert(parsed, value);
        }
        let bearer = HeaderValue::from_str(&format!("Bearer {token}"));
        let mut bearer = bearer.map_err(|_| invalid("Authorization"))?;
        bearer.set_sensitive(true);
        sent.insert(AUTHORIZATION, bearer);
        let tls = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(ring::default_provider())
            .map_err(|error| {
                CommandError::new(format!("cannot read the root certificates: {error}"))
            })?;
        let connector = tls.https_or_http().enable_http1().build();
        Ok(Self {
            http: legacy::Client::builder(TokioExecutor::new()).build(connector),
            base_url: base_url.to_owned(),
            headers: sent,
        })
    }

    /// Sends a request to a path below the base URL, which is written without percent-encoding.
    pub(super) async fn send(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, CommandError> {
        let url = format!("{}{}", self.base_url, utf8_percent_encode(path, ENCODED));
        let sent = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let request = Request::builder().method(method).uri(url).body(sent);
        let mut request = request.map_err(|error| CommandError::new(format!("{path}: {error}")))?;
        *request.headers_mut() = self.headers.clone();
        if body.is_none() {
            request.headers_mut().remove(CONTENT_TYPE);
        }
        let answer = tokio::time::timeout(TIMEOUT, self.exchange(request)).await;
        answer.unwrap_or_else(|_| {
            let seconds = TIMEOUT.as_secs();
            let text = format!("{} did not answer within {seconds} s", self.base_url);
            Err(CommandError::new(text))
        })
    }

    async fn exchange(&self, request: Request<Body>) -> Result<Answer, CommandError> {
        let response = self.http.request(request).await;
        let response = response.map_err(|error| self.no_answer(&error))?;
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(Body::new(response.into_body()), MAX_ANSWER).await;
        let body = body.map_err(|error| {
            CommandError::new(format!(
                "the answer of {} broke off: {error}",
                self.base_url
            ))
        })?;
        // An answer in another format has no id and no number of results; only its status counts.
        let body = serde_json::from_slice(&body).unwrap_or_default();
        Ok(Answer { status, body })
    }

    fn no_answer(&self, error: &Error) -> CommandError {
        let mut text = error.to_string();
        let mut is_refused = false;
        let mut cause = std::error::Error::source(error);
        while let Some(source) = cause {
            text = source.to_string();
            let kind = source.downcast_ref().map(io::Error::kind);
            is_refused |= kind == Some(io::ErrorKind::ConnectionRefused);
            cause = source.source();
        }
        let base_url = &self.base_url;
        CommandError::new(match is_refused {
            true => format!(
                "no server listens at {base_url}: start one with scim serve, or name it with --url"
            ),
            false => format!("{base_url} did not answer: {text}"),
        })
    }
}

/// Reads the URL of a server, or one of its base URLs.
pub(in crate::cli) fn server_url(text: &str) -> Result<PublicUrl, String> {
    let url = text.trim_end_matches('/');
    let paths = ["/scim/v2", "/scim/v1"];
    let server = paths.iter().find_map(|path| url.strip_suffix(path));
    let refused =
        |_| "not a URL such as http://127.0.0.1:9000 or https://id.example.com".to_owned();
    PublicUrl::parse(server.unwrap_or(url)).map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_by_its_url_or_its_base_url() {
        let bare = "https://id.example.com/directory";
        for text in [
            bare.to_owned(),
            format!("{bare}/"),
            format!("{bare}/scim/v2"),
            format!("{bare}/scim/v1/"),
        ] {
            let base_url = server_url(&text).map(|url| url.base_url());
            assert_eq!(base_url, Ok(format!("{bare}/scim/v2")), "{text}");
        }
        for text in [
            "",
            "127.0.0.1:9000",
            "ftp://example.com",
            "https://user:password@example.com",
            "https://example.com?a=b",
            "https://example.com#a",
        ] {
            assert!(server_url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn paths_for_people_are_encoded() {
        let path = r#"/Users?filter=userName eq "a+b@example.com"&count=1"#;
        let encoded = "/Users?filter=userName%20eq%20%22a%2Bb@example.com%22&count=1";
        assert_eq!(utf8_percent_encode(path, ENCODED).to_string(), encoded);
    }
}
