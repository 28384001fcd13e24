//! Authentication: credentials, and the tenants that they belong to.
//!
//! It owns the shape of credentials, where they are stored, how requests are authenticated with them
//! ([`Authenticator`]), and how they are issued and revoked ([`Issuer`]). It must not know HTTP
//! types, resources, or the table: the HTTP layer passes plain strings and gets a [`Caller`] back.
//!
//! Invariants:
//! - Secrets are read only for a request with a credential that this stack has signed. Other
//!   requests cause no call, and cannot find out which tenants exist.
//! - The error of a refused request says what has become of a credential that this stack has issued. All
//!   other requests get an error that depends only on the form of the header.
//! - What is made under a key of the stack names that key, and only that key is tried.
//! - No plain token, password or key is ever stored or formatted.
//!
//! RFC 7644 §2; RFC 6750 (Bearer), RFC 7617 (Basic), RFC 6749 and RFC 7523 (OAuth clients).

mod access_token;
#[cfg(feature = "worker")]
mod archive;
mod assertion;
mod authenticator;
mod authorization;
mod cache;
mod client_id;
mod credential;
mod credentials;
mod date;
mod hex;
mod issuer;
mod jwks;
mod mac;
mod new_credential;
mod random;
mod secrets;
mod secrets_file;
mod secrets_manager;
mod stack_key;
mod stack_keys;
mod stack_secret;
#[cfg(test)]
pub(crate) mod test_keys;
#[cfg(test)]
mod test_secrets;
mod token;

#[cfg(feature = "worker")]
pub use archive::{CredentialArchive, IfChanged, Returned, SealedCredential};
pub use assertion::AssertionUse;
pub use authenticator::{
    Authenticator, Caller, Client, ClientProof, IssuedAccess, Refusal, refusal, unauthorized,
};
pub use authorization::{RequestHead, basic_pair};
pub use credential::{Credential, CredentialKind, TenantSecret};
pub use credentials::Credentials;
pub use issuer::{Issued, Issuer};
pub use jwks::Jwks;
pub use mac::Signature;
pub use new_credential::{DEFAULT_LIFETIME_DAYS, NewCredential, Rotation};
pub use secrets::{ReadOnly, Secret, SecretError, SecretStore, SecretVersion};
pub use secrets_file::SecretsFile;
pub use secrets_manager::SecretsManager;
pub use stack_key::{KeyId, StackKey};
pub use stack_keys::StackKeys;
pub use stack_secret::{KeyState, NotSigned, StackSecret};
pub use token::Token;

pub use crate::protocol::scopes::Permissions;
