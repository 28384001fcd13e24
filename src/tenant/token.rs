//! Bearer tokens.
//!
//! ```text
//! token  = "scim_" tenant "_" credential "_" random "_" check
//! random = 64( %x30-39 / %x61-66 )   ; 256 bits
//! check  = 16( %x30-39 / %x61-66 )   ; 64 bits of HMAC-SHA256 over everything before its "_"
//! ```
//!
//! By `check` a forged or mistyped token is refused without reading anything. It does not reveal
//! whether the tenant or the credential exists.

use std::fmt;
use std::fmt::Write;

use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq;

use super::StackSecret;
use crate::identity::{CredentialId, TenantId};

const PREFIX: &str = "scim";
const CHECK_LABEL: &str = "token check";
const CHECK_BYTES: usize = 8;
const RANDOM_DIGITS: usize = 64;

/// A well-formed token with the right `check`. It may be revoked or expired.
#[derive(Clone)]
pub struct Token {
    text: String,
    tenant: TenantId,
    credential: CredentialId,
}

impl Token {
    /// Makes a token of a credential from 256 random bits.
    #[must_use]
    pub fn mint(
        stack: &StackSecret,
        tenant: &TenantId,
        credential: &CredentialId,
        random: [u8; 32],
    ) -> Self {
        let body = format!("{PREFIX}_{tenant}_{credential}_{}", hex(&random));
        let check = check_of(stack, &body);
        Self {
            text: format!("{body}_{check}"),
            tenant: tenant.clone(),
            credential: credential.clone(),
        }
    }

    /// Reads a token that [`mint`](Self::mint) made with the same stack secret.
    ///
    /// Anything else is `None`, without a reason, because a caller must not get one.
    #[must_use]
    pub fn parse(stack: &StackSecret, text: &str) -> Option<Self> {
        let (body, check) = text.rsplit_once('_')?;
        let expected = check_of(stack, body);
        if !bool::from(expected.as_bytes().ct_eq(check.as_bytes())) {
            return None;
        }
        let mut parts = body.split('_');
        let (Some(PREFIX), Some(tenant), Some(credential), Some(random), None) = (
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
        ) else {
            return None;
        };
        if random.len() != RANDOM_DIGITS {
            return None;
        }
        Some(Self {
            tenant: TenantId::parse(tenant).ok()?,
            credential: CredentialId::parse(credential).ok()?,
            text: text.to_owned(),
        })
    }

    /// The tenant that a text names, if it looks like a token. Nothing is checked: this decides nothing about access.
    #[must_use]
    pub fn tenant_named_in(text: &str) -> Option<TenantId> {
        let mut parts = text.split('_');
        match (parts.next(), parts.next()) {
            (Some(PREFIX), Some(tenant)) => TenantId::parse(tenant).ok(),
            _ => None,
        }
    }

    /// The tenant that the token names.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// The credential that the token belongs to.
    #[must_use]
    pub fn credential(&self) -> &CredentialId {
        &self.credential
    }

    /// The text that the client is given once.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The SHA-256 of the text in lower-case hex. The tenant's secret stores this and not the text.
    ///
    /// The text has 256 random bits, so no list of guesses can be tried against the hash. A salt or
    /// a slow hash would not make it safer.
    #[must_use]
    pub fn sha256(&self) -> String {
        hex(digest(&SHA256, self.text.as_bytes()).as_ref())
    }
}

/// The `check` of this `body`, which is the text before it.
fn check_of(stack: &StackSecret, body: &str) -> String {
    let tag = stack.sign(CHECK_LABEL, body.as_bytes());
    hex(&tag.as_ref()[..CHECK_BYTES])
}

/// Bytes as lower-case hex digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}, {}, ..)", self.tenant, self.credential)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stack() -> StackSecret {
        StackSecret::from_bytes(&[7; 32]).unwrap()
    }

    fn mint(tenant: &str, credential: &str, random: [u8; 32]) -> Token {
        Token::mint(
            &stack(),
            &TenantId::parse(tenant).unwrap(),
            &CredentialId::parse(credential).unwrap(),
            random,
        )
    }

    proptest! {
        #[test]
        fn a_minted_token_parses_to_its_names(
            tenant in "[a-z0-9-]{1,40}", credential in "[a-z0-9]{1,32}", random: [u8; 32],
        ) {
            let token = mint(&tenant, &credential, random);
            let parsed = Token::parse(&stack(), token.as_str()).unwrap();
            prop_assert_eq!(parsed.tenant().as_str(), tenant);
            prop_assert_eq!(parsed.credential().as_str(), credential);
            prop_assert_eq!(parsed.sha256(), token.sha256());
        }

        #[test]
        fn any_changed_character_is_refused(
            random: [u8; 32], at: prop::sample::Index, other in "[0-9a-zA-Z_-]|.",
        ) {
            let text = mint("acme-emea", "5f0c9a1e", random).as_str().to_owned();
            let at = at.index(text.len());
            prop_assume!(!text[at..].starts_with(&other));
            let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            prop_assert!(Token::parse(&stack(), &changed).is_none());
        }

        #[test]
        fn any_removed_or_added_character_is_refused(
            random: [u8; 32], at: prop::sample::Index, other in "[0-9a-zA-Z_-]|.",
        ) {
            let text = mint("acme", "5f0c9a1e", random).as_str().to_owned();
            let at = at.index(text.len());
            let removed = format!("{}{}", &text[..at], &text[at + 1..]);
            let added = format!("{}{other}{}", &text[..at], &text[at..]);
            prop_assert!(Token::parse(&stack(), &removed).is_none());
            prop_assert!(Token::parse(&stack(), &added).is_none());
        }

        #[test]
        fn parsing_never_panics(text: String) {
            prop_assert!(Token::parse(&stack(), &text).is_none());
        }
    }

    #[test]
    fn a_token_of_another_stack_is_refused() {
        let token = mint("acme", "1", [1; 32]);
        let other = StackSecret::from_bytes(&[8; 32]).unwrap();
        assert!(Token::parse(&other, token.as_str()).is_none());
    }

    #[test]
    fn a_checked_text_of_another_shape_is_refused() {
        fn check(body: &str) {
            let text = format!("{body}_{}", check_of(&stack(), body));
            assert!(Token::parse(&stack(), &text).is_none(), "{body}");
        }
        let random = "0".repeat(64);
        check("");
        check("scim_acme");
        check(&format!("scim_acme_1_{random}_extra"));
        check(&format!("SCIM_acme_1_{random}"));
        check(&format!("scim_ACME_1_{random}"));
        check("scim_acme_1_00");
    }

    #[test]
    fn debug_output_shows_no_random() {
        let token = mint("acme", "1", [0xab; 32]);
        assert_eq!(format!("{token:?}"), "Token(acme, 1, ..)");
    }
}
