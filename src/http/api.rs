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

/// The segment before the name of a tenant, in paths such as `/t/acme/scim/v2`.
pub(super) const TENANT_SEGMENT: &str = "t";

/// The header that gives a POST another method (SCIM 1.1 API §3.12).
const METHOD_OVERRIDE: HeaderName = HeaderName::from_static("x-http-method-override");

/// A protocol, and the tenant that the path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Api {
    pub(super) protocol: Protocol,
    pub(super) tenant: PathTenant,
}

/// A protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// SCIM 2.0 at `/scim/v2`.
    V2,
    /// SCIM 1.1 at `/scim/v1`.
    V1,
    /// The Ionic API at `/v2/{tenant}/scim`.
    Ionic,
}

/// What a path says about the tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PathTenant {
    /// Nothing: the tenant is that of the credential.
    Absent,
    /// A name that no tenant can have.
    Unfit,
    /// A name. The credential has to be one of this tenant.
    Named(TenantId),
}

impl PathTenant {
    /// Reads the segment of a path that names the tenant.
    pub(super) fn parse(segment: &str) -> Self {
        TenantId::parse(segment).map_or(Self::Unfit, Self::Named)
    }
}

impl Api {
    /// SCIM 2.0 at a path that names no tenant.
    pub(super) const V2: Self = Self {
        protocol: Protocol::V2,
        tenant: PathTenant::Absent,
    };

    /// A protocol at a path that may name a tenant.
    pub(super) fn new(protocol: Protocol, tenant: PathTenant) -> Self {
        Self { protocol, tenant }
    }

    /// The dialect, if the protocol is SCIM 1.1.
    pub(super) fn dialect(&self) -> Option<Dialect> {
        match self.protocol {
            Protocol::V2 => None,
            Protocol::V1 => Some(Dialect::General),
            Protocol::Ionic => Some(Dialect::Ionic),
        }
    }

    /// The kind of cause that its writes record.
    pub(super) fn cause_kind(&self) -> CauseKind {
        match self.protocol {
            Protocol::V2 => CauseKind::Scim2,
            Protocol::V1 => CauseKind::Scim1,
            Protocol::Ionic => CauseKind::Ionic,
        }
    }

    /// The beginning of its paths.
    pub(super) fn base_path(&self) -> Cow<'static, str> {
        let path = match self.protocol {
            Protocol::V2 => V2_PATH,
            Protocol::V1 => V1_PATH,
            Protocol::Ionic => {
                let PathTenant::Named(tenant) = &self.tenant else {
                    return "/v2//scim".into();
                };
                return format!("/v2/{tenant}/scim").into();
            }
        };
        match &self.tenant {
            PathTenant::Named(tenant) => format!("/{TENANT_SEGMENT}/{tenant}{path}").into(),
            PathTenant::Absent | PathTenant::Unfit => path.into(),
        }
    }

    /// The name that comes before a target in logs.
    pub(super) fn name(&self) -> &'static str {
        match self.protocol {
            Protocol::V2 => "",
            Protocol::V1 => "/v1",
            Protocol::Ionic => "/ionic",
        }
    }

    /// The method of a request, or the one that a header replaces it by.
    pub(super) fn method(&self, parts: &Parts) -> Method {
        let overriding = parts.headers.get(METHOD_OVERRIDE);
        match overriding.filter(|_| self.is_v1() && parts.method == Method::POST) {
            Some(name) => {
                let name = name.as_bytes().to_ascii_uppercase();
                // A name that cannot be a method becomes a method that no target takes.
                Method::from_bytes(&name).unwrap_or(Method::TRACE)
            }
            None => parts.method.clone(),
        }
    }

    fn is_v1(&self) -> bool {
        self.dialect().is_some()
    }

    /// An error in the form that its clients read.
    pub(super) fn error(&self, error: &Error) -> Response {
        match self.is_v1() {
            false => answer::error(error),
            true => answer::error_v1(error),
        }
    }

    /// Gives an answer its media type.
    pub(super) fn finish(&self, response: Response) -> Response {
        match self.is_v1() {
            false => response,
            true => answer::in_v1(response),
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
        let older = [Protocol::V1, Protocol::Ionic];
        for api in older.map(|protocol| Api::new(protocol, PathTenant::Unfit)) {
            check(&api, "POST", Some("DELETE"), "DELETE");
            check(&api, "POST", Some("patch"), "PATCH");
            check(&api, "POST", Some("a b"), "TRACE");
            check(&api, "POST", None, "POST");
            check(&api, "GET", Some("DELETE"), "GET");
        }
        check(&Api::V2, "POST", Some("DELETE"), "POST");
    }
}
