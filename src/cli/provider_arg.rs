//! The identity providers that commands know, as an argument.

use clap::ValueEnum;

/// The identity providers that commands know.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum ProviderArg {
    /// Okta: whole profiles by PUT, groups by PATCH; never deletes a user
    Okta,
    /// Entra ID: PATCH with an operation for each attribute, booleans as text
    Entra,
    /// OneLogin: bodies from a template, with names of SCIM 1.1
    #[value(name = "onelogin")]
    OneLogin,
    /// PingOne and PingFederate: users by PUT, several primary addresses
    Ping,
    /// JumpCloud: a test user and a test group before everything else
    #[value(name = "jumpcloud")]
    JumpCloud,
    /// Google Workspace: users only
    Google,
    /// A client of SCIM 1.1
    Scim11,
}

impl ProviderArg {
    /// The name by which it is given.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Okta => "okta",
            Self::Entra => "entra",
            Self::OneLogin => "onelogin",
            Self::Ping => "ping",
            Self::JumpCloud => "jumpcloud",
            Self::Google => "google",
            Self::Scim11 => "scim11",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guide::Guide;

    #[test]
    fn every_provider_has_a_guide_by_its_name() {
        let variants = ProviderArg::value_variants().iter();
        let names: Vec<_> = variants.clone().map(|variant| variant.name()).collect();
        assert_eq!(names, Guide::providers().collect::<Vec<_>>());
        for variant in variants {
            let value = variant.to_possible_value().unwrap();
            assert_eq!(value.get_name(), variant.name());
        }
    }
}
