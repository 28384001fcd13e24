//! The URL at which clients reach the service.
//!
//! It is configured, or known from the gateway in front of the function, or that of the local
//! listener. The `Host` header is never used, because a client could use it to send other clients
//! elsewhere.

use axum::http::Uri;

use super::api::{V1_PATH, V2_PATH};
use super::route::Route;
use crate::protocol::{Error, Result};

/// A public origin, with the path prefix of the service there.
///
/// **Shape**: `https://directory.example.com` or `https://example.com/identity`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    origin: String,
    prefix: String,
}

/// What the gateway in front of the function says about a request. It is an extension of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// The URL of the gateway itself, if it says so.
    public_url: Option<PublicUrl>,
    /// The stage as a path prefix, such as `/prod`; empty for the default stage.
    stage: String,
    /// Whether paths begin with the stage. Then prefixes with the stage are tried first.
    stage_leads: bool,
    /// Whether it passes on answers that are not text.
    passes_bytes: bool,
}

/// What an event of API Gateway says about the URL of the request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Origin<'e> {
    /// The domain that the client used.
    pub domain: Option<&'e str>,
    /// The API's id, with which the domain that AWS gave it begins.
    pub api_id: Option<&'e str>,
    /// The stage.
    pub stage: Option<&'e str>,
    /// The path in the URL that the client used.
    pub url_path: Option<&'e str>,
}

impl Gateway {
    /// Reads the event of an HTTP API or a function URL: `url_path` is also the path of the request.
    ///
    /// On the domain that AWS gave the API, the path begins with the stage, unless it is `$default`.
    #[must_use]
    pub fn of_http_api(origin: Origin<'_>) -> Self {
        let stage = stage_prefix(origin.stage);
        let path = origin.url_path.unwrap_or_default();
        let first_label = origin.domain.and_then(|domain| domain.split('.').next());
        let is_aws_domain = first_label.is_some() && first_label == origin.api_id;
        let stage_leads = is_aws_domain && !stage.is_empty();
        let is_left = without(path, &stage).is_some_and(Route::is_served);
        let is_in_url = is_left && (stage_leads || !Route::is_served(path));
        Self {
            public_url: public_url(origin.domain, &stage, is_in_url),
            stage,
            stage_leads,
            passes_bytes: true,
        }
    }

    /// Reads the event of a REST API for `path`, from which the gateway has removed the stage.
    /// `url_path` has the stage only on the domain that AWS gave the API.
    #[must_use]
    pub fn of_rest_api(origin: Origin<'_>, path: &str) -> Self {
        let stage = stage_prefix(origin.stage);
        let url_path = origin.url_path.unwrap_or_default();
        let left = without(url_path, &stage);
        let is_in_url = left.is_some_and(|left| left == path || (left.is_empty() && path == "/"));
        Self {
            public_url: public_url(origin.domain, &stage, is_in_url),
            stage,
            stage_leads: false,
            // Without a list of binary media types it would send the base64 text of the event.
            passes_bytes: false,
        }
    }

    /// Whether it passes on answers that are not text, such as compressed ones.
    pub(super) fn passes_bytes(&self) -> bool {
        self.passes_bytes
    }
}

fn stage_prefix(stage: Option<&str>) -> String {
    let stage = stage.filter(|stage| !stage.is_empty() && *stage != "$default");
    stage.map(|stage| format!("/{stage}")).unwrap_or_default()
}

fn public_url(domain: Option<&str>, stage: &str, is_in_url: bool) -> Option<PublicUrl> {
    let prefix = if is_in_url { stage } else { "" };
    PublicUrl::parse(&format!("https://{}{prefix}", domain?)).ok()
}

