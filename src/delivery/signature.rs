//! The headers that sign a message, as Standard Webhooks has them.
//!
//! ```text
//! webhook-id:        msg_9f86d081884c7d659a2feaa0c55ad015
//! webhook-timestamp: 1767225600
//! webhook-signature: v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=
//! ```
//!
//! The signature is the HMAC-SHA256 of the id, the time and the body, with dots between them. During a
//! rotation there are two, separated by a blank, and a receiver accepts either. The time is that of the
//! attempt, because receivers refuse what is older than a few minutes.

use std::iter;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue};
use ring::hmac;

use super::secret::{SigningSecret, SigningSecrets};

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// The headers of a message that is sent at `seconds` since the Unix epoch.
///
/// # Errors
/// If `id` has characters that a header cannot have.
pub(super) fn headers(
    secrets: &SigningSecrets,
    id: &str,
    seconds: u64,
    body: &[u8],
) -> Result<HeaderMap, InvalidHeaderValue> {
    let all = iter::once(&secrets.current).chain(&secrets.previous);
    let signatures: Vec<_> = all.map(|secret| sign(secret, id, seconds, body)).collect();
    Ok(HeaderMap::from_iter([
        (ID, HeaderValue::from_str(id)?),
        (TIMESTAMP, HeaderValue::from(seconds)),
        (SIGNATURE, HeaderValue::from_str(&signatures.join(" "))?),
    ]))
}

fn sign(secret: &SigningSecret, id: &str, seconds: u64, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.key());
    let mut signed = hmac::Context::with_key(&key);
    signed.update(format!("{id}.{seconds}.").as_bytes());
    signed.update(body);
    format!("v1,{}", STANDARD.encode(signed.sign()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use standardwebhooks::Webhook;

    use super::*;

    fn secret(byte: u8) -> SigningSecret {
        let text = format!("whsec_{}", STANDARD.encode([byte; 32]));
        SigningSecret::try_from(text).unwrap()
    }

    fn signature(headers: &HeaderMap) -> &str {
        headers[SIGNATURE].to_str().unwrap()
    }

    #[test]
    fn a_message_is_signed_with_each_secret() {
        let mut secrets = SigningSecrets {
            current: secret(1),
            previous: None,
        };
        let one = headers(&secrets, "msg_a", 1_767_225_600, b"{}").unwrap();
        assert_eq!(one[ID], "msg_a");
        assert_eq!(one[TIMESTAMP], "1767225600");
        secrets.previous = Some(secret(2));
        let two = headers(&secrets, "msg_a", 1_767_225_600, b"{}").unwrap();
        let (current, previous) = signature(&two).split_once(' ').unwrap();
        assert_eq!(current, signature(&one));
        secrets.current = secret(2);
        let other = headers(&secrets, "msg_a", 1_767_225_600, b"{}").unwrap();
        assert_eq!(signature(&other).split_once(' ').unwrap().0, previous);
    }

    #[test]
    fn the_example_of_the_documentation_is_right() {
        let secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=".to_owned();
        let secret = SigningSecret::try_from(secret).unwrap();
        let id = "msg_00112233445566778899aabbccddeeff";
        let signature = sign(&secret, id, 1_764_200_000, br#"{"type":"scim.events"}"#);
        assert_eq!(signature, "v1,AT60j1jGDDY1asQgl/bXbtjiBQNJD+kCgSxSLUNI35g=");
    }

    #[test]
    fn an_id_that_is_no_header_is_an_error() {
        let secrets = SigningSecrets {
            current: secret(1),
            previous: None,
        };
        assert!(headers(&secrets, "msg\n", 0, b"").is_err());
    }

    proptest! {
        #[test]
        fn the_official_library_signs_alike(
            byte in any::<u8>(),
            id in "msg_[0-9a-f]{32}",
            seconds in 0_u32..,
            body in any::<String>(),
        ) {
            let official = Webhook::new(&secret(byte).to_text()).unwrap();
            let expected = official.sign(&id, seconds.into(), body.as_bytes()).unwrap();
            let secrets = SigningSecrets { current: secret(byte), previous: None };
            let headers = headers(&secrets, &id, seconds.into(), body.as_bytes()).unwrap();
            prop_assert_eq!(signature(&headers), expected);
        }
    }
}
