//! Reads the `Authorization` header, and checks as much of it as is possible without reading a
//! secret (RFC 9110 §11.6.2).

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq;

use super::access_token::AccessToken;
use super::mac::{self, Signature};
use super::stack_key::KeyId;
use super::stack_secret::{NotSigned, StackSecret};
use super::{Credential, CredentialKind, Token};
use crate::identity::{CredentialId, TenantId};

/// The parts of a request that authentication reads.
#[derive(Clone, Copy)]
pub struct RequestHead<'a> {
    /// The value of `Authorization`.
    pub authorization: Option<&'a str>,
    /// The tenant that the path names, if it names one.
    pub tenant: Option<&'a TenantId>,
    /// The method that the request means, such as `DELETE`. A POST of SCIM 1.1 may name it in
    /// `X-HTTP-Method-Override`.
    pub method: &'a str,
    /// The URL's path as it was sent: percent-encoded, without the query.
    pub path: &'a str,
    /// The URL's query as it was sent, without the question mark.
    pub query: Option<&'a str>,
    /// The value of `Date`.
    pub date: Option<&'a str>,
    /// The value of `Content-MD5`.
    pub content_md5: Option<&'a str>,
    /// The value of `Content-Type`.
    pub content_type: Option<&'a str>,
}

/// A credential that this stack has made, as a request presents it. It may be revoked or expired:
/// that is checked with the tenant's secret.
pub(super) struct Presented {
    pub(super) tenant: TenantId,
    pub(super) credential: CredentialId,
    proof: Proof,
}

/// What is still to be compared with the tenant's secret.
enum Proof {
    Bearer {
        hash: String,
    },
    Basic {
        hash: String,
        user_name: String,
    },
    /// The signature was checked already.
    Mac(Signature),
    /// An access token, which was checked already.
    Access {
        expires: u64,
        scope: Option<BTreeSet<String>>,
    },
}

impl Presented {
    /// Reads the header; `now` is in seconds since the Unix epoch.
    ///
    /// # Errors
    /// If the header is absent, malformed or forged, or if its tenant is not that of the path.
    pub(super) fn parse(
        stack: &StackSecret,
        head: &RequestHead<'_>,
        now: u64,
    ) -> Result<Self, NotSigned> {
        let header = head
            .authorization
            .and_then(|text| text.trim().split_once(' '));
        let (scheme, rest) = header.ok_or(NotSigned::Forged)?;
        let rest = rest.trim_start();
        let presented = match scheme.to_ascii_lowercase().as_str() {
            "bearer" if AccessToken::is_named_in(rest) => Self::access(stack, rest)?,
            "bearer" => Self::bearer(stack, rest)?,
            "basic" => Self::basic(stack, rest)?,
            "ionic" => Self::mac(stack, head, rest, now)?,
            _ => return Err(NotSigned::Forged),
        };
        match head.tenant {
            Some(tenant) if *tenant != presented.tenant => Err(NotSigned::Forged),
            _ => Ok(presented),
        }
    }

    fn access(stack: &StackSecret, text: &str) -> Result<Self, NotSigned> {
        let token = AccessToken::parse(stack, text)?;
        Ok(Self {
            tenant: token.tenant,
            credential: token.credential,
            proof: Proof::Access {
                expires: token.expires,
                scope: token.scope,
            },
        })
    }

    fn bearer(stack: &StackSecret, text: &str) -> Result<Self, NotSigned> {
        let token = Token::parse(stack, text)?;
        Ok(Self {
            tenant: token.tenant().clone(),
            credential: token.credential().clone(),
            proof: Proof::Bearer {
                hash: token.sha256(),
            },
        })
    }

    /// The password is a token too, so a guessed password is refused without reading a secret.
    fn basic(stack: &StackSecret, text: &str) -> Result<Self, NotSigned> {
        let (user_name, password) = basic_pair(text).ok_or(NotSigned::Forged)?;
        let token = Token::parse(stack, &password)?;
        Ok(Self {
            tenant: token.tenant().clone(),
            credential: token.credential().clone(),
            proof: Proof::Basic {
                hash: token.sha256(),
                user_name,
            },
        })
    }