impl PublicUrl {
    /// Reads a configured URL. A slash at its end is ignored.
    ///
    /// # Errors
    /// `InvalidValue` if it is not an http or https URL, or has a user, a query or a fragment.
    pub fn parse(text: &str) -> Result<Self> {
        let refuse = || {
            Error::invalid_value(format!(
                "`{text}` is not a public URL such as https://directory.example.com/prefix"
            ))
        };
        let uri: Uri = text.parse().map_err(|_| refuse())?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(refuse());
        };
        let is_plain = matches!(scheme, "http" | "https")
            && uri.query().is_none()
            && !text.contains('#')
            && !authority.as_str().contains('@');
        if !is_plain {
            return Err(refuse());
        }
        Ok(Self {
            origin: format!("{scheme}://{authority}"),
            prefix: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    /// The URL that every path of the service follows, without a slash at its end.
    #[must_use]
    pub fn root_url(&self) -> String {
        self.at("")
    }

    /// The URL of the interactive documentation.
    #[must_use]
    pub fn docs_url(&self) -> String {
        self.at("/docs")
    }

    /// The base URL of SCIM 2.0, without a slash at its end.
    #[must_use]
    pub fn base_url(&self) -> String {
        self.at(V2_PATH)
    }

    /// The base URL of SCIM 1.1, without a slash at its end.
    #[must_use]
    pub fn v1_base_url(&self) -> String {
        self.at(V1_PATH)
    }

    fn at(&self, path: &str) -> String {
        let Self { origin, prefix } = self;
        format!("{origin}{prefix}{path}")
    }
}

/// The URL prefixes of one request: those of the configured URL, and those of the gateway.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mount<'r> {
    /// The configured URL, which takes precedence over the gateway's.
    pub(super) configured: Option<&'r PublicUrl>,
    /// The gateway, if there is one.
    pub(super) gateway: Option<&'r Gateway>,
}

impl<'r> Mount<'r> {
    /// The base URL of a protocol whose paths begin with `base_path`.
    ///
    /// If no public URL is known, it is a path only, which a client resolves against the URL that it
    /// used.
    pub(super) fn base_url(self, base_path: &str) -> String {
        self.public_url()
            .map_or_else(|| base_path.to_owned(), |url| url.at(base_path))
    }

    /// The URL of the service, without a slash at its end. OAuth calls it the issuer.
    ///
    /// `None` if no public URL is known.
    pub(super) fn service_url(self) -> Option<String> {
        Some(self.public_url()?.at(""))
    }

    /// The path of [`service_url`](Self::service_url); empty if it has none.
    pub(super) fn prefix(self) -> &'r str {
        self.public_url().map_or("", |url| url.prefix.as_str())
    }

    /// The path in the URL that the client used. This is the path that it signed.
    pub(super) fn public_path(self, path: &str) -> String {
        format!("{}{}", self.prefix(), self.local_path(path))
    }

    /// The path without the prefixes of the gateway and of the public URL.
    ///
    /// A prefix is removed only if a path of this service is left. A stage or an API mapping may also
    /// be named `scim` or `v2`, and gateways differ in which prefixes they have removed already.
    pub(super) fn local_path(self, path: &str) -> &str {
        let stage = self.gateway.map_or("", |gateway| gateway.stage.as_str());
        let mount = self.configured.map_or("", |url| url.prefix.as_str());
        let prefixes = match self.gateway.is_some_and(|gateway| gateway.stage_leads) {
            true => [[stage, ""], [stage, mount], ["", mount], ["", ""]],
            false => [["", mount], ["", ""], [stage, mount], [stage, ""]],
        };
        let rests = prefixes.iter().filter_map(|[outer, inner]| {
            let rest = without(path, outer)?;
            without(rest, inner).filter(|rest| Route::is_served(rest))
        });
        // A path that is a prefix and nothing else may also be one of this service: `/scim`.
        let (whole, empty): (Vec<_>, Vec<_>) = rests.partition(|rest| !rest.is_empty());
        whole.first().or(empty.first()).unwrap_or(&path)
    }

    fn public_url(self) -> Option<&'r PublicUrl> {
        self.configured
            .or_else(|| self.gateway?.public_url.as_ref())
    }
}

