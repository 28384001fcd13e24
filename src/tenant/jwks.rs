//! The public keys of an OAuth client that signs its assertions (RFC 7517).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use ring::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use ring::rand::SystemRandom;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::protocol::error::{Error, Result};

/// The longest text of a set of keys, in bytes.
const MAX_BYTES: usize = 16 * 1024;
/// The largest number of keys: two of each kind while they are changed. The secret of a tenant, which
/// holds them, has 64 KiB.
const MAX_KEYS: usize = 4;
/// The longest name of a key, in bytes.
const MAX_KID_BYTES: usize = 200;
/// How long the modulus of an RSA key may be, in bits. A longer one takes too long to use.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=4_096;
/// Members that only private keys and shared ones have (RFC 7518 §6.2.2, §6.3.2, §6.4), and the one of keys
/// against quantum computers. They are looked for in any case, because some libraries write `D`.
const PRIVATE_MEMBERS: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];
/// The y coordinates of the points of Ed25519 whose order is at most 8, as they are encoded (RFC 8032 §5.1.2,
/// §5.1.7): 0, 1 and -1, the two of order 8, and the field's prime p and p + 1, which are read as 0 and 1.
/// With such a key some signatures that everyone can make hold for some messages or for all.
const SMALL_ORDER: [[u8; 32]; 7] = [
    encoded(0x00, 0x00),
    encoded(0x01, 0x00),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
    encoded(0xec, 0xff),
    encoded(0xed, 0xff),
    encoded(0xee, 0xff),
];

/// The registered keys of a client, 1 to 4.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Jwks(Vec<Jwk>);

/// One key: what is needed to use it, and its name. Keys are stored without their other members, such as
/// certificates. Numbers are in base64url.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Jwk {
    kty: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    crv: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    e: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    y: Option<String>,
    /// Members that only a newer release knows.
    #[serde(flatten)]
    unknown: Map<String, Value>,
}

impl Jwks {
    /// Reads a JWK set, or one key.
    ///
    /// # Errors
    /// `InvalidValue` naming the fault, without any part of a key.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() > MAX_BYTES {
            return Err(refuse(&format!("are longer than {MAX_BYTES} bytes")));
        }
        let value: Value = serde_json::from_str(text)
            .map_err(|_| refuse("are not JSON, such as {\"keys\":[{\"kty\":\"EC\", …}]}"))?;
        Self::of(&value)
    }

    /// The same from JSON that was read already.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn of(value: &Value) -> Result<Self> {
        let listed = match value.get("keys") {
            Some(keys) => keys.as_array().map_or(&[][..], Vec::as_slice),
            None => std::slice::from_ref(value),
        };
        if !(1..=MAX_KEYS).contains(&listed.len()) {
            return Err(refuse(&format!("are not 1 to {MAX_KEYS} keys")));
        }
        let keys = listed.iter().map(Jwk::read).collect::<Result<Vec<_>>>()?;
        for (position, key) in keys.iter().enumerate() {
            let others = &keys[position + 1..];
            // With the same name and algorithm an assertion could not say which one it means.
            let is_alike =
                |other: &Jwk| other.kid == key.kid && other.algorithm() == key.algorithm();
            if others.iter().any(is_alike) {
                return Err(refuse("have the same `kid` twice"));
            }
        }
        Ok(Self(keys))
    }

    /// The key that an assertion with this header was signed with. The algorithm is that of the registered
    /// key: a header that names another one has no key.
    pub(super) fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<DecodingKey> {
        let of_algorithm = self
            .0
            .iter()
            .filter(|key| key.algorithm() == Some(algorithm));
        let mut found = of_algorithm.filter(|key| match kid {
            // A key without a name is found by its algorithm, whatever name the client uses.
            Some(kid) => key.kid.as_deref().is_none_or(|own| own == kid),
            None => true,
        });
        match (found.next(), found.next()) {
            (Some(key), None) => key.decoding_key(),
            (Some(first), Some(second)) => {
                let named = [first, second].into_iter().chain(found);
                let mut named = named.filter(|key| kid.is_some() && key.kid.as_deref() == kid);
                named.next()?.decoding_key()
            }
            (None, _) => None,
        }
    }
}

