//! Assertions by which OAuth clients authenticate: JWTs that they sign themselves (RFC 7523 §2.2, §3).
//!
//! The signature is checked before any claim is believed. Until then a refusal gives no reason; after it,
//! the client is known, and the refusal says what is wrong.

use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result as JwtResult};
use jsonwebtoken::signature::{self, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, Validation, dangerous};
use ring::digest::{SHA256, digest};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};
use serde::Deserialize;

use super::date::instant;
use super::hex::hex;
use super::jwks::Jwks;
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

/// The claims that are read (RFC 7523 §3). `aud` is checked by the library.
#[derive(Deserialize)]
struct Claims {
    exp: f64,
    iat: Option<f64>,
    nbf: Option<f64>,
    jti: Option<String>,
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
    let subject: Subject = dangerous::insecure_decode_claims(assertion).ok()?;
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
    let header = jsonwebtoken::decode_header(assertion).map_err(|_| None)?;
    // An extension that must be understood is not (RFC 7515 §4.1.11).
    if header.crit.is_some() {
        return Err(None);
    }
    let key = keys.find(header.kid.as_deref(), header.alg).ok_or(None)?;
    let mut rules = Validation::new(header.alg);
    rules.set_required_spec_claims(&["iss", "sub", "aud", "exp"]);
    rules.set_issuer(&[client_id]);
    rules.sub = Some(client_id.to_owned());
    rules.set_audience(audiences);
    // The time is compared below: by this process's clock, and with a reason that names it.
    rules.validate_exp = false;
    let decoded = jsonwebtoken::decode::<Claims>(assertion, &key, &rules);
    let claims = decoded
        .map_err(|error| reason(error.kind(), audiences))?
        .claims;
    check_times(&claims, now).map_err(Some)?;
    used(&claims).map_err(Some)
}

/// What the client is told about an assertion that the library refuses; nothing, unless its signature was
/// right.
fn reason(kind: &ErrorKind, audiences: &[String]) -> Option<Error> {
    let detail = match kind {
        ErrorKind::InvalidAudience => format!(
            "The claim aud of the assertion is not {}",
            audiences.join(" or ")
        ),
        ErrorKind::InvalidIssuer => {
            "The claim iss of the assertion is not the client id".to_owned()
        }
        ErrorKind::InvalidSubject => {
            "The claim sub of the assertion is not the client id".to_owned()
        }
        ErrorKind::MissingRequiredClaim(claim) => {
            format!("The assertion has no claim {claim} that can be read")
        }
        ErrorKind::Json(_) => {
            "A claim of the assertion does not have its type; exp is a number of \
                               seconds since 1970"
                .to_owned()
        }
        _ => return None,
    };
    Some(Error::unauthorized(detail))
}

fn check_times(claims: &Claims, now: u64) -> Result<()> {
    let clock = instant(now);
    let refuse = |what: &str| {
        Err(Error::unauthorized(format!(
            "The assertion {what}: the clock of this service says {clock}; compare that of the client"
        )))
    };
    let expires = seconds(claims.exp);
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
        until: seconds(claims.exp) + 2 * LEEWAY_SECONDS,
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
