//! Errors of the token endpoint (RFC 6749 §5.2).

use axum::http::StatusCode;
use axum::http::header::WWW_AUTHENTICATE;
use axum::response::Response;
use serde_json::json;

use crate::http::answer;
use crate::protocol::{Error, ErrorKind};

/// The challenge of a client that has not authenticated (RFC 6749 §5.2, RFC 9110 §15.5.2).
const CHALLENGE: &str = "Basic realm=\"scim\"";

const INVALID_CLIENT: &str = "invalid_client";

/// An error with its code.
#[derive(Debug)]
pub(super) struct OAuthError {
    code: &'static str,
    /// Whether the answer says 400, whatever status the cause has elsewhere.
    is_bad_request: bool,
    cause: Error,
}

/// The answer to a request that is refused for this cause.
pub(in crate::http) fn refusal(cause: &Error) -> Response {
    let (code, is_bad_request) = code_of(cause.kind());
    response(code, is_bad_request, cause)
}

impl OAuthError {
    /// A parameter is missing, doubled or malformed.
    pub(super) fn invalid_request(detail: impl Into<String>) -> Self {
        Self::bad_request("invalid_request", Error::invalid_value(detail))
    }

    /// The grant type is not `client_credentials`.
    pub(super) fn unsupported_grant_type(detail: impl Into<String>) -> Self {
        Self::bad_request("unsupported_grant_type", Error::invalid_value(detail))
    }

    /// The client asks for a scope that does not exist, or that it does not have.
    pub(super) fn invalid_scope(detail: impl Into<String>) -> Self {
        Self::bad_request("invalid_scope", Error::invalid_value(detail))
    }

    /// The same for a client that has authenticated in the header, or has not. Only the first is asked to
    /// authenticate again in the header: some libraries show nothing of an error but that they are asked.
    pub(super) fn for_client(self, by_header: bool) -> Self {
        let is_client = self.code == INVALID_CLIENT;
        Self {
            is_bad_request: self.is_bad_request || (is_client && !by_header),
            ..self
        }
    }

    fn bad_request(code: &'static str, cause: Error) -> Self {
        Self {
            code,
            is_bad_request: true,
            cause,
        }
    }

    pub(super) fn into_response(self) -> Response {
        response(self.code, self.is_bad_request, &self.cause)
    }
}

impl From<Error> for OAuthError {
    fn from(cause: Error) -> Self {
        let (code, is_bad_request) = code_of(cause.kind());
        Self {
            code,
            is_bad_request,
            cause,
        }
    }
}

/// The code for a kind of error, and whether its status is 400 here, whatever it is elsewhere.
fn code_of(kind: ErrorKind) -> (&'static str, bool) {
    match kind {
        ErrorKind::Unauthorized => (INVALID_CLIENT, false),
        // The client is known, but its tenant is suspended or it has no permission at all.
        ErrorKind::Forbidden => ("unauthorized_client", true),
        ErrorKind::TooManyRequests | ErrorKind::Unavailable => ("temporarily_unavailable", false),
        ErrorKind::Internal => ("server_error", false),
        // Of these the status says more than 400 would: a path, a method, a body that is too large or slow.
        _ => ("invalid_request", false),
    }
}

fn response(code: &str, is_bad_request: bool, cause: &Error) -> Response {
    answer::log(cause);
    let text = json!({"error": code, "error_description": described(cause.detail())});
    let mut response = answer::plain_json(text.to_string());
    let status = match is_bad_request {
        true => StatusCode::BAD_REQUEST,
        false => StatusCode::from_u16(cause.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
    };
    *response.status_mut() = status;
    match cause.kind() {
        ErrorKind::Unauthorized if !is_bad_request => {
            answer::set(&mut response, WWW_AUTHENTICATE, CHALLENGE);
        }
        ErrorKind::TooManyRequests | ErrorKind::Unavailable => {
            response = answer::asking_to_retry(response, cause.retry_seconds());
        }
        _ => {}
    }
    response
}

/// A description with the characters that the RFC allows: ASCII without quotation marks and backslashes.
fn described(detail: &str) -> String {
    let allowed = |c: char| match c {
        '"' => '\'',
        '\\' => '/',
        ' '..='~' => c,
        _ => '?',
    };
    detail.chars().map(allowed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_has_only_characters_that_it_may_have() {
        assert_eq!(described("a \"b\" \\ `c` é\n~"), "a 'b' / `c` ??~");
    }
}
