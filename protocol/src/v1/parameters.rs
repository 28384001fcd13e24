//! Filters that the Ionic API writes as query parameters.
//!
//! `email=a@example.com&enabled=true&createdTs__gte=1546300800` becomes the same tree of comparisons
//! as the text of a filter, so that it is evaluated and indexed the same way.

use std::collections::HashSet;

use chrono::{DateTime, Datelike as _, SecondsFormat, Utc};

use super::{View, names};
use crate::error::{Error, Result, excerpt};
use crate::filter::{CompareOp, CompareValue, Filter};
use crate::message::Parameters;
use crate::path::AttributePath;
use crate::profile::{Reading, Tolerance};
use crate::urn;

/// The kind of value that a query parameter of the Ionic API is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ParameterKind {
    Text,
    Boolean,
    /// A boolean that is true where the attribute is absent.
    BooleanOrAbsent,
    /// Seconds since 1970, compared with an instant to the millisecond.
    Timestamp,
}

/// A parameter that filters: its name, the 2.0 attribute, and the kind of its value.
type FilterParameter = (&'static str, &'static str, ParameterKind);

/// The parameters by endpoint.
const PARAMETERS: [(&str, &[FilterParameter]); 4] = [
    (
        "Users",
        &[
            ("domainUpn", "domainUpn", ParameterKind::Text),
            ("email", "emails.value", ParameterKind::Text),
            ("enabled", "active", ParameterKind::BooleanOrAbsent),
            ("externalId", "externalId", ParameterKind::Text),
            ("groups", "groups.value", ParameterKind::Text),
            ("roles", "roles.value", ParameterKind::Text),
            ("createdTs", "meta.created", ParameterKind::Timestamp),
            ("updatedTs", "meta.lastModified", ParameterKind::Timestamp),
        ],
    ),
    (
        "Groups",
        &[
            ("externalId", "externalId", ParameterKind::Text),
            ("description", "description", ParameterKind::Text),
            ("name", "displayName", ParameterKind::Text),
            ("createdTs", "meta.created", ParameterKind::Timestamp),
            ("updatedTs", "meta.lastModified", ParameterKind::Timestamp),
        ],
    ),
    (
        "Roles",
        &[
            ("name", "name", ParameterKind::Text),
            ("createdTs", "meta.created", ParameterKind::Timestamp),
            ("updatedTs", "meta.lastModified", ParameterKind::Timestamp),
        ],
    ),
    (
        "Devices",
        &[
            ("name", "name", ParameterKind::Text),
            ("status", "status", ParameterKind::Boolean),
            ("userId", "userId", ParameterKind::Text),
            ("createdTs", "meta.created", ParameterKind::Timestamp),
            ("updatedTs", "meta.lastModified", ParameterKind::Timestamp),
        ],
    ),
];

/// The operator that follows the attribute in a query parameter's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    Contains,
    StartsWith,
    AtLeast,
    AtMost,
    Empty,
    Any,
    All,
}

/// The suffixes. Each but `empty` may be followed by `__ne`, which negates it.
const OPERATORS: [(&str, Operator); 7] = [
    ("contains", Operator::Contains),
    ("startswith", Operator::StartsWith),
    ("gte", Operator::AtLeast),
    ("lte", Operator::AtMost),
    ("empty", Operator::Empty),
    ("any", Operator::Any),
    ("all", Operator::All),
];

/// The filter that is written as query parameters of the Ionic API; `None` if no parameter filters.
///
/// **Shape**: `email=a@example.com&enabled=true&createdTs__gte=1546300800`. A repeated parameter
/// matches any of its values. All parameters must match, or with `or=true` one of them.
///
/// `enabled=true` finds the users whose `active` is true or absent.
///
/// # Errors
/// `InvalidFilter` naming the parameter, when its name has `__` and is unknown, or its value does not
/// fit.
pub(super) fn parameter_filter(
    view: View<'_>,
    parameters: &Parameters,
    reading: &mut Reading<'_>,
) -> Result<Option<Filter>> {
    let mut terms = Vec::new();
    let mut seen = HashSet::new();
    for (name, _) in parameters.iter() {
        if !seen.insert(name) {
            continue;
        }
        if let Some(term) = find_parameter(view, name)? {
            let values: Vec<_> = parameters.values(name).collect();
            if term.kind == ParameterKind::BooleanOrAbsent {
                reading.tolerates(Tolerance::EnabledByDefault);
            }
            terms.push(term.filter(&values)?);
        }
    }
    let either = parameters
        .get("or")
        .is_some_and(|value| value.eq_ignore_ascii_case("true"));
    Ok(joined(terms, if either { Filter::Or } else { Filter::And }))
}

