//! Responses. Those of the protocols are SCIM JSON or have no body (RFC 7644 §3.1, §3.12, §3.14).

use axum::body::Body;
use axum::http::header::{
    ALLOW, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_TYPE, ETAG, LOCATION, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;

use super::media_type::{JSON, JSON_UTF_8, SCIM_JSON};
use crate::protocol::message::{error_response, error_response_v1};
use crate::protocol::version::Version;
use crate::protocol::{Error, ErrorKind};

/// The challenge of every 401 (RFC 6750 §3).
const CHALLENGE: &str = "Bearer realm=\"scim\"";
/// The challenge of a 401 to a request with a bearer token (RFC 6750 §3.1).
const CHALLENGE_OF_TOKEN: &str = "Bearer realm=\"scim\", error=\"invalid_token\"";
/// The number of seconds after which a client should repeat a request that failed because of overload, if
/// nothing better is known.
const RETRY_AFTER_SECONDS: u64 = 2;

/// A message that is not a single resource.
pub(super) fn message(json: String) -> Response {
    with_body(StatusCode::OK, json)
}

/// A message that is not of SCIM.
pub(super) fn plain_json(json: String) -> Response {
    with_type(JSON, json)
}

/// A text of another media type than that of SCIM.
pub(super) fn with_type(media_type: &str, text: String) -> Response {
    let mut response = with_body(StatusCode::OK, text);
    set(&mut response, CONTENT_TYPE, media_type);
    response
}

/// A single resource, at its own URL.
pub(super) fn resource(
    status: StatusCode,
    json: String,
    location: &str,
    version: Option<&Version>,
) -> Response {
    let mut response = with_body(status, json);
    set(&mut response, CONTENT_LOCATION, location);
    about(response, location, version)
}

/// Success without a body, for a resource that still exists.
pub(super) fn no_content(location: &str, version: &Version) -> Response {
    about(empty(StatusCode::NO_CONTENT), location, Some(version))
}

/// Success without a body, for a resource that is gone.
pub(super) fn deleted(status: StatusCode) -> Response {
    empty(status)
}

/// The client has this version already. The headers are those that the resource would have (RFC 9110
/// §15.4.5).
pub(super) fn not_modified(location: &str, version: &Version) -> Response {
    let mut response = empty(StatusCode::NOT_MODIFIED);
    set(&mut response, CONTENT_LOCATION, location);
    about(response, location, Some(version))
}

/// The SCIM error message. The cause of the error is logged and not sent.
pub(super) fn error(error: &Error) -> Response {
    refusal(error, error_response(error))
}

/// The error message of SCIM 1.1. The cause of the error is logged and not sent.
pub(super) fn error_v1(error: &Error) -> Response {
    refusal(error, error_response_v1(error))
}

/// Gives an answer the media type of SCIM 1.1.
pub(super) fn in_v1(mut response: Response) -> Response {
    if response.headers().contains_key(CONTENT_TYPE) {
        set(&mut response, CONTENT_TYPE, JSON_UTF_8);
    }
    response
}

/// Adds the number of seconds after which to repeat the request (RFC 9110 §10.2.3); 2 if it is not known.
pub(super) fn asking_to_retry(mut response: Response, seconds: Option<u64>) -> Response {
    let seconds = seconds.unwrap_or(RETRY_AFTER_SECONDS).to_string();
    set(&mut response, RETRY_AFTER, &seconds);
    response
}

fn refusal(error: &Error, json: String) -> Response {
    log(error);
    let status = StatusCode::from_u16(error.status());
    let mut response = with_body(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), json);
    match error.kind() {
        ErrorKind::Unauthorized => set(&mut response, WWW_AUTHENTICATE, CHALLENGE),
        ErrorKind::TooManyRequests | ErrorKind::Unavailable => {
            response = asking_to_retry(response, error.retry_seconds());
        }
        _ => {}
    }
    response
}

/// The answer to a request with a bearer token. A 401 says that the token is the reason.
pub(super) fn to_token(mut response: Response) -> Response {
    if response.status() == StatusCode::UNAUTHORIZED {
        set(&mut response, WWW_AUTHENTICATE, CHALLENGE_OF_TOKEN);
    }
    response
}

/// Adds the methods that the path takes (RFC 9110 §10.2.1).
pub(super) fn allowing(mut response: Response, allow: &str) -> Response {
    set(&mut response, ALLOW, allow);
    response
}

/// The answer to a HEAD, made from that to a GET: the same without the body (RFC 9110 §9.3.2).
pub(super) fn head_of(mut response: Response) -> Response {
    use axum::body::HttpBody;
    let length = response.body().size_hint().exact();
    *response.body_mut() = Body::empty();
    if let Some(length) = length.filter(|length| *length > 0) {
        set(&mut response, CONTENT_LENGTH, &length.to_string());
    }
    response
}

/// Sets a header. An invalid value is left out; callers only pass valid ones.
pub(super) fn set(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

fn about(mut response: Response, location: &str, version: Option<&Version>) -> Response {
    set(&mut response, LOCATION, location);
    if let Some(version) = version {
        set(&mut response, ETAG, &version.to_string());
    }
    response
}

fn with_body(status: StatusCode, json: String) -> Response {
    let mut response = Response::new(Body::from(json));
    *response.status_mut() = status;
    let media_type = HeaderValue::from_static(SCIM_JSON);
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    response
}

/// A response without a body.
pub(super) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// Logs an error with its cause, which clients never see.
pub(super) fn log(error: &Error) {
    let (kind, cause) = (error.kind(), error.causes());
    match (error.kind(), cause.is_empty()) {
        (ErrorKind::Internal | ErrorKind::Unavailable, _) => {
            tracing::error!(?kind, cause, "request failed");
        }
        (_, false) => tracing::info!(?kind, cause, "request refused"),
        (_, true) => tracing::debug!(?kind, "request refused"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(response: &Response, name: &HeaderName) -> Option<String> {
        let value = response.headers().get(name)?;
        Some(value.to_str().unwrap().to_owned())
    }

    #[test]
    fn errors_carry_the_headers_of_their_kind() {
        fn check(refused: &Error, status: u16, name: &HeaderName, value: Option<&str>) {
            let response = error(refused);
            assert_eq!(response.status(), status);
            assert_eq!(header(&response, &CONTENT_TYPE).as_deref(), Some(SCIM_JSON));
            assert_eq!(header(&response, name).as_deref(), value, "{refused}");
        }
        check(
            &Error::unauthorized("x"),
            401,
            &WWW_AUTHENTICATE,
            Some(CHALLENGE),
        );
        check(&Error::forbidden("x"), 403, &WWW_AUTHENTICATE, None);
        check(&Error::unavailable("x"), 503, &RETRY_AFTER, Some("2"));
        check(&Error::too_many_requests("x"), 429, &RETRY_AFTER, Some("2"));
        let later = Error::too_many_requests("x").retrying_after(7);
        check(&later, 429, &RETRY_AFTER, Some("7"));
        check(&Error::internal("x"), 500, &RETRY_AFTER, None);
    }

    #[test]
    fn a_head_keeps_the_length_of_the_body() {
        use axum::body::HttpBody;
        let head = head_of(message("{\"a\":1}".to_owned()));
        assert_eq!(header(&head, &CONTENT_LENGTH).as_deref(), Some("7"));
        assert_eq!(head.body().size_hint().exact(), Some(0));
        assert_eq!(
            header(&head_of(deleted(StatusCode::NO_CONTENT)), &CONTENT_LENGTH),
            None
        );
    }
}
