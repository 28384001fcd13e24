//! The action that a request asks for. It follows from the target of the path, the type that the
//! tenant has there, and the method.
//!
//! It must not know how a protocol version reads requests or renders answers.

use axum::http::Method;

use super::api::{Api, Protocol};
use super::route::{DiscoveryEndpoint, Site, Target, Within};
use crate::protocol::Result;
use crate::protocol::schema::ResourceType;
use crate::provider::Over;

/// The action that a request asks for. Types are those of the tenant's registry, ids are decoded.
#[derive(Debug, Clone, Copy)]
pub(super) enum Action<'a> {
    /// A description of the service itself (RFC 7644 §4).
    Describe(&'a DiscoveryEndpoint),
    /// Many operations (RFC 7644 §3.7).
    Bulk,
    /// A request to `/Me`, with the method only: the resource is that of the caller (RFC 7644 §3.11).
    Me(Verb),
    /// A query with its parameters in the URL (RFC 7644 §3.4.2).
    List(Over<'a>),
    /// A query with its parameters in the body (RFC 7644 §3.4.3).
    Search(Over<'a>),
    /// Creates a resource (RFC 7644 §3.3).
    Create(&'a ResourceType),
    /// Reads one resource (RFC 7644 §3.4.1).
    Get(&'a ResourceType, &'a str),
    /// Replaces one resource (RFC 7644 §3.5.1).
    Replace(&'a ResourceType, &'a str),
    /// Changes one resource (RFC 7644 §3.5.2).
    Patch(&'a ResourceType, &'a str),
    /// Deletes one resource (RFC 7644 §3.6).
    Delete(&'a ResourceType, &'a str),
    /// Reads the feed of changes, which is an extension of this service.
    Events,
    /// Reads what is beside the protocols.
    Site(&'a Site),
    /// Lists the members of a group page by page, which is an extension of this service.
    Members(&'a ResourceType, &'a str),
}

/// A method that actions have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    /// GET, and HEAD, whose answer is the same without its body.
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

/// The actions of one target, in the order of an `Allow` header.
#[derive(Debug)]
pub(super) struct Actions<'a>(Vec<Action<'a>>);

impl<'a> Actions<'a> {
    /// The actions of a target in this protocol. `find` returns the tenant's type at an endpoint.
    ///
    /// # Errors
    /// Those of `find`.
    pub(super) fn at(
        target: &'a Target,
        api: &Api,
        find: impl Fn(&str) -> Result<&'a ResourceType>,
    ) -> Result<Self> {
        let mut actions = match target {
            Target::Discovery(what) => vec![Action::Describe(what)],
            Target::Bulk => vec![Action::Bulk],
            Target::Events => vec![Action::Events],
            Target::Site(site) => vec![Action::Site(site)],
            Target::Me => Verb::ALL.map(Action::Me).to_vec(),
            Target::Collection(Within::Everything) => vec![Action::List(Over::All)],
            Target::Collection(Within::Endpoint(endpoint)) => {
                let resource_type = find(endpoint)?;
                vec![
                    Action::List(Over::Type(resource_type)),
                    Action::Create(resource_type),
                ]
            }
            Target::Search(Within::Everything) => vec![Action::Search(Over::All)],
            Target::Search(Within::Endpoint(endpoint)) => {
                vec![Action::Search(Over::Type(find(endpoint)?))]
            }
            Target::Resource { endpoint, id } => {
                let resource_type = find(endpoint)?;
                vec![
                    Action::Get(resource_type, id),
                    Action::Replace(resource_type, id),
                    Action::Patch(resource_type, id),
                    Action::Delete(resource_type, id),
                ]
            }
            Target::Members { endpoint, id } => vec![Action::Members(find(endpoint)?, id)],
        };
        if api.protocol == Protocol::Ionic {
            actions.retain(Action::is_in_ionic);
        }
        Ok(Self(actions))
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = Action<'a>> {
        self.0.iter().copied()
    }

    /// The action of a request with this method; `None` if the target does not take it.
    pub(super) fn by_method(&self, method: &Method) -> Option<Action<'a>> {
        let name = method.as_str();
        self.all().find(|action| {
            let names = action.verb().names();
            names.split(", ").any(|known| known == name)
        })
    }

    /// The value of an `Allow` header.
    pub(super) fn allow(&self) -> String {
        let names: Vec<_> = self.0.iter().map(|action| action.verb().names()).collect();
        names.join(", ")
    }
}

impl Action<'_> {
    /// The method that it has.
    pub(super) fn verb(&self) -> Verb {
        match self {
            Self::Me(verb) => *verb,
            Self::Describe(_)
            | Self::List(_)
            | Self::Get(..)
            | Self::Events
            | Self::Site(_)
            | Self::Members(..) => Verb::Get,
            Self::Bulk | Self::Search(_) | Self::Create(_) => Verb::Post,
            Self::Replace(..) => Verb::Put,
            Self::Patch(..) => Verb::Patch,
            Self::Delete(..) => Verb::Delete,
        }
    }

    /// Whether the Ionic API has the action. Its devices are created by enrolment only, and its
    /// devices and roles are changed by PUT only.
    fn is_in_ionic(&self) -> bool {
        let is_at = |resource_type: &ResourceType, endpoint: &str| {
            resource_type.endpoint.eq_ignore_ascii_case(endpoint)
        };
        match self {
            Self::Create(resource_type) => !is_at(resource_type, "Devices"),
            Self::Patch(resource_type, _) => {
                !is_at(resource_type, "Devices") && !is_at(resource_type, "Roles")
            }
            _ => true,
        }
    }
}

impl Verb {
    const ALL: [Self; 5] = [Self::Get, Self::Post, Self::Put, Self::Patch, Self::Delete];

    /// The HTTP methods, as they appear in an `Allow` header.
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

#[cfg(test)]
mod tests {
    use super::super::route::{Route, no_such_endpoint};
    use super::*;
    use crate::protocol::schema::Registry;

    #[test]
    fn a_method_that_a_target_does_not_take_is_answered_with_those_it_does() {
        let registry = Registry::builtin();
        let check = |method: &str, path: &str, expected: Result<Verb, &str>| {
            let Route { api, target, .. } = Route::parse(path);
            let target = target.unwrap();
            let find = |endpoint: &str| {
                let found = registry.at_endpoint(endpoint);
                found.map(AsRef::as_ref).ok_or_else(no_such_endpoint)
            };
            let actions = Actions::at(&target, &api, find).unwrap();
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let action = actions.by_method(&method);
            let verb = action.map(|action| action.verb());
            let verb = verb.ok_or_else(|| actions.allow());
            assert_eq!(verb, expected.map_err(str::to_owned), "{method} {path}");
        };
        check("GET", "/scim/v2/Users", Ok(Verb::Get));
        check("HEAD", "/scim/v2/Users/1", Ok(Verb::Get));
        check("PATCH", "/scim/v2/Users/1", Ok(Verb::Patch));
        check("POST", "/scim/v2/.search", Ok(Verb::Post));
        check("POST", "/scim/v2/Me", Ok(Verb::Post));
        check("DELETE", "/scim/v2/Users", Err("GET, HEAD, POST"));
        check(
            "POST",
            "/scim/v2/Users/1",
            Err("GET, HEAD, PUT, PATCH, DELETE"),
        );
        check("PUT", "/scim/v2/Schemas", Err("GET, HEAD"));
        check("POST", "/scim/v2", Err("GET, HEAD"));
        check("POST", "/scim/v2/Groups/1/members", Err("GET, HEAD"));
        check("OPTIONS", "/scim/v2/Bulk", Err("POST"));
        check("HEAD", "/events", Ok(Verb::Get));
        check("OPTIONS", "/events", Err("GET, HEAD"));
        check(
            "OPTIONS",
            "/scim/v2/Me",
            Err("GET, HEAD, POST, PUT, PATCH, DELETE"),
        );
        check(
            "BREW",
            "/scim/v2/Users/1",
            Err("GET, HEAD, PUT, PATCH, DELETE"),
        );
        check("get", "/scim/v2/Users", Err("GET, HEAD, POST"));
        check("POST", "/scim/v1/Devices", Ok(Verb::Post));
        check("POST", "/v2/acme/scim/Devices", Err("GET, HEAD"));
        check("POST", "/v2/acme/scim/devices", Err("GET, HEAD"));
        check(
            "PATCH",
            "/v2/acme/scim/dEVICES/1",
            Err("GET, HEAD, PUT, DELETE"),
        );
        check(
            "PATCH",
            "/v2/acme/scim/Roles/1",
            Err("GET, HEAD, PUT, DELETE"),
        );
        check("PATCH", "/v2/acme/scim/Users/1", Ok(Verb::Patch));
        check("PUT", "/v2/acme/scim/Scopes", Err("GET, HEAD"));
    }
}
