//! SCIM 2.0 (RFC 7643, 7644, 9865) and SCIM 1.1 without I/O.
//!
//! This crate is pure: no async, network, clock, randomness or environment. Identifiers and times
//! are arguments. Everything that a service provider must decide about a message, a schema, a filter
//! or a PATCH is decided here; everything that must be stored or fetched is decided by its caller.

pub mod bulk;
pub mod datetime;
pub mod discovery;
pub mod error;
pub mod filter;
pub mod json;
pub mod key;
pub mod message;
pub mod name;
pub mod patch;
pub mod patch_path;
pub mod path;
pub mod profile;
pub mod projection;
pub mod resource;
pub mod schema;
pub mod scopes;
pub mod sort;
pub mod switch;
pub mod urn;
pub mod v1;
pub mod version;
pub mod work;

pub use error::{BoxError, Error, ErrorKind, Result};
