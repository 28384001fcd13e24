//! Translates a 1.1 query into a 2.0 query (1.1 API §3.2.2, §3.7).

use super::{Dialect, View, filter, names, parameters, request};
use crate::error::Result;
use crate::message::{Parameters, Query, QueryFilter, Selection, integer_parameter};
use crate::profile::Reading;

/// A 1.1 query after translation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TranslatedQuery {
    /// The 2.0 query.
    pub query: Query,
    /// Whether each device is to show its user (the Ionic API's `attributes=user`).
    pub embeds_user: bool,
}

/// Translates the parameters of a list: `attributes`, `filter`, `sortBy`, `sortOrder`,
/// `startIndex`, `count`; in the Ionic dialect also the 0-based `skip`, `limit`, and the
/// parameters that filter.
///
/// # Errors
/// `InvalidValue` or `InvalidFilter`, naming the parameter.
pub fn query(
    view: View<'_>,
    parameters: &Parameters,
    reading: &mut Reading<'_>,
) -> Result<TranslatedQuery> {
    let mut known = page_parameters(view, parameters)?;
    let embeds_user = embeds_user(view, parameters);
    if let Some(path) = parameters.get("sortBy") {
        known.push(("sortBy", names::path_to_v2(view, path)));
    }
    let mut query = Query::unfiltered(
        &known.into_iter().collect::<Parameters>(),
        &reading.rules.switches,
    )?;
    query.selection = selection(view, parameters)?;
    query.filter = whole_filter(view, parameters, reading)?;
    Ok(TranslatedQuery { query, embeds_user })
}

/// The parameters that need no translation, and the Ionic API's own names of two of them.
fn page_parameters(view: View<'_>, parameters: &Parameters) -> Result<Vec<(&'static str, String)>> {
    let mut known = Vec::new();
    if view.dialect == Dialect::Ionic {
        if let Some(skip) = integer_parameter(parameters, "skip")? {
            known.push(("startIndex", skip.saturating_add(1).to_string()));
        }
        if let Some(limit) = integer_parameter(parameters, "limit")? {
            known.push(("count", limit.to_string()));
        }
    }
    // Of a repeated parameter the last one counts, so these take precedence over `skip` and `limit`.
    for name in ["sortOrder", "startIndex", "count"] {
        known.extend(parameters.get(name).map(|value| (name, value.to_owned())));
    }
    Ok(known)
}

/// The filter of `filter` and of the parameters that filter, joined by `and`.
fn whole_filter(
    view: View<'_>,
    parameters: &Parameters,
    reading: &mut Reading<'_>,
) -> Result<Option<QueryFilter>> {
    let text = parameters.get("filter").map(str::trim);
    let written = match text.filter(|text| !text.is_empty()) {
        Some(text) => Some(filter::filter(view, text, reading)?),
        None => None,
    };
    let spelled = match view.dialect {
        Dialect::General => None,
        Dialect::Ionic => parameters::parameter_filter(view, parameters, reading)?,
    };
    QueryFilter::all_of(written.into_iter().chain(spelled).collect())
}

/// The attributes that an answer shows; always including `id` and `meta` (1.1 API §3.2).
///
/// # Errors
/// `InvalidValue` when `attributes` and `excludedAttributes` are both given.
pub fn selection(view: View<'_>, parameters: &Parameters) -> Result<Selection> {
    let mut selection = Selection::from_parameters(parameters)?;
    for name in selection
        .attributes
        .iter_mut()
        .chain(&mut selection.excluded_attributes)
    {
        *name = names::path_to_v2(view, name);
    }
    if !selection.attributes.is_empty() {
        selection.attributes.push("meta".to_owned());
    }
    if embeds_user(view, parameters) {
        selection.attributes.push("userId".to_owned());
    }
    let is_meta = |name: &String| {
        let attribute = name.split('.').next();
        attribute.is_some_and(|attribute| attribute.eq_ignore_ascii_case("meta"))
    };
    selection.excluded_attributes.retain(|name| !is_meta(name));
    Ok(selection)
}

