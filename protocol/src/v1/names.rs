//! URNs and attribute names of SCIM 1.1 and their counterparts (1.1 core §5–§8, API §3.8).

use std::borrow::Cow;

use super::{Dialect, View};
use crate::schema::{Attribute, Extension};
use crate::urn;

/// Extensions whose URN differs in 1.1, and that URN.
const RENAMED: [(&str, &str); 2] = [
    (urn::ENTERPRISE_USER, urn::ENTERPRISE_1_1),
    (urn::IONIC_USER, urn::IONIC_1_1),
];

/// Base schemas that 1.1 has as one core schema.
const CORE: [&str; 4] = [urn::USER, urn::GROUP, urn::DEVICE, urn::ROLE];

/// Sub-attributes whose name differs in 1.1: the attribute, the 2.0 name, the 1.1 name.
const RENAMED_PARTS: [(&str, &str, &str); 1] = [("manager", "value", "managerId")];

/// The place in a SCIM 2.0 resource for a member of a 1.1 resource.
pub(super) enum Destination<'a> {
    /// `schemas`.
    Schemas,
    /// `meta`.
    Meta,
    /// The container of an extension.
    Extension(&'a Extension),
    /// An attribute, of an extension if there is one.
    Attribute(Option<&'a Extension>, &'a Attribute),
    /// No place: the service does not know the member.
    Unknown,
}

/// A schema URN of 2.0 in the spelling of 1.1.
pub(super) fn schema_to_v1(urn: &str) -> &str {
    if CORE.iter().any(|core| core.eq_ignore_ascii_case(urn)) {
        return urn::CORE_1_1;
    }
    let mut renamed = RENAMED.iter();
    renamed
        .find(|(new, _)| new.eq_ignore_ascii_case(urn))
        .map_or(urn, |(_, old)| old)
}

/// The 1.1 name of a sub-attribute.
pub(super) fn part_to_v1<'n>(attribute: &str, part: &'n str) -> &'n str {
    let mut renamed = RENAMED_PARTS.iter();
    renamed
        .find(|(owner, new, _)| owner.eq_ignore_ascii_case(attribute) && *new == part)
        .map_or(part, |(_, _, old)| old)
}

/// The 2.0 name of a sub-attribute.
pub(super) fn part_to_v2<'n>(attribute: &str, part: &'n str) -> &'n str {
    let mut renamed = RENAMED_PARTS.iter();
    let found = renamed.find(|(owner, _, old)| {
        owner.eq_ignore_ascii_case(attribute) && old.eq_ignore_ascii_case(part)
    });
    found.map_or(part, |(_, new, _)| new)
}

/// A text for people in which names of 2.0 have become those of 1.1.
pub(super) fn text_to_v1(mut text: String) -> String {
    // The attributes of this extension appear among the core ones in 1.1, so they have no URN there.
    text = text.replace(&format!("{}:", urn::DESCRIBED_GROUP), "");
    for (attribute, new, old) in RENAMED_PARTS {
        text = text.replace(
            &format!(":{attribute}.{new}`"),
            &format!(":{attribute}.{old}`"),
        );
    }
    for core in CORE {
        text = text.replace(core, urn::CORE_1_1);
    }
    for (new, old) in RENAMED {
        text = text.replace(new, old);
    }
    text
}

/// The text after a URN and its separator in a path; empty for the bare URN.
fn after<'t>(text: &'t str, urn: &str) -> Option<&'t str> {
    let head = text.get(..urn.len())?;
    let rest = text.get(urn.len()..)?;
    let ends = rest.is_empty() || rest.starts_with([':', '.']);
    (ends && head.eq_ignore_ascii_case(urn)).then(|| rest.get(1..).unwrap_or(""))
}

/// A schema URN of 1.1 in the spelling of 2.0; `None` if the type does not have it. Clients of the
/// Ionic API list its URN with every kind of resource.
pub(super) fn schema_to_v2(view: View<'_>, urn: &str) -> Option<String> {
    if urn.eq_ignore_ascii_case(urn::CORE_1_1) {
        return Some(view.resource_type.schema.id.clone());
    }
    let mut renamed = RENAMED.iter();
    let found = renamed.find(|(_, old)| old.eq_ignore_ascii_case(urn));
    let urn = found.map_or(urn, |(new, _)| new);
    let is_foreign = urn == urn::IONIC_USER && !view.resource_type.has_schema(urn);
    (!is_foreign).then(|| urn.to_owned())
}

