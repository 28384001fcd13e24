//! Authentication: credentials, and the tenants that they belong to.
//!
//! It owns the shape of credentials, where they are stored, how requests are authenticated with them
//! ([`Authenticator`]), and how they are issued and revoked ([`Issuer`]). It must not know HTTP
//! types, resources, or the table: the HTTP layer passes plain strings and gets a [`Caller`] back.
//!
//! Invariants:
//! - Secrets are read only for a request with a credential that this stack has signed. Other
//!   requests cause no call, and cannot find out which tenants exist.
//! - The error of a refused request depends only on the form of its header.
//! - No plain token, password or key is ever stored or formatted.
//!
//! RFC 7644 §2; RFC 6750 (Bearer), RFC 7617 (Basic).

mod authenticator;
mod authorization;
mod cache;
mod credential;
mod credentials;
mod issuer;
mod mac;
mod secrets;
mod secrets_file;
mod secrets_manager;
mod stack_secret;
#[cfg(test)]
mod test_secrets;
mod token;

pub use authenticator::{Authenticator, Caller, refusal, unauthorized};
pub use authorization::RequestHead;
pub use credential::{Credential, CredentialKind, TenantSecret};
pub use credentials::Credentials;
pub use issuer::{Issued, Issuer, NewCredential};
pub use mac::Signature;
pub use secrets::{Secret, SecretError, SecretStore, SecretVersion};
pub use secrets_file::SecretsFile;
pub use secrets_manager::SecretsManager;
pub use stack_secret::StackSecret;
pub use token::Token;

pub use crate::protocol::scopes::Permissions;