impl Jwk {
    fn read(value: &Value) -> Result<Self> {
        let Some(members) = value.as_object() else {
            return Err(refuse("hold something that is not an object"));
        };
        let is_private = |name: &String| {
            let mut private = PRIVATE_MEMBERS.iter();
            private.any(|other| name.eq_ignore_ascii_case(other))
        };
        if members.keys().any(is_private) {
            return Err(refuse(
                "hold a private or a shared key; register only the public part",
            ));
        }
        // A name of another type must not be left out: a key without a name is found by every name.
        let text = |name: &str| match members.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(refuse(&format!("have a `{name}` that is not a text"))),
        };
        let key = Self {
            kty: text("kty")?.unwrap_or_default(),
            kid: text("kid")?,
            crv: text("crv")?,
            n: text("n")?,
            e: text("e")?,
            x: text("x")?,
            y: text("y")?,
            unknown: Map::new(),
        };
        key.check(text("use")?.as_deref(), text("alg")?.as_deref())?;
        match members.get("key_ops") {
            Some(uses) if !lists_verify(uses) => {
                Err(refuse("hold a key whose `key_ops` do not list `verify`"))
            }
            _ => Ok(key),
        }
    }

    fn check(&self, usage: Option<&str>, named: Option<&str>) -> Result<()> {
        let Some(algorithm) = self.algorithm() else {
            return Err(refuse(
                "hold a key that is not RSA, EC with the curve P-256, or OKP with the curve Ed25519",
            ));
        };
        let kid_bytes = self.kid.as_ref().map_or(1, String::len);
        if !(1..=MAX_KID_BYTES).contains(&kid_bytes) {
            return Err(refuse(&format!(
                "have a `kid` without 1 to {MAX_KID_BYTES} bytes"
            )));
        }
        if usage.is_some_and(|usage| usage != "sig") {
            return Err(refuse("hold a key whose `use` is not `sig`"));
        }
        if named.is_some_and(|named| algorithm_of(named) != Some(algorithm)) {
            return Err(refuse(&format!(
                "hold a key whose `alg` is not {algorithm:?}"
            )));
        }
        match algorithm {
            Algorithm::RS256 => check_rsa(self.n.as_ref(), self.e.as_ref()),
            Algorithm::ES256 => check_p256(bytes_32(self.x.as_ref())?, bytes_32(self.y.as_ref())?),
            _ => check_ed25519(bytes_32(self.x.as_ref())?),
        }
    }

    /// The one algorithm that it is used for (RFC 7518 §3.1, RFC 8037 §3.1); `None` for a kind of key that
    /// only a newer release knows.
    fn algorithm(&self) -> Option<Algorithm> {
        match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => Some(Algorithm::RS256),
            ("EC", Some("P-256")) => Some(Algorithm::ES256),
            ("OKP", Some("Ed25519")) => Some(Algorithm::EdDSA),
            _ => None,
        }
    }

    fn decoding_key(&self) -> Option<DecodingKey> {
        let key = match self.algorithm()? {
            Algorithm::RS256 => {
                DecodingKey::from_rsa_components(self.n.as_deref()?, self.e.as_deref()?)
            }
            Algorithm::ES256 => {
                DecodingKey::from_ec_components(self.x.as_deref()?, self.y.as_deref()?)
            }
            _ => {
                // Earlier releases have stored keys without this check.
                check_ed25519(bytes_32(self.x.as_ref()).ok()?).ok()?;
                DecodingKey::from_ed_components(self.x.as_deref()?)
            }
        };
        key.ok()
    }
}

/// The algorithm of this name, if it is one of those that are accepted. `Ed25519` is the newer name of what
/// `EdDSA` means with such a key (RFC 9864 §2.2).
pub(super) fn algorithm_of(name: &str) -> Option<Algorithm> {
    match name {
        "RS256" => Some(Algorithm::RS256),
        "ES256" => Some(Algorithm::ES256),
        "EdDSA" | "Ed25519" => Some(Algorithm::EdDSA),
        _ => None,
    }
}

/// The bytes of a number in base64url; none if it is not one.
fn bytes_of(number: Option<&String>) -> Vec<u8> {
    let bytes = number.map(|text| URL_SAFE_NO_PAD.decode(text));
    bytes.and_then(|bytes| bytes.ok()).unwrap_or_default()
}

/// # Errors
/// `InvalidValue` for a number of another length.
fn bytes_32(number: Option<&String>) -> Result<[u8; 32]> {
    let bytes = <[u8; 32]>::try_from(bytes_of(number));
    bytes.map_err(|_| refuse("hold a key whose numbers are not 32 bytes in base64url"))
}

/// Whether a list of uses names the one that registered keys have (RFC 7517 §4.3).
fn lists_verify(uses: &Value) -> bool {
    let uses = uses.as_array().map_or(&[][..], Vec::as_slice);
    uses.iter().any(|name| name == "verify")
}