/// An attribute path of 1.1 in the spelling of 2.0.
///
/// **Shape**: `userName`, `urn:scim:schemas:core:1.0:name.givenName`,
/// `urn:scim:schemas:extension:enterprise:1.0:manager.managerId`.
pub(super) fn path_to_v2(view: View<'_>, path: &str) -> String {
    let plain = match after(path, urn::CORE_1_1) {
        Some("") => return view.resource_type.schema.id.clone(),
        Some(rest) => rest,
        None => path,
    };
    for (new, old) in RENAMED {
        match after(plain, old) {
            Some("") => return new.to_owned(),
            Some(rest) => return format!("{new}:{}", renamed_part(rest)),
            None => {}
        }
    }
    match flattened(view) {
        Some(extension) if extension.schema.attribute(plain).is_some() => {
            format!("{}:{plain}", extension.schema.id)
        }
        _ => renamed_part(plain).into_owned(),
    }
}

/// The place in a 2.0 resource for a member of a 1.1 resource.
pub(super) fn destination<'a>(view: View<'a>, key: &str) -> Destination<'a> {
    if key.eq_ignore_ascii_case("schemas") {
        return Destination::Schemas;
    }
    if key.eq_ignore_ascii_case("meta") {
        return Destination::Meta;
    }
    let path = path_to_v2(view, key);
    let resource_type = view.resource_type;
    let found = match resource_type.split_urn(&path) {
        Some((Some(extension), "")) => return Destination::Extension(extension),
        Some((Some(extension), name)) => extension
            .schema
            .attribute(name)
            .map(|attribute| (Some(extension), attribute)),
        Some((None, name)) => resource_type.attribute(name).map(|found| (None, found)),
        None => resource_type.attribute(&path).map(|found| (None, found)),
    };
    found.map_or(Destination::Unknown, |(extension, attribute)| {
        Destination::Attribute(extension, attribute)
    })
}

/// The extension whose attributes appear among the core ones in this view.
pub(super) fn flattened<'a>(view: View<'a>) -> Option<&'a Extension> {
    match view.dialect {
        Dialect::General => None,
        Dialect::Ionic => view.resource_type.extension(urn::DESCRIBED_GROUP),
    }
}

/// A path without URN, its sub-attribute renamed to that of 2.0.
fn renamed_part(path: &str) -> Cow<'_, str> {
    match path.split_once('.') {
        Some((attribute, part)) => {
            Cow::Owned(format!("{attribute}.{}", part_to_v2(attribute, part)))
        }
        None => Cow::Borrowed(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Registry;

    #[test]
    fn paths_are_spelled_as_in_2_0() {
        let check = |name: &str, dialect: Dialect, path: &str, expected: &str| {
            let resource_type = Registry::builtin().resource_type(name).unwrap();
            let view = View {
                dialect,
                resource_type,
            };
            assert_eq!(path_to_v2(view, path), expected, "{path}");
        };
        let general = Dialect::General;
        check("User", general, "userName", "userName");
        check(
            "User",
            general,
            "urn:scim:schemas:core:1.0:userName",
            "userName",
        );
        check(
            "User",
            general,
            "URN:scim:schemas:core:1.0:name.givenName",
            "name.givenName",
        );
        check("User", general, "urn:scim:schemas:core:1.0", urn::USER);
        let enterprise = |rest: &str| format!("{}{rest}", urn::ENTERPRISE_USER);
        check(
            "User",
            general,
            "urn:scim:schemas:extension:enterprise:1.0:manager.managerId",
            &enterprise(":manager.value"),
        );
        check(
            "User",
            general,
            "urn:scim:schemas:extension:enterprise:1.0.department",
            &enterprise(":department"),
        );
        check("User", general, urn::ENTERPRISE_1_1, urn::ENTERPRISE_USER);
        check("User", general, urn::IONIC_1_1, urn::IONIC_USER);
        check("User", general, "manager.managerId", "manager.value");
        check(
            "User",
            general,
            "urn:hr:schemas:user:age",
            "urn:hr:schemas:user:age",
        );
        check("Group", general, "description", "description");
        let described = format!("{}:description", urn::DESCRIBED_GROUP);
        check("Group", Dialect::Ionic, "description", &described);
        check(
            "Group",
            Dialect::Ionic,
            "urn:scim:schemas:core:1.0:description",
            &described,
        );
        check("Role", Dialect::Ionic, "description", "description");
    }
}
