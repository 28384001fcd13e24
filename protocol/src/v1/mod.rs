//! SCIM 1.1 as a second view of the same data: requests are translated into SCIM 2.0, and resources of
//! 2.0 into answers.
//!
//! A 1.1 body becomes a 2.0 body, a 1.1 PATCH becomes a PatchOp message, a 1.1 query becomes a
//! [`Query`](crate::message::Query), and a 2.0 resource becomes a 1.1 resource. Translated requests
//! are to be read with the tolerances of the `default` profile, because a 1.1 client does not know a
//! tenant's 2.0 profile.
//!
//! Other modules know of 1.1 where its form differs little from 2.0: [`message`](crate::message)
//! writes errors and lists, [`bulk`](crate::bulk) writes the results of bulk requests, and the
//! tolerance `managerId` reads a name of 1.1 in a request of 2.0.
//!
//! Sources: draft-scim-core-schema-01 and draft-scim-api-01 ("SCIM 1.1"), and for [`Dialect::Ionic`]
//! the requests of the public clients of the Ionic API.

mod bulk;
mod discovery;
mod error;
mod filter;
mod names;
mod parameters;
mod patch;
mod query;
mod request;
mod response;
mod user_name;

pub use bulk::{TranslatedBulk, bulk_request, creation};
pub use discovery::DiscoveryV1;
pub use error::error_to_v1;
pub use patch::{merging_put, patch};
pub use query::{TranslatedQuery, embeds_user, query, selection};
pub use request::{TranslatedRequest, request};
pub use response::{answer, embed_user, scopes};
pub use user_name::{explain_conflict, new_resource};

use crate::schema::ResourceType;

/// The 1.1 clients that are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// SCIM 1.1 as in its drafts.
    General,
    /// The Ionic API: SCIM 1.1 with query-parameter filters, `skip` and `limit`, a PUT that merges,
    /// and groups of users only.
    Ionic,
}

/// A resource type in the view of a 1.1 client.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The clients that are served.
    pub dialect: Dialect,
    /// The resource type, as SCIM 2.0 defines it.
    pub resource_type: &'a ResourceType,
}
