//! Where a request goes: its path and method, read once at the door (RFC 7644 §3.2, §3.13).
//!
//! ```abnf
//! path     = "/scim" [ "/v2" ] [ "/" target ] [ "/" ]
//! target   = "ServiceProviderConfig" / "Bulk" / "Me"
//!          / "Schemas" [ "/" id ] / "ResourceTypes" [ "/" id ]
//!          / ".search" / endpoint [ "/.search" / "/" id ]
//! ```
//!
//! It must not know any tenant: whether an endpoint exists is for the tenant's registry to say.

use axum::http::Method;
use percent_encoding::percent_decode_str;

use crate::protocol::{Error, Result};

/// The longest id that may exist, in characters; anything longer is not looked for.
const MAX_ID_CHARACTERS: usize = 256;

/// What a path stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// A description of the service itself.
    Discovery(Discovery),
    /// `/Bulk` (RFC 7644 §3.7).
    Bulk,
    /// `/Me`, the resource of the caller (RFC 7644 §3.11).
    Me,
    /// The resources of one type or of all.
    Collection(Within),
    /// `/.search` below a collection (RFC 7644 §3.4.3).
    Search(Within),
    /// One resource.
    Resource {
        /// The segment that names the type.
        endpoint: String,
        /// The decoded id.
        id: String,
    },
}

/// A description of the service itself (RFC 7644 §4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Discovery {
    /// `/ServiceProviderConfig`.
    ServiceProviderConfig,
    /// `/Schemas`.
    Schemas,
    /// `/Schemas/{urn}`.
    Schema(String),
    /// `/ResourceTypes`.
    ResourceTypes,
    /// `/ResourceTypes/{name}`.
    ResourceType(String),
}

/// How far a query reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Within {
    /// Every resource type (RFC 7644 §3.4.2.1).
    Everything,
    /// The type at this endpoint.
    Endpoint(String),
}

/// A method that some target takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    /// GET, and HEAD, which differs only in that its answer's body stays behind.
    Get,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// PATCH.
    Patch,
    /// DELETE.
    Delete,
}

impl Target {
    /// Reads the path of a request.
    ///
    /// # Errors
    /// `InvalidVers` for a protocol version that is not served, `NotFound` for a path that cannot
    /// lead anywhere.
    pub(super) fn parse(path: &str) -> Result<Self> {
        let path = path.strip_suffix('/').unwrap_or(path);
        let mut raw = path.split('/');
        if (raw.next(), raw.next()) != (Some(""), Some("scim")) {
            return Err(no_such_endpoint());
        }
        let decoded: Option<Vec<String>> = raw.map(decode).collect();
        let segments = decoded.ok_or_else(no_such_endpoint)?;
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        Self::below_base(below_version(&segments)?)
    }

    fn below_base(segments: &[&str]) -> Result<Self> {
        Ok(match segments {
            [] => Self::Collection(Within::Everything),
            [".search"] => Self::Search(Within::Everything),
            ["Bulk"] => Self::Bulk,
            ["Me"] => Self::Me,
            ["ServiceProviderConfig"] => Self::Discovery(Discovery::ServiceProviderConfig),
            ["Schemas"] => Self::Discovery(Discovery::Schemas),
            ["ResourceTypes"] => Self::Discovery(Discovery::ResourceTypes),
            [
                "Bulk" | "Me" | "ServiceProviderConfig" | "Schemas" | "ResourceTypes",
                ".search",
            ] => {
                return Err(no_such_endpoint());
            }
            ["Schemas", urn] => Self::Discovery(Discovery::Schema((*urn).to_owned())),
            ["ResourceTypes", name] => Self::Discovery(Discovery::ResourceType((*name).to_owned())),
            [endpoint] => Self::Collection(Within::Endpoint((*endpoint).to_owned())),
            [endpoint, ".search"] => Self::Search(Within::Endpoint((*endpoint).to_owned())),
            [endpoint, id] => Self::Resource {
                endpoint: (*endpoint).to_owned(),
                id: (*id).to_owned(),
            },
            _ => return Err(no_such_endpoint()),
        })
    }