/// The encoding of a y coordinate whose bytes between the first and the last are alike.
const fn encoded(first: u8, others: u8) -> [u8; 32] {
    let mut bytes = [others; 32];
    bytes[0] = first;
    bytes[31] = others & 0x7f;
    bytes
}

fn check_ed25519(mut point: [u8; 32]) -> Result<()> {
    // The highest bit is the sign of x. With either sign the order is the same.
    point[31] &= 0x7f;
    match SMALL_ORDER.contains(&point) {
        true => Err(refuse(
            "hold an Ed25519 key of small order, which anyone can sign for",
        )),
        false => Ok(()),
    }
}

/// ring checks a point only when it is used, so an agreement is made with it, and thrown away.
fn check_p256(x: [u8; 32], y: [u8; 32]) -> Result<()> {
    let point = [&[0x04][..], &x, &y].concat();
    let private = EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new());
    let private = private.map_err(|_| Error::internal("the random number generator failed"))?;
    let agreed = agree_ephemeral(private, &UnparsedPublicKey::new(&ECDH_P256, point), |_| ());
    agreed.map_err(|_| refuse("hold a key that is not a point of P-256"))
}

fn check_rsa(modulus: Option<&String>, exponent: Option<&String>) -> Result<()> {
    let read = |number: Option<&String>| {
        let bytes = bytes_of(number);
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        bytes[zeros..].to_vec()
    };
    let (modulus, exponent) = (read(modulus), read(exponent));
    let unused = modulus
        .first()
        .map_or(0, |first| first.leading_zeros() as usize);
    let bits = modulus.len() * 8 - unused;
    if !RSA_BITS.contains(&bits) {
        return Err(refuse(&format!(
            "hold an RSA key of {bits} bits; it has {} to {}",
            RSA_BITS.start(),
            RSA_BITS.end()
        )));
    }
    let is_odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
    if !is_odd(&modulus) {
        return Err(refuse("hold an RSA key whose modulus is even"));
    }
    let is_usual = is_odd(&exponent) && exponent != [1] && exponent.len() <= 4;
    if is_usual {
        return Ok(());
    }
    Err(refuse(
        "hold an RSA key with an unusual exponent; the usual one is 65537 (AQAB)",
    ))
}

