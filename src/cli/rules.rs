//! A tenant's profile and switches as arguments.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value};

use super::CommandError;
use crate::admin::tenant::{CreateTenant, changed_rules};
use crate::admin::{Asked, Failure, Operation as _};
use crate::identity::{Cause, CauseKind, TenantId};
use crate::outgoing::Reach;
use crate::protocol::Error;
use crate::protocol::profile::{Profile, Rules};
use crate::protocol::switch::{Switch, SwitchValues};
use crate::stack::Stack;
use crate::store::{Meter, SeatState, TenantStore};

/// The time that a command may wait for the table.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// The changes to a tenant's rules.
#[derive(Debug, Default, Args)]
pub(super) struct RuleArgs {
    /// Read requests by this profile: default, strict or interop
    #[arg(long = "rules", alias = "profile", value_name = "PROFILE", value_parser = profile)]
    profile: Option<Profile>,
    /// Change one switch on top of the profile, such as groupPatchAnswers=204
    #[arg(long = "set", value_name = "SWITCH=VALUE")]
    switches: Vec<String>,
}

impl RuleArgs {
    /// Whether there are no changes.
    pub(super) fn is_empty(&self) -> bool {
        self.profile.is_none() && self.switches.is_empty()
    }

    /// Changes the rules of a tenant that is in use, if there is anything to change.
    pub(super) async fn change(
        &self,
        stack: &Stack,
        tenant: &TenantId,
    ) -> Result<(), CommandError> {
        if self.is_empty() {
            return Ok(());
        }
        let changed = self.changed(&read(stack, tenant).await?)?;
        let service = stack.service();
        let turned = service.provider.set_rules(tenant, &changed).await?;
        let seats = service.provider.seats(tenant).await?;
        if seats.is_some_and(|seats| seats.state == SeatState::Counting) {
            eprintln!(
                "Wait two minutes, then run scim doctor --repair: until then, maxActiveUsers is not enforced"
            );
        }
        if !turned.is_empty() {
            eprintln!(
                "Wait two minutes, then run scim doctor --repair: until then, the index on meta.lastModified \
                 is not used"
            );
        }
        Ok(())
    }

    /// Creates a tenant with these rules. False if there is one already, with the same rules.
    ///
    /// # Errors
    /// `Taken` for one with other rules, and the other failures of the operation.
    pub(super) async fn create(&self, stack: &Stack, tenant: &TenantId) -> Result<bool, Failure> {
        let create = CreateTenant {
            tenant: tenant.clone(),
            profile: self.profile,
            switches: self.values()?,
        };
        let admin = stack.admin(Reach::Public, Arc::new(stack.provider()));
        let created = create.perform(&admin, &Asked::by_command()).await?;
        Ok(!created.existed)
    }

    /// The changes as an operation takes them: the profile, and the switches by their names. They are checked by
    /// themselves, before anything is asked.
    pub(super) fn asked(&self) -> Result<(Option<Profile>, Map<String, Value>), CommandError> {
        self.check()?;
        Ok((self.profile, self.values()?))
    }

    /// The switches by their names. A value is read as JSON, or as text if it is not JSON.
    fn values(&self) -> Result<Map<String, Value>, Error> {
        let value = |switch: &String| {
            let (name, value) = switch
                .split_once('=')
                .ok_or_else(|| Error::invalid_value(format!("`{switch}` is not SWITCH=VALUE")))?;
            let json = serde_json::from_str(value).unwrap_or_else(|_| as_text(name, value));
            Ok((name.to_owned(), json))
        };
        self.switches.iter().map(value).collect()
    }

    /// Checks the arguments by themselves, before anything is done.
    pub(super) fn check(&self) -> Result<(), CommandError> {
        self.changed(&Rules::default()).map(drop)
    }

    fn changed(&self, rules: &Rules) -> Result<Rules, CommandError> {
        let switches = self.values();
        let changed = switches.and_then(|it| changed_rules(rules, self.profile, &it));
        changed.map_err(|error| CommandError::usage(error.detail()))
    }
}

/// The tenant's rules as they are kept.
pub(super) async fn read(stack: &Stack, tenant: &TenantId) -> Result<Rules, CommandError> {
    let config = tenant_store(stack, tenant).configuration().read().await;
    Ok(config.map_err(Error::from)?.rules)
}

/// The tenant's part of the table, for one call.
pub(super) fn tenant_store(stack: &Stack, tenant: &TenantId) -> TenantStore {
    let cause = Cause::without_credential(CauseKind::Command);
    stack
        .store
        .for_tenant(tenant, cause, Meter::default(), MAX_WAIT)
}

