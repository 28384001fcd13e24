//! The path of a request, read once when the request comes in (RFC 7644 §3.2, §3.13).
//!
//! ```abnf
//! path     = [ named ] "/scim" [ "/v2" ] [ "/" target ] [ "/" ]
//!          / ( [ named ] "/scim/v1" / "/v2/" tenant "/scim" ) "/" v1-target [ ".json" ] [ "/" ]
//!          / "/" / "/events" [ "/" ] / "/docs" [ "/" / "/" file ] / "/openapi.json" [ "/" ] / "/healthz" [ "/" ]
//! named    = "/t/" tenant
//! target   = "ServiceProviderConfig" / "Bulk" / "Me" / "Scopes"
//!          / "Schemas" [ "/" id ] / "ResourceTypes" [ "/" id ]
//!          / ".search" / endpoint [ "/.search" / "/" id [ "/members" ] ]
//! v1-target = "ServiceProviderConfigs" / "Bulk" / "Scopes" / "Schemas" [ "/" id ]
//!          / endpoint [ "/" id ]
//! ```
//!
//! The fixed words of a target are matched in any case. The route records whether they are spelled as
//! above, and the tenant's profile decides whether another case is tolerated. The base is matched in its
//! own case only, because clients paste it whole, and the routes of a gateway begin with it.
//!
//! It must not know any tenant: the tenant's registry decides which endpoints exist, in
//! [`action`](super::action).

mod oauth;
mod segments;
mod target;

pub(super) use oauth::OAuthEndpoint;
pub(super) use target::{DiscoveryEndpoint, Site, Target, Within};

use segments::{Segments, WORDS, decode, without_format};

use super::api::{Api, PathTenant, Protocol, TENANT_SEGMENT, V2_PATH};
use crate::protocol::error::excerpt;
use crate::protocol::{Error, Result};

/// The paths that are below no base, because they are part of no protocol. Below a base, they would take
/// their names from resource types of tenants.
const BESIDE_BASES: [&str; 6] = [
    "/",
    "/events",
    "/docs",
    "/docs/{file}",
    "/openapi.json",
    "/healthz",
];
/// A value in the paths that are tried.
const VALUE: &str = "{id}";
/// The number of segments by which the longest base is recognised.
const LONGEST_ROOT: usize = 3;

/// The meaning of a request's path.
#[derive(Debug)]
pub(super) struct Route {
    /// The protocol; 2.0 for a path that leads nowhere.
    pub(super) api: Api,
    /// The target of the path.
    pub(super) target: Result<Target>,
    /// Whether the fixed words in the path have their own case.
    pub(super) is_exact: bool,
}

impl Route {
    /// Reads the path of a request. The target is `NotFound` for a path that leads nowhere, `InvalidVers`
    /// for a protocol version that is not served, and `NotAcceptable` for one that asks for XML.
    pub(super) fn parse(path: &str) -> Self {
        let beside = |target| Self {
            api: Api::V2,
            target,
            is_exact: true,
        };
        let Some(segments) = decoded(path) else {
            return beside(Err(no_such_endpoint()));
        };
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        if let Some(target) = Target::beside_bases(&segments) {
            return beside(Ok(target));
        }
        match root(&segments) {
            Some((api, rest)) if api.protocol == Protocol::V2 => {
                let segments = below_version(rest).map(Segments::of);
                Self {
                    api,
                    is_exact: segments.as_ref().is_ok_and(|segments| segments.is_exact),
                    target: segments.and_then(|segments| Target::below_base(&segments.words)),
                }
            }
            Some((api, rest)) => Self::v1(api, rest),
            None => beside(Err(no_such_endpoint())),
        }
    }

    /// Whether a path begins like one of this service. It may still lead nowhere. A gateway's prefix is
    /// removed from a path only if such a path is left.
    pub(super) fn is_served(path: &str) -> bool {
        let path = path.strip_suffix('/').unwrap_or(path);
        let head = path.split('/').skip(1).take(LONGEST_ROOT).map_while(decode);
        let head: Vec<String> = head.collect();
        let head: Vec<&str> = head.iter().map(String::as_str).collect();
        let api = root(&head).map(|(api, _)| api);
        let is_whole = head.len() == path.split('/').skip(1).count();
        let is_beside = is_whole && Target::beside_bases(&head).is_some();
        let is_root = is_beside
            || OAuthEndpoint::at(path).is_some()
            || api.is_some_and(|api| api.tenant != PathTenant::Unfit);
        (path.is_empty() || path.starts_with('/')) && is_root
    }