/// The rest of a path after a prefix of whole segments.
fn without<'p>(path: &'p str, prefix: &str) -> Option<&'p str> {
    let rest = path.strip_prefix(prefix)?;
    (rest.is_empty() || prefix.is_empty() || rest.starts_with('/')).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> PublicUrl {
        PublicUrl::parse(text).unwrap()
    }

    #[test]
    fn a_public_url_has_an_origin_and_perhaps_a_prefix() {
        fn check(text: &str, expected: Option<&str>) {
            let base = PublicUrl::parse(text).ok().map(|url| url.base_url());
            assert_eq!(base.as_deref(), expected, "{text}");
        }
        check("https://a.example", Some("https://a.example/scim/v2"));
        check(
            "http://127.0.0.1:9000/",
            Some("http://127.0.0.1:9000/scim/v2"),
        );
        check(
            "https://a.example/x/y/",
            Some("https://a.example/x/y/scim/v2"),
        );
        check("ftp://a.example", None);
        check("a.example", None);
        check("https://u:p@a.example", None);
        check("https://a.example?x=1", None);
        check("https://a.example/#x", None);
        check("", None);
    }

    #[test]
    fn a_configured_url_takes_precedence_over_the_gateway() {
        let configured = url("https://a.example/x");
        let gateway = http_api("b.example", "prod", "/prod/scim/v2/Users");
        let check = |configured: Option<&PublicUrl>, gateway: Option<&Gateway>, expected: &str| {
            let mount = Mount {
                configured,
                gateway,
            };
            assert_eq!(mount.base_url(V2_PATH), expected);
        };
        let both = "https://a.example/x/scim/v2";
        check(Some(&configured), Some(&gateway), both);
        check(None, Some(&gateway), "https://b.example/prod/scim/v2");
        check(None, None, "/scim/v2");
    }

    fn http_api(domain: &str, stage: &str, path: &str) -> Gateway {
        Gateway::of_http_api(Origin {
            domain: Some(domain),
            api_id: Some("x1"),
            stage: Some(stage),
            url_path: Some(path),
        })
    }

    #[test]
    fn the_stage_is_part_of_the_url_where_clients_see_it() {
        fn check(gateway: &Gateway, base: &str) {
            let mount = Mount {
                configured: None,
                gateway: Some(gateway),
            };
            assert_eq!(mount.base_url(V2_PATH), base, "{gateway:?}");
        }
        let api = "x1.execute-api.eu-west-1.amazonaws.com";
        let base = |prefix: &str| format!("https://{api}{prefix}/scim/v2");
        check(&http_api(api, "$default", "/scim/v2/Users"), &base(""));
        for stage in ["prod", "scim", "v2"] {
            let prefix = format!("/{stage}");
            let path = format!("/{stage}/scim/v2/Users");
            check(&http_api(api, stage, &path), &base(&prefix));
            let own = "https://id.example.com/scim/v2";
            check(&http_api("id.example.com", stage, "/scim/v2/Users"), own);
            let origin = |domain, url_path| Origin {
                domain: Some(domain),
                stage: Some(stage),
                url_path: Some(url_path),
                ..Origin::default()
            };
            let rest = |origin| Gateway::of_rest_api(origin, "/scim/v2/Users");
            check(&rest(origin(api, &path)), &base(&prefix));
            check(&rest(origin("id.example.com", "/scim/v2/Users")), own);
        }
        check(&Gateway::of_http_api(Origin::default()), V2_PATH);
        check(&http_api("a b", "$default", "/scim/v2"), V2_PATH);
    }

    #[test]
    fn prefixes_are_removed_by_whole_segments_and_only_before_a_served_path() {
        let check = |mount: &str, stage: &str, path: &str, expected: &str| {
            let configured = url(&format!("https://a.example{mount}"));
            let gateway = http_api("x1.example", stage, path);
            let local = Mount {
                configured: Some(&configured),
                gateway: Some(&gateway),
            };
            let local = local.local_path(path);
            assert_eq!(local, expected, "{mount} {stage} {path}");
        };
        check("/x", "prod", "/prod/x/scim/v2", "/scim/v2");
        check("/x", "prod", "/prod/scim/v2", "/scim/v2");
        check("/x", "prod", "/x/scim/v2", "/scim/v2");
        check("/x", "prod", "/scim/v2", "/scim/v2");
        check("/x", "prod", "/production/scim/v2", "/production/scim/v2");
        check("/x", "prod", "/prod/elsewhere", "/prod/elsewhere");
        check("/scim", "scim", "/scim/scim/v2/Users", "/scim/v2/Users");
        check("/scim", "$default", "/scim/scim/v2", "/scim/v2");
        check("/scim", "$default", "/scim/v2/Users", "/scim/v2/Users");
        check("/v2", "v2", "/v2/scim/scim/Users", "/scim/scim/Users");
        check("/x", "prod", "/x/", "/");
        check("/x", "prod", "/x", "");
        check("/x", "prod", "/prod", "");
        check("/x", "prod", "/prod/x/docs", "/docs");
        check("/scim", "scim", "/scim", "/scim");
        check("/scim", "scim", "/scim/", "/");
        check("/v2", "v2", "/v2/v2/acme/scim/Users", "/v2/acme/scim/Users");
        let unknown = Mount {
            configured: None,
            gateway: None,
        };
        assert_eq!(unknown.local_path("/prod/scim"), "/prod/scim");
    }
}
