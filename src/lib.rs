//! A multi-tenant SCIM service provider on AWS Lambda and one DynamoDB table.
//!
//! Requests flow one way: `bin → http → provider → store → protocol`, with `tenant` (who is calling)
//! below `http` and `provider`. `docs/architecture.md` is the map.

pub use scim_protocol as protocol;

#[cfg(feature = "worker")]
pub mod admin;
#[cfg(feature = "service")]
pub mod aws;
#[cfg(feature = "service")]
mod cache;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "service")]
pub mod clock;
#[cfg(feature = "worker")]
pub mod delivery;
#[cfg(feature = "cli")]
pub mod embedded;
#[cfg(feature = "service")]
pub mod feed;
#[cfg(feature = "cli")]
pub mod guide;
#[cfg(feature = "service")]
pub mod http;
#[cfg(feature = "service")]
pub mod identity;
#[cfg(feature = "service")]
pub mod logs;
#[cfg(feature = "worker")]
pub mod outgoing;
#[cfg(feature = "service")]
pub mod pages;
#[cfg(feature = "service")]
pub mod pool;
#[cfg(feature = "service")]
pub mod provider;
#[cfg(feature = "service")]
pub mod stack;
#[cfg(feature = "service")]
pub mod store;
#[cfg(feature = "service")]
pub mod tenant;
#[cfg(feature = "service")]
pub mod tls;
#[cfg(feature = "worker")]
pub mod worker;
