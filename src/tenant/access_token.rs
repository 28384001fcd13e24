//! Access tokens of OAuth clients (RFC 6749 §1.4). They are opaque to clients, and are not stored.
//!
//! ```text
//! token   = "scimat_" [ key "." ] base64url(payload tag)
//! payload = JSON: [tenant, credential, expires, scope or null]
//! tag     = 32OCTET    ; HMAC-SHA256 over the key's number, a dot, and the payload
//! ```
//!
//! By the tag a forged token is refused without reading anything. `expires` is in seconds since the Unix
//! epoch, and `scope` are scopes of the catalogue, separated by blanks.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::SHA256_OUTPUT_LEN;

use super::stack_key::{KeyId, StackKey};
use super::stack_secret::{NotSigned, StackSecret};
use crate::identity::{CredentialId, TenantId};

/// What every access token begins with, so that scanners of sources and logs recognise it.
const PREFIX: &str = "scimat_";
const LABEL: &str = "access token";
/// Divides the number of the key from the rest. It is not in the alphabet of base64url.
const KEY_END: char = '.';
/// The longest token that is read, in bytes: three times the length of one with every scope.
const MAX_BYTES: usize = 4_096;

/// A token with the right tag. It may have expired, and its client may be gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AccessToken {
    pub(super) tenant: TenantId,
    /// The client that it was issued to.
    pub(super) credential: CredentialId,
    /// When it expires, in seconds since the Unix epoch.
    pub(super) expires: u64,
    /// The scopes that it was narrowed to, at least one. Without them it can do all that its client can.
    pub(super) scope: Option<BTreeSet<String>>,
}

impl AccessToken {
    /// Whether a text claims to be an access token.
    pub(super) fn is_named_in(text: &str) -> bool {
        text.starts_with(PREFIX)
    }

    /// The text that the client gets.
    pub(super) fn sign(&self, key: &StackKey) -> String {
        let scope = self.scope.as_ref().map(|scopes| {
            let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
            scopes.join(" ")
        });
        let (tenant, credential) = (self.tenant.as_str(), self.credential.as_str());
        let payload = serde_json::json!([tenant, credential, self.expires, scope]).to_string();
        let tag = key.sign(LABEL, &message(key.id(), payload.as_bytes()));
        let sealed = URL_SAFE_NO_PAD.encode([payload.as_bytes(), tag.as_ref()].concat());
        match key.id() {
            KeyId::FIRST => format!("{PREFIX}{sealed}"),
            id => format!("{PREFIX}{id}{KEY_END}{sealed}"),
        }
    }

    /// Reads a token that [`sign`](Self::sign) made with a key of the stack.
    ///
    /// # Errors
    /// Without a further reason, because a caller must not get one.
    pub(super) fn parse(stack: &StackSecret, text: &str) -> Result<Self, NotSigned> {
        let is_forged = NotSigned::Forged;
        let text = text.strip_prefix(PREFIX).ok_or(is_forged)?;
        if text.len() > MAX_BYTES {
            return Err(is_forged);
        }
        let (name, sealed) = match text.split_once(KEY_END) {
            Some((name, sealed)) => (Some(name), sealed),
            None => (None, text),
        };
        let key = stack.named(name)?;
        let sealed = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| is_forged)?;
        let length = sealed.len().checked_sub(SHA256_OUTPUT_LEN);
        let (payload, tag) = sealed.split_at(length.ok_or(is_forged)?);
        if !key.verify(LABEL, &message(key.id(), payload), tag) {
            return Err(is_forged);
        }
        let (tenant, credential, expires, scope): (String, String, u64, Option<String>) =
            serde_json::from_slice(payload).map_err(|_| is_forged)?;
        Ok(Self {
            tenant: TenantId::parse(&tenant).map_err(|_| is_forged)?,
            credential: CredentialId::parse(&credential).map_err(|_| is_forged)?,
            expires,
            scope: scope.map(|scope| scope.split(' ').map(str::to_owned).collect()),
        })
    }
}

fn message(key: KeyId, payload: &[u8]) -> Vec<u8> {
    let mut message = format!("{key}{KEY_END}").into_bytes();
    message.extend_from_slice(payload);
    message
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::scopes::scopes;
    use crate::tenant::test_keys::two_keys;

    fn stack() -> StackSecret {
        two_keys(120)
    }

    fn token(scope: Option<&[&str]>) -> AccessToken {
        AccessToken {
            tenant: TenantId::parse("acme-emea").unwrap(),
            credential: CredentialId::parse("5f0c9a1e7d3b2846").unwrap(),
            expires: 1_798_761_600,
            scope: scope.map(|scopes| scopes.iter().map(|scope| (*scope).to_owned()).collect()),
        }
    }

    #[test]
    fn a_token_of_either_key_is_read_as_it_was_made() {
        let every: Vec<_> = scopes().collect();
        for scope in [None, Some(&["users:read"][..]), Some(&every[..])] {
            for (now, begin) in [(0, "scimat_W"), (120, "scimat_1.W")] {
                let text = token(scope).sign(stack().signing(now));
                assert!(text.starts_with(begin), "{text}");
                assert!(text.len() < MAX_BYTES, "{} bytes", text.len());
                let read = AccessToken::parse(&stack(), &text).unwrap();
                assert_eq!(read, token(scope));
            }
        }
    }

    #[test]
    fn an_unknown_key_is_told_from_a_forgery() {
        let text = token(None).sign(stack().signing(120));
        let first = StackSecret::parse(&"7".repeat(32)).unwrap();
        let refused = |text: &str| AccessToken::parse(&first, text).unwrap_err();
        assert_eq!(refused(&text), NotSigned::UnknownKey);
        assert_eq!(refused(&text.replace("_1.", "_0.")), NotSigned::Forged);
        assert_eq!(refused(&text.replace("_1.", "_")), NotSigned::Forged);
        assert_eq!(refused("scimat_"), NotSigned::Forged);
        assert_eq!(
            refused(&format!("scimat_{}", "A".repeat(5_000))),
            NotSigned::Forged
        );
    }

    proptest! {
        #[test]
        fn any_changed_character_is_refused(at: prop::sample::Index, other in "[0-9a-zA-Z_.-]|.") {
            let text = token(Some(&["users:read"])).sign(stack().signing(120));
            let at = at.index(text.len());
            prop_assume!(!text[at..].starts_with(&other));
            let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            prop_assert!(AccessToken::parse(&stack(), &changed).is_err());
        }

        #[test]
        fn parsing_never_panics(text: String) {
            let text = format!("{PREFIX}{text}");
            prop_assert!(AccessToken::parse(&stack(), &text).is_err());
        }
    }
}