/// Reads a parameter's name; `None` for a parameter that does not filter.
fn find_parameter<'n>(view: View<'_>, name: &'n str) -> Result<Option<Parameter<'n>>> {
    let (attribute, suffix) = match name.split_once("__") {
        Some((attribute, suffix)) => (attribute, Some(suffix)),
        None => (name, None),
    };
    let mut types = PARAMETERS.iter();
    let known = types.find(|(endpoint, _)| *endpoint == view.resource_type.endpoint);
    let known = known.map_or(&[][..], |(_, known)| known);
    let found = known.iter().find(|(name, _, _)| *name == attribute);
    let operator = suffix.map_or(Some((Operator::Equal, false)), operator);
    let (Some((_, path, kind)), Some((operator, negated))) = (found, operator) else {
        return match suffix {
            None => Ok(None),
            Some(_) => Err(Error::invalid_filter(format!(
                "Query parameter `{}` is not a filter of this endpoint",
                excerpt(name)
            ))),
        };
    };
    let path = AttributePath::parse(&qualified(view, path))
        .ok_or_else(|| Error::invalid_filter(format!("`{path}` is not an attribute")))?;
    Ok(Some(Parameter {
        name,
        path,
        kind: *kind,
        operator,
        negated,
    }))
}

/// A path of the table, with the URN of the extension that has the attribute.
fn qualified(view: View<'_>, path: &str) -> String {
    let urn = match path {
        "domainUpn" => urn::IONIC_USER,
        "description" if names::flattened(view).is_some() => urn::DESCRIBED_GROUP,
        _ => return path.to_owned(),
    };
    format!("{urn}:{path}")
}

fn operator(suffix: &str) -> Option<(Operator, bool)> {
    if suffix == "ne" {
        return Some((Operator::Equal, true));
    }
    let (name, negated) = match suffix.strip_suffix("__ne") {
        Some(name) => (name, true),
        None => (suffix, false),
    };
    let (_, operator) = OPERATORS.iter().find(|(known, _)| *known == name)?;
    let possible = !(negated && *operator == Operator::Empty);
    possible.then_some((*operator, negated))
}

/// One query parameter that filters.
struct Parameter<'n> {
    name: &'n str,
    path: AttributePath,
    kind: ParameterKind,
    operator: Operator,
    negated: bool,
}

