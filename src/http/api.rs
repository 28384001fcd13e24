//! The protocols: SCIM 2.0, SCIM 1.1, and the Ionic API, which is a dialect of 1.1.

use std::borrow::Cow;

use axum::http::request::Parts;
use axum::http::{HeaderName, Method};
use axum::response::Response;

use super::answer;
use crate::identity::{CauseKind, TenantId};
use crate::protocol::Error;
use crate::protocol::v1::Dialect;

/// The beginning of every path of SCIM 2.0, below the public URL.
pub(super) const V2_PATH: &str = "/scim/v2";
/// The beginning of every path of SCIM 1.1, below the public URL.
pub(super) const V1_PATH: &str = "/scim/v1";

/// The header that gives a POST another method (SCIM 1.1 API §3.12).
const METHOD_OVERRIDE: HeaderName = HeaderName::from_static("x-http-method-override");

/// A protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Api {
    /// SCIM 2.0 at `/scim/v2`.
    V2,
    /// SCIM 1.1 at `/scim/v1`.
    V1,
    /// The Ionic API at `/v2/{tenant}/scim`; `None` for a name that no tenant can have.
    Ionic(Option<TenantId>),
}

impl Api {
    /// The dialect, if the protocol is SCIM 1.1.
    pub(super) fn dialect(&self) -> Option<Dialect> {
        match self {
            Self::V2 => None,
            Self::V1 => Some(Dialect::General),
            Self::Ionic(_) => Some(Dialect::Ionic),
        }
    }

    /// The kind of cause that its writes record.
    pub(super) fn cause_kind(&self) -> CauseKind {
        match self {
            Self::V2 => CauseKind::Scim2,
            Self::V1 => CauseKind::Scim1,
            Self::Ionic(_) => CauseKind::Ionic,
        }
    }

    /// The beginning of its paths.
    pub(super) fn base_path(&self) -> Cow<'static, str> {
        match self {
            Self::V2 => V2_PATH.into(),
            Self::V1 => V1_PATH.into(),
            Self::Ionic(tenant) => {
                let tenant = tenant.as_ref().map_or("", TenantId::as_str);
                format!("/v2/{tenant}/scim").into()
            }
        }
    }

    /// The name that comes before a target in logs.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::V2 => "",
            Self::V1 => "/v1",
            Self::Ionic(_) => "/ionic",
        }
    }

    /// The method of a request, or the one that a header replaces it by.
    pub(super) fn method(&self, parts: &Parts) -> Method {
        let overriding = parts.headers.get(METHOD_OVERRIDE);
        match overriding.filter(|_| *self != Self::V2 && parts.method == Method::POST) {
            Some(name) => {
                let name = name.as_bytes().to_ascii_uppercase();
                // A name that cannot be a method becomes a method that no target takes.
                Method::from_bytes(&name).unwrap_or(Method::TRACE)
            }
            None => parts.method.clone(),
        }
    }

    /// An error in the form that its clients read.
    pub(super) fn error(&self, error: &Error) -> Response {
        match self {
            Self::V2 => answer::error(error),
            Self::V1 | Self::Ionic(_) => answer::error_v1(error),
        }
    }

    /// Gives an answer its media type.
    pub(super) fn finish(&self, response: Response) -> Response {
        match self {
            Self::V2 => response,
            Self::V1 | Self::Ionic(_) => answer::in_v1(response),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    #[test]
    fn a_post_of_1_1_may_mean_another_method() {
        fn check(api: &Api, method: &str, says: Option<&str>, expected: &str) {
            let mut request = Request::builder().method(method);
            if let Some(says) = says {
                request = request.header("X-HTTP-Method-Override", says);
            }
            let (parts, ()) = request.body(()).unwrap().into_parts();
            assert_eq!(api.method(&parts).as_str(), expected, "{method} {says:?}");
        }
        for api in [Api::V1, Api::Ionic(None)] {
            check(&api, "POST", Some("DELETE"), "DELETE");
            check(&api, "POST", Some("patch"), "PATCH");
            check(&api, "POST", Some("a b"), "TRACE");
            check(&api, "POST", None, "POST");
            check(&api, "GET", Some("DELETE"), "GET");
        }
        check(&Api::V2, "POST", Some("DELETE"), "POST");
    }
}
