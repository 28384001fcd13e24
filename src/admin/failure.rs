//! Why an operation was not done.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::protocol::error::{Error, ErrorKind};
use crate::store::StoreError;
use crate::tenant::SecretError;

/// Why an operation was not done: a code for programs, a text for people, and the causes for the log.
///
/// **Shape**: `{"code":"unknown","detail":"There is no tenant acme"}`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What a program can do about it.
    pub code: Code,
    /// What was wrong, where, and what is allowed.
    pub detail: String,
    /// What was behind it. Only the log has it, and the command of a person who could read the log.
    #[serde(skip)]
    pub causes: String,
}

/// The kinds of failures that a program can distinguish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// The request has a fault. Sent again, it is refused again.
    Invalid,
    /// What it names does not exist.
    Unknown,
    /// What it would make exists already, with other properties.
    Taken,
    /// The tenant is being deleted.
    Deleting,
    /// The name of the tenant was another tenant's a short time ago, and cannot be given again yet.
    NameRetired,
    /// The service is overloaded or out of reach. The same request may succeed later.
    Later,
    /// The service itself is at fault.
    Failed,
    /// It does not fit the present state, or the number of such things is at its limit. A code that only a later
    /// version has is read as this one: the detail says what it is.
    #[serde(other)]
    Refused,
}

impl Failure {
    /// A failure whose detail the caller reads.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            causes: String::new(),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            code: Code::of(error.kind()),
            detail: error.detail().to_owned(),
            causes: error.causes(),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Error::from(error).into()
    }
}

impl From<SecretError> for Failure {
    fn from(error: SecretError) -> Self {
        Error::from(error).into()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.detail)
    }
}

impl std::error::Error for Failure {}

impl Code {
    /// The code of a kind of error.
    #[must_use]
    pub fn of(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::NotFound => Self::Unknown,
            ErrorKind::Conflict | ErrorKind::Uniqueness | ErrorKind::TooMany => Self::Refused,
            ErrorKind::Unavailable | ErrorKind::TooManyRequests | ErrorKind::RequestTimeout => {
                Self::Later
            }
            ErrorKind::Internal | ErrorKind::NotImplemented => Self::Failed,
            _ => Self::Invalid,
        }
    }

    /// The code as text.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Unknown => "unknown",
            Self::Taken => "taken",
            Self::Deleting => "deleting",
            Self::NameRetired => "name-retired",
            Self::Later => "later",
            Self::Failed => "failed",
            Self::Refused => "refused",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn codes_are_written_as_their_text_and_later_ones_are_read_as_refused() {
        let codes = [
            Code::Invalid,
            Code::Unknown,
            Code::Taken,
            Code::Deleting,
            Code::NameRetired,
            Code::Later,
            Code::Failed,
            Code::Refused,
        ];
        for code in codes {
            assert_eq!(json!(code), code.as_str());
            let read: Code = serde_json::from_value(json!(code.as_str())).unwrap();
            assert_eq!(read, code);
        }
        let read: Code = serde_json::from_value(json!("too-hot")).unwrap();
        assert_eq!(read, Code::Refused);
    }

    #[test]
    fn causes_are_not_written() {
        let failure = Failure::from(Error::internal("the disk is full"));
        assert_eq!(failure.causes, "the disk is full");
        let expected =
            json!({"code": "failed", "detail": "The service failed to process the request"});
        assert_eq!(json!(failure), expected);
    }
}
