//! Reads the `Authorization` header, and checks as much of it as is possible without reading a
//! secret (RFC 9110 §11.6.2).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq;

use super::mac::{self, Signature};
use super::{Credential, CredentialKind, StackSecret, Token};
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
}

impl Presented {
    /// Reads the header; `now` is in seconds since the Unix epoch.
    ///
    /// `None` if the header is absent, malformed or forged, or if its tenant is not that of the
    /// path.
    pub(super) fn parse(stack: &StackSecret, head: &RequestHead<'_>, now: u64) -> Option<Self> {
        let (scheme, rest) = head.authorization?.trim().split_once(' ')?;
        let rest = rest.trim_start();
        let presented = match scheme.to_ascii_lowercase().as_str() {
            "bearer" => Self::bearer(stack, rest)?,
            "basic" => Self::basic(stack, rest)?,
            "ionic" => Self::mac(stack, head, rest, now)?,
            _ => return None,
        };
        match head.tenant {
            Some(tenant) if *tenant != presented.tenant => None,
            _ => Some(presented),
        }
    }

    fn bearer(stack: &StackSecret, text: &str) -> Option<Self> {
        let token = Token::parse(stack, text)?;
        Some(Self {
            tenant: token.tenant().clone(),
            credential: token.credential().clone(),
            proof: Proof::Bearer {
                hash: token.sha256(),
            },
        })
    }

    /// The password is a token too, so a guessed password is refused without reading a secret.
    fn basic(stack: &StackSecret, text: &str) -> Option<Self> {
        let decoded = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
        let (user_name, password) = decoded.split_once(':')?;
        let token = Token::parse(stack, password)?;
        Some(Self {
            tenant: token.tenant().clone(),
            credential: token.credential().clone(),
            proof: Proof::Basic {
                hash: token.sha256(),
                user_name: user_name.to_owned(),
            },
        })
    }

    /// The key id is `{credential}@{tenant}`, or just `{credential}` if the path names the tenant.
    fn mac(stack: &StackSecret, head: &RequestHead<'_>, text: &str, now: u64) -> Option<Self> {
        let (key_id, signature) = text.split_once(':')?;
        let (credential, tenant) = match key_id.split_once('@') {
            Some((credential, tenant)) => (credential, TenantId::parse(tenant).ok()?),
            None => (key_id, head.tenant?.clone()),
        };
        let credential = CredentialId::parse(credential).ok()?;
        let signature = mac::verify(stack, (&tenant, &credential), head, signature, now)?;
        Some(Self {
            tenant,
            credential,
            proof: Proof::Mac(signature),
        })
    }

    /// The signature of a signed request.
    pub(super) fn into_signature(self) -> Option<Signature> {
        match self.proof {
            Proof::Mac(signature) => Some(signature),
            Proof::Bearer { .. } | Proof::Basic { .. } => None,
        }
    }

    /// How the credential is presented.
    pub(super) fn kind(&self) -> CredentialKind {
        match self.proof {
            Proof::Bearer { .. } => CredentialKind::Bearer,
            Proof::Basic { .. } => CredentialKind::Basic,
            Proof::Mac(_) => CredentialKind::Mac,
        }
    }

    /// Whether `credential` is the presented one.
    pub(super) fn matches(&self, credential: &Credential) -> bool {
        credential.id == self.credential
            && credential.kind == self.kind()
            && match &self.proof {
                Proof::Bearer { hash } => is_hash_of(credential, hash),
                Proof::Basic { hash, user_name } => {
                    is_hash_of(credential, hash) && self.is_name_of(credential, user_name)
                }
                Proof::Mac(_) => true,
            }
    }

    fn is_name_of(&self, credential: &Credential, user_name: &str) -> bool {
        let label = credential.label.as_str();
        user_name == label || user_name == format!("{label}@{}", self.tenant)
    }
}

/// The schemes of the header, one for each kind of credential.
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

fn is_hash_of(credential: &Credential, hash: &str) -> bool {
    let kept = credential.hash.as_deref().unwrap_or_default();
    kept.as_bytes().ct_eq(hash.as_bytes()).into()
}
