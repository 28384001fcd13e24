//! The limits of a tenant on its users: of which domains their addresses are, and which of them no client
//! may deactivate or delete.
//!
//! Every version of the protocol and every bulk request is checked here, because all of them use the
//! provider's verbs.

use serde_json::{Map, Value};

use super::RequestScope;
use super::binding::USER;
use crate::protocol::error::{Error, Result};
use crate::protocol::schema::ResourceType;
use crate::store::{Occasion, StoreError, USER_PROTECTED};

/// The number of domains that a refusal names.
const NAMED_DOMAINS: usize = 10;
/// The sign of an address, and those that some programs take for it because Unicode calls them compatible.
const ADDRESS_SIGNS: [char; 3] = ['@', '\u{FF20}', '\u{FE6B}'];
/// What a program may take for the end of an address, a comment, a quote or a route. An address with such a
/// sign is not the same for every program that reads it.
const AMBIGUOUS: &str = ",;:<>()[]\\\"%!";
/// The longest label of a domain, in bytes (RFC 1035 §2.3.4). To decode Punycode takes time in the square of
/// its length.
const MAX_LABEL_BYTES: usize = 63;

/// What a request would do to a user that is protected from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Removal {
    Deactivation,
    Deletion,
}

/// Whether the limits are about resources of this type.
pub(super) fn is_user(resource_type: &ResourceType) -> bool {
    resource_type.name == USER
}

/// Checks that the addresses of a new user, or those that a change gives a user, are of the tenant's domains.
/// `before` is the user before the change. A change that leaves the addresses as they are is always allowed,
/// so that users from before the switch can be changed.
///
/// # Errors
/// `InvalidValue` naming the attribute and the domains.
pub(super) fn check_addresses(
    resource_type: &ResourceType,
    domains: &[String],
    before: Option<&Map<String, Value>>,
    after: &Map<String, Value>,
) -> Result<()> {
    if domains.is_empty() || !is_user(resource_type) {
        return Ok(());
    }
    let found = addresses(after);
    if before.is_some_and(|before| addresses(before) == found) {
        return Ok(());
    }
    let allowed: Vec<String> = domains.iter().map(|domain| canonical(domain)).collect();
    let is_allowed = |address: &str| {
        let domain = domain_of(address).map(canonical);
        domain.is_some_and(|domain| allowed.contains(&domain))
    };
    let mut others = found.iter().filter(|(_, address)| !is_allowed(address));
    match (found.is_empty(), others.next()) {
        (true, _) => Err(Error::invalid_value(format!(
            "The user has no address; `userName` or the primary e-mail address must be of {}",
            listed(domains)
        ))),
        (false, Some((attribute, _))) => Err(Error::invalid_value(format!(
            "`{attribute}` must be an address of {}",
            listed(domains)
        ))),
        (false, None) => Ok(()),
    }
}

/// The addresses by which an application may take a user for someone, each with its attribute: the
/// `userName` if it is an address, and the primary e-mail address. Of several addresses without a primary
/// one, each may be taken for it.
fn addresses(body: &Map<String, Value>) -> Vec<(&'static str, &str)> {
    let user_name = body.get("userName").and_then(Value::as_str);
    let user_name = user_name.filter(|name| name.contains(ADDRESS_SIGNS));
    let emails = body.get("emails").and_then(Value::as_array);
    let emails = emails.map_or(&[][..], Vec::as_slice);
    let is_primary = |email: &&Value| email.get("primary") == Some(&Value::Bool(true));
    let has_primary = emails.iter().any(|email| is_primary(&email));
    let emails = emails
        .iter()
        .filter(|email| !has_primary || is_primary(email))
        .filter_map(|email| email.get("value")?.as_str());
    let user_name = user_name.map(|name| ("userName", name));
    let emails = emails.map(|email| ("emails.value", email));
    user_name.into_iter().chain(emails).collect()
}

/// The domain of a text that every program reads as the same single address; `None` for any other text.
fn domain_of(address: &str) -> Option<&str> {
    let (local, domain) = address.split_once('@')?;
    let is_ambiguous = |c: char| c.is_control() || c.is_whitespace() || AMBIGUOUS.contains(c);
    let is_single =
        !local.is_empty() && !address.contains(is_ambiguous) && !local.contains(ADDRESS_SIGNS);
    (is_single && !domain.contains(ADDRESS_SIGNS)).then_some(domain)
}

