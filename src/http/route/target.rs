//! The targets that paths lead to.

use super::no_such_endpoint;
use crate::protocol::Result;

/// The target that a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) enum Target {
    /// A description of the service itself.
    Discovery(DiscoveryEndpoint),
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
    /// `/events`: the feed of changes, an extension of this service.
    Events,
    /// What is beside the protocols: pages, and what the service says of itself.
    Site(Site),
    /// `/members` below a group: its members page by page, an extension of this service.
    Members {
        /// The segment that names the type.
        endpoint: String,
        /// The decoded id.
        id: String,
    },
}

/// A description of the service itself (RFC 7644 §4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) enum DiscoveryEndpoint {
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

/// What is beside the protocols.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) enum Site {
    /// `/`: what the service is, and where its parts are.
    Home,
    /// `/docs`: the page that describes the service, on which it can be tried.
    Docs,
    /// A file of that page.
    DocsFile(String),
    /// `/openapi.json`: the description of the service for programs.
    OpenApi,
    /// `/healthz`: whether the service is well.
    Health,
}

/// The resource types that a query covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) enum Within {
    /// Every resource type (RFC 7644 §3.4.2.1).
    Everything,
    /// The type at this endpoint.
    Endpoint(String),
}

impl Target {
    /// The target of a path that is below no base.
    pub(super) fn beside_bases(segments: &[&str]) -> Option<Self> {
        Some(match segments {
            [] => Self::Site(Site::Home),
            ["events"] => Self::Events,
            ["docs"] => Self::Site(Site::Docs),
            ["docs", file] => Self::Site(Site::DocsFile((*file).to_owned())),
            ["openapi.json"] => Self::Site(Site::OpenApi),
            ["healthz"] => Self::Site(Site::Health),
            _ => return None,
        })
    }

    pub(super) fn below_base(segments: &[&str]) -> Result<Self> {
        Ok(match segments {
            [] => Self::Collection(Within::Everything),
            [".search"] => Self::Search(Within::Everything),
            ["Bulk"] => Self::Bulk,
            ["Me"] => Self::Me,
            ["ServiceProviderConfig"] => Self::Discovery(DiscoveryEndpoint::ServiceProviderConfig),
            ["Schemas"] => Self::Discovery(DiscoveryEndpoint::Schemas),
            ["ResourceTypes"] => Self::Discovery(DiscoveryEndpoint::ResourceTypes),
            ["Scopes"] => Self::Discovery(DiscoveryEndpoint::Scopes),
            [
                "Bulk" | "Me" | "Scopes" | "ServiceProviderConfig" | "Schemas" | "ResourceTypes",
                ".search",
            ] => {
                return Err(no_such_endpoint());
            }
            ["Schemas", urn] => Self::Discovery(DiscoveryEndpoint::Schema((*urn).to_owned())),
            ["ResourceTypes", name] => {
                Self::Discovery(DiscoveryEndpoint::ResourceType((*name).to_owned()))
            }
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
            ["ServiceProviderConfigs"] => Self::Discovery(DiscoveryEndpoint::ServiceProviderConfig),
            ["Schemas"] => Self::Discovery(DiscoveryEndpoint::Schemas),
            ["Scopes"] => Self::Discovery(DiscoveryEndpoint::Scopes),
            [endpoint] => Self::Collection(Within::Endpoint((*endpoint).to_owned())),
            ["Schemas", id] => Self::Discovery(DiscoveryEndpoint::Schema((*id).to_owned())),
            [endpoint, id] => Self::Resource {
                endpoint: (*endpoint).to_owned(),
                id: (*id).to_owned(),
            },
            _ => return Err(no_such_endpoint()),
        })
    }

    /// The name of the value in its path, in braces.
    pub(super) fn value_name(&self) -> &'static str {
        match self {
            Self::Discovery(DiscoveryEndpoint::Schema(_)) => "{urn}",
            Self::Discovery(DiscoveryEndpoint::ResourceType(_)) => "{name}",
            _ => "{id}",
        }
    }

    /// The form of the target for logs, with `{type}` and `{id}` in place of values.
    pub(in crate::http) fn template(&self) -> &'static str {
        match self {
            Self::Discovery(DiscoveryEndpoint::ServiceProviderConfig) => "/ServiceProviderConfig",
            Self::Discovery(DiscoveryEndpoint::Schemas) => "/Schemas",
            Self::Discovery(DiscoveryEndpoint::Schema(_)) => "/Schemas/{urn}",
            Self::Discovery(DiscoveryEndpoint::ResourceTypes) => "/ResourceTypes",
            Self::Discovery(DiscoveryEndpoint::ResourceType(_)) => "/ResourceTypes/{name}",
            Self::Discovery(DiscoveryEndpoint::Scopes) => "/Scopes",
            Self::Bulk => "/Bulk",
            Self::Me => "/Me",
            Self::Collection(Within::Everything) => "/",
            Self::Collection(Within::Endpoint(_)) => "/{type}",
            Self::Search(Within::Everything) => "/.search",
            Self::Search(Within::Endpoint(_)) => "/{type}/.search",
            Self::Resource { .. } => "/{type}/{id}",
            Self::Events => "/events",
            Self::Members { .. } => "/{type}/{id}/members",
            Self::Site(Site::Home) => "/",
            Self::Site(Site::Docs) => "/docs",
            Self::Site(Site::DocsFile(_)) => "/docs/{file}",
            Self::Site(Site::OpenApi) => "/openapi.json",
            Self::Site(Site::Health) => "/healthz",
        }
    }
}
