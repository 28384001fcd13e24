//! Bearer tokens.
//!
//! ```text
//! token  = "scim_" tenant "_" credential "_" random [ "_" key ] "_" check
//! random = 64( %x30-39 / %x61-66 )   ; 256 bits
//! key    = %x31-39 *8DIGIT           ; the stack's key; key 0 if absent
//! check  = 16( %x30-39 / %x61-66 )   ; 64 bits of HMAC-SHA256 over everything before its "_"
//! ```
//!
//! By `check` a forged or mistyped token is refused without reading anything. It does not reveal
//! whether the tenant or the credential exists.

use std::fmt;
use std::fmt::Write;

use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq;

use super::hex::hex;
use super::stack_key::StackKey;
use super::stack_secret::{NotSigned, StackSecret};
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
        key: &StackKey,
        tenant: &TenantId,
        credential: &CredentialId,
        random: [u8; 32],
    ) -> Self {
        let mut body = format!("{PREFIX}_{tenant}_{credential}_{}", hex(&random));
        if !key.id().is_first() {
            // Writing to a string does not fail.
            let _ = write!(body, "_{}", key.id());
        }
        let check = check_of(key, &body);
        Self {
            text: format!("{body}_{check}"),
            tenant: tenant.clone(),
            credential: credential.clone(),
        }
    }

    /// Reads a token that [`mint`](Self::mint) made with a key of the stack.
    ///
    /// # Errors
    /// Without a further reason, because a caller must not get one.
    pub fn parse(stack: &StackSecret, text: &str) -> Result<Self, NotSigned> {
        let (body, check) = text.rsplit_once('_').ok_or(NotSigned::Forged)?;
        let mut parts = body.split('_');
        let (Some(PREFIX), Some(tenant), Some(credential), Some(random), key, None) = (
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
        ) else {
            return Err(NotSigned::Forged);
        };
        let expected = check_of(stack.named(key)?, body);
        let is_signed = bool::from(expected.as_bytes().ct_eq(check.as_bytes()));
        if !is_signed || random.len() != RANDOM_DIGITS {
            return Err(NotSigned::Forged);
        }
        let is_forged = |_| NotSigned::Forged;
        Ok(Self {
            tenant: TenantId::parse(tenant).map_err(is_forged)?,
            credential: CredentialId::parse(credential).map_err(is_forged)?,
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
fn check_of(key: &StackKey, body: &str) -> String {
    let tag = key.sign(CHECK_LABEL, body.as_bytes());
    hex(&tag.as_ref()[..CHECK_BYTES])
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
    use crate::tenant::test_keys::two_keys;

    fn stack() -> StackSecret {
        two_keys(120)
    }

    fn mint(tenant: &str, credential: &str, random: [u8; 32]) -> Token {
        Token::mint(
            stack().signing(0),
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
            prop_assert!(Token::parse(&stack(), &changed).is_err());
        }

        #[test]
        fn any_removed_or_added_character_is_refused(
            random: [u8; 32], at: prop::sample::Index, other in "[0-9a-zA-Z_-]|.",
        ) {
            let text = mint("acme", "5f0c9a1e", random).as_str().to_owned();
            let at = at.index(text.len());
            let removed = format!("{}{}", &text[..at], &text[at + 1..]);
            let added = format!("{}{other}{}", &text[..at], &text[at..]);
            prop_assert!(Token::parse(&stack(), &removed).is_err());
            prop_assert!(Token::parse(&stack(), &added).is_err());
        }

        #[test]
        fn parsing_never_panics(text: String) {
            prop_assert!(Token::parse(&stack(), &text).is_err());
        }
    }

    #[test]
    fn a_token_of_another_stack_is_refused() {
        let token = mint("acme", "1", [1; 32]);
        let other = StackSecret::parse(&"8".repeat(32)).unwrap();
        assert!(Token::parse(&other, token.as_str()).is_err());
    }

    #[test]
    fn a_token_names_the_key_that_it_was_made_under_unless_that_is_the_first() {
        let stack = stack();
        let names = (
            TenantId::parse("acme").unwrap(),
            CredentialId::parse("1").unwrap(),
        );
        let token = Token::mint(stack.signing(120), &names.0, &names.1, [1; 32]);
        assert!(token.as_str().contains("01_1_"), "{token:?}");
        assert!(Token::parse(&stack, token.as_str()).is_ok());
        let refused = |secret: &StackSecret, text: &str| Token::parse(secret, text).err();
        let first = StackSecret::parse(&"7".repeat(32)).unwrap();
        assert_eq!(refused(&first, token.as_str()), Some(NotSigned::UnknownKey));
        let unnamed = token.as_str().replace("01_1_", "01_");
        assert_eq!(refused(&stack, &unnamed), Some(NotSigned::Forged));
        let zero = token.as_str().replace("01_1_", "01_0_");
        assert_eq!(refused(&stack, &zero), Some(NotSigned::Forged));
    }

    #[test]
    fn a_checked_text_of_another_shape_is_refused() {
        fn check(body: &str) {
            let text = format!("{body}_{}", check_of(stack().signing(0), body));
            assert!(Token::parse(&stack(), &text).is_err(), "{body}");
        }
        let random = "0".repeat(64);
        check("");
        check("scim_acme");
        check(&format!("scim_acme_1_{random}_extra"));
        check(&format!("scim_acme_1_{random}_1_1"));
        check(&format!("scim_acme_1_{random}_0"));
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