/// A domain in the form in which domains are compared: in lower case, with Unicode for the labels in
/// Punycode (RFC 5890 §2.3.2.1). Case is lowered and not folded, because `straße` and `strasse` are two
/// domains.
fn canonical(domain: &str) -> String {
    let domain = domain.to_lowercase();
    let labels = domain.strip_suffix('.').unwrap_or(&domain).split('.');
    let labels = labels.map(|label| {
        let unicode = label.strip_prefix("xn--");
        let unicode = unicode.filter(|_| label.len() <= MAX_LABEL_BYTES);
        let unicode = unicode.and_then(idna::punycode::decode_to_string);
        // A label in Punycode that needs none is another label, which has another owner.
        let unicode = unicode.filter(|unicode| !unicode.is_ascii());
        unicode.unwrap_or_else(|| label.to_owned())
    });
    labels.collect::<Vec<_>>().join(".")
}

/// The domains for people, the first of them if there are many.
fn listed(domains: &[String]) -> String {
    let first: Vec<&str> = domains
        .iter()
        .take(NAMED_DOMAINS)
        .map(String::as_str)
        .collect();
    match domains.len().saturating_sub(NAMED_DOMAINS) {
        0 => first.join(", "),
        more => format!("{} or {more} more domains", first.join(", ")),
    }
}

/// Checks that the tenant lets clients take this user's access away. If it does not, the feed reports the
/// attempt, once an hour.
///
/// # Errors
/// `Forbidden`.
pub(super) async fn check_removal(
    scope: &RequestScope,
    resource_type: &ResourceType,
    id: &str,
    removal: Removal,
) -> Result<()> {
    let protected = &scope.tenant.rules.switches.protected_users;
    if !is_user(resource_type) || !protected.iter().any(|other| other == id) {
        return Ok(());
    }
    let (what, refused) = match removal {
        Removal::Deactivation => ("deactivation", "deactivated"),
        Removal::Deletion => ("deletion", "deleted"),
    };
    let occasion = Occasion {
        event: USER_PROTECTED,
        type_name: &resource_type.name,
        id,
        what,
    };
    match scope.store.occasions().note(&occasion).await {
        Ok(_) => {}
        // The request is refused with or without the report, and the client's next attempt reports it.
        Err(error) => note_failure(error),
    }
    Err(Error::forbidden(format!(
        "This user is protected by the application: it cannot be {refused} by provisioning. Leave it in the \
         provisioning scope, or ask the application's administrators to change its protection"
    )))
}

