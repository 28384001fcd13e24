//! Keys of a stack at a fixed time, for tests.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};

use super::secrets::{Secret, SecretError, SecretStore, SecretVersion};
use super::stack_keys::StackKeys;
use super::stack_secret::StackSecret;
use crate::clock::manual::ManualClock;

/// A stack secret that never changes.
struct OneSecret(String);

/// The keys in the text of a stack secret, at a time in seconds since the Unix epoch.
pub(crate) fn keys_of(text: &str, seconds: u64) -> StackKeys {
    let clock = Arc::new(ManualClock::at_seconds(seconds));
    let opened = StackKeys::open(Arc::new(OneSecret(text.to_owned())), "test/stack", clock);
    opened.now_or_never().unwrap().unwrap()
}

/// The keys 0 and 1, of which the second signs from this time on. Key 0 is that of a secret of 32 times 7.
pub(crate) fn two_keys(signs: u64) -> StackSecret {
    let document = serde_json::json!({"version": 1, "keys": [
        {"id": 0, "material": "7".repeat(32), "signs": 0},
        {"id": 1, "material": "8".repeat(32), "signs": signs}]});
    StackSecret::parse(&document.to_string()).unwrap()
}

impl SecretStore for OneSecret {
    fn get<'a>(&'a self, _name: &'a str) -> BoxFuture<'a, Result<Option<Secret>, SecretError>> {
        let secret = Secret {
            value: self.0.clone(),
            version: SecretVersion("1".to_owned()),
        };
        ready(Ok(Some(secret))).boxed()
    }

    fn put<'a>(
        &'a self,
        _name: &'a str,
        _value: &'a str,
        _expected: Option<&'a SecretVersion>,
    ) -> BoxFuture<'a, Result<SecretVersion, SecretError>> {
        ready(Err(SecretError::Conflict)).boxed()
    }

    #[cfg(feature = "worker")]
    fn remove<'a>(&'a self, _name: &'a str) -> BoxFuture<'a, Result<(), SecretError>> {
        ready(Ok(())).boxed()
    }

    fn names<'a>(&'a self, _prefix: &'a str) -> BoxFuture<'a, Result<Vec<String>, SecretError>> {
        ready(Ok(Vec::new())).boxed()
    }
}