impl Parameter<'_> {
    fn filter(&self, values: &[&str]) -> Result<Filter> {
        let lists = matches!(self.operator, Operator::Any | Operator::All);
        let values = values.iter().flat_map(|value| {
            let parts: Vec<_> = if lists {
                value.split(',').collect()
            } else {
                vec![*value]
            };
            parts
        });
        let terms = values.map(|value| self.term(value.trim()));
        let terms = terms.collect::<Result<Vec<_>>>()?;
        let join = match self.operator {
            Operator::All => Filter::And,
            _ => Filter::Or,
        };
        let filter = joined(terms, join).ok_or_else(|| self.unfit("a value"))?;
        Ok(if self.negated {
            Filter::Not(Box::new(filter))
        } else {
            filter
        })
    }

    fn term(&self, value: &str) -> Result<Filter> {
        if self.operator == Operator::Empty {
            let present = Filter::Present(self.path.clone());
            return Ok(if self.boolean(value)? {
                Filter::Not(Box::new(present))
            } else {
                present
            });
        }
        match self.kind {
            ParameterKind::Text => {
                Ok(self.compare(self.text_operator(), CompareValue::String(value.to_owned())))
            }
            ParameterKind::Boolean if self.is_equality() => {
                let value = self.boolean(value)?;
                Ok(self.compare(CompareOp::Eq, CompareValue::Boolean(value)))
            }
            ParameterKind::BooleanOrAbsent if self.is_equality() => {
                let is_false = self.compare(CompareOp::Eq, CompareValue::Boolean(false));
                Ok(match self.boolean(value)? {
                    true => Filter::Not(Box::new(is_false)),
                    false => is_false,
                })
            }
            ParameterKind::Timestamp => self.timestamp(value),
            ParameterKind::Boolean | ParameterKind::BooleanOrAbsent => {
                Err(self.unfit("no comparison of this kind"))
            }
        }
    }

    fn is_equality(&self) -> bool {
        matches!(
            self.operator,
            Operator::Equal | Operator::Any | Operator::All
        )
    }

    fn text_operator(&self) -> CompareOp {
        match self.operator {
            Operator::Equal | Operator::Any | Operator::All | Operator::Empty => CompareOp::Eq,
            Operator::Contains => CompareOp::Co,
            Operator::StartsWith => CompareOp::Sw,
            Operator::AtLeast => CompareOp::Ge,
            Operator::AtMost => CompareOp::Le,
        }
    }

    /// Compares whole seconds: the second `s` begins at `s` and ends before `s + 1`.
    fn timestamp(&self, value: &str) -> Result<Filter> {
        let seconds = value.parse::<i64>().ok();
        let begin = seconds.and_then(second_text);
        let end = seconds.and_then(|seconds| second_text(seconds.checked_add(1)?));
        let Some((begin, end)) = begin.zip(end) else {
            return Err(self.unfit("seconds since 1970"));
        };
        let bound = |op: CompareOp, text: String| self.compare(op, CompareValue::String(text));
        match self.operator {
            Operator::AtLeast => Ok(bound(CompareOp::Ge, begin)),
            Operator::AtMost => Ok(bound(CompareOp::Lt, end)),
            _ if self.is_equality() => Ok(Filter::And(vec![
                bound(CompareOp::Ge, begin),
                bound(CompareOp::Lt, end),
            ])),
            _ => Err(self.unfit("no comparison of this kind")),
        }
    }

    fn compare(&self, op: CompareOp, value: CompareValue) -> Filter {
        Filter::Compare {
            path: self.path.clone(),
            op,
            value,
        }
    }

    fn boolean(&self, value: &str) -> Result<bool> {
        match value {
            _ if value.eq_ignore_ascii_case("true") => Ok(true),
            _ if value.eq_ignore_ascii_case("false") => Ok(false),
            _ => Err(self.unfit("`true` or `false`")),
        }
    }

    fn unfit(&self, allowed: &str) -> Error {
        Error::invalid_filter(format!(
            "Query parameter `{}` takes {allowed}",
            excerpt(self.name)
        ))
    }
}

/// The beginning of a second since 1970 as a `dateTime`; `None` if its year does not have four digits.
fn second_text(seconds: i64) -> Option<String> {
    let begin = DateTime::<Utc>::from_timestamp(seconds, 0)?;
    let text = || begin.to_rfc3339_opts(SecondsFormat::Secs, true);
    (0..=9_999).contains(&begin.year()).then(text)
}

/// Joins the terms to one filter. A single term is returned as it is.
fn joined(mut terms: Vec<Filter>, join: fn(Vec<Filter>) -> Filter) -> Option<Filter> {
    if terms.len() > 1 {
        return Some(join(terms));
    }
    terms.pop()
}

#[cfg(test)]
mod tests {
    use super::super::Dialect;
    use super::*;
    use crate::profile::Rules;
    use crate::schema::Registry;

