//! Seals cursors: their content can neither be read nor changed, and a cursor cannot be used for
//! another query.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use serde::Serialize;

use crate::protocol::error::{Error, Result};
use crate::tenant::{KeyId, StackKey, StackKeys};

/// The longest text of a cursor, in bytes.
pub(super) const MAX_LENGTH: usize = 6_000;
/// The largest part of a cursor that leads back to earlier pages, in bytes: about twenty pages in
/// order of creation.
const MAX_TRAIL: usize = 1_000;

/// Divides the number of the stack's key from the rest of a cursor. It is not in the alphabet of base64url,
/// and may be in a URL as it is.
const KEY_END: char = '.';

/// Seals and opens cursors with keys that are derived from those of the stack.
///
/// A cursor is the base64url, without padding, of a random nonce, the sealed payload and its tag. Before it
/// comes the number of the stack's key and a dot, unless that is key 0.
/// The caller and the query are its additional authenticated data: the cursor does not contain them,
/// and it can be opened only with the same ones.
pub struct Cursors {
    keys: Arc<StackKeys>,
    random: SystemRandom,
}

impl Cursors {
    /// Uses the keys of the stack.
    #[must_use]
    pub fn new(keys: Arc<StackKeys>) -> Self {
        Self {
            keys,
            random: SystemRandom::new(),
        }
    }

    /// Seals a payload, bound to this binding.
    pub(super) fn seal(&self, payload: Vec<u8>, binding: &[u8]) -> Result<String> {
        let signing = self.keys.signing();
        let key = cursor_key(&signing).ok_or_else(|| Error::internal("the cursor key is unfit"))?;
        let mut nonce = [0; NONCE_LEN];
        let mut sealed = payload;
        self.random
            .fill(&mut nonce)
            .and_then(|()| {
                let once = Nonce::assume_unique_for_key(nonce);
                key.seal_in_place_append_tag(once, Aad::from(binding), &mut sealed)
            })
            .map_err(|_| Error::internal("the random number generator failed"))?;
        let text = URL_SAFE_NO_PAD.encode([nonce.as_slice(), &sealed].concat());
        Ok(match signing.id() {
            KeyId::FIRST => text,
            id => format!("{id}{KEY_END}{text}"),
        })
    }

    /// The payload of a cursor that was sealed with a key of the stack and this binding.
    pub(super) fn open(&self, cursor: &str, binding: &[u8]) -> Option<Vec<u8>> {
        if cursor.len() > MAX_LENGTH {
            return None;
        }
        let (id, text) = match cursor.split_once(KEY_END) {
            Some((id, text)) => (KeyId::parse_named(id)?, text),
            None => (KeyId::FIRST, cursor),
        };
        let known = self.keys.known();
        let key = cursor_key(known.key(id)?)?;
        let mut bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (nonce, sealed) = bytes.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let payload = key.open_in_place(nonce, Aad::from(binding), sealed).ok()?;
        Some(payload.to_vec())
    }
}

/// The key for cursors. Derived keys have the 256 bits that it needs.
fn cursor_key(stack: &StackKey) -> Option<LessSafeKey> {
    let key = UnboundKey::new(&CHACHA20_POLY1305, &stack.derive("cursor")).ok()?;
    Some(LessSafeKey::new(key))
}

