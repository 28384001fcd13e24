//! The interface of places where secrets are stored.
//!
//! A [`SecretStore`] holds named texts with compare-and-set. It must not know what the texts mean.

use std::fmt;

use futures_util::future::BoxFuture;

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
