//! SCIM 1.1 as a second view on the same data: translation of requests into SCIM 2.0, and of 2.0
//! resources into answers.
//!
//! A 1.1 body becomes a 2.0 body, a 1.1 PATCH becomes a PatchOp
//! message, a 1.1 query becomes a [`Query`](crate::message::Query), and a 2.0 resource becomes a 1.1
//! resource. What comes out is meant to be read with the tolerances of the `default` profile, since
//! a 1.1 client cannot know of a tenant's 2.0 profile.
//!
//! Outside this folder, 1.1 is known where its form is a small variant of the one of 2.0: errors and
//! lists are written by [`message`](crate::message), results of bulk requests by
//! [`bulk`](crate::bulk), and the tolerance `managerId` reads a name of 1.1 in a request of 2.0.
//!
//! Sources: draft-scim-core-schema-01 and draft-scim-api-01 ("SCIM 1.1"), and for [`Dialect::Ionic`]
//! what the public clients of the Ionic API send.

mod bulk;
mod discovery;
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
pub use patch::{merging_put, patch};
pub use query::{Queried, embeds_user, query, selection};
pub use request::{TranslatedRequest, request};
pub use response::{answer, embed_user, scopes};
pub use user_name::{explain_conflict, new_resource};

use crate::schema::ResourceType;

/// Which 1.1 clients are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// SCIM 1.1 as its drafts have it.
    General,
    /// The Ionic API: SCIM 1.1 with query-parameter filters, `skip` and `limit`, a PUT that merges,
    /// and groups of users only.
    Ionic,
}

/// One resource type as a 1.1 client sees it.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// Which clients are served.
    pub dialect: Dialect,
    /// The resource type, as SCIM 2.0 defines it.
    pub resource_type: &'a ResourceType,
}