    /// The methods that the target takes, HEAD apart, which goes where GET goes.
    pub(super) fn verbs(&self) -> &'static [Verb] {
        match self {
            Self::Discovery(_) | Self::Collection(Within::Everything) => &[Verb::Get],
            Self::Bulk | Self::Search(_) => &[Verb::Post],
            Self::Collection(Within::Endpoint(_)) => &[Verb::Get, Verb::Post],
            Self::Resource { .. } => &[Verb::Get, Verb::Put, Verb::Patch, Verb::Delete],
            Self::Me => &[Verb::Get, Verb::Post, Verb::Put, Verb::Patch, Verb::Delete],
        }
    }

    /// The value of an `Allow` header.
    pub(super) fn allow(&self) -> String {
        let names: Vec<_> = self.verbs().iter().map(|verb| verb.names()).collect();
        names.join(", ")
    }

    /// The target with names instead of values, for logs.
    pub(super) fn template(&self) -> &'static str {
        match self {
            Self::Discovery(Discovery::ServiceProviderConfig) => "/ServiceProviderConfig",
            Self::Discovery(Discovery::Schemas) => "/Schemas",
            Self::Discovery(Discovery::Schema(_)) => "/Schemas/{urn}",
            Self::Discovery(Discovery::ResourceTypes) => "/ResourceTypes",
            Self::Discovery(Discovery::ResourceType(_)) => "/ResourceTypes/{name}",
            Self::Bulk => "/Bulk",
            Self::Me => "/Me",
            Self::Collection(Within::Everything) => "/",
            Self::Collection(Within::Endpoint(_)) => "/{type}",
            Self::Search(Within::Everything) => "/.search",
            Self::Search(Within::Endpoint(_)) => "/{type}/.search",
            Self::Resource { .. } => "/{type}/{id}",
        }
    }
}

impl Verb {
    /// The verb of a request for this target.
    ///
    /// # Errors
    /// `MethodNotAllowed`, saying what is allowed.
    pub(super) fn of(method: &Method, target: &Target) -> Result<Self> {
        let mut verbs = target.verbs().iter();
        let name = method.as_str();
        let verb = verbs.find(|verb| verb.names().split(", ").any(|known| known == name));
        verb.copied().ok_or_else(|| {
            let allow = target.allow();
            Error::method_not_allowed(format!("This path takes {allow} and no other method"))
        })
    }

