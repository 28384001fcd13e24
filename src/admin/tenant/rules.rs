//! `tenant.set`, and a tenant's profile and switches as arguments.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::admin::{About, Admin, Asked, Code, Failure, Operation};
use crate::identity::TenantId;
use crate::protocol::error::{Error, excerpt};
use crate::protocol::profile::{Profile, Rules, Switches};
use crate::protocol::switch::{self, Switch};
use crate::store::SeatState;

/// Asks to change a tenant's profile, or some of its switches.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetTenant {
    /// The tenant.
    pub tenant: TenantId,
    /// The profile by which requests are read from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
    /// The switches to change, by their names. The others stay.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub switches: Map<String, Value>,
}

/// The answer of `tenant.set`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TenantRules {
    /// The tenant.
    pub tenant: TenantId,
    /// The profile by which its requests are read.
    pub profile: Profile,
    /// All switches, those too that were not changed.
    pub switches: Map<String, Value>,
    /// What has to be done now, for people.
    pub notes: Vec<String>,
}

impl Operation for SetTenant {
    const NAME: &'static str = "tenant.set";
    type Answer = TenantRules;

    fn about(&self) -> About<'_> {
        About::tenant(&self.tenant)
    }

    async fn perform(&self, admin: &Admin, _: &Asked) -> Result<TenantRules, Failure> {
        if self.profile.is_none() && self.switches.is_empty() {
            return Err(Failure::new(
                Code::Invalid,
                "There is nothing to set: `profile` and `switches` are missing",
            ));
        }
        // The faults of the arguments come before those of the tenant.
        changed_rules(&Rules::default(), self.profile, &self.switches)?;
        admin.check_kept(&self.tenant).await?;
        let before = admin.provider.rules(&self.tenant).await?;
        let rules = changed_rules(&before, self.profile, &self.switches)?;
        let mut notes = Vec::new();
        if rules != before {
            let turned = admin.provider.set_rules(&self.tenant, &rules).await?;
            if !turned.is_empty() {
                notes.push(
                    "The index on meta.lastModified is not used until it is rebuilt: wait two minutes, then \
                     run scim doctor --repair"
                        .to_owned(),
                );
            }
        }
        let seats = admin.provider.seats(&self.tenant).await?;
        if seats.is_some_and(|seats| seats.state == SeatState::Counting) {
            notes.push(
                "maxActiveUsers is not enforced until the active users are counted: wait two minutes, then run \
                 scim doctor --repair"
                    .to_owned(),
            );
        }
        Ok(TenantRules {
            tenant: self.tenant.clone(),
            profile: rules.profile,
            switches: shown(&rules.switches)?,
            notes,
        })
    }
}

/// All switches by their names.
pub(super) fn shown(switches: &Switches) -> Result<Map<String, Value>, Failure> {
    match serde_json::to_value(switches).map_err(Error::internal)? {
        Value::Object(switches) => Ok(switches),
        _ => Err(Error::internal("switches are no object").into()),
    }
}

/// The rules with a profile, if it is given, and with these switches.
///
/// # Errors
/// `InvalidValue` with the switch that does not exist or takes no such value.
pub fn changed_rules(
    rules: &Rules,
    profile: Option<Profile>,
    switches: &Map<String, Value>,
) -> Result<Rules, Error> {
    let mut changed = rules.clone();
    changed.profile = profile.unwrap_or(rules.profile);
    for (name, value) in switches {
        changed.switches = with_switch(&changed.switches, name, value)?;
    }
    // After all of them: what one switch takes may depend on another one.
    switch::check(&changed.switches)?;
    Ok(changed)
}

/// The switches with one changed.
///
/// The name of a choice may look like a number (`204`), so a value that is refused is tried as text too.
fn with_switch(switches: &Switches, name: &str, value: &Value) -> Result<Switches, Error> {
    let set = |new: Value| -> Result<Switches, serde_json::Error> {
        let mut all = serde_json::to_value(switches)?;
        all[name] = new;
        serde_json::from_value(all)
    };
    let changed = set(value.clone()).or_else(|error| match value {
        Value::Number(_) | Value::Bool(_) => set(Value::from(value.to_string())),
        _ => Err(error),
    });
    changed.map_err(|_| match Switch::named(name) {
        None => Error::invalid_value(format!(
            "There is no switch {}; the README lists those that exist",
            excerpt(name)
        )),
        // The error of serde lists some of the values; the table has all of them.
        Some(switch) => Error::invalid_value(format!(
            "Switch {name}={}: it takes {}",
            plain(value),
            switch.range
        )),
    })
}

/// A value as a person would type it.
fn plain(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    excerpt(&text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn with(switches: &Value) -> Result<Rules, String> {
        let switches = switches.as_object().unwrap();
        changed_rules(&Rules::default(), None, switches).map_err(|error| error.detail().to_owned())
    }

    #[test]
    fn switches_take_values_of_their_kind() {
        let rules =
            with(&json!({"uniqueGroupDisplayName": true, "groupPatchAnswers": 204, "maxCount": 7}));
        let switches = rules.unwrap().switches;
        assert!(switches.unique_group_display_name);
        assert_eq!(switches.max_count, 7);
        assert_eq!(json!(switches.group_patch_answers), "204");
    }

    #[test]
    fn a_fault_names_the_switch_and_what_it_takes() {
        for (switches, expected) in [
            (
                json!({"maxCount": -5}),
                "Switch maxCount=-5: it takes 1 to 10,000",
            ),
            (json!({"maxCount": 0}), "1 to 10,000"),
            (
                json!({"maxCount": null}),
                "Switch maxCount=null: it takes 1 to 10,000",
            ),
            (
                json!({"brake": "stop"}),
                "Switch brake=stop: it takes `off`, `warn`, `hold`",
            ),
            (json!({"colour": "blue"}), "There is no switch colour;"),
        ] {
            let fault = with(&switches).unwrap_err();
            assert!(fault.contains(expected), "{fault}");
        }
    }
}