    /// The tenant may be left out of the key id if the path names it.
    fn mac(
        stack: &StackSecret,
        head: &RequestHead<'_>,
        text: &str,
        now: u64,
    ) -> Result<Self, NotSigned> {
        let is_forged = NotSigned::Forged;
        let (key_id, signature) = text.split_once(':').ok_or(is_forged)?;
        let (name, tenant) = match key_id.split_once('@') {
            Some((name, tenant)) => (name, TenantId::parse(tenant).map_err(|_| is_forged)?),
            None => (key_id, head.tenant.ok_or(is_forged)?.clone()),
        };
        let (credential, key) = match name.split_once('-') {
            Some((credential, key)) => (credential, Some(key)),
            None => (name, None),
        };
        let credential = CredentialId::parse(credential).map_err(|_| is_forged)?;
        let names = (&tenant, &credential);
        let signature = mac::verify(stack.named(key)?, names, head, signature, now);
        Ok(Self {
            proof: Proof::Mac(signature.ok_or(is_forged)?),
            tenant,
            credential,
        })
    }

    /// The signature of a signed request, and the scopes that an access token was narrowed to.
    pub(super) fn into_parts(self) -> (Option<Signature>, Option<BTreeSet<String>>) {
        match self.proof {
            Proof::Mac(signature) => (Some(signature), None),
            Proof::Access { scope, .. } => (None, scope),
            Proof::Bearer { .. } | Proof::Basic { .. } => (None, None),
        }
    }

    /// When it expires by itself, in seconds since the Unix epoch. Only access tokens do: of all others the
    /// tenant's secret says when they expire.
    pub(super) fn expires(&self) -> Option<u64> {
        match self.proof {
            Proof::Access { expires, .. } => Some(expires),
            Proof::Bearer { .. } | Proof::Basic { .. } | Proof::Mac(_) => None,
        }
    }

    /// What it is, for people.
    pub(super) fn name(&self) -> &'static str {
        match self.proof {
            Proof::Bearer { .. } => "token",
            Proof::Basic { .. } => "password",
            Proof::Mac(_) => "key",
            Proof::Access { .. } => "client of the access token",
        }
    }

    /// Whether `credential` is the presented one.
    pub(super) fn matches(&self, credential: &Credential) -> bool {
        if credential.id != self.credential {
            return false;
        }
        match (&self.proof, credential.kind) {
            (Proof::Bearer { hash }, CredentialKind::Bearer) => is_hash_of(credential, hash),
            (Proof::Basic { hash, user_name }, CredentialKind::Basic) => {
                is_hash_of(credential, hash) && self.is_name_of(credential, user_name)
            }
            (Proof::Mac(_), CredentialKind::Mac) => true,
            (Proof::Access { .. }, kind) => kind.is_client(),
            _ => false,
        }
    }

    fn is_name_of(&self, credential: &Credential, user_name: &str) -> bool {
        let label = credential.label.as_str();
        user_name == label || user_name == format!("{label}@{}", self.tenant)
    }
}

/// The user name and the password of Basic credentials (RFC 7617 §2).
#[must_use]
pub fn basic_pair(text: &str) -> Option<(String, String)> {
    let decoded = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
    let (user_name, password) = decoded.split_once(':')?;
    Some((user_name.to_owned(), password.to_owned()))
}

/// The key id of a MAC credential, `{credential}[-{key}]@{tenant}`.
pub(super) fn mac_key_id(tenant: &TenantId, credential: &CredentialId, key: KeyId) -> String {
    match key {
        KeyId::FIRST => format!("{credential}@{tenant}"),
        key => format!("{credential}-{key}@{tenant}"),
    }
}

/// The schemes of the header.
const SCHEMES: [&str; 3] = ["bearer", "basic", "ionic"];

/// Whether a header looks like a token that was pasted without its scheme, or with it twice. A
/// header with an unknown scheme does not.
pub(super) fn is_misplaced_token(header: &str) -> bool {
    let is_scheme = |word: &str| SCHEMES.iter().any(|known| word.eq_ignore_ascii_case(known));
    let words: Vec<_> = header.split_whitespace().take(3).collect();
    match words.as_slice() {
        [] => false,
        [word] => !is_scheme(word),
        [_, word] => is_scheme(word),
        _ => true,
    }
}

pub(super) fn is_hash_of(credential: &Credential, hash: &str) -> bool {
    let kept = credential.hash.as_deref().unwrap_or_default();
    kept.as_bytes().ct_eq(hash.as_bytes()).into()
}
