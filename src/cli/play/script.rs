//! Scripts of requests, as data.
//!
//! A script is JSON:
//! ```json
//! {"provider": "Okta", "protocol": "2.0", "headers": {"Content-Type": "application/scim+json"},
//!  "steps": [{"does": "creates Ada", "method": "POST", "path": "/Users", "save": "ada",
//!             "body": {"userName": "ada-{{run}}@example.com"}},
//!            {"does": "finds Ada", "method": "GET", "path": "/Users?filter=id eq \"{{ada}}\"", "found": 1}]}
//! ```
//! `{{run}}` is a text that no other run has. `{{ada}}` is the id of what the step with `"save": "ada"` has
//! created. Paths are below the base URL of the protocol, and written without percent-encoding.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::super::provider_arg::ProviderArg;

/// The texts that placeholders stand for, by name.
pub(super) type Saved = BTreeMap<String, String>;

/// The text of a provider's script.
pub(super) fn text(provider: ProviderArg) -> &'static str {
    match provider {
        ProviderArg::Okta => include_str!("scripts/okta.json"),
        ProviderArg::Entra => include_str!("scripts/entra.json"),
        ProviderArg::OneLogin => include_str!("scripts/onelogin.json"),
        ProviderArg::Ping => include_str!("scripts/ping.json"),
        ProviderArg::JumpCloud => include_str!("scripts/jumpcloud.json"),
        ProviderArg::Google => include_str!("scripts/google.json"),
        ProviderArg::Scim11 => include_str!("scripts/scim11.json"),
    }
}

/// The requests of one identity provider.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Script {
    /// Its name for people.
    pub(super) provider: String,
    /// The protocol that it speaks.
    pub(super) protocol: Protocol,
    /// The headers of every request, besides the credential.
    pub(super) headers: BTreeMap<String, String>,
    /// The requests, in order.
    pub(super) steps: Vec<Step>,
}

/// A protocol of the service.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) enum Protocol {
    /// SCIM 2.0.
    #[serde(rename = "2.0")]
    V2,
    /// SCIM 1.1.
    #[serde(rename = "1.1")]
    V1,
}

/// One request. It has to succeed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    /// What the provider does, in words that follow its name.
    pub(super) does: String,
    /// The method.
    pub(super) method: String,
    /// The path and query, with placeholders.
    pub(super) path: String,
    /// The body, with placeholders.
    pub(super) body: Option<Value>,
    /// The name for the id of the resource that this creates.
    pub(super) save: Option<String>,
    /// The number of resources that this list must have.
    pub(super) found: Option<u64>,
}

impl Script {
    /// Reads one of the scripts of this folder.
    ///
    /// # Panics
    /// If it is not a script. A test reads all of them.
    pub(super) fn parse(text: &str) -> Self {
        serde_json::from_str(text).expect("a script of this folder")
    }

    /// The length of the longest text that says what a step does.
    pub(super) fn width(&self) -> usize {
        let lengths = self.steps.iter().map(|step| step.does.len());
        lengths.max().unwrap_or_default()
    }
}

/// `text` with its placeholders filled in.
pub(super) fn filled(text: &str, saved: &Saved) -> String {
    saved.iter().fold(text.to_owned(), |text, (name, value)| {
        text.replace(&format!("{{{{{name}}}}}"), value)
    })
}

/// `body` with the placeholders of all its texts filled in.
pub(super) fn filled_body(body: &Value, saved: &Saved) -> Value {
    match body {
        Value::String(text) => filled(text, saved).into(),
        Value::Array(values) => {
            let values = values.iter();
            values.map(|value| filled_body(value, saved)).collect()
        }
        Value::Object(members) => {
            let members = members.iter();
            members
                .map(|(name, value)| (name.clone(), filled_body(value, saved)))
                .collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => body.clone(),
    }
}

#[cfg(test)]
impl Script {
    /// Checks that every placeholder is known where it is used, and that steps have what their methods need.
    pub(super) fn check(&self) {
        let mut saved = Saved::from([("run".to_owned(), "x".to_owned())]);
        for step in &self.steps {
            let does = &step.does;
            let body = step.body.as_ref().map(|body| filled_body(body, &saved));
            let text = filled(&step.path, &saved) + &body.unwrap_or_default().to_string();
            assert!(!text.contains("{{"), "{does}: {text}");
            let has_body = ["POST", "PUT", "PATCH"].contains(&step.method.as_str());
            assert_eq!(step.body.is_some(), has_body, "{does}");
            assert_eq!(step.save.is_some(), step.method == "POST", "{does}");
            let is_search = step.path.contains("filter=");
            assert_eq!(step.found.is_some(), is_search, "{does}");
            if let Some(name) = &step.save {
                let before = saved.insert(name.clone(), "y".to_owned());
                assert_eq!(before, None, "{does}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn placeholders_are_filled_in_everywhere() {
        let saved =
            Saved::from([("ada", "1"), ("run", "r")].map(|(a, b)| (a.to_owned(), b.to_owned())));
        assert_eq!(
            filled("/Users/{{ada}}?x={{run}}&y={{ada}}", &saved),
            "/Users/1?x=r&y=1"
        );
        let body = json!({"a": ["{{ada}}", {"b": "{{run}}-{{eve}}"}], "c": true, "d": null});
        let expected = json!({"a": ["1", {"b": "r-{{eve}}"}], "c": true, "d": null});
        assert_eq!(filled_body(&body, &saved), expected);
    }
}