    /// Every path of SCIM 2.0 and beside it, with its route, for a tenant with types at these endpoints. It has
    /// `{…}` in the place of values. Types that have no such path, such as members of a type that is not
    /// that of groups, are not known here.
    pub(super) fn all_of_v2<'e>(
        endpoints: impl Iterator<Item = &'e str>,
    ) -> impl Iterator<Item = (String, Self)> {
        let [first, second, third] = WORDS;
        let mut paths = vec![V2_PATH.to_owned()];
        for word in endpoints.chain(first.iter().copied()) {
            let one = format!("{V2_PATH}/{word}");
            paths.extend(second.iter().map(|word| format!("{one}/{word}")));
            let two = format!("{one}/{VALUE}");
            paths.extend(third.iter().map(|word| format!("{two}/{word}")));
            paths.push(two);
            paths.push(one);
        }
        paths.sort_unstable();
        let below = paths.into_iter().map(|path| (Self::parse(&path), path));
        let below = below.filter_map(|(route, path)| {
            let name = route.target.as_ref().ok()?.value_name();
            Some((path.replace(VALUE, name), route))
        });
        let beside = BESIDE_BASES.map(|path| (path.to_owned(), Self::parse(path)));
        beside.into_iter().chain(below)
    }

    fn v1(api: Api, segments: &[&str]) -> Self {
        let segments = without_format(segments).map(|segments| Segments::of(&segments));
        Self {
            api,
            is_exact: segments.as_ref().is_ok_and(|segments| segments.is_exact),
            target: segments.and_then(|segments| Target::below_v1_base(&segments.words)),
        }
    }
}

/// The decoded segments of a path; `None` if no path of the service has this form. A slash at the end is
/// ignored. An empty path is that of a URL which ends with the prefix of a gateway.
fn decoded(path: &str) -> Option<Vec<String>> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let is_rooted = path.is_empty() || path.starts_with('/');
    let segments = path
        .split('/')
        .skip(1)
        .map(decode)
        .collect::<Option<Vec<_>>>();
    segments.filter(|_| is_rooted)
}