fn note_failure(error: StoreError) {
    let cause = Error::from(error).causes();
    tracing::warn!(cause, "could not report that a protected user was kept");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::protocol::schema::Registry;

    fn checked(domains: &[&str], before: Option<&Value>, after: &Value) -> Result<()> {
        let domains: Vec<String> = domains.iter().map(|text| (*text).to_owned()).collect();
        let users = Registry::builtin().resource_type(USER).unwrap();
        let before = before.map(|body| body.as_object().unwrap());
        check_addresses(users, &domains, before, after.as_object().unwrap())
    }

    fn user(name: &str, emails: &[(&str, bool)]) -> Value {
        let emails = emails.iter().map(|(value, is_primary)| match is_primary {
            true => json!({"value": value, "primary": true}),
            false => json!({"value": value}),
        });
        json!({"userName": name, "emails": emails.collect::<Vec<_>>()})
    }

    #[test]
    fn every_address_that_may_name_a_user_has_to_be_of_the_domains() {
        fn check(name: &str, emails: &[(&str, bool)], refused: Option<&str>) {
            let checked = checked(&["example.com", "example.org"], None, &user(name, emails));
            let said = checked.map_err(|error| error.detail().to_owned());
            let expected = match refused {
                None => Ok(()),
                Some("") => Err(
                    "The user has no address; `userName` or the primary e-mail address \
                                 must be of example.com, example.org"
                        .to_owned(),
                ),
                Some(name) => Err(format!(
                    "`{name}` must be an address of example.com, example.org"
                )),
            };
            assert_eq!(said, expected, "{name} {emails:?}");
        }
        check("ada@example.com", &[], None);
        check("ada@EXAMPLE.org", &[("ada@example.com.", true)], None);
        check(
            "ada",
            &[("ada@example.com", true), ("ada@home.net", false)],
            None,
        );
        check("ada", &[("ada@example.com", false)], None);
        check("ada", &[], Some(""));
        check(
            "ada@home.net",
            &[("ada@example.com", true)],
            Some("userName"),
        );
        check(
            "ada@example.com",
            &[("ada@home.net", true)],
            Some("emails.value"),
        );
        // No address is the primary one, so each may be.
        let both = [("ada@example.com", false), ("ada@home.net", false)];
        check("ada", &both, Some("emails.value"));
        check("ada", &[("ada", true)], Some("emails.value"));
        // Neither sub-domains nor domains that end alike are the domain.
        for other in [
            "a.example.com",
            "badexample.com",
            "example.com.evil.net",
            "",
        ] {
            check(&format!("ada@{other}"), &[], Some("userName"));
        }
    }

    #[test]
    fn only_one_address_that_every_program_reads_alike_is_of_a_domain() {
        fn check(text: &str, is_allowed: bool) {
            let primary = user("ada", &[(text, true)]);
            for (attribute, user) in [("userName", user(text, &[])), ("emails.value", primary)] {
                let checked = checked(&["example.com"], None, &user);
                assert_eq!(checked.is_ok(), is_allowed, "{attribute} {text:?}");
            }
        }
        for address in [
            "ada@example.com",
            "o'hara+x_y-z@example.com",
            "ädä@example.com.",
        ] {
            check(address, true);
        }
        for other in [
            "a@evil.net, b@example.com",
            "<a@evil.net> b@example.com",
            "a@evil.net@example.com",
            "ada@example.com@evil.net",
            "\"a@evil.net\"@example.com",
            "a%evil.net@example.com",
            "evil.net!a@example.com",
            "a@evil.net\n@example.com",
            "victim＠evil.net",
            "victim﹫evil.net",
            "victim＠evil.net@example.com",
            "victim﹫evil.net@example.com",
            "a@example.com＠evil.net",
        ] {
            check(other, false);
        }
        for other in ["@example.com", " @example.com", "\u{a0}@example.com", "@"] {
            check(other, false);
        }
        for sign in AMBIGUOUS.chars().chain(" \t\r\n\0\u{85}\u{2028}".chars()) {
            check(&format!("a{sign}b@example.com"), false);
            check(&format!("a@example.com{sign}"), false);
        }
    }

    #[test]
    fn a_domain_is_the_same_in_unicode_and_in_punycode() {
        fn check(allowed: &str, address: &str, is_allowed: bool) {
            let checked = checked(&[allowed], None, &user(address, &[]));
            assert_eq!(checked.is_ok(), is_allowed, "{allowed} {address}");
        }
        check("bücher.example", "ada@xn--bcher-kva.example", true);
        check("xn--bcher-kva.example", "ada@BÜCHER.example", true);
        check("XN--BCHER-KVA.example", "ada@bücher.example", true);
        check("straße.example", "ada@xn--strae-oqa.example", true);
        check("straße.example", "ada@strasse.example", false);
        check("strasse.example", "ada@straße.example", false);
        check("bücher.example", "ada@xn--bcher-kvb.example", false);
        // What needs no Punycode is another label than without it.
        check("example.com", "a@xn--example-.com", false);
        // What is no Punycode is compared as it is.
        check("a.example", "ada@xn--a.xn--999999999.example", false);
    }

    #[test]
    fn a_long_label_is_not_decoded() {
        // Decoded, this takes longer than any test may.
        let long = format!("a@xn--{}.example", "a".repeat(4_000_000));
        assert!(checked(&["a.example"], None, &user(&long, &[])).is_err());
    }

    #[test]
    fn addresses_that_stay_are_not_checked() {
        let old = user("ada@home.net", &[("ada@example.com", true)]);
        let mut new = old.clone();
        new["title"] = json!("Guide");
        let domains = ["example.com"];
        assert!(checked(&domains, Some(&old), &new).is_ok());
        new["userName"] = json!("ada@elsewhere.net");
        assert!(checked(&domains, Some(&old), &new).is_err());
        new["userName"] = json!("ada@example.com");
        assert!(checked(&domains, Some(&old), &new).is_ok());
        new["emails"] =
            json!([{"value": "ada@example.com"}, {"value": "ada@home.net", "primary": true}]);
        assert!(checked(&domains, Some(&old), &new).is_err());
        // Another address than the primary one may be any.
        let kept = user(
            "ada@home.net",
            &[("ada@example.com", true), ("a@b.net", false)],
        );
        assert!(checked(&domains, Some(&old), &kept).is_ok());
    }

    #[test]
    fn without_domains_and_for_other_types_any_address_is_allowed() {
        assert!(checked(&[], None, &user("ada@home.net", &[])).is_ok());
        let groups = Registry::builtin().resource_type("Group").unwrap();
        let body = json!({"displayName": "Guides"});
        let domains = ["example.com".to_owned()];
        assert!(check_addresses(groups, &domains, None, body.as_object().unwrap()).is_ok());
    }

    #[test]
    fn a_refusal_names_ten_domains() {
        let domains: Vec<String> = (0..12).map(|number| format!("{number}.example")).collect();
        let named = listed(&domains);
        assert!(named.ends_with(", 9.example or 2 more domains"), "{named}");
    }
}
