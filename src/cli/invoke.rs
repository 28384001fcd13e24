//! Lambda's Invoke API on the port of `scim serve`, for the function `Admin`: a backend in development asks for the
//! same operations as in AWS, with the AWS SDK of its language and another endpoint.
//!
//! In AWS, IAM decides who may invoke the function. Here it is the key in the path, which is in a file of the
//! data directory that only its owner may read. The signature of a request is not checked, because any
//! access key will do. Requests without the key get the answer of a path that does not exist.
//!
//! Lambda's API reference, *Invoke*.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::Response;
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::command_error::CommandError;
use super::opened::Opened;
use crate::admin::Admin;

/// The name of the function.
const FUNCTION: &str = "Admin";
/// What the paths begin with, before the key.
const PREFIX: &str = "/_admin/";
/// The version of Lambda's API.
const VERSION: &str = "2015-03-31";
/// The largest payload that Lambda takes and returns, in bytes.
const MAX_PAYLOAD_BYTES: usize = 6 * 1024 * 1024;

const INVOCATION_TYPE: HeaderName = HeaderName::from_static("x-amz-invocation-type");
const EXECUTED_VERSION: HeaderName = HeaderName::from_static("x-amz-executed-version");
const FUNCTION_ERROR: HeaderName = HeaderName::from_static("x-amz-function-error");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// How a backend reaches the operations of a server.
#[derive(Debug, Clone, Serialize)]
pub(super) struct AdminPath {
    /// The value of `AWS_ENDPOINT_URL_LAMBDA`. Whoever has it may do everything.
    endpoint: String,
    /// The name of the function to invoke.
    function: &'static str,
    #[serde(skip)]
    key: String,
}

impl AdminPath {
    /// The path of a server at this address. `None` if other machines reach the address, or if the deployment has
    /// no data directory: then its function `Admin` is in AWS.
    pub(super) fn of(
        deployment: &Opened,
        address: SocketAddr,
    ) -> Result<Option<Self>, CommandError> {
        let data = deployment.data_directory();
        let Some(data) = data.filter(|_| address.ip().is_loopback()) else {
            return Ok(None);
        };
        let key = data.admin_key()?;
        Ok(Some(Self {
            endpoint: format!("http://{address}{PREFIX}{key}"),
            function: FUNCTION,
            key,
        }))
    }

    /// The lines about it that people get when the server starts.
    pub(super) fn lines(&self) -> String {
        format!(
            "  Admin          function {}, for the AWS SDK of a backend:\n                 \
             AWS_ENDPOINT_URL_LAMBDA={}\n",
            self.function, self.endpoint
        )
    }

    /// Answers the calls of Lambda's API under this path, and leaves all other requests to `router`.
    pub(super) fn serve(&self, admin: Admin, router: Router) -> Router {
        let served = Served {
            key: self.key.as_str().into(),
            admin: Arc::new(admin),
        };
        router.layer(middleware::from_fn_with_state(served, answer))
    }
}

#[derive(Clone)]
struct Served {
    key: Arc<str>,
    admin: Arc<Admin>,
}

