//! What the administrator of an identity provider types where, so that it provisions a tenant.
//!
//! The guides are data, a file for each provider: screens in the order in which people meet them, and the fields of
//! each with their values. So whatever shows a guide says the same.
//!
//! It must not know who shows a guide, or how.

use serde::{Deserialize, Serialize};

/// The guide for one identity provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guide {
    /// The name of the provider, for people.
    pub provider: String,
    /// The version of SCIM that it speaks: `2.0` or `1.1`.
    pub protocol: String,
    /// The screens, in their order.
    pub steps: Vec<Step>,
    /// What else one should know.
    pub notes: Vec<String>,
}

/// What is to be done on one screen of the provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The way to the screen, in the words that it has there: `Provisioning > Integration > Edit`.
    #[serde(rename = "where")]
    pub screen: String,
    /// The fields with their values, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub enter: Vec<(String, String)>,
    /// What to do when all of them are entered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<String>,
}

/// What the guide says of one tenant.
#[derive(Debug, Clone)]
pub struct Values {
    /// The base URL of SCIM 2.0.
    pub base_url: String,
    /// The base URL of SCIM 1.1.
    pub v1_base_url: String,
    /// The token, or where it is to be had.
    pub token: String,
}

/// The texts of all guides, by the names of the providers in commands.
const GUIDES: [(&str, &str); 7] = [
    ("okta", include_str!("okta.json")),
    ("entra", include_str!("entra.json")),
    ("onelogin", include_str!("onelogin.json")),
    ("ping", include_str!("ping.json")),
    ("jumpcloud", include_str!("jumpcloud.json")),
    ("google", include_str!("google.json")),
    ("scim11", include_str!("scim11.json")),
];

impl Guide {
    /// The guide for the provider with this name, such as `okta`, with the values of a tenant. `None` if there is
    /// none of this name.
    #[must_use]
    pub fn of(provider: &str, values: &Values) -> Option<Self> {
        let (_, text) = GUIDES.iter().find(|(name, _)| *name == provider)?;
        let mut guide: Self = serde_json::from_str(text).expect("a test reads every guide");
        for step in &mut guide.steps {
            for (_, value) in &mut step.enter {
                *value = values.fill(value);
            }
            step.then = step.then.as_deref().map(|text| values.fill(text));
        }
        for note in &mut guide.notes {
            *note = values.fill(note);
        }
        Some(guide)
    }

    /// The names of the providers.
    pub fn providers() -> impl Iterator<Item = &'static str> {
        GUIDES.iter().map(|(name, _)| *name)
    }
}

impl Values {
    fn fill(&self, text: &str) -> String {
        text.replace("{baseUrl}", &self.base_url)
            .replace("{v1BaseUrl}", &self.v1_base_url)
            .replace("{token}", &self.token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_guide_names_the_url_and_the_token_and_leaves_no_placeholder() {
        let values = Values {
            base_url: "https://id.example.com/scim/v2".to_owned(),
            v1_base_url: "https://id.example.com/scim/v1".to_owned(),
            token: "scim_acme_1".to_owned(),
        };
        for provider in Guide::providers() {
            let guide = Guide::of(provider, &values).unwrap();
            let url = match guide.protocol.as_str() {
                "2.0" => &values.base_url,
                "1.1" => &values.v1_base_url,
                other => panic!("{provider}: {other}"),
            };
            let entered = |expected: &str| {
                let mut fields = guide.steps.iter().flat_map(|step| &step.enter);
                fields.any(|(_, value)| value.starts_with(expected))
            };
            assert!(entered(url) && entered(&values.token), "{provider}");
            let text = serde_json::to_string(&guide).unwrap();
            for placeholder in ["{baseUrl}", "{v1BaseUrl}", "{token}"] {
                assert!(!text.contains(placeholder), "{provider}: {placeholder}");
            }
        }
        assert_eq!(Guide::of("other", &values), None);
    }
}
