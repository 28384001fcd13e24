//! The interface of places where secrets are stored.
//!
//! A [`SecretStore`] holds named texts with compare-and-set. It must not know what the texts mean.

use std::fmt;

use futures_util::future::{BoxFuture, FutureExt, ready};

use crate::protocol::error::{BoxError, Error};

/// Named secrets with compare-and-set.
pub trait SecretStore: Send + Sync {
    /// Reads the secret called `name`, `None` if there is none.
    ///
    /// # Errors
    /// `Malformed` if it is not text, `Backend` if the place is out of reach.
    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Secret>, SecretError>>;

    /// Writes the secret called `name` if it still has the version `expected`, or does not exist
    /// yet if that is `None`.
    ///
    /// # Errors
    /// `Conflict` if it has another version, `Backend` if the place is out of reach.
    fn put<'a>(
        &'a self,
        name: &'a str,
        value: &'a str,
        expected: Option<&'a SecretVersion>,
    ) -> BoxFuture<'a, Result<SecretVersion, SecretError>>;

    /// Removes the secret called `name` with all its versions. If there is none, nothing happens.
    ///
    /// The HTTP function removes no secrets, and is smaller without it.
    ///
    /// # Errors
    /// `Backend` if the place is out of reach.
    #[cfg(feature = "worker")]
    fn remove<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), SecretError>>;

    /// The names of all secrets whose names begin with `prefix`, in no particular order.
    ///
    /// # Errors
    /// `Backend` if the place is out of reach.
    fn names<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<String>, SecretError>>;
}

/// A store whose secrets are read and never changed: every change fails.
///
/// A process that has no need to change secrets cannot do so through this store, whatever its role allows. Its
/// binary also does not have the code for it, which is the larger part of the client of Secrets Manager.
#[derive(Debug)]
pub struct ReadOnly<S>(pub S);

impl<S: SecretStore> SecretStore for ReadOnly<S> {
    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Secret>, SecretError>> {
        self.0.get(name)
    }

    fn put<'a>(
        &'a self,
        name: &'a str,
        _value: &'a str,
        _expected: Option<&'a SecretVersion>,
    ) -> BoxFuture<'a, Result<SecretVersion, SecretError>> {
        ready(Err(refused(name))).boxed()
    }

    #[cfg(feature = "worker")]
    fn remove<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), SecretError>> {
        ready(Err(refused(name))).boxed()
    }

    fn names<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<String>, SecretError>> {
        ready(Err(refused(prefix))).boxed()
    }
}

fn refused(name: &str) -> SecretError {
    SecretError::backend(
        name,
        "this process only reads secrets that it knows by name",
    )
}

/// A secret as it was read.
#[derive(Clone)]
pub struct Secret {
    /// The text.
    pub value: String,
    /// The version, which a replacement has to name.
    pub version: SecretVersion,
}

/// The version of a secret. Versions can only be compared for equality.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretVersion(pub(super) String);

/// Why a secret could not be read or written.
#[derive(Debug)]
pub enum SecretError {
    /// The secret was changed since it was read, or exists already.
    Conflict,
    /// The content of the secret cannot be read.
    Malformed {
        /// The secret's name, or the file it is in.
        name: String,
        /// The fault, without any part of the content.
        source: BoxError,
    },
    /// The place is out of reach or refused the call.
    Backend {
        /// The secret's name, or the file it is in.
        name: String,
        /// The error of the place.
        source: BoxError,
    },
}

impl SecretError {
    pub(super) fn malformed(name: impl Into<String>, source: impl Into<BoxError>) -> Self {
        Self::Malformed {
            name: name.into(),
            source: source.into(),
        }
    }

    pub(super) fn backend(name: impl Into<String>, source: impl Into<BoxError>) -> Self {
        Self::Backend {
            name: name.into(),
            source: source.into(),
        }
    }
}

impl From<SecretError> for Error {
    fn from(error: SecretError) -> Self {
        match error {
            SecretError::Conflict => {
                Self::unavailable("Another process changed the secret at the same time; try again")
            }
            SecretError::Malformed { .. } => Self::internal(error),
            SecretError::Backend { .. } => {
                Self::unavailable("Credentials cannot be read or written at the moment")
                    .with_source(error)
            }
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({:?}, ..)", self.version)
    }
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict => f.write_str("the secret was changed meanwhile or exists already"),
            Self::Malformed { name, .. } => write!(f, "the secret {name} is malformed"),
            Self::Backend { name, .. } => write!(f, "the secret {name} is out of reach"),
        }
    }
}

impl std::error::Error for SecretError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Conflict => None,
            Self::Malformed { source, .. } | Self::Backend { source, .. } => Some(source.as_ref()),
        }
    }
}

/// An error with the position of the fault in JSON. The parser's own text is dropped, because it may
/// quote the secret.
pub(super) fn broken_json(error: &serde_json::Error) -> BoxError {
    let (line, column) = (error.line(), error.column());
    format!("unexpected JSON at line {line} column {column}").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenant::test_secrets::TestSecrets;

    #[tokio::test]
    async fn a_store_that_is_only_read_refuses_every_change() {
        let secrets = TestSecrets::default();
        let version = secrets.put("a", "1", None).await.unwrap();
        let secrets = ReadOnly(secrets);
        assert!(secrets.put("a", "2", Some(&version)).await.is_err());
        assert!(secrets.put("b", "1", None).await.is_err());
        assert!(secrets.remove("a").await.is_err());
        assert!(secrets.names("").await.is_err());
        assert_eq!(secrets.get("a").await.unwrap().unwrap().value, "1");
        assert!(secrets.get("b").await.unwrap().is_none());
    }
}
