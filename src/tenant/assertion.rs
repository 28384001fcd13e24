//! Assertions by which OAuth clients authenticate: JWTs that they sign themselves (RFC 7523 §2.2, §3).
//!
//! The signature is checked before any claim is believed. Until then a refusal gives no reason; after it,
//! the client is known, and the refusal says what is wrong.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result as JwtResult};
use jsonwebtoken::signature::{self, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use ring::digest::{SHA256, digest};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::date::instant;
use super::hex::hex;
use super::jwks::{Jwks, algorithm_of};
use crate::protocol::error::{Error, Result};

/// The longest assertion that is looked at, in bytes.
pub(super) const MAX_BYTES: usize = 8 * 1024;
/// How far the clocks of client and service may be apart, in seconds.
const LEEWAY_SECONDS: u64 = 60;
/// How far ahead an assertion may expire, and how long ago it may have been issued, in seconds.
const MAX_AGE_SECONDS: u64 = 60 * 60;
/// The longest name of an assertion, in bytes.
const MAX_JTI_BYTES: usize = 256;

/// The use of an assertion. It is still to be recorded, because an assertion is good for one token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssertionUse {
    name: String,
    until: u64,
}

/// The parts of the header that are read (RFC 7515 §4.1). Keys and addresses of keys in it are ignored.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<IgnoredAny>,
}

/// The claims that are read (RFC 7523 §3).
#[derive(Deserialize)]
struct Claims {
    iss: Option<String>,
    sub: Option<String>,
    aud: Option<Audience>,
    exp: Option<f64>,
    iat: Option<f64>,
    nbf: Option<f64>,
    jti: Option<String>,
}

/// One name, or several (RFC 7519 §4.1.3).
#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// The claim by which a client names itself.
#[derive(Deserialize)]
struct Subject {
    sub: String,
}

impl AssertionUse {
    /// A name of this assertion among all of its client.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// The time until which its use must be remembered, in seconds since the Unix epoch. No process
    /// accepts the assertion for so long, because clocks differ by less than the leeway.
    #[must_use]
    pub fn remembered_until(&self) -> u64 {
        self.until
    }
}

/// The client that an assertion claims to be of. Nothing is checked: this only says whose keys to use.
pub(super) fn client_named_in(assertion: &str) -> Option<String> {
    let (_, payload) = assertion.rsplit_once('.')?.0.split_once('.')?;
    let subject: Subject = part(payload)?;
    Some(subject.sub)
}

/// Checks an assertion of the client `client_id` against its registered keys. It has to be meant for one
/// of `audiences`; `now` is in seconds since the Unix epoch.
///
/// # Errors
/// `None` if it is not signed with one of the keys, and `Unauthorized` with the reason if it is, but does
/// not hold.
pub(super) fn verify(
    assertion: &str,
    keys: &Jwks,
    client_id: &str,
    audiences: &[String],
    now: u64,
) -> std::result::Result<AssertionUse, Option<Error>> {
    // Only the first call has an effect. The provider is the same each time.
    let _ = PROVIDER.install_default();
    let (message, signature) = assertion.rsplit_once('.').ok_or(None)?;
    let (header, payload) = message.split_once('.').ok_or(None)?;
    let header: Header = part(header).ok_or(None)?;
    // An extension that must be understood is not (RFC 7515 §4.1.11).
    if header.crit.is_some() {
        return Err(None);
    }
    let algorithm = algorithm_of(&header.alg).ok_or(None)?;
    let key = keys.find(header.kid.as_deref(), algorithm).ok_or(None)?;
    let verified = jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key, algorithm);
    if !verified.unwrap_or(false) {
        return Err(None);
    }
    let claims = part::<Claims>(payload).ok_or_else(|| {
        let detail =
            "A claim of the assertion does not have its type; times are seconds since 1970";
        Some(Error::unauthorized(detail))
    })?;
    check_names(&claims, client_id, audiences).map_err(Some)?;
    check_times(&claims, now).map_err(Some)?;
    used(&claims).map_err(Some)
}

/// The JSON object that a part of an assertion is.
fn part<T: DeserializeOwned>(text: &str) -> Option<T> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    // Serde would also take the members of a structure from an array, in their order.
    let is_object = bytes.trim_ascii_start().starts_with(b"{");
    is_object.then(|| serde_json::from_slice(&bytes).ok())?
}