/// The beginnings of the pages before the next one, the nearest last: those before this page, and
/// this page's own. The farthest are left out if a cursor has no room for all.
pub(super) fn trail<P: Clone + Serialize>(behind: &[P], this: P) -> Vec<P> {
    let mut trail = behind.to_vec();
    trail.push(this);
    let length = |trail: &[P]| serde_json::to_vec(trail).map_or(0, |text| text.len());
    while length(&trail) > MAX_TRAIL {
        trail.remove(0);
    }
    trail
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tenant::test_keys::keys_of;

    fn cursors(material: u8) -> Cursors {
        Cursors::new(Arc::new(keys_of(&material.to_string().repeat(32), 1000)))
    }

    #[test]
    fn another_key_or_binding_opens_nothing() {
        let sealed = cursors(1).seal(b"payload".to_vec(), b"query").unwrap();
        assert_eq!(
            cursors(1).open(&sealed, b"query").as_deref(),
            Some(&b"payload"[..])
        );
        assert_eq!(cursors(1).open(&sealed, b"other"), None);
        assert_eq!(cursors(2).open(&sealed, b"query"), None);
    }

    #[test]
    fn a_cursor_does_not_reveal_its_payload_and_never_repeats() {
        let payload = || b"bjensen@example.com".to_vec();
        let (one, other) = (
            cursors(1).seal(payload(), b"").unwrap(),
            cursors(1).seal(payload(), b"").unwrap(),
        );
        assert_ne!(one, other);
        let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        assert!(one.bytes().all(is_safe));
        let bytes = URL_SAFE_NO_PAD.decode(one).unwrap();
        assert!(!bytes.windows(7).any(|window| window == b"bjensen"));
    }

    #[test]
    fn a_cursor_of_an_earlier_key_is_opened_while_the_stack_has_that_key() {
        let first = "7".repeat(32);
        let document = |keys: &[(u32, &str, u64)]| {
            let keys = keys.iter().map(|(id, material, signs)| {
                serde_json::json!({"id": id, "material": material, "signs": signs})
            });
            let keys: Vec<_> = keys.collect();
            serde_json::json!({"version": 1, "keys": keys}).to_string()
        };
        let second = "8".repeat(32);
        let at = |text: &str, seconds| Cursors::new(Arc::new(keys_of(text, seconds)));
        let both = document(&[(0, &first, 0), (1, &second, 1000)]);
        let before = at(&both, 999).seal(b"payload".to_vec(), b"").unwrap();
        let after = at(&both, 1000).seal(b"payload".to_vec(), b"").unwrap();
        assert!(!before.contains('.') && after.starts_with("1."), "{after}");
        let opens = |text: &str, cursor: &str| at(text, 2000).open(cursor, b"").is_some();
        assert!(opens(&both, &before) && opens(&both, &after));
        assert!(opens(&first, &before) && !opens(&first, &after));
        let later = document(&[(1, &second, 1000)]);
        assert!(!opens(&later, &before) && opens(&later, &after));
        for forged in ["1", "1.", "0.AAAA", "9.AAAA", ".", "1.1.AAAA"] {
            assert!(!opens(&both, forged), "{forged}");
        }
    }

    #[test]
    fn a_trail_leaves_out_the_farthest_pages() {
        let page = |number: usize| format!("{number:0100}");
        let mut behind = Vec::new();
        for number in 0..30 {
            behind = trail(&behind, page(number));
        }
        assert_eq!(behind, (21..30).map(page).collect::<Vec<_>>());
        assert_eq!(trail(&behind, "x".repeat(2_000)), [""; 0]);
    }

    proptest! {
        #[test]
        fn a_sealed_payload_can_be_opened(payload in prop::collection::vec(any::<u8>(), 0..300)) {
            let sealed = cursors(1).seal(payload.clone(), b"query").unwrap();
            prop_assert_eq!(cursors(1).open(&sealed, b"query"), Some(payload));
        }

        #[test]
        fn a_changed_cursor_cannot_be_opened(position in 0_usize..60, bit in 0_u8..8) {
            let sealed = cursors(1).seal(b"a payload of some length".to_vec(), b"query").unwrap();
            let mut bytes = URL_SAFE_NO_PAD.decode(sealed).unwrap();
            let position = position % bytes.len();
            bytes[position] ^= 1 << bit;
            prop_assert_eq!(cursors(1).open(&URL_SAFE_NO_PAD.encode(bytes), b"query"), None);
        }

        #[test]
        fn any_text_is_safe_to_open(text in ".{0,80}") {
            prop_assert_eq!(cursors(1).open(&text, b"query"), None);
        }
    }
}