/// A value that is no JSON: a text, or the texts of a list between commas.
fn as_text(name: &str, value: &str) -> Value {
    match Switch::named(name).map(|switch| switch.range) {
        Some(SwitchValues::List(..)) => {
            let texts = value.split(',').map(str::trim);
            let texts: Vec<&str> = texts.filter(|text| !text.is_empty()).collect();
            match texts.is_empty() && !value.is_empty() {
                // Only an empty value empties a list. Commas alone are a slip that would lift a limit, so
                // they are kept, and refused as a text of the list.
                true => vec![value].into(),
                false => texts.into(),
            }
        }
        _ => Value::from(value),
    }
}

fn profile(text: &str) -> Result<Profile, String> {
    serde_json::from_value(Value::from(text)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::profile::GroupPatchAnswers;

    fn changed(switches: &[&str]) -> Result<Rules, CommandError> {
        let switches = switches.iter().map(|&switch| switch.to_owned()).collect();
        RuleArgs {
            profile: None,
            switches,
        }
        .changed(&Rules::default())
    }

    #[test]
    fn switches_take_values_of_their_kind() {
        let given = [
            "uniqueGroupDisplayName=true",
            "groupPatchAnswers=204",
            "maxCount=7",
        ];
        let switches = changed(&given).unwrap().switches;
        assert!(switches.unique_group_display_name);
        assert_eq!(switches.group_patch_answers, GroupPatchAnswers::NoContent);
        assert_eq!(switches.max_count, 7);
    }

    #[test]
    fn a_list_is_given_between_commas_or_as_json() {
        let listed = |value: &str| {
            let given = format!("emailDomains={value}");
            changed(&[&given]).map(|rules| rules.switches.email_domains)
        };
        let both = ["example.com", "example.org"];
        assert_eq!(listed("example.com,example.org").unwrap(), both);
        assert_eq!(listed("example.com, example.org,").unwrap(), both);
        assert_eq!(listed(r#"["example.com","example.org"]"#).unwrap(), both);
        assert_eq!(listed("").unwrap(), [""; 0]);
        let asked = RuleArgs {
            profile: None,
            switches: vec!["emailDomains=example.com,example.org".to_owned()],
        };
        let values = asked.values().unwrap();
        assert_eq!(values["emailDomains"], Value::from(&both[..]));
        for slip in [",", " , ", " "] {
            let failure = listed(slip).unwrap_err().to_string();
            assert!(failure.ends_with(&format!("not `{slip}`")), "{failure}");
        }
        let failure = listed("example.com,ada@example.com").unwrap_err();
        assert_eq!(
            failure.to_string(),
            "The switch emailDomains takes domains such as `example.com`, not `ada@example.com`"
        );
    }

    #[test]
    fn an_unknown_switch_is_named() {
        fn check(switch: &str) {
            let failure = changed(&[switch]).unwrap_err();
            let name = switch.split('=').next().unwrap();
            assert!(failure.to_string().contains(name), "{failure}");
        }
        check("colour=blue");
        check("maxCount=many");
        check("maxCount");
    }

    #[test]
    fn a_value_of_another_kind_is_refused_with_the_range_once() {
        let failure = changed(&["maxCount=-5"]).unwrap_err();
        assert_eq!(
            failure.to_string(),
            "Switch maxCount=-5: it takes 1 to 10,000"
        );
        let failure = changed(&["brake=stop"]).unwrap_err();
        assert_eq!(
            failure.to_string(),
            "Switch brake=stop: it takes `off`, `warn`, `hold`"
        );
    }

    #[test]
    fn a_number_out_of_range_is_refused_with_the_range() {
        fn check(switch: &str, range: &str) {
            let failure = changed(&[switch]).unwrap_err();
            let name = switch.split('=').next().unwrap();
            assert!(failure.to_string().contains(name), "{failure}");
            assert!(failure.to_string().contains(range), "{failure}");
        }
        check("maxCount=0", "1 to 10,000");
        check("maxCount=5000000000", "1 to 10,000");
        check("defaultCount=10001", "1 to 10,000");
        check("inlineMemberCap=0", "1 to 20,000");
        check("bulkMaxOperations=0", "1 to 1,000");
        check("bulkMaxPayloadSize=4194305", "1,024 to 4,194,304");
        check("passwords=keep", "`discard`, `hash`");
        check("basic=yes", "`true`, `false`");
        assert!(changed(&["maxCount=10000", "defaultCount=1"]).is_ok());
    }

    #[test]
    fn profiles_go_by_their_names() {
        assert_eq!(profile("strict"), Ok(Profile::Strict));
        assert!(profile("lax").is_err());
    }
}