    fn view(name: &str, dialect: Dialect) -> View<'static> {
        View {
            dialect,
            resource_type: Registry::builtin().resource_type(name).unwrap(),
        }
    }

    fn spelled(name: &str, query: &str) -> Result<Option<String>> {
        let rules = Rules::default();
        let mut reading = Reading::new(&rules);
        let parameters = Parameters::parse(query)?;
        let filter = parameter_filter(view(name, Dialect::Ionic), &parameters, &mut reading)?;
        Ok(filter.map(|filter| filter.to_string()))
    }

    #[test]
    fn parameters_spell_a_filter() {
        let check = |name: &str, query: &str, expected: &str| {
            let filter = spelled(name, query).unwrap();
            assert_eq!(filter.as_deref(), Some(expected), "{query}");
        };
        check("User", "email=a%40x", r#"emails.value eq "a@x""#);
        check(
            "User",
            "email=a&email=b",
            r#"emails.value eq "a" or emails.value eq "b""#,
        );
        check(
            "User",
            "externalId=7&enabled=True",
            r#"externalId eq "7" and not (active eq false)"#,
        );
        check(
            "User",
            "externalId=7&enabled=false&or=true",
            r#"externalId eq "7" or active eq false"#,
        );
        check(
            "User",
            "domainUpn__startswith=j",
            r#"urn:ietf:params:scim:schemas:extension:ionic:2.0:User:domainUpn sw "j""#,
        );
        check(
            "User",
            "groups__any=g1,g2&roles__all=r1,r2",
            r#"(groups.value eq "g1" or groups.value eq "g2") and (roles.value eq "r1" and roles.value eq "r2")"#,
        );
        check(
            "User",
            "groups__any__ne=g1,g2",
            r#"not (groups.value eq "g1" or groups.value eq "g2")"#,
        );
        check("User", "email__ne=a", r#"not (emails.value eq "a")"#);
        check(
            "User",
            "email__contains__ne=a",
            r#"not (emails.value co "a")"#,
        );
        check("User", "roles__empty=true", "not (roles.value pr)");
        check("User", "roles__empty=false", "roles.value pr");
        check("Group", "name__contains=Sales", r#"displayName co "Sales""#);
        check(
            "Group",
            "description=x",
            r#"urn:ietf:params:scim:schemas:extension:scim-lambda:2.0:Group:description eq "x""#,
        );
        check("Role", "name=Reader", r#"name eq "Reader""#);
        check(
            "Device",
            "status=false&userId=u1",
            r#"status eq false and userId eq "u1""#,
        );
    }

    #[test]
    fn enabled_means_not_disabled() {
        let check = |query: &str, expected: &str| {
            let filter = spelled("User", query).unwrap();
            assert_eq!(filter.as_deref(), Some(expected), "{query}");
        };
        check("enabled=true", "not (active eq false)");
        check("enabled=false", "active eq false");
        check("enabled__ne=true", "not (not (active eq false))");
        check(
            "enabled__any=true,false",
            "not (active eq false) or active eq false",
        );
        check("enabled__empty=true", "not (active pr)");
    }

    #[test]
    fn timestamps_mean_whole_seconds() {
        let check = |query: &str, expected: &str| {
            let filter = spelled("Device", query).unwrap();
            assert_eq!(filter.as_deref(), Some(expected), "{query}");
        };
        check(
            "createdTs__gte=1546300800",
            r#"meta.created ge "2019-01-01T00:00:00Z""#,
        );
        check(
            "updatedTs__lte=1546300800",
            r#"meta.lastModified lt "2019-01-01T00:00:01Z""#,
        );
        check(
            "createdTs=1546300800",
            r#"meta.created ge "2019-01-01T00:00:00Z" and meta.created lt "2019-01-01T00:00:01Z""#,
        );
        check(
            "createdTs__lte__ne=0",
            r#"not (meta.created lt "1970-01-01T00:00:01Z")"#,
        );
    }

    #[test]
    fn other_parameters_are_ignored() {
        for query in [
            "",
            "count=1&attributes=name",
            "foo=bar",
            "or=true",
            "name=x",
        ] {
            assert_eq!(spelled("User", query).unwrap(), None, "{query}");
        }
    }

    #[test]
    fn unsupported_comparisons_are_named() {
        let check = |query: &str, part: &str| {
            let error = spelled("User", query).unwrap_err();
            assert_eq!(error.status(), 400);
            assert!(error.detail().contains(part), "{}", error.detail());
        };
        check("foo__contains=x", "`foo__contains` is not a filter");
        check("email__regex=x", "`email__regex` is not a filter");
        check(
            "email__empty__ne=true",
            "`email__empty__ne` is not a filter",
        );
        check("email__contains__not=x", "is not a filter");
        check("enabled=yes", "takes `true` or `false`");
        check("enabled__contains=t", "no comparison of this kind");
        check("createdTs=yesterday", "seconds since 1970");
        check("createdTs=99999999999999999999", "seconds since 1970");
        check("createdTs=253402300799", "seconds since 1970");
        check("createdTs__contains=1", "no comparison of this kind");
    }
}
