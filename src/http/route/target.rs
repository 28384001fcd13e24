//! What paths stand for, and the methods that they take.

use axum::http::Method;

use super::no_such_endpoint;
use crate::http::api::Api;
use crate::protocol::{Error, Result};

/// What a path stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) enum Target {
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
    /// `/members` below a group: its members page by page, which is this service's own.
    Members {
        /// The segment that names the type.
        endpoint: String,
        /// The decoded id.
        id: String,
    },
}

/// A description of the service itself (RFC 7644 §4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) enum Discovery {
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
    /// `/Scopes`, the catalogue of permissions.
    Scopes,
}

/// How far a query reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) enum Within {
    /// Every resource type (RFC 7644 §3.4.2.1).
    Everything,
    /// The type at this endpoint.
    Endpoint(String),
}

impl Target {
    pub(super) fn below_base(segments: &[&str]) -> Result<Self> {
        Ok(match segments {
            [] => Self::Collection(Within::Everything),
            [".search"] => Self::Search(Within::Everything),
            ["Bulk"] => Self::Bulk,
            ["Me"] => Self::Me,
            ["ServiceProviderConfig"] => Self::Discovery(Discovery::ServiceProviderConfig),
            ["Schemas"] => Self::Discovery(Discovery::Schemas),
            ["ResourceTypes"] => Self::Discovery(Discovery::ResourceTypes),
            ["Scopes"] => Self::Discovery(Discovery::Scopes),
            [
                "Bulk" | "Me" | "Scopes" | "ServiceProviderConfig" | "Schemas" | "ResourceTypes",
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
            [endpoint, id, "members"] => Self::Members {
                endpoint: (*endpoint).to_owned(),
                id: (*id).to_owned(),
            },
            _ => return Err(no_such_endpoint()),
        })
    }

    /// The target of a path of SCIM 1.1.
    pub(super) fn below_v1_base(segments: &[&str]) -> Result<Self> {
        Ok(match segments {
            ["Bulk"] => Self::Bulk,
            ["ServiceProviderConfigs"] => Self::Discovery(Discovery::ServiceProviderConfig),
            ["Schemas"] => Self::Discovery(Discovery::Schemas),
            ["Scopes"] => Self::Discovery(Discovery::Scopes),
            [endpoint] => Self::Collection(Within::Endpoint((*endpoint).to_owned())),
            ["Schemas", id] => Self::Discovery(Discovery::Schema((*id).to_owned())),
            [endpoint, id] => Self::Resource {
                endpoint: (*endpoint).to_owned(),
                id: (*id).to_owned(),
            },
            _ => return Err(no_such_endpoint()),
        })
    }

    /// The methods that the target takes, HEAD apart, which goes where GET goes.
    pub(super) fn verbs(&self, api: &Api) -> &'static [Verb] {
        match (api, self) {
            // Devices come into being by enrolment.
            (Api::Ionic(_), Self::Collection(Within::Endpoint(endpoint)))
                if endpoint.eq_ignore_ascii_case("Devices") =>
            {
                &[Verb::Get]
            }
            (Api::Ionic(_), Self::Resource { endpoint, .. })
                if endpoint.eq_ignore_ascii_case("Devices")
                    || endpoint.eq_ignore_ascii_case("Roles") =>
            {
                &[Verb::Get, Verb::Put, Verb::Delete]
            }
            _ => self.general_verbs(),
        }
    }

    /// The value of an `Allow` header.
    pub(in crate::http) fn allow(&self, api: &Api) -> String {
        let names: Vec<_> = self.verbs(api).iter().map(|verb| verb.names()).collect();
        names.join(", ")
    }

    /// The methods that the target takes in general.
    fn general_verbs(&self) -> &'static [Verb] {
        match self {
            Self::Discovery(_) | Self::Collection(Within::Everything) | Self::Members { .. } => {
                &[Verb::Get]
            }
            Self::Bulk | Self::Search(_) => &[Verb::Post],
            Self::Collection(Within::Endpoint(_)) => &[Verb::Get, Verb::Post],
            Self::Resource { .. } => &[Verb::Get, Verb::Put, Verb::Patch, Verb::Delete],
            Self::Me => &[Verb::Get, Verb::Post, Verb::Put, Verb::Patch, Verb::Delete],
        }
    }

    /// The target with names instead of values, for logs.
    pub(in crate::http) fn template(&self) -> &'static str {
        match self {
            Self::Discovery(Discovery::ServiceProviderConfig) => "/ServiceProviderConfig",
            Self::Discovery(Discovery::Schemas) => "/Schemas",
            Self::Discovery(Discovery::Schema(_)) => "/Schemas/{urn}",
            Self::Discovery(Discovery::ResourceTypes) => "/ResourceTypes",
            Self::Discovery(Discovery::ResourceType(_)) => "/ResourceTypes/{name}",
            Self::Discovery(Discovery::Scopes) => "/Scopes",
            Self::Bulk => "/Bulk",
            Self::Me => "/Me",
            Self::Collection(Within::Everything) => "/",
            Self::Collection(Within::Endpoint(_)) => "/{type}",
            Self::Search(Within::Everything) => "/.search",
            Self::Search(Within::Endpoint(_)) => "/{type}/.search",
            Self::Resource { .. } => "/{type}/{id}",
            Self::Members { .. } => "/{type}/{id}/members",
        }
    }
}

/// A method that some target takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Verb {
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

impl Verb {
    /// The verb of a request for this target.
    ///
    /// # Errors
    /// `MethodNotAllowed`, saying what is allowed.
    pub(in crate::http) fn of(method: &Method, api: &Api, target: &Target) -> Result<Self> {
        let mut verbs = target.verbs(api).iter();
        let name = method.as_str();
        let verb = verbs.find(|verb| verb.names().split(", ").any(|known| known == name));
        verb.copied().ok_or_else(|| {
            let allow = target.allow(api);
            Error::method_not_allowed(format!("This path takes {allow} and no other method"))
        })
    }

    /// The methods of HTTP that it stands for.
    pub(in crate::http) fn names(self) -> &'static str {
        match self {
            Self::Get => "GET, HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}
