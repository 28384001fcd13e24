//! The table on a port, for `scim table`: other processes, such as the Lambda binary, can call it.
//!
//! Other users of the machine, and every web page in a browser on it, can connect to the port. So a
//! call is made only with the access key id of this start, which is random and works as a password.
//! Its signature is not checked, because the key for it is not secret.

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ring::rand::{SecureRandom, SystemRandom};
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::EmbeddedError;
use super::engine::Reply;
use super::in_process::{InProcess, TARGET, operation};

/// The largest body of a request, in bytes, as in DynamoDB.
const MAX_BODY_BYTES: usize = 16 << 20;
/// The media type of requests and answers.
const CONTENT_TYPE: &str = "application/x-amz-json-1.0";
/// Headers that browsers send and AWS SDKs do not.
const BROWSER_HEADERS: [&str; 3] = ["origin", "sec-fetch-site", "sec-fetch-mode"];

/// A table with an open port.
#[derive(Debug)]
pub struct Port {
    endpoint: String,
    access_key_id: String,
    stop: oneshot::Sender<()>,
    server: JoinHandle<io::Result<()>>,
}

/// The table as the requests to the port reach it.
#[derive(Clone)]
struct ServedTable {
    calls: InProcess,
    access_key_id: Arc<str>,
}

impl Port {
    /// Opens a port at an address such as `127.0.0.1:8000`. Port 0 picks a free one.
    pub(super) async fn open(calls: InProcess, address: &str) -> Result<Self, EmbeddedError> {
        let refused = |error| EmbeddedError::Listen(address.to_owned(), error);
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let endpoint = format!("http://{}", listener.local_addr().map_err(refused)?);
        let access_key_id = new_access_key_id().map_err(refused)?;
        let table = ServedTable {
            calls,
            access_key_id: access_key_id.as_str().into(),
        };
        let (stop, stopped) = oneshot::channel();
        let server = axum::serve(listener, router(table)).with_graceful_shutdown(async {
            // An error means that the sender was dropped, which `close` does to stop the server.
            let _ = stopped.await;
        });
        Ok(Self {
            endpoint,
            access_key_id,
            stop,
            server: tokio::spawn(server.into_future()),
        })
    }

    /// The URL of the endpoint, for the SDK.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The access key id that calls must have: 128 random bits in hexadecimal digits, made when the
    /// port was opened.
    #[must_use]
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// Closes the port, and waits until the running calls have been answered.
    pub async fn close(self) {
        drop(self.stop);
        // Every answered call has been made, so an error of the server changes nothing.
        let _ = self.server.await;
    }
}

fn new_access_key_id() -> io::Result<String> {
    let mut bytes = [0; 16];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| io::Error::other("the random number generator failed"))?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

fn router(table: ServedTable) -> Router {
    Router::new().fallback(answer).with_state(table)
}

async fn answer(State(table): State<ServedTable>, request: Request) -> Response {
    let reply = match table.check(&request) {
        Ok(()) => table.call(request).await,
        Err(refusal) => refusal,
    };
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, CONTENT_TYPE)], reply.body).into_response()
}

impl ServedTable {
    /// Refuses requests that an SDK with the access key id would not send.
    fn check(&self, request: &Request) -> Result<(), Reply> {
        let headers = request.headers();
        if BROWSER_HEADERS
            .iter()
            .any(|name| headers.contains_key(*name))
        {
            let kind = "com.amazonaws.dynamodb.v20120810#AccessDeniedException";
            let text = "Requests of web pages are refused";
            return Err(Reply::refusal(403, kind, text));
        }
        if request.method() != Method::POST
            || request.uri().path() != "/"
            || text(headers, header::CONTENT_TYPE.as_str()) != Some(CONTENT_TYPE)
        {
            let kind = "com.amazon.coral.service#UnknownOperationException";
            let text = "A call of DynamoDB is a POST of application/x-amz-json-1.0 to /";
            return Err(Reply::refusal(404, kind, text));
        }
        let Some(given) = access_key_id(headers) else {
            let kind = "com.amazon.coral.service#MissingAuthenticationTokenException";
            let text = "The request is not signed; set AWS_ACCESS_KEY_ID as scim table prints it";
            return Err(Reply::refusal(400, kind, text));
        };
        if bool::from(given.as_bytes().ct_eq(self.access_key_id.as_bytes())) {
            return Ok(());
        }
        let kind = "com.amazon.coral.service#UnrecognizedClientException";
        let text = "The access key id is not the one that scim table printed when it started";
        Err(Reply::refusal(400, kind, text))
    }

    async fn call(&self, request: Request) -> Reply {
        let operation = operation(text(request.headers(), TARGET)).to_owned();
        let Ok(body) = to_bytes(request.into_body(), MAX_BODY_BYTES).await else {
            let kind = "com.amazon.coral.service#SerializationException";
            let text = "The body could not be read, or is larger than 16 MiB";
            return Reply::refusal(413, kind, text);
        };
        match self.calls.answer(operation, body).await {
            Ok(reply) => reply,
            Err(error) => {
                tracing::error!(%error, "a call to the table failed");
                let kind = "com.amazonaws.dynamodb.v20120810#InternalServerError";
                Reply::refusal(500, kind, "The call failed")
            }
        }
    }
}

