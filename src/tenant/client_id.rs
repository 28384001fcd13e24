//! Identifiers of OAuth clients (RFC 6749 §2.2).
//!
//! ```text
//! client-id = credential "." tenant [ "." key ] "." check
//! check     = 16( %x30-39 / %x61-66 )   ; 64 bits of HMAC-SHA256 over everything before its "."
//! ```
//!
//! An identifier is no secret. By `check` an invented one is refused without reading anything, so it does
//! not reveal whether the tenant exists. None of its characters needs an escape in a form or in the
//! `Authorization` header.

use std::fmt;

use subtle::ConstantTimeEq;

use super::hex::hex;
use super::stack_key::{KeyId, StackKey};
use super::stack_secret::{NotSigned, StackSecret};
use crate::identity::{CredentialId, TenantId};

const LABEL: &str = "client id";
const CHECK_BYTES: usize = 8;

/// An identifier with the right `check`. Its client may be gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClientId {
    text: String,
    tenant: TenantId,
    credential: CredentialId,
}

impl ClientId {
    /// The identifier of a client under a key of the stack.
    pub(super) fn mint(key: &StackKey, tenant: &TenantId, credential: &CredentialId) -> Self {
        let body = match key.id() {
            KeyId::FIRST => format!("{credential}.{tenant}"),
            id => format!("{credential}.{tenant}.{id}"),
        };
        let check = check_of(key, &body);
        Self {
            text: format!("{body}.{check}"),
            tenant: tenant.clone(),
            credential: credential.clone(),
        }
    }

    /// Reads an identifier that [`mint`](Self::mint) made with a key of the stack.
    ///
    /// # Errors
    /// Without a further reason, because a caller must not get one.
    pub(super) fn parse(stack: &StackSecret, text: &str) -> Result<Self, NotSigned> {
        let (body, check) = text.rsplit_once('.').ok_or(NotSigned::Forged)?;
        let mut parts = body.split('.');
        let (Some(credential), Some(tenant), key, None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NotSigned::Forged);
        };
        let expected = check_of(stack.named(key)?, body);
        if !bool::from(expected.as_bytes().ct_eq(check.as_bytes())) {
            return Err(NotSigned::Forged);
        }
        let is_forged = |_| NotSigned::Forged;
        Ok(Self {
            tenant: TenantId::parse(tenant).map_err(is_forged)?,
            credential: CredentialId::parse(credential).map_err(is_forged)?,
            text: text.to_owned(),
        })
    }

    pub(super) fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    pub(super) fn credential(&self) -> &CredentialId {
        &self.credential
    }

    /// The identifier as text.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }
}

fn check_of(key: &StackKey, body: &str) -> String {
    let tag = key.sign(LABEL, body.as_bytes());
    hex(&tag.as_ref()[..CHECK_BYTES])
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tenant::test_keys::two_keys;

    fn stack() -> StackSecret {
        two_keys(120)
    }

    fn mint(tenant: &str, credential: &str, now: u64) -> ClientId {
        let tenant = TenantId::parse(tenant).unwrap();
        let credential = CredentialId::parse(credential).unwrap();
        ClientId::mint(stack().signing(now), &tenant, &credential)
    }

    proptest! {
        #[test]
        fn an_identifier_parses_to_its_names(
            tenant in "[a-z0-9-]{1,40}", credential in "[a-z0-9]{1,32}", now in 0_u64..240,
        ) {
            let id = mint(&tenant, &credential, now);
            let parsed = ClientId::parse(&stack(), id.as_str()).unwrap();
            prop_assert_eq!(&parsed, &id);
            prop_assert_eq!(id.tenant().as_str(), tenant);
            prop_assert_eq!(id.credential().as_str(), credential);
        }

        #[test]
        fn any_changed_character_is_refused(at: prop::sample::Index, other in "[0-9a-z.-]|.") {
            let text = mint("acme-emea", "5f0c9a1e", 120).as_str().to_owned();
            let at = at.index(text.len());
            prop_assume!(!text[at..].starts_with(&other));
            let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            prop_assert!(ClientId::parse(&stack(), &changed).is_err());
        }

        #[test]
        fn parsing_never_panics(text: String) {
            prop_assert!(ClientId::parse(&stack(), &text).is_err());
        }
    }
}
