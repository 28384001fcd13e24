//! Under which URL clients reach the service.
//!
//! It is configured, or told by the gateway in front of the function, or that of the local listener.
//! A `Host` header is never asked: whoever writes it would decide where other clients are sent.

use axum::http::Uri;

use crate::protocol::{Error, Result};

/// What every SCIM 2.0 location begins with, below the public URL.
pub(super) const V2_PATH: &str = "/scim/v2";
/// The same for SCIM 1.1.
pub(super) const V1_PATH: &str = "/scim/v1";

/// A public origin, with the path prefix under which the service is mounted there.
///
/// **Shape**: `https://directory.example.com` or `https://example.com/identity`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    origin: String,
    prefix: String,
}

/// What the gateway in front of the function knows of a request; an extension of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// How the gateway itself is reached, if it says so.
    pub public_url: Option<PublicUrl>,
    /// The path prefix that only the gateway knows the meaning of, such as `/prod` for a stage.
    pub path_prefix: String,
}

impl Gateway {
    /// Takes what API Gateway says of a request: the domain it came to, the stage it was for, and
    /// the path in the URL that the client used.
    ///
    /// The stage stands in that path unless it is `$default` or the domain is one that was mapped
    /// to it.
    #[must_use]
    pub fn new(domain: Option<&str>, stage: Option<&str>, path: Option<&str>) -> Self {
        let stage = stage.filter(|stage| !stage.is_empty() && *stage != "$default");
        let path_prefix = stage.map(|stage| format!("/{stage}")).unwrap_or_default();
        let is_in_url = path.is_some_and(|path| without(path, &path_prefix) != path);
        let public_prefix = if is_in_url { path_prefix.as_str() } else { "" };
        let public_url = domain.map(|domain| format!("https://{domain}{public_prefix}"));
        Self {
            public_url: public_url.and_then(|url| PublicUrl::parse(&url).ok()),
            path_prefix,
        }
    }
}

impl PublicUrl {
    /// Reads a configured URL; a slash at its end means nothing.
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

    /// The URL that every SCIM 2.0 endpoint stands below, without a slash at its end.
    #[must_use]
    pub fn base_url(&self) -> String {
        self.at(V2_PATH)
    }

    /// The URL that every SCIM 1.1 endpoint stands below, without a slash at its end.
    #[must_use]
    pub fn v1_base_url(&self) -> String {
        self.at(V1_PATH)
    }

    fn at(&self, path: &str) -> String {
        let Self { origin, prefix } = self;
        format!("{origin}{prefix}{path}")
    }
}

/// The base URL for a request below `base_path`, from what is configured or else from the gateway.
///
/// Where neither says anything it is a path alone, which a client resolves against the URL it used.
pub(super) fn base_url(
    configured: Option<&PublicUrl>,
    gateway: Option<&Gateway>,
    base_path: &str,
) -> String {
    configured
        .or_else(|| gateway?.public_url.as_ref())
        .map_or_else(|| base_path.to_owned(), |url| url.at(base_path))
}

/// The path in the URL that the client used, which is what it signed.
pub(super) fn public_path(
    path: &str,
    configured: Option<&PublicUrl>,
    gateway: Option<&Gateway>,
) -> String {
    let public_url = configured.or_else(|| gateway?.public_url.as_ref());
    let prefix = public_url.map_or("", |url| url.prefix.as_str());
    format!("{prefix}{}", local_path(path, configured, gateway))
}

/// The request's path without the prefixes that belong to the gateway and to the public URL.
pub(super) fn local_path<'p>(
    path: &'p str,
    configured: Option<&PublicUrl>,
    gateway: Option<&Gateway>,
) -> &'p str {
    let path = gateway.map_or(path, |gateway| without(path, &gateway.path_prefix));
    configured.map_or(path, |url| without(path, &url.prefix))
}

fn without<'p>(path: &'p str, prefix: &str) -> &'p str {
    path.strip_prefix(prefix)
        .filter(|rest| rest.starts_with('/'))
        .unwrap_or(path)
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
    fn what_is_configured_wins_over_what_the_gateway_says() {
        let configured = url("https://a.example/x");
        let gateway = Gateway {
            public_url: Some(url("https://b.example/prod")),
            path_prefix: "/prod".to_owned(),
        };
        let both = base_url(Some(&configured), Some(&gateway), V2_PATH);
        assert_eq!(both, "https://a.example/x/scim/v2");
        assert_eq!(
            base_url(None, Some(&gateway), V2_PATH),
            "https://b.example/prod/scim/v2"
        );
        assert_eq!(base_url(None, None, V2_PATH), "/scim/v2");
    }

    #[test]
    fn the_stage_is_part_of_the_url_where_clients_see_it() {
        fn check(domain: &str, stage: &str, path: &str, base: &str, prefix: &str) {
            let gateway = Gateway::new(Some(domain), Some(stage), Some(path));
            assert_eq!(
                base_url(None, Some(&gateway), V2_PATH),
                base,
                "{domain} {stage} {path}"
            );
            assert_eq!(gateway.path_prefix, prefix);
        }
        let api = "x1.execute-api.eu-west-1.amazonaws.com";
        let base = |prefix: &str| format!("https://{api}{prefix}/scim/v2");
        check(api, "$default", "/scim/v2/Users", &base(""), "");
        check(api, "prod", "/prod/scim/v2/Users", &base("/prod"), "/prod");
        check(
            "id.example.com",
            "prod",
            "/scim/v2/Users",
            "https://id.example.com/scim/v2",
            "/prod",
        );
        let unknown = Gateway::new(None, None, None);
        assert_eq!(base_url(None, Some(&unknown), V2_PATH), "/scim/v2");
    }

    #[test]
    fn prefixes_are_taken_off_whole_segments_only() {
        let configured = url("https://a.example/x");
        let gateway = Gateway {
            public_url: None,
            path_prefix: "/prod".to_owned(),
        };
        let check = |path: &str, expected: &str| {
            assert_eq!(
                local_path(path, Some(&configured), Some(&gateway)),
                expected
            );
        };
        check("/prod/x/scim/v2", "/scim/v2");
        check("/prod/scim/v2", "/scim/v2");
        check("/x/scim/v2", "/scim/v2");
        check("/scim/v2", "/scim/v2");
        check("/production/scim/v2", "/production/scim/v2");
        assert_eq!(local_path("/prod/scim", None, None), "/prod/scim");
    }
}