/// The access key id in the header of Signature Version 4, such as
/// `AWS4-HMAC-SHA256 Credential=ID/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=…`.
fn access_key_id(headers: &HeaderMap) -> Option<&str> {
    let authorization = text(headers, header::AUTHORIZATION.as_str())?;
    let (_, scope) = authorization.split_once("Credential=")?;
    scope.split_once('/').map(|(id, _)| id)
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use serde_json::{Value, json};
    use tower::ServiceExt;

    use super::super::{DataDirectory, Embedded};
    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    /// A call that is answered. The tests change a part of it.
    fn call() -> axum::http::request::Builder {
        let credential = format!("AWS4-HMAC-SHA256 Credential={KEY}/20260101/us-east-1/dynamodb");
        Request::builder()
            .method("POST")
            .header("content-type", CONTENT_TYPE)
            .header("x-amz-target", "DynamoDB_20120810.ListTables")
            .header("authorization", credential)
    }

    async fn send(request: axum::http::request::Builder) -> (Response, Value) {
        let data = DataDirectory::in_memory().unwrap();
        let table = ServedTable {
            calls: Embedded::open(&data).unwrap().calls,
            access_key_id: KEY.into(),
        };
        let request = request.body(Body::from("{}")).unwrap();
        let mut response = router(table).oneshot(request).await.unwrap();
        let body = std::mem::take(response.body_mut());
        let bytes = to_bytes(body, MAX_BODY_BYTES).await.unwrap();
        (response, serde_json::from_slice(&bytes).unwrap())
    }

    /// Sends a request that must be refused, and checks the end of its error's name.
    async fn check_refused(request: axum::http::request::Builder, status: u16, kind: &str) {
        let (response, body) = send(request).await;
        assert_eq!(response.status(), status, "{body}");
        let found = body["__type"].as_str().unwrap();
        assert!(found.ends_with(kind), "{found}");
        for name in response.headers().keys() {
            assert!(!name.as_str().starts_with("access-control"), "{name}");
        }
    }

    #[tokio::test]
    async fn a_call_with_the_access_key_id_is_answered() {
        let (response, body) = send(call()).await;
        assert_eq!(
            (response.status().as_u16(), body),
            (200, json!({"TableNames": []}))
        );
    }

    #[tokio::test]
    async fn a_call_without_the_access_key_id_is_refused() {
        let mut request = call();
        request.headers_mut().unwrap().remove("authorization");
        check_refused(request, 400, "MissingAuthenticationTokenException").await;
        for wrong in [
            "",
            "local",
            &KEY[..31],
            &format!("{KEY}0"),
            &KEY.to_uppercase(),
        ] {
            let mut request = call();
            let credential = format!("AWS4-HMAC-SHA256 Credential={wrong}/20260101/us-east-1");
            let headers = request.headers_mut().unwrap();
            headers.insert("authorization", credential.parse().unwrap());
            check_refused(request, 400, "UnrecognizedClientException").await;
        }
    }

    #[tokio::test]
    async fn web_pages_are_refused_without_cors_headers() {
        for origin in ["https://example.com", "http://127.0.0.1:8000", "null"] {
            check_refused(
                call().header("origin", origin),
                403,
                "AccessDeniedException",
            )
            .await;
        }
        let navigation = call().header("sec-fetch-site", "none");
        check_refused(navigation, 403, "AccessDeniedException").await;
        let preflight = call()
            .method("OPTIONS")
            .header("origin", "https://example.com")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "x-amz-target");
        check_refused(preflight, 403, "AccessDeniedException").await;
    }

    #[tokio::test]
    async fn a_request_that_is_no_call_is_refused() {
        check_refused(call().method("GET"), 404, "UnknownOperationException").await;
        check_refused(call().uri("/other"), 404, "UnknownOperationException").await;
        for content_type in ["text/plain", "application/json"] {
            let mut request = call();
            let headers = request.headers_mut().unwrap();
            headers.insert("content-type", content_type.parse().unwrap());
            check_refused(request, 404, "UnknownOperationException").await;
        }
        let mut request = call();
        let headers = request.headers_mut().unwrap();
        headers.insert("x-amz-target", "DynamoDB_20120810.Fly".parse().unwrap());
        check_refused(request, 400, "UnknownOperationException").await;
    }

    #[tokio::test]
    async fn each_start_has_an_access_key_id_of_its_own() {
        let data = DataDirectory::in_memory().unwrap();
        let table = Embedded::open(&data).unwrap();
        let one = table.listen("127.0.0.1:0").await.unwrap();
        let other = table.listen("127.0.0.1:0").await.unwrap();
        assert_eq!(one.access_key_id().len(), 32);
        assert_ne!(one.access_key_id(), other.access_key_id());
        one.close().await;
        other.close().await;
    }
}
