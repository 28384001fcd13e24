//! Users of the Ionic API without `userName`. SCIM requires it, but these clients know users by their
//! name in the directory, their e-mail address or their external id.

use serde_json::{Map, Value};

use super::request::TranslatedRequest;
use super::{Dialect, View, request};
use crate::error::{Error, ErrorKind, Result};
use crate::json;
use crate::profile::{Reading, Tolerance};
use crate::resource::value::is_unassigned;
use crate::urn;

/// The attribute that every user must have, and that is unique.
const USER_NAME: &str = "userName";

/// Translates the body of a POST. In the Ionic dialect a new user without `userName` gets one: its
/// `domainUpn`, else its first e-mail address, else its `externalId`.
///
/// # Errors
/// As [`request`](request::request).
pub fn new_resource(
    view: View<'_>,
    body: Map<String, Value>,
    reading: &mut Reading<'_>,
) -> Result<TranslatedRequest> {
    let mut request = request::request(view, body)?;
    let lacks_name = request.body.get(USER_NAME).is_none_or(is_missing);
    if may_lack_name(view) && lacks_name {
        let found = name_for(&request.body);
        let found = found.filter(|_| reading.tolerates(Tolerance::DerivedUserName));
        if let Some((from, name)) = found {
            request.body.insert(USER_NAME.to_owned(), name);
            request.name_from = Some(from);
        }
    }
    Ok(request)
}

/// Whether a change would clear `userName`, which clients of this dialect need not know. Such a change
/// leaves the name as it is.
pub(super) fn clears_name(
    view: View<'_>,
    attribute: &str,
    value: &Value,
    reading: &mut Reading<'_>,
) -> bool {
    let is_cleared = attribute == USER_NAME && is_missing(value) && may_lack_name(view);
    is_cleared && reading.tolerates(Tolerance::DerivedUserName)
}

fn may_lack_name(view: View<'_>) -> bool {
    view.dialect == Dialect::Ionic && view.resource_type.attribute(USER_NAME).is_some()
}

/// The error of a creation whose `userName` is taken although the client never sent one: it says which
/// attribute the name came from.
#[must_use]
pub fn explain_conflict(error: Error, name_from: Option<&str>) -> Error {
    match name_from {
        Some(from) if error.kind() == ErrorKind::Uniqueness => Error::uniqueness(format!(
            "{}; the request has no `userName`, so `{from}` was taken for it",
            error.detail()
        )),
        _ => error,
    }
}

/// The name of a new user, and the attribute that it is taken from.
fn name_for(body: &Map<String, Value>) -> Option<(&'static str, Value)> {
    let upn = |container: &Map<String, Value>| json::present(container, "domainUpn").cloned();
    let extended = body.get(urn::IONIC_USER).and_then(Value::as_object);
    let emails = match body.get("emails") {
        Some(Value::Array(emails)) => emails.as_slice(),
        Some(email) => std::slice::from_ref(email),
        None => &[],
    };
    let mut addresses = emails.iter().filter_map(|email| email.get("value"));
    let address = addresses.find(|address| !is_blank(address)).cloned();
    let candidates = [
        ("domainUpn", extended.and_then(upn).or_else(|| upn(body))),
        ("emails", address),
        ("externalId", body.get("externalId").cloned()),
    ];
    candidates.into_iter().find_map(|(from, value)| {
        let value = value.filter(|value| value.is_string() && !is_blank(value))?;
        Some((from, value))
    })
}

/// Whether a value means that there is no name. A blank text is a name, and is refused later.
fn is_missing(value: &Value) -> bool {
    is_unassigned(value) || value.as_str() == Some("")
}

/// Whether a value is unassigned or a blank text, from which no name can be taken.
fn is_blank(value: &Value) -> bool {
    match value {
        Value::String(text) => text.trim().is_empty(),
        other => is_unassigned(other),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::profile::Rules;
    use crate::schema::Registry;

    const UPN: &str = "jdoe@corp.example.com";

    fn read(name: &str, dialect: Dialect, body: &Value) -> (TranslatedRequest, String) {
        let view = View {
            dialect,
            resource_type: Registry::builtin().resource_type(name).unwrap(),
        };
        let rules = Rules::default();
        let mut reading = Reading::new(&rules);
        let body = body.as_object().unwrap().clone();
        let request = new_resource(view, body, &mut reading).unwrap();
        (request, reading.used_tolerances().to_string())
    }

    #[test]
    fn a_user_without_a_name_gets_the_first_of_its_other_names() {
        let check = |body: Value, expected: Option<(&str, &str)>| {
            let (request, fired) = read("User", Dialect::Ionic, &body);
            let name = request.body.get(USER_NAME).and_then(Value::as_str);
            let found = request.name_from.zip(name);
            assert_eq!(found, expected, "{body}");
            let noted = expected.map_or("", |_| "derivedUserName");
            assert_eq!(fired, noted, "{body}");
        };
        let emails =
            json!([{"type": "home"}, {"value": "a@example.com"}, {"value": "b@example.com"}]);
        check(
            json!({urn::IONIC_1_1: {"domainUpn": UPN}, "emails": emails, "externalId": "7"}),
            Some(("domainUpn", UPN)),
        );
        check(
            json!({format!("{}:domainUpn", urn::IONIC_1_1): UPN}),
            Some(("domainUpn", UPN)),
        );
        check(json!({"DomainUPN": UPN}), Some(("domainUpn", UPN)));
        check(
            json!({"userName": null, urn::IONIC_1_1: {"domainUpn": " "}, "emails": emails}),
            Some(("emails", "a@example.com")),
        );
        check(
            json!({"UserName": "", "emails": "a@example.com"}),
            Some(("emails", "a@example.com")),
        );
        check(
            json!({"userName": [], "emails": ["a@example.com"]}),
            Some(("emails", "a@example.com")),
        );
        check(
            json!({"emails": {"value": "a@example.com"}}),
            Some(("emails", "a@example.com")),
        );
        check(
            json!({"emails": [], "externalId": "7"}),
            Some(("externalId", "7")),
        );
        check(json!({"displayName": "A"}), None);
        check(json!({"externalId": 7}), None);
    }

    #[test]
    fn a_name_that_is_given_stays() {
        // A blank name stays too, to be refused.
        for name in ["a", "  "] {
            let body = json!({"userName": name, "externalId": "7"});
            let (request, fired) = read("User", Dialect::Ionic, &body);
            assert_eq!(request.body[USER_NAME], name);
            assert_eq!((request.name_from, fired.as_str()), (None, ""));
        }
    }

    #[test]
    fn only_users_of_the_ionic_api_may_lack_a_name() {
        for (name, dialect) in [
            ("User", Dialect::General),
            ("Group", Dialect::Ionic),
            ("Role", Dialect::Ionic),
        ] {
            let (request, fired) = read(name, dialect, &json!({"externalId": "7"}));
            assert!(!request.body.contains_key(USER_NAME), "{name}");
            assert_eq!(fired, "", "{name}");
        }
    }

    #[test]
    fn a_conflict_says_where_the_name_came_from() {
        let taken = || Error::uniqueness("The value of `userName` is taken");
        let error = explain_conflict(taken(), Some("emails"));
        assert_eq!(error.kind(), ErrorKind::Uniqueness);
        assert!(
            error.detail().contains("`emails` was taken for it"),
            "{error}"
        );
        assert_eq!(explain_conflict(taken(), None).detail(), taken().detail());
        let other = explain_conflict(Error::not_found("No"), Some("emails"));
        assert_eq!(other.detail(), "No");
    }
}
