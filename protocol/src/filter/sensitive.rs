//! Filters that must not appear in a URL, because logs and histories keep URLs (RFC 7644 §7.5.2).

use super::Filter;
use crate::error::{Error, Result};
use crate::path::AttributePath;
use crate::profile::Reading;
use crate::schema::{Attribute, AttributeTarget, ResourceType};

/// See [`Filter::check_exposable`].
pub(super) fn check_exposable(
    filter: &Filter,
    resource_types: &[&ResourceType],
    reading: &mut Reading<'_>,
) -> Result<()> {
    let mut named = Vec::new();
    collect(filter, None, &mut named);
    for resource_type in resource_types {
        for NamedAttribute { path, within } in &named {
            let target = within.unwrap_or(path).resolve(resource_type, reading);
            let inner = within.map(|_| path.as_str());
            if target.is_some_and(|target| is_sensitive(&target, inner)) {
                return Err(Error::sensitive(format!(
                    "`{path}` is sensitive and must not appear in a URL; send the filter in a POST to /.search of SCIM 2.0"
                )));
            }
        }
    }
    Ok(())
}

/// A name in a filter, and the attribute in whose brackets it appears.
struct NamedAttribute<'f> {
    path: &'f AttributePath,
    within: Option<&'f AttributePath>,
}

fn collect<'f>(
    filter: &'f Filter,
    within: Option<&'f AttributePath>,
    named: &mut Vec<NamedAttribute<'f>>,
) {
    match filter {
        Filter::Compare { path, .. } | Filter::Present(path) => {
            named.push(NamedAttribute { path, within })
        }
        Filter::ValuePath { path, filter } => collect(filter, Some(path), named),
        Filter::And(parts) | Filter::Or(parts) => {
            parts.iter().for_each(|part| collect(part, within, named));
        }
        Filter::Not(part) => collect(part, within, named),
    }
}

/// Whether the named attribute or sub-attribute is sensitive. The name of a complex attribute counts
/// as sensitive if one of its sub-attributes is.
fn is_sensitive(target: &AttributeTarget<'_>, inner: Option<&str>) -> bool {
    let Some(attribute) = target.attribute else {
        return false;
    };
    let part = match inner {
        Some(inner) => attribute.sub_attribute(inner),
        None => target.sub_attribute,
    };
    let any_part = || attribute.sub_attributes.iter().any(|part| part.sensitive);
    attribute.sensitive || part.map_or_else(any_part, |part: &Attribute| part.sensitive)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::error::ErrorKind;
    use crate::profile::Rules;
    use crate::schema::Registry;

    #[test]
    fn sensitive_attributes_are_found_everywhere_in_a_filter() {
        let mut registry = Registry::builtin().clone();
        let schema = json!({"id": "urn:example:Person", "name": "Person", "attributes": [
            {"name": "name"},
            {"name": "nationalId", "sensitive": true},
            {"name": "cards", "type": "complex", "multiValued": true, "subAttributes": [
                {"name": "value", "sensitive": true}, {"name": "type"},
            ]},
        ]});
        registry.add_schema(&schema).unwrap();
        let person =
            json!({"name": "Person", "endpoint": "/Persons", "schema": "urn:example:Person"});
        registry.add_resource_type(&person).unwrap();
        let types: Vec<&ResourceType> = registry
            .resource_types()
            .iter()
            .map(AsRef::as_ref)
            .collect();
        let rules = Rules::default();
        let check = |text: &str, expected: bool| {
            let mut reading = Reading::new(&rules);
            let filter = Filter::parse(text, &mut reading).unwrap();
            let checked = filter.check_exposable(&types, &mut reading);
            let kind = checked.err().map(|error| error.kind());
            assert_eq!(kind, expected.then_some(ErrorKind::Sensitive), "{text}");
        };
        check("name eq \"a\" and cards.type pr", false);
        check("unknown eq \"a\"", false);
        check("NATIONALID eq \"1\"", true);
        check("urn:example:Person:nationalId pr", true);
        check(
            "name pr or not (name eq \"b\" and nationalId eq \"1\")",
            true,
        );
        check("cards[type eq \"a\"]", false);
        check("cards[type eq \"a\" and value eq \"1\"]", true);
        check("cards.value co \"1\"", true);
        check("cards eq \"1\"", true);
    }
}