/// The protocol that a path belongs to, and the segments after its base; `None` for no protocol.
fn root<'p>(segments: &'p [&'p str]) -> Option<(Api, &'p [&'p str])> {
    match segments {
        [TENANT_SEGMENT, tenant, rest @ ..] => base(rest, PathTenant::parse(tenant)),
        ["v2", tenant, "scim", rest @ ..] => {
            let api = Api::new(Protocol::Ionic, PathTenant::parse(tenant));
            Some((api, rest))
        }
        _ => base(segments, PathTenant::Absent),
    }
}

/// The same for a path of which the name of the tenant was read, or which has none.
fn base<'p>(segments: &'p [&'p str], tenant: PathTenant) -> Option<(Api, &'p [&'p str])> {
    match segments {
        ["scim", "v1", rest @ ..] => Some((Api::new(Protocol::V1, tenant), rest)),
        ["scim", rest @ ..] => Some((Api::new(Protocol::V2, tenant), rest)),
        _ => None,
    }
}

/// The segments after the protocol version, which may be left out (RFC 7644 §3.13).
fn below_version<'p>(segments: &'p [&'p str]) -> Result<&'p [&'p str]> {
    match segments {
        ["v2", rest @ ..] => Ok(rest),
        [version, ..] if is_version(version) => Err(Error::invalid_vers(format!(
            "Protocol version {} is not served; use v2",
            excerpt(version)
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

    /// The target of a path of SCIM 2.0.
    fn target(path: &str) -> Result<Target> {
        let route = Route::parse(path);
        assert_eq!(route.api, Api::V2, "{path}");
        route.target
    }

    #[test]
    fn a_path_is_served_by_how_it_begins() {
        let long = format!("/scim/v2/Users/{}", "a".repeat(5000));
        for path in [
            "/scim",
            "/scim/",
            "/scim/v9",
            "/%73cim/Users",
            "/v2/acme/scim",
            "/events",
            "/events/",
            "/t/acme/scim",
            "/t/acme/scim/v2/Users",
            "/t/acme/scim/v1",
            "/oauth/token",
            "/oauth/token/",
            "/.well-known/oauth-authorization-server",
            "/.well-known/oauth-authorization-server/identity",
            "",
            "/",
            "/docs",
            "/docs/",
            "/docs/init.js",
            "/openapi.json",
            "/healthz",
            &long,
        ] {
            assert!(Route::is_served(path), "{path}");
        }
        for path in [
            "scim",
            "//",
            "/%FF",
            "/docs/a/b",
            "/v2",
            "/v2/Users",
            "/v2/Users/scim",
            "/v2/acme",
            "/Users",
            "/Events",
            "/events/events",
            "/events/1",
            "/t",
            "/t/acme",
            "/t/Acme/scim",
            "/t/acme/events",
            "/t/acme/v2/acme/scim",
            "/oauth",
            "/oauth/token/x",
            "/.well-known/openid-configuration",
        ] {
            assert!(!Route::is_served(path), "{path}");
        }
    }

    #[test]
    fn paths_lead_to_their_targets() {
        fn check(path: &str, expected: &Target) {
            for path in [path.to_owned(), format!("{path}/")] {
                assert_eq!(target(&path).unwrap(), *expected, "{path}");
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
        check("/events", &Target::Events);
        check("", &Target::Site(Site::Home));
        check("/docs", &Target::Site(Site::Docs));
        check(
            "/docs/init.js",
            &Target::Site(Site::DocsFile("init.js".to_owned())),
        );
        check("/openapi.json", &Target::Site(Site::OpenApi));
        check("/healthz", &Target::Site(Site::Health));
        check(
            "/scim/v2/events",
            &Target::Collection(Within::Endpoint("events".to_owned())),
        );
        check(
            "/scim/v2/Schemas/urn%3Aietf:params",
            &Target::Discovery(DiscoveryEndpoint::Schema("urn:ietf:params".to_owned())),
        );
        check(
            "/scim/ServiceProviderConfig",
            &Target::Discovery(DiscoveryEndpoint::ServiceProviderConfig),
        );
    }

    #[test]
    fn two_bases_serve_the_older_version() {
        let check = |path: &str, expected: &Target| {
            for (protocol, tenant, base) in [
                (Protocol::V1, PathTenant::Absent, "/scim/v1"),
                (Protocol::V1, PathTenant::parse("acme"), "/t/acme/scim/v1"),
                (Protocol::V1, PathTenant::Unfit, "/t/No_Tenant/scim/v1"),
                (Protocol::Ionic, PathTenant::parse("acme"), "/v2/acme/scim"),
                (Protocol::Ionic, PathTenant::Unfit, "/v2/No_Tenant/scim"),
            ] {
                let api = Api::new(protocol, tenant);
                for end in ["", ".json", "/"] {
                    let path = format!("{base}{path}{end}");
                    let route = Route::parse(&path);
                    assert_eq!(route.api, api, "{path}");
                    assert_eq!(route.target.unwrap(), *expected, "{path}");
                }
                let route = Route::parse(&format!("{base}{path}.xml"));
                let error = route.target.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::NotAcceptable);
            }
        };
        let users = Within::Endpoint("Users".to_owned());
        check("/Users", &Target::Collection(users));
        check("/Users/2819c223", &resource("Users", "2819c223"));
        check("/Bulk", &Target::Bulk);
        let config = DiscoveryEndpoint::ServiceProviderConfig;
        check("/ServiceProviderConfigs", &Target::Discovery(config));
        check("/Scopes", &Target::Discovery(DiscoveryEndpoint::Scopes));
        let urn = "urn:scim:schemas:core:1.0";
        let schema = Target::Discovery(DiscoveryEndpoint::Schema(urn.to_owned()));
        check(&format!("/Schemas/{urn}"), &schema);
        for path in [
            "/scim/v1",
            "/v2/acme/scim",
            "/scim/v1/Users/1/2",
            "/scim/v1/Users//1",
        ] {
            let error = Route::parse(path).target.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound, "{path}");
        }
    }

    #[test]
    fn words_match_in_any_case_and_the_base_only_in_its_own() {
        fn check(path: &str, expected: &Target, is_exact: bool) {
            let route = Route::parse(path);
            assert_eq!(route.target.unwrap(), *expected, "{path}");
            assert_eq!(route.is_exact, is_exact, "{path}");
        }
        let named = |name: &str| Within::Endpoint(name.to_owned());
        check("/scim/v2/Users", &Target::Collection(named("Users")), true);
        check("/scim/v2/users", &Target::Collection(named("users")), true);
        check("/scim/v2/bulk", &Target::Bulk, false);
        check("/scim/ME", &Target::Me, false);
        let config = || Target::Discovery(DiscoveryEndpoint::ServiceProviderConfig);
        check("/scim/v2/serviceproviderconfig", &config(), false);
        check("/scim/v1/serviceProviderConfigs", &config(), false);
        check(
            "/v2/acme/scim/serviceproviderconfigs.json",
            &config(),
            false,
        );
        let schema = || Target::Discovery(DiscoveryEndpoint::Schema("Users".to_owned()));
        check("/scim/v1/schemas/Users", &schema(), false);
        check(
            "/scim/v2/.SEARCH",
            &Target::Search(Within::Everything),
            false,
        );
        check(
            "/scim/v2/Users/.Search",
            &Target::Search(named("Users")),
            false,
        );
        check("/scim/v2/Users/Bulk", &resource("Users", "Bulk"), true);
        check("/scim/v2/Users/bulk", &resource("Users", "bulk"), true);
        let members = Target::Members {
            endpoint: "Groups".to_owned(),
            id: "ME".to_owned(),
        };
        check("/scim/v2/Groups/ME/Members", &members, false);
        check("/scim/V2/Users", &resource("V2", "Users"), true);
        for path in ["/SCIM/v2/Users", "/Scim/v1/Users", "/V2/acme/scim/Users"] {
            let error = Route::parse(path).target.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound, "{path}");
        }
        for path in ["/scim/v2/bulk/.search", "/scim/v2/schemas/.SEARCH"] {
            let error = Route::parse(path).target.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound, "{path}");
        }
    }

    #[test]
    fn paths_without_target_are_not_found() {
        fn check(path: &str) {
            let error = target(path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound, "{path}");
        }
        check("*");
        check("//");
        check("/docs/a/b");
        check("/openapi.json/x");
        check("/scimitar");
        check("/Users");
        check("/EVENTS");
        check("/events/1");
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
        let target = target(&format!("/scim/v2/Users/{id}")).unwrap();
        assert_eq!(target, resource("Users", &id));
    }

    #[test]
    fn a_path_may_name_the_tenant() {
        for (path, base) in [
            ("/t/acme/scim/v2/Users", "/t/acme/scim/v2"),
            ("/t/acme/scim/Users", "/t/acme/scim/v2"),
            ("/t/acme/scim/v1/Users", "/t/acme/scim/v1"),
        ] {
            let route = Route::parse(path);
            assert_eq!(route.api.base_path(), base, "{path}");
            assert_eq!(route.api.tenant, PathTenant::parse("acme"), "{path}");
            let users = Target::Collection(Within::Endpoint("Users".to_owned()));
            assert_eq!(route.target.unwrap(), users, "{path}");
        }
        let unfit = Route::parse("/t/No_Tenant/scim/v2/Users").api;
        assert_eq!(unfit, Api::new(Protocol::V2, PathTenant::Unfit));
        for path in ["/t/acme", "/t/acme/events", "/t/acme/v2/acme/scim/Users"] {
            let error = target(path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound, "{path}");
        }
    }

    #[test]
    fn another_protocol_version_is_refused_as_such() {
        fn check(path: &str, expected: ErrorKind) {
            assert_eq!(target(path).unwrap_err().kind(), expected, "{path}");
        }
        check("/scim/v9/Users", ErrorKind::InvalidVers);
        check("/scim/v2.1/Users/1", ErrorKind::InvalidVers);
        check("/scim/v123456789/Users/a", ErrorKind::NotFound);
    }
}
