//! PATCH: the operations of a request, and the changes they make to a resource (RFC 7644 §3.5.2).
//!
//! | target | `add` | `replace` | `remove` |
//! |---|---|---|---|
//! | single simple | sets | sets | clears |
//! | single complex | merges | merges; `interop`: replaces | clears |
//! | a sub-attribute | sets | sets | clears |
//! | multi-valued | appends what is new | replaces all | clears, or removes the values it carries |
//! | `a[filter]` | merges into each match | replaces each match | removes each match |
//! | `a[filter].sub`, `a.sub` | sets in each | sets in each | clears in each |
//! | an extension's URN, or no path | each member of the value by the row of its target | the same | clears; without path: `noTarget` |
//!
//! A value of `null` or `[]` clears the target of a `replace`; as the value of an `add` it changes
//! nothing. Operations run in order on a copy, so nothing is changed when one of them fails. The
//! members of a group are not part of the body: the changes to them are returned as [`MemberOp`]s, in
//! order.

mod apply;
mod body;
mod elements;
mod list;
mod members;
mod parse;
mod schemas;
mod select;
mod single;

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "literals read best by value")]
mod tests;

pub use members::MemberOp;
pub use parse::MAX_OPERATIONS;

use serde_json::{Map, Value};

use crate::error::Result;
use crate::patch_path::PatchPath;
use crate::profile::Reading;
use crate::resource::{PasswordChange, Resource};
use crate::schema::{Registry, ResourceType};

/// A PATCH request. All that can be checked without a resource type has been checked.
#[derive(Debug, Clone, PartialEq)]
pub struct PatchRequest {
    /// The operations in order; at least one.
    pub operations: Vec<Operation>,
}

/// One operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// What to do.
    pub op: Op,
    /// The target; `None` if the members of the value name their own targets. A `remove` always has
    /// one.
    pub path: Option<PatchPath>,
    /// The value. An `add` or `replace` always has one, and without path it is an object.
    pub value: Option<Value>,
}

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// RFC 7644 §3.5.2.1.
    Add,
    /// RFC 7644 §3.5.2.2.
    Remove,
    /// RFC 7644 §3.5.2.3.
    Replace,
}

/// The result of applying a PATCH to a resource.
#[derive(Debug, Clone, PartialEq)]
pub struct PatchOutcome {
    /// The resource to store.
    pub resource: Resource,
    /// Whether the body differs from the old one. Members and password are not considered.
    pub changed: bool,
    /// The changes of the members, in order.
    pub members: Vec<MemberOp>,
    /// The change of the password; `None` when the request does not name it.
    pub password: Option<PasswordChange>,
    /// The attributes with `returned: request` that the request named, which the answer shows
    /// ([`Projection::after_write`](crate::projection::Projection::after_write)).
    pub written: Vec<String>,
}

impl PatchRequest {
    /// Reads a PATCH body.
    ///
    /// **Shape**: `{"schemas": ["urn:…:PatchOp"], "Operations": [{"op": "replace", "path": "active",
    /// "value": false}]}`; other members are ignored; at most [`MAX_OPERATIONS`].
    ///
    /// # Errors
    /// `InvalidSyntax` for a broken envelope, `InvalidPath` and `InvalidFilter` for a path that does
    /// not parse, `NoTarget` for a `remove` without path, `InvalidValue` for an `add` or `replace`
    /// without value, `PayloadTooLarge` for too many operations.
    pub fn parse(body: &Map<String, Value>, reading: &mut Reading<'_>) -> Result<Self> {
        parse::request(body, reading)
    }

    /// Applies the operations to a resource. The registry knows the endpoints of referenced types.
    ///
    /// # Errors
    /// `InvalidPath` for a path that names nothing in the type; `InvalidFilter`; `NoTarget` for a
    /// filter that matches nothing where that is not tolerated; `Mutability` for a change that the
    /// schema forbids; `InvalidValue` for a value that does not fit; `InvalidSyntax` for an attribute
    /// that the type does not have; `PayloadTooLarge` for a resource that grows beyond
    /// [`MAX_BYTES`](crate::resource::MAX_BYTES), or for operations that take more steps than the
    /// request has left.
    pub fn apply(
        &self,
        resource: &Resource,
        resource_type: &ResourceType,
        registry: &Registry,
        reading: &mut Reading<'_>,
    ) -> Result<PatchOutcome> {
        apply::apply(self, resource, resource_type, registry, reading)
    }
}

impl Op {
    /// Every operation with its name in a request.
    pub const ALL: [(Self, &'static str); 3] = [
        (Self::Add, "add"),
        (Self::Remove, "remove"),
        (Self::Replace, "replace"),
    ];
}
