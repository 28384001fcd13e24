//! SCIM 2.0 (RFC 7643, 7644, 9865) and SCIM 1.1 without I/O.
//!
//! This crate is pure: no async, network, clock, randomness or environment. Identifiers and times are
//! arguments. The crate decides everything that a service provider must decide about a message, a
//! schema, a filter or a PATCH. Its caller stores and fetches resources.
//!
//! # A tour
//!
//! [`schema`] has the types: a [`Registry`](schema::Registry) holds the schemas and resource types of
//! one tenant, and begins with User, Group, Device and Role. Everything else reads from it. There is no
//! code for a single resource type.
//!
//! [`profile`] says how strictly requests are read. A [`Reading`](profile::Reading) accompanies one
//! request: it has the [`Rules`](profile::Rules) of the tenant, records which tolerances the request
//! needed, and counts the work that it causes.
//!
//! A request goes through these modules:
//!
//! | step | module |
//! |---|---|
//! | bytes to a JSON object | [`json`] |
//! | the query string or a SearchRequest to a query | [`message`] |
//! | a POST or PUT body to a [`Resource`](resource::Resource), which is a canonical JSON object | [`resource`] |
//! | the operations of a PATCH, applied to a resource | [`patch`], [`patch_path`] |
//! | a filter, parsed and evaluated | [`filter`], [`path`] |
//! | the operations of a bulk request, in an order that resolves their references | [`bulk`] |
//! | the conditions of `If-Match` and `If-None-Match` | [`version`] |
//! | the attributes that the answer shows | [`projection`] |
//! | the texts of answers, lists and errors | [`message`], [`Error`] |
//! | the documents in which the service describes itself | [`discovery`], [`scopes`], and `openapi` with the feature of that name |
//!
//! [`key`] makes the comparison key of a value. Uniqueness, filters, [`sort`] and indexes all use it,
//! so that they agree on which values are equal and on their order.
//!
//! [`v1`] translates requests of SCIM 1.1 into those of 2.0, and resources back.
//!
//! # Parse and evaluate a filter
//!
//! A filter is parsed without a schema. Binding it to a resource type gives its names and constants
//! their meaning, such as whether case counts.
//!
//! ```
//! use scim_protocol::filter::Filter;
//! use scim_protocol::profile::{Reading, Rules};
//! use scim_protocol::schema::Registry;
//! use serde_json::json;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let rules = Rules::default();
//! let reading = &mut Reading::new(&rules);
//! let user = Registry::builtin().resource_type("User").ok_or("no such type")?;
//!
//! let text = r#"userName sw "B" and emails[type eq "work" and primary eq true]"#;
//! let filter = Filter::parse(text, reading)?.bind(user, reading)?;
//!
//! let barbara = json!({
//!     "id": "2819c223",
//!     "userName": "bjensen",
//!     "emails": [{"value": "bjensen@example.com", "type": "work", "primary": true}],
//! });
//! let barbara = barbara.as_object().ok_or("not an object")?;
//! assert!(filter.matches(barbara));
//!
//! let error = Filter::parse("userName is 1", reading).unwrap_err();
//! assert_eq!(error.status(), 400);
//! assert_eq!(error.kind().scim_type(), Some("invalidFilter"));
//! # Ok(())
//! # }
//! ```
//!
//! # Apply a PATCH
//!
//! The operations run in order on a copy of the resource. The result says whether anything changed, and
//! what happens to the members of a group, which are not part of its body.
//!
//! ```
//! use scim_protocol::json::parse_object;
//! use scim_protocol::patch::PatchRequest;
//! use scim_protocol::profile::{Reading, Rules};
//! use scim_protocol::resource::{DraftKind, Resource};
//! use scim_protocol::schema::Registry;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let rules = Rules::default();
//! let reading = &mut Reading::new(&rules);
//! let registry = Registry::builtin();
//! let user = registry.resource_type("User").ok_or("no such type")?;
//!
//! let body = parse_object(br#"{
//!     "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
//!     "userName": "bjensen",
//!     "emails": [{"value": "old@example.com", "type": "work"}]
//! }"#)?;
//! let kind = DraftKind::Create { id: "2819c223" };
//! let created = Resource::from_request(body, user, registry, reading, kind)?.resource;
//!
//! let patch = parse_object(br#"{
//!     "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
//!     "Operations": [
//!         {"op": "replace", "path": "emails[type eq \"work\"].value", "value": "new@example.com"},
//!         {"op": "add", "path": "title", "value": "Tour Guide"}
//!     ]
//! }"#)?;
//! let patched = PatchRequest::parse(&patch, reading)?.apply(&created, user, registry, reading)?;
//!
//! assert!(patched.changed);
//! assert_eq!(patched.resource.body()["emails"][0]["value"], "new@example.com");
//! assert_eq!(patched.resource.body()["title"], "Tour Guide");
//! # Ok(())
//! # }
//! ```
//!
//! # Project a resource
//!
//! A projection holds the attributes that `attributes` or `excludedAttributes` name, and always those
//! with `returned: always`.
//!
//! ```
//! use scim_protocol::message::Selection;
//! use scim_protocol::profile::{Reading, Rules};
//! use scim_protocol::projection::Projection;
//! use scim_protocol::schema::Registry;
//! use serde_json::{Value, json};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let rules = Rules::default();
//! let reading = &mut Reading::new(&rules);
//! let user = Registry::builtin().resource_type("User").ok_or("no such type")?;
//!
//! let selection = Selection {
//!     attributes: vec!["userName".to_owned(), "name.familyName".to_owned()],
//!     excluded_attributes: Vec::new(),
//! };
//! let body = json!({
//!     "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
//!     "id": "2819c223",
//!     "userName": "bjensen",
//!     "name": {"givenName": "Barbara", "familyName": "Jensen"},
//!     "title": "Tour Guide",
//! });
//! let body = body.as_object().ok_or("not an object")?.clone();
//!
//! let shown = Projection::new(&selection, user, reading).apply(body);
//! assert_eq!(
//!     Value::Object(shown),
//!     json!({
//!         "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
//!         "id": "2819c223",
//!         "userName": "bjensen",
//!         "name": {"familyName": "Jensen"},
//!     })
//! );
//! # Ok(())
//! # }
//! ```

pub mod bulk;
pub mod datetime;
pub mod discovery;
pub mod error;
pub mod filter;
pub mod json;
pub mod key;
pub mod message;
pub mod name;
#[cfg(feature = "openapi")]
pub mod openapi;
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

/// The examples of the crate's README, which are tested with those of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