    fn names(self) -> &'static str {
        match self {
            Self::Get => "GET, HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// What follows the protocol version, which may be left out (RFC 7644 §3.13).
fn below_version<'p>(segments: &'p [&'p str]) -> Result<&'p [&'p str]> {
    match segments {
        ["v2", rest @ ..] => Ok(rest),
        [version, ..] if is_version(version) => Err(Error::invalid_vers(format!(
            "Protocol version {version} is not served; use v2"
        ))),
        _ => Ok(segments),
    }
}

fn is_version(segment: &str) -> bool {
    segment.strip_prefix('v').is_some_and(|number| {
        let shape = |byte: u8| byte.is_ascii_digit() || byte == b'.';
        number.starts_with(|first: char| first.is_ascii_digit())
            && number.len() <= 8
            && number.bytes().all(shape)
    })
}

/// One decoded path segment, or nothing if no name or id of ours can look like this.
fn decode(segment: &str) -> Option<String> {
    let decoded = percent_decode_str(segment).decode_utf8().ok()?;
    let fits = !decoded.is_empty()
        && decoded.chars().count() <= MAX_ID_CHARACTERS
        && !decoded.contains(|c: char| c == '/' || c.is_control());
    fits.then(|| decoded.into_owned())
}

/// The error of a path that leads nowhere.
pub(super) fn no_such_endpoint() -> Error {
    Error::not_found("There is no such endpoint")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ErrorKind;

    fn resource(endpoint: &str, id: &str) -> Target {
        Target::Resource {
            endpoint: endpoint.to_owned(),
            id: id.to_owned(),
        }
    }

    #[test]
    fn paths_lead_to_their_targets() {
        fn check(path: &str, expected: &Target) {
            for path in [path.to_owned(), format!("{path}/")] {
                assert_eq!(Target::parse(&path).unwrap(), *expected, "{path}");
            }
        }
        let users = || Within::Endpoint("Users".to_owned());
        check("/scim/v2", &Target::Collection(Within::Everything));
        check("/scim", &Target::Collection(Within::Everything));
        check("/scim/v2/Users", &Target::Collection(users()));
        check("/scim/Users", &Target::Collection(users()));
        check("/scim/v2/Users/.search", &Target::Search(users()));
        check("/scim/v2/.search", &Target::Search(Within::Everything));
        check("/scim/v2/Users/2819c223", &resource("Users", "2819c223"));
        check("/scim/v2/Users/a%20%C3%A9+", &resource("Users", "a é+"));
        check(
            "/scim/v2/v3",
            &Target::Collection(Within::Endpoint("v3".to_owned())),
        );
        check("/scim/v2/Me", &Target::Me);
        check("/scim/v2/Bulk", &Target::Bulk);
        check(
            "/scim/v2/Schemas/urn%3Aietf:params",
            &Target::Discovery(Discovery::Schema("urn:ietf:params".to_owned())),
        );
        check(
            "/scim/ServiceProviderConfig",
            &Target::Discovery(Discovery::ServiceProviderConfig),
        );
    }

    #[test]
    fn what_leads_nowhere_is_not_found() {
        fn check(path: &str) {
            let error = Target::parse(path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound, "{path}");
        }
        check("");
        check("/");
        check("*");
        check("/scimitar");
        check("/Users");
        check("/scim//Users");
        check("/scim/v2//Users");
        check("/scim/v2/Users//");
        check("/scim/v2/Users/a/b");
        check("/scim/v2/Users/a%2Fb");
        check("/scim/v2/Users/%FF");
        check("/scim/v2/Users/%00");
        check("/scim/v2/Schemas/.search");
        check(&format!("/scim/v2/Users/{}", "a".repeat(257)));
        check(&format!("/scim/v2/Users/{}", "a".repeat(5000)));
    }

    #[test]
    fn the_longest_id_counts_characters_and_not_bytes() {
        let id = "é".repeat(256);
        let target = Target::parse(&format!("/scim/v2/Users/{id}")).unwrap();
        assert_eq!(target, resource("Users", &id));
    }

    #[test]
    fn another_protocol_version_is_refused_as_such() {
        fn check(path: &str, expected: ErrorKind) {
            assert_eq!(Target::parse(path).unwrap_err().kind(), expected, "{path}");
        }
        check("/scim/v9/Users", ErrorKind::InvalidVers);
        check("/scim/v2.1/Users/1", ErrorKind::InvalidVers);
        check("/scim/v123456789/Users/a", ErrorKind::NotFound);
    }

    #[test]
    fn a_method_that_a_target_does_not_take_is_answered_with_those_it_does() {
        fn check(method: &str, path: &str, expected: Result<Verb, &str>) {
            let target = Target::parse(path).unwrap();
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let verb = Verb::of(&method, &target).map_err(|error| {
                assert_eq!(error.kind(), ErrorKind::MethodNotAllowed);
                target.allow()
            });
            assert_eq!(verb, expected.map_err(str::to_owned), "{method} {path}");
        }
        check("GET", "/scim/v2/Users", Ok(Verb::Get));
        check("HEAD", "/scim/v2/Users/1", Ok(Verb::Get));
        check("PATCH", "/scim/v2/Users/1", Ok(Verb::Patch));
        check("POST", "/scim/v2/.search", Ok(Verb::Post));
        check("DELETE", "/scim/v2/Users", Err("GET, HEAD, POST"));
        check(
            "POST",
            "/scim/v2/Users/1",
            Err("GET, HEAD, PUT, PATCH, DELETE"),
        );
        check("PUT", "/scim/v2/Schemas", Err("GET, HEAD"));
        check("OPTIONS", "/scim/v2/Bulk", Err("POST"));
        check(
            "BREW",
            "/scim/v2/Users/1",
            Err("GET, HEAD, PUT, PATCH, DELETE"),
        );
        check("get", "/scim/v2/Users", Err("GET, HEAD, POST"));
    }
}