fn check_names(claims: &Claims, client_id: &str, audiences: &[String]) -> Result<()> {
    for (name, value) in [("iss", &claims.iss), ("sub", &claims.sub)] {
        if value.as_deref() != Some(client_id) {
            return Err(Error::unauthorized(format!(
                "The claim {name} of the assertion is not the client id"
            )));
        }
    }
    let is_ours = |name: &String| audiences.contains(name);
    let is_meant = match &claims.aud {
        Some(Audience::One(name)) => is_ours(name),
        Some(Audience::Several(names)) => names.iter().any(is_ours),
        None => false,
    };
    match is_meant {
        true => Ok(()),
        false => Err(Error::unauthorized(format!(
            "The claim aud of the assertion is not {}",
            audiences.join(" or ")
        ))),
    }
}

fn check_times(claims: &Claims, now: u64) -> Result<()> {
    let clock = instant(now);
    let refuse = |what: &str| {
        Err(Error::unauthorized(format!(
            "The assertion {what}: the clock of this service says {clock}; compare that of the client"
        )))
    };
    let Some(expires) = claims.exp.map(seconds) else {
        return Err(Error::unauthorized(
            "The assertion has no claim exp, the time at which it expires: at most an hour ahead, in seconds \
             since 1970",
        ));
    };
    let latest = now + LEEWAY_SECONDS;
    if expires + LEEWAY_SECONDS <= now {
        return refuse(&format!("expired at {}", instant(expires)));
    }
    if expires > latest + MAX_AGE_SECONDS {
        let exp = instant(expires);
        return refuse(&format!("expires at {exp}, more than an hour from now"));
    }
    if let Some(begins) = claims.nbf.map(seconds).filter(|begins| *begins > latest) {
        return refuse(&format!("is valid only from {} on (nbf)", instant(begins)));
    }
    let Some(issued) = claims.iat.map(seconds) else {
        return Ok(());
    };
    if issued > latest {
        return refuse(&format!(
            "was issued in the future, at {} (iat)",
            instant(issued)
        ));
    }
    if issued + MAX_AGE_SECONDS + LEEWAY_SECONDS < now {
        return refuse(&format!(
            "was issued at {} (iat), more than an hour ago",
            instant(issued)
        ));
    }
    Ok(())
}

fn used(claims: &Claims) -> Result<AssertionUse> {
    let jti = claims.jti.as_deref().unwrap_or_default();
    if !(1..=MAX_JTI_BYTES).contains(&jti.len()) {
        return Err(Error::unauthorized(format!(
            "The assertion has no claim jti of 1 to {MAX_JTI_BYTES} bytes, which lets it be used once"
        )));
    }
    Ok(AssertionUse {
        name: format!("jti-{}", hex(digest(&SHA256, jti.as_bytes()).as_ref())),
        until: claims.exp.map_or(0, seconds) + 2 * LEEWAY_SECONDS,
    })
}

/// The whole seconds of a NumericDate (RFC 7519 §2), of which any number may be sent.
fn seconds(date: f64) -> u64 {
    /// A time in the year 9999, which leaves room for sums.
    const LATEST: f64 = 253_402_300_000.0;
    // Within these bounds the conversion is exact, and it makes 0 of what is not a number.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let seconds = date.clamp(0.0, LATEST) as u64;
    seconds
}

/// Lets the library verify signatures with ring. It signs nothing here.
static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
    verifier_factory: verifier,
    key_utils: KeyUtils::new_unimplemented(),
};

struct RingVerifier {
    algorithm: Algorithm,
    key: DecodingKey,
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> JwtResult<Box<dyn JwtVerifier>> {
    match algorithm {
        Algorithm::RS256 | Algorithm::ES256 | Algorithm::EdDSA => Ok(Box::new(RingVerifier {
            algorithm: *algorithm,
            key: key.clone(),
        })),
        _ => Err(ErrorKind::UnsupportedAlgorithm.into()),
    }
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(
        &self,
        message: &[u8],
        signature: &Vec<u8>,
    ) -> std::result::Result<(), signature::Error> {
        let verified = match (self.algorithm, self.key.kind()) {
            (Algorithm::RS256, DecodingKeyKind::RsaModulusExponent { n, e }) => {
                let key = RsaPublicKeyComponents {
                    n: without_zeros(n),
                    e: without_zeros(e),
                };
                key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
            (Algorithm::ES256, DecodingKeyKind::SecretOrDer(point)) => {
                let algorithm: &dyn VerificationAlgorithm = &ECDSA_P256_SHA256_FIXED;
                UnparsedPublicKey::new(algorithm, point).verify(message, signature)
            }
            (Algorithm::EdDSA, DecodingKeyKind::SecretOrDer(point)) => {
                let algorithm: &dyn VerificationAlgorithm = &ED25519;
                UnparsedPublicKey::new(algorithm, point).verify(message, signature)
            }
            _ => Err(ring::error::Unspecified),
        };
        verified.map_err(|_| signature::Error::new())
    }
}

/// ring takes numbers without leading zeros. Some libraries write one.
fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}