/// A call of Lambda's API that is refused: the status, the type of the error, and its text.
struct Refusal(StatusCode, &'static str, String);

/// How the caller waits for the answer.
#[derive(Debug, PartialEq, Eq)]
enum InvocationType {
    /// It gets the answer of the operation.
    RequestResponse,
    /// It waits for nothing.
    Event,
    /// It only checks that it could call.
    DryRun,
}

async fn answer(State(served): State<Served>, request: Request, next: Next) -> Response {
    let called = request.uri().path().strip_prefix(PREFIX);
    let called = called.and_then(|path| path.split_once('/'));
    let Some((key, call)) = called else {
        return next.run(request).await;
    };
    // The comparison takes as long for every wrong key of the right length.
    if !bool::from(key.as_bytes().ct_eq(served.key.as_bytes())) {
        return next.run(request).await;
    }
    let function = function_of(request.method(), call);
    let answered = match function {
        Ok(()) => invoke(&served, request).await,
        Err(refusal) => Err(refusal),
    };
    let mut response = answered.unwrap_or_else(Refusal::into_response);
    let id = HeaderValue::from_str(&Uuid::now_v7().to_string());
    if let Ok(id) = id {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// Checks that a path behind the key is a call of Invoke for the function.
///
/// **Shape**: `2015-03-31/functions/{name}/invocations`. A name may be that of the function, or its ARN or a part of
/// that, with or without a qualifier.
fn function_of(method: &Method, call: &str) -> Result<(), Refusal> {
    let parts: Vec<&str> = call.split('/').collect();
    let [VERSION, "functions", name, "invocations"] = parts[..] else {
        return Err(Refusal(
            StatusCode::NOT_FOUND,
            "UnknownOperationException",
            "This server answers Invoke, and no other call of Lambda".to_owned(),
        ));
    };
    if method != Method::POST {
        return Err(Refusal(
            StatusCode::METHOD_NOT_ALLOWED,
            "UnknownOperationException",
            "Invoke is a POST".to_owned(),
        ));
    }
    let name = percent_decode_str(name).decode_utf8_lossy();
    let parts: Vec<&str> = name.split(':').collect();
    match parts[..] {
        [FUNCTION] | [FUNCTION, _] | [.., "function", FUNCTION] | [.., "function", FUNCTION, _] => {
            Ok(())
        }
        _ => Err(Refusal(
            StatusCode::NOT_FOUND,
            "ResourceNotFoundException",
            format!("Function not found: the function of this server is {FUNCTION}"),
        )),
    }
}

/// Invokes the function. The operation runs to its end, as in Lambda, even if the caller closes the connection.
async fn invoke(served: &Served, request: Request) -> Result<Response, Refusal> {
    let invocation = InvocationType::parse(request.headers())?;
    let payload = payload(request.into_body()).await?;
    let admin = Arc::clone(&served.admin);
    let operation = async move { admin.answer(&payload).await };
    match invocation {
        InvocationType::DryRun => Ok(empty(StatusCode::NO_CONTENT)),
        InvocationType::Event => {
            tokio::spawn(operation);
            Ok(empty(StatusCode::ACCEPTED))
        }
        InvocationType::RequestResponse => match tokio::spawn(operation).await {
            Ok(answer) => Ok(returned(&answer)),
            // The panic hook has logged the place.
            Err(_) => Ok(failed("Runtime.ExitError", "The operation ended early")),
        },
    }
}

/// Reads the payload: JSON, as Lambda requires.
async fn payload(body: Body) -> Result<Vec<u8>, Refusal> {
    let Ok(bytes) = to_bytes(body, MAX_PAYLOAD_BYTES).await else {
        return Err(Refusal(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestTooLargeException",
            format!("The payload has not arrived, or has more than {MAX_PAYLOAD_BYTES} bytes"),
        ));
    };
    // A call without a payload is one with an empty object.
    if bytes.is_empty() {
        return Ok(b"{}".to_vec());
    }
    match serde_json::from_slice::<IgnoredAny>(&bytes) {
        Ok(_) => Ok(bytes.into()),
        Err(_) => Err(Refusal(
            StatusCode::BAD_REQUEST,
            "InvalidRequestContentException",
            "Could not parse request body into json".to_owned(),
        )),
    }
}

/// The answer of an operation.
fn returned(answer: &Value) -> Response {
    let text = answer.to_string();
    if text.len() > MAX_PAYLOAD_BYTES {
        let text = format!("The answer has more than {MAX_PAYLOAD_BYTES} bytes");
        return failed("Function.ResponseSizeTooLarge", &text);
    }
    let mut response = of_version(Body::from(text));
    set(&mut response, CONTENT_TYPE, "application/json");
    response
}

/// The answer for a function that has failed, which is 200 as in Lambda.
fn failed(kind: &str, text: &str) -> Response {
    let error = json!({"errorType": kind, "errorMessage": text});
    let mut response = of_version(Body::from(error.to_string()));
    set(&mut response, CONTENT_TYPE, "application/json");
    set(&mut response, FUNCTION_ERROR, "Unhandled");
    response
}

fn empty(status: StatusCode) -> Response {
    let mut response = of_version(Body::empty());
    *response.status_mut() = status;
    response
}

fn of_version(body: Body) -> Response {
    let mut response = Response::new(body);
    set(&mut response, EXECUTED_VERSION, "$LATEST");
    response
}

fn set(response: &mut Response, name: HeaderName, value: &'static str) {
    let value = HeaderValue::from_static(value);
    response.headers_mut().insert(name, value);
}

impl InvocationType {
    fn parse(headers: &HeaderMap) -> Result<Self, Refusal> {
        let Some(value) = headers.get(INVOCATION_TYPE) else {
            return Ok(Self::RequestResponse);
        };
        match value.as_bytes() {
            b"RequestResponse" => Ok(Self::RequestResponse),
            b"Event" => Ok(Self::Event),
            b"DryRun" => Ok(Self::DryRun),
            _ => Err(Refusal(
                StatusCode::BAD_REQUEST,
                "InvalidParameterValueException",
                "The invocation type is RequestResponse, Event or DryRun".to_owned(),
            )),
        }
    }
}

impl Refusal {
    /// The error as SDKs read it: its type in a header, its text in `Message`.
    fn into_response(self) -> Response {
        let Self(status, kind, text) = self;
        let error = json!({"Type": "User", "Message": text});
        let mut response = Response::new(Body::from(error.to_string()));
        *response.status_mut() = status;
        set(&mut response, CONTENT_TYPE, "application/json");
        set(&mut response, ERROR_TYPE, kind);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_function_has_its_name_and_those_of_lambda() {
        let check = |name: &str| {
            let call = format!("{VERSION}/functions/{name}/invocations");
            function_of(&Method::POST, &call).is_ok()
        };
        for name in [
            "Admin",
            "Admin:live",
            "Admin%3A%24LATEST",
            "123456789012:function:Admin",
            "arn%3Aaws%3Alambda%3Aeu-west-1%3A123456789012%3Afunction%3AAdmin",
            "arn:aws:lambda:eu-west-1:123456789012:function:Admin:live",
        ] {
            assert!(check(name), "{name}");
        }
        for name in [
            "",
            "admin",
            "Function",
            "Admin:a:b",
            "function:Other",
            "Adm%69n%00",
        ] {
            assert!(!check(name), "{name}");
        }
    }

    #[test]
    fn other_calls_are_refused_as_lambda_does() {
        let check = |method: Method, call: &str| {
            let Refusal(status, kind, _) = function_of(&method, call).err().unwrap();
            (status.as_u16(), kind)
        };
        let invoke = "2015-03-31/functions/Admin/invocations";
        let unknown = "UnknownOperationException";
        assert_eq!(check(Method::GET, invoke), (405, unknown));
        for call in [
            "",
            "2015-03-31/functions",
            "2014-11-13/functions/Admin/invoke-async",
        ] {
            assert_eq!(check(Method::POST, call), (404, unknown), "{call}");
        }
        let other = "2015-03-31/functions/Other/invocations";
        let missing = "ResourceNotFoundException";
        assert_eq!(check(Method::POST, other), (404, missing));
    }
}
