//! A store of secrets in memory, for the tests of this module. It counts reads and fails on demand.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::future::{BoxFuture, FutureExt};

use super::secrets::{Secret, SecretError, SecretStore, SecretVersion};

#[derive(Default)]
pub(super) struct TestSecrets {
    secrets: Mutex<BTreeMap<String, (u64, String)>>,
    reads: AtomicUsize,
    fails: AtomicBool,
}

impl TestSecrets {
    pub(super) fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }

    pub(super) fn fail(&self, fails: bool) {
        self.fails.store(fails, Ordering::SeqCst);
    }

    pub(super) fn value(&self, name: &str) -> String {
        self.secrets.lock().unwrap()[name].1.clone()
    }

    /// Lets other tasks run, as a call over the network would.
    async fn call(&self, name: &str) -> Result<(), SecretError> {
        tokio::task::yield_now().await;
        if self.fails.load(Ordering::SeqCst) {
            return Err(SecretError::backend(name, "fails for a test"));
        }
        Ok(())
    }
}

impl SecretStore for TestSecrets {
    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Secret>, SecretError>> {
        async move {
            self.reads.fetch_add(1, Ordering::SeqCst);
            self.call(name).await?;
            let secrets = self.secrets.lock().unwrap();
            Ok(secrets.get(name).map(|(version, value)| Secret {
                value: value.clone(),
                version: SecretVersion(version.to_string()),
            }))
        }
        .boxed()
    }

    fn put<'a>(
        &'a self,
        name: &'a str,
        value: &'a str,
        expected: Option<&'a SecretVersion>,
    ) -> BoxFuture<'a, Result<SecretVersion, SecretError>> {
        async move {
            self.call(name).await?;
            let mut secrets = self.secrets.lock().unwrap();
            let found = secrets.get(name).map(|(version, _)| *version);
            if found.map(|version| version.to_string()) != expected.map(|v| v.0.clone()) {
                return Err(SecretError::Conflict);
            }
            let version = found.map_or(1, |version| version + 1);
            secrets.insert(name.to_owned(), (version, value.to_owned()));
            Ok(SecretVersion(version.to_string()))
        }
        .boxed()
    }

    #[cfg(feature = "worker")]
    fn remove<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), SecretError>> {
        async move {
            self.call(name).await?;
            self.secrets.lock().unwrap().remove(name);
            Ok(())
        }
        .boxed()
    }

    fn names<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<String>, SecretError>> {
        async move {
            self.call(prefix).await?;
            let secrets = self.secrets.lock().unwrap();
            let names = secrets.keys().filter(|name| name.starts_with(prefix));
            Ok(names.cloned().collect())
        }
        .boxed()
    }
}
