//! Passwords, which are never part of the body.

use std::fmt;

use precis_core::profile::PrecisFastInvocation;
use precis_profiles::OpaqueString;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::schema::{Attribute, Mutability};

/// A client's password, prepared as RFC 8265 §4.2 (OpaqueString) demands. Its debug form hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// Prepares a password.
    ///
    /// # Errors
    /// `InvalidValue` when it is empty or holds a character that passwords may not hold.
    pub fn prepare(text: &str) -> Result<Self> {
        match OpaqueString::enforce(text) {
            Ok(prepared) => Ok(Self(prepared.into_owned())),
            // The cause may quote the password, so it is dropped.
            Err(_) => Err(Error::invalid_value(
                "`password` is empty or holds a control or unassigned character (RFC 8265 section 4.2)",
            )),
        }
    }

    /// The text, to be hashed or compared.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// The change of a resource's password by a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PasswordChange {
    /// The resource gets this password.
    Set(Password),
    /// The resource has no password any more.
    Clear,
}

impl PasswordChange {
    /// Reads the value of `password`, which is canonical or unassigned.
    pub(crate) fn read(value: Option<Value>) -> Result<Self> {
        match value {
            Some(Value::String(text)) => Password::prepare(&text).map(Self::Set),
            _ => Ok(Self::Clear),
        }
    }
}

/// Whether the attribute is the password, which is never part of a body.
pub(crate) fn is_password(attribute: &Attribute) -> bool {
    attribute.mutability == Mutability::WriteOnly && attribute.name == "password"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_prepared_and_never_shown() {
        let password = Password::prepare("e\u{301}\u{3000}x").unwrap();
        assert_eq!(password.as_str(), "\u{e9} x");
        assert_eq!(
            format!("{:?}", PasswordChange::Set(password)),
            "Set(Password(…))"
        );
        for bad in ["", "a\u{0}b", "a\nb"] {
            assert!(Password::prepare(bad).is_err(), "{bad:?}");
        }
    }
}