/// Whether `attributes` asks for the user inside a device.
#[must_use]
pub fn embeds_user(view: View<'_>, parameters: &Parameters) -> bool {
    let names = parameters.list("attributes");
    let asked = names.iter().any(|name| request::is_embedded(view, name));
    asked && view.resource_type.attribute("userId").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::message::PageStart;
    use crate::profile::Rules;
    use crate::schema::Registry;
    use crate::sort::SortOrder;

    fn queried(name: &str, dialect: Dialect, text: &str) -> Result<TranslatedQuery> {
        let view = View {
            dialect,
            resource_type: Registry::builtin().resource_type(name).unwrap(),
        };
        let rules = Rules::default();
        query(view, &Parameters::parse(text)?, &mut Reading::new(&rules))
    }

    #[test]
    fn paging_has_two_spellings_in_the_ionic_dialect() {
        let check = |dialect: Dialect, text: &str, start: u64, count: Option<u32>| {
            let query = queried("User", dialect, text).unwrap().query;
            assert_eq!(
                (query.page, query.count),
                (PageStart::Index(start), count),
                "{text}"
            );
        };
        let huge = "1000000000000000000000000000000";
        for dialect in [Dialect::General, Dialect::Ionic] {
            check(dialect, "", 1, None);
            check(dialect, "startIndex=11&count=10", 11, Some(10));
            check(dialect, "cursor=abc&startIndex=0&count=-1", 1, Some(0));
        }
        check(Dialect::General, "skip=10&limit=5", 1, None);
        check(Dialect::Ionic, "skip=10&limit=5", 11, Some(5));
        check(Dialect::Ionic, "skip=0", 1, None);
        check(Dialect::Ionic, "skip=-9", 1, None);
        check(
            Dialect::Ionic,
            "skip=10&startIndex=3&limit=9&count=2",
            3,
            Some(2),
        );
        check(
            Dialect::Ionic,
            &format!("skip={huge}&limit={huge}"),
            i64::MAX.unsigned_abs(),
            Some(1000),
        );
        for wrong in ["skip", "limit", "startIndex", "count"] {
            let error = queried("User", Dialect::Ionic, &format!("{wrong}=ten")).unwrap_err();
            assert!(error.detail().contains(&format!("`{wrong}`")));
        }
    }

    #[test]
    fn both_kinds_of_filter_hold_together() {
        let check = |text: &str, expected: Option<&str>| {
            let query = queried("User", Dialect::Ionic, text).unwrap().query;
            let rules = Rules::default();
            let mut reading = Reading::new(&rules);
            let parsed = expected.map(|text| QueryFilter::parse(text.to_owned(), &mut reading));
            assert_eq!(query.filter, parsed.transpose().unwrap(), "{text}");
        };
        check("", None);
        check(
            "filter=urn:scim:schemas:core:1.0:title+pr",
            Some("title pr"),
        );
        check("enabled=true", Some("not (active eq false)"));
        check(
            "filter=title+pr+or+nickName+pr&enabled=true",
            Some("(title pr or nickName pr) and (not (active eq false))"),
        );
        let general = queried("User", Dialect::General, "enabled=true&foo__bar=1").unwrap();
        assert_eq!(general.query.filter, None);
    }

    #[test]
    fn a_filter_that_is_too_large_as_one_of_2_0_is_refused() {
        let check = |text: &str, expected: Option<&str>| {
            let filter = text.replace(' ', "+");
            let found = queried("User", Dialect::Ionic, &format!("filter={filter}"));
            match expected {
                None => assert!(found.is_ok(), "{text}"),
                Some(part) => {
                    let error = found.unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::InvalidFilter);
                    assert!(error.detail().contains(part), "{error}");
                }
            }
        };
        let terms = |number: usize| vec!["title pr"; number].join(" or ");
        check(&terms(200), None);
        check(
            &format!("{}&enabled=true", terms(200)),
            Some("more than 200 expressions"),
        );
        let name = "urn:scim:schemas:extension:enterprise:1.0:department";
        let long = |length: usize| format!("{name} eq \"{}\"", "x".repeat(length));
        check(&long(8_192 - 90), None);
        check(
            &long(8_192 - name.len() - 6),
            Some("at most 8192 are allowed"),
        );
        let nested = |depth: usize, inner: &str| {
            format!("{}{inner}{}", "not (".repeat(depth), ")".repeat(depth))
        };
        check(&nested(32, "title pr"), None);
        check(
            &nested(32, "title pr or title pr and title pr"),
            Some("more than 32 levels"),
        );
        check(
            &format!("{}&enabled=true", nested(32, "title pr")),
            Some("more than 32 levels"),
        );
    }

    #[test]
    fn names_are_translated_and_meta_is_always_there() {
        let urn = "urn:scim:schemas:extension:enterprise:1.0";
        let text = format!(
            "attributes=userName,{urn}:manager.managerId&sortBy=urn:scim:schemas:core:1.0:userName&sortOrder=descending"
        );
        let query = queried("User", Dialect::General, &text).unwrap().query;
        let manager = format!("{}:manager.value", crate::urn::ENTERPRISE_USER);
        assert_eq!(query.selection.attributes, ["userName", &manager, "meta"]);
        assert_eq!(query.sort_by.as_deref(), Some("userName"));
        assert_eq!(query.sort_order, SortOrder::Descending);
    }

    #[test]
    fn meta_cannot_be_left_out() {
        let query = queried(
            "Group",
            Dialect::General,
            "excludedAttributes=members,meta.location",
        );
        let selection = query.unwrap().query.selection;
        assert_eq!(selection.excluded_attributes, ["members"]);
    }

    #[test]
    fn a_device_holds_its_user_on_request() {
        let asked = queried("Device", Dialect::Ionic, "attributes=keySpace,user").unwrap();
        assert!(asked.embeds_user);
        let expected = ["keySpace", "user", "meta", "userId"];
        assert_eq!(asked.query.selection.attributes, expected);
        for (name, dialect, text) in [
            ("Device", Dialect::Ionic, "attributes=userId"),
            ("Device", Dialect::General, "attributes=user"),
            ("User", Dialect::Ionic, "attributes=user"),
        ] {
            assert!(!queried(name, dialect, text).unwrap().embeds_user);
        }
    }
}
