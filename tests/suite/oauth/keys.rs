//! Keys of OAuth clients, and the assertions that they sign.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RsaKeyPair, RsaPublicKeyComponents,
};
use serde_json::{Value, json};

/// A private key of 2048 bits, made for these tests alone: ring makes none. PKCS #8 in base64.
const RSA_KEY: &str = concat!(
    "MIIEvAIBADANBgkqhkiG9w0BAQEFAASCBKYwggSiAgEAAoIBAQDAwg3zIGbksDJ0MyjvsuOljKcfLr00I+gaC0SKSk47kpp8",
    "S9xu1aftU146s1u7+DM/+yWsgBO89gtYsQqatELLoMf+naq2iYVdrCJ52jUJt/eRahC2zRfuSMPde2+5wlASOdYruwZUWmv5",
    "3fdkbaJJ+LS49aOJlZM/9NxKg73V2l1umPE1hZlxuBj+DV4oHQB5r3u5IpTu09yH9qZavRPJ4Cy4NJZ4eFdUYp+ZdwfYTjmB",
    "USNDKnibv3z+w7pgNA4c9OCNtKHKrI6twXxKODRshgfHQ1OkhqIbiuq0R5alQgiceKvWcGlh3CKy8zNrE07BpSTGXAV580KA",
    "++fkJ5VlAgMBAAECgf8ZLpYyLQl9D8CkGEPPDMiwu5Lg1VbGB0Au0YLp43XjNgr4o9QL/BaCXH5ISV8kaEiCoYW8PFSQsHeu",
    "kFYLNUihGLV5xuZqDuKWWjvt6D6TzZFRUYn55e3IpUcqNmfT+TlgRJ/SpPGghUwHrffc0ZJFpeLZ1T1rvAJHynyLP45UfhT8",
    "piLiZyM74SmgymWKI+bV7Db2cxo/AEBHwouT+CfPGE6+w5ssIc2XUZ2D0lGeIGCZK5Ay0Nn3hbZLXSuA7j4+8ydzB556TzJw",
    "ztfwHngd+u+2DY/S1XMYDo9As68uLXWvbqAuzRXowKS8IAqFpnOKiQzbyLWUJMppWMxkLf0CgYEA480RILTR0eeI06GLkXdP",
    "wwr11i6GS63SUsm/xI4hFkp5TmDoc/uUaM1LQ/xKiy+NBykR7x/loGfhV+oC0LT9foJEqAEfX19AotRM4qy7yYoUVTBEWRiy",
    "7VDEzLxKgERVLSxIhPJm5i0le3vDN4J5OPWxn0VumojUIZoyIHjSVv8CgYEA2J58qmZ2YAH5NLfeUIqsGDH7mak/FSay43GV",
    "xbKOuJpm06hlgxSVBejQ40Pt+N8uGTw993te0+mQp8KGE4Gejxp8rkO72+B83nQ1MGWj02OuhizD5+4CGAC7KTTsjzM0gKJY",
    "S9uqwPVQnYgN+ls7CGzMH9SxyfkM/gibGIUEF5sCgYEAhLQXgDgV6vO4b6CyD4Gzw2mFIMpljXyrA3Nn9Xbeq3+i/xfREo/C",
    "OvMtH2O/gSmoPD2epvCr8i/RxEcccLye163HlR9iSUrR+ok2aO47TwLTKXU+u7B5u2nL24Ds3Z/xBqm/bUNQ0lIGfdLxPEsT",
    "lyz51lC6R+fhu9l5zhTUY70CgYA7OkI92Rwergt0ZZ2sie36A5iWcBcmcllRJNpdnq+1O8pHrvBqgbMpVXnf2c/0TxlsnvMW",
    "eq335RG/PMmqBbPTztsuTqjLurqJnF56qB++CbBLUWwTOxlpdLG315eio86EKV9ZBmvOrIRpPi0MOeuPJyg8v8wIvEbYIoQ9",
    "lQkEZwKBgQDDWq5y/KvzzDJ6JAXwAcFEHhbCSpPsE/WxbOPIiB+E9RIQXyIShMzyT/PtpeyI0A6MuYxXjSPM9UU36BW0iZoy",
    "XFh6tD91tCrH54RZXhy/4A7FnDBu2iY5spi7s69E0dbOmYwqLVRQc45SEg3H8ctKieI1z+TnJ783x+c156YetQ==",
);

/// The private key of a client.
pub(crate) enum Key {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Key {
    pub(crate) fn rsa() -> Self {
        Self::Rsa(RsaKeyPair::from_pkcs8(&STANDARD.decode(RSA_KEY).unwrap()).unwrap())
    }

    /// Another one with each call.
    pub(crate) fn p256() -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self::P256(EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap())
    }

    /// Another one with each call.
    pub(crate) fn ed25519() -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::Ed25519(Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap())
    }

    /// The name of its algorithm.
    pub(crate) fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::P256(_) => "ES256",
            Self::Ed25519(_) => "EdDSA",
        }
    }

    /// Its public part as a JWK.
    pub(crate) fn jwk(&self, kid: &str) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Rsa(pair) => {
                let public = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public());
                let (n, e) = (public.n.as_slice(), public.e.as_slice());
                json!({"kty": "RSA", "kid": kid, "alg": "RS256", "n": text(n), "e": text(e)})
            }
            Self::P256(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = point[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": text(x), "y": text(y)})
            }
            Self::Ed25519(pair) => {
                let point = pair.public_key().as_ref();
                json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": text(point)})
            }
        }
    }

    /// A JWT with this header and these claims.
    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let signature = self.signature(message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn signature(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                let signed = pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature);
                signed.unwrap();
                signature
            }
            Self::P256(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }
}

/// The time in seconds since the Unix epoch.
pub(crate) fn now() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH);
    elapsed.unwrap().as_secs()
}