fn refuse(fault: &str) -> Error {
    Error::invalid_value(format!("The keys {fault}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rsa(bits: usize) -> Value {
        let mut modulus = vec![0xff; bits.div_ceil(8)];
        modulus[0] >>= (8 - bits % 8) % 8;
        json!({"kty": "RSA", "n": URL_SAFE_NO_PAD.encode(modulus), "e": "AQAB"})
    }

    fn ed25519(point: &[u8]) -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(point)})
    }

    /// The point that P-256 is generated by (SEC 2 §2.4.2).
    fn ec(kid: Option<&str>) -> Value {
        let (x, y) = (
            "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY",
            "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU",
        );
        let mut key = json!({"kty": "EC", "crv": "P-256", "x": x, "y": y});
        if let Some(kid) = kid {
            key["kid"] = kid.into();
        }
        key
    }

    fn with(mut key: Value, name: &str, value: impl Into<Value>) -> Value {
        key[name] = value.into();
        key
    }

    #[test]
    fn keys_are_kept_without_what_they_do_not_need() {
        let key = with(with(ec(Some("a")), "x5c", "certificate"), "use", "sig");
        let jwks = Jwks::of(&json!({"keys": [key]})).unwrap();
        let kept = serde_json::to_value(&jwks).unwrap();
        assert_eq!(kept, json!([ec(Some("a"))]));
        assert_eq!(serde_json::from_value::<Jwks>(kept).unwrap(), jwks);
        assert_eq!(Jwks::of(&ec(Some("a"))).unwrap(), jwks);
    }

    #[test]
    fn a_member_of_a_newer_release_is_kept() {
        let stored = json!([with(ec(None), "until", "2030")]);
        let jwks: Jwks = serde_json::from_value(stored.clone()).unwrap();
        assert_eq!(serde_json::to_value(&jwks).unwrap(), stored);
    }

    #[test]
    fn unfit_keys_are_refused_with_their_fault() {
        let check = |value: &Value, fault: &str| {
            let error = Jwks::of(value).unwrap_err();
            assert!(error.detail().contains(fault), "{error} for {fault}");
        };
        check(&json!({"keys": []}), "1 to 4 keys");
        check(&json!({"keys": "x"}), "1 to 4 keys");
        check(&json!({"keys": vec![ec(None); 5]}), "1 to 4 keys");
        check(&json!([]), "not an object");
        check(&json!({"keys": [ec(Some("a")), ec(Some("a"))]}), "twice");
        check(&json!({"keys": [ec(None), ec(None)]}), "twice");
        check(&json!({"kty": "oct", "k": "c2VjcmV0"}), "public part");
        for private in ["d", "D", "oth", "p", "priv", "K"] {
            check(&with(rsa(2048), private, "x"), "public part");
            check(&with(ec(None), private, Value::Null), "public part");
        }
        check(&json!({"kty": "EC", "crv": "P-384"}), "not RSA");
        check(&rsa(2047), "2047 bits");
        check(&rsa(4097), "4097 bits");
        check(&with(rsa(2048), "e", "AQ"), "exponent");
        check(&with(rsa(2048), "alg", "RS512"), "`alg` is not RS256");
        check(&with(ec(None), "alg", "none"), "`alg` is not ES256");
        check(&with(ec(None), "use", "enc"), "`sig`");
        check(&with(ec(None), "x", "AAAA"), "32 bytes");
        check(&with(ec(None), "kid", ""), "`kid`");
        for name in ["kid", "use", "alg", "kty", "crv", "x"] {
            for value in [json!(7), json!(["sig"]), Value::Null] {
                let fault = format!("`{name}` that is not a text");
                check(&with(ec(Some("a")), name, value), &fault);
            }
        }
        for uses in [json!(["sign"]), json!([]), json!("verify"), Value::Null] {
            check(&with(ec(None), "key_ops", uses), "`key_ops`");
        }
        assert!(Jwks::of(&with(ec(None), "key_ops", json!(["verify"]))).is_ok());
        assert!(Jwks::parse("{").is_err());
        assert!(Jwks::parse(&" ".repeat(MAX_BYTES + 1)).is_err());
        for bits in [2048, 3072, 4096] {
            assert!(Jwks::of(&rsa(bits)).is_ok(), "{bits}");
        }
    }

    #[test]
    fn keys_that_anyone_can_sign_for_are_refused() {
        // A signature of s = 0 and a point R of small order holds for some of these messages.
        let holds = |point: &[u8; 32]| {
            let key = ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, point);
            let messages = || (0..200_u8).map(|number| [number]);
            let holds = |start: [u8; 32]| {
                let signature = [start, [0; 32]].concat();
                messages().any(|message| key.verify(&message, &signature).is_ok())
            };
            SMALL_ORDER.into_iter().any(holds)
        };
        for mut point in SMALL_ORDER {
            for sign in [0x00, 0x80] {
                point[31] = point[31] & 0x7f | sign;
                assert!(holds(&point), "{point:x?}");
                let refused = Jwks::of(&ed25519(&point)).unwrap_err();
                assert!(refused.detail().contains("small order"), "{refused}");
            }
        }
        // The base point.
        let usual = encoded(0x58, 0x66);
        assert!(!holds(&usual));
        assert!(Jwks::of(&ed25519(&usual)).is_ok());
    }

    #[test]
    fn numbers_that_are_no_key_are_refused() {
        let check = |value: &Value, fault: &str| {
            let error = Jwks::of(value).unwrap_err();
            assert!(error.detail().contains(fault), "{error} for {fault}");
        };
        let swapped = with(ec(None), "x", ec(None)["y"].clone());
        check(&swapped, "not a point");
        let zero = URL_SAFE_NO_PAD.encode([0; 32]);
        check(&with(with(ec(None), "x", &*zero), "y", zero), "not a point");
        let mut even = [0xff; 256];
        even[255] = 0xfe;
        let even = with(rsa(2048), "n", URL_SAFE_NO_PAD.encode(even));
        check(&even, "even");
    }

    #[test]
    fn a_key_is_found_by_its_name_and_only_for_its_own_algorithm() {
        let jwks = Jwks::of(&json!({"keys": [ec(Some("a")), ec(Some("b")), rsa(2048)]})).unwrap();
        let check = |kid: Option<&str>, algorithm: Algorithm, expected: bool| {
            let found = jwks.find(kid, algorithm).is_some();
            assert_eq!(found, expected, "{kid:?} {algorithm:?}");
        };
        check(Some("a"), Algorithm::ES256, true);
        check(Some("c"), Algorithm::ES256, false);
        check(Some("../../dev/null"), Algorithm::ES256, false);
        check(None, Algorithm::ES256, false);
        check(None, Algorithm::RS256, true);
        check(Some("any"), Algorithm::RS256, true);
        check(Some("a"), Algorithm::RS512, false);
        check(Some("a"), Algorithm::HS256, false);
        check(Some("a"), Algorithm::EdDSA, false);
    }
}
