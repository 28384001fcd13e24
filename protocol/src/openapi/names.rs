//! The names of components and operations. A tenant may name its types and schemas as it likes, but each
//! name of a document must be of plain letters and exist once.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::DESCRIBED;
use crate::schema::{Registry, ResourceType};

/// The names that one document has given.
pub(super) struct Names<'a> {
    components: HashMap<&'a str, String>,
    operations: HashSet<String>,
}

impl<'a> Names<'a> {
    /// Names the components of every resource type and extension. `fixed` has the components that every
    /// document has.
    pub(super) fn new(fixed: &Map<String, Value>, registry: &'a Registry) -> Self {
        let described = DESCRIBED.iter().map(|(name, _)| *name);
        let mut taken: HashSet<String> = fixed
            .keys()
            .map(String::as_str)
            .chain(described)
            .map(str::to_owned)
            .collect();
        let mut components = HashMap::new();
        for resource_type in registry.resource_types() {
            let name = component(&mut taken, &resource_type.name);
            components.insert(resource_type.name.as_str(), name);
        }
        let types = registry.resource_types().iter();
        for extension in types.flat_map(|found| &found.extensions) {
            let urn = extension.schema.id.as_str();
            components
                .entry(urn)
                .or_insert_with(|| component(&mut taken, &extension.schema.name));
        }
        Self {
            components,
            operations: HashSet::new(),
        }
    }

    /// The component of a resource type's answers.
    pub(super) fn of_type(&self, resource_type: &ResourceType) -> &str {
        self.of(&resource_type.name)
    }

    /// The component of an extension's answers. URNs and names of types never equal each other, because a
    /// name of a type has no colon.
    pub(super) fn of_extension(&self, urn: &str) -> &str {
        self.of(urn)
    }

    fn of(&self, key: &str) -> &str {
        self.components.get(key).map_or("", String::as_str)
    }

    /// The id of an operation: the wanted one, or with a number if another operation has that.
    pub(super) fn operation(&mut self, wanted: &str) -> String {
        first_free(wanted, |id| self.operations.insert(id.to_owned()))
    }
}

/// Takes a name for a component, and with it the names of its requests and lists.
fn component(taken: &mut HashSet<String>, wanted: &str) -> String {
    first_free(&plain(wanted), |name| {
        let names = ["", "Request", "ListResponse"].map(|end| format!("{name}{end}"));
        let is_free = names.iter().all(|name| !taken.contains(name));
        if is_free {
            taken.extend(names);
        }
        is_free
    })
}

/// The first of `wanted`, `wanted2`, `wanted3` … that `take` takes.
fn first_free(wanted: &str, mut take: impl FnMut(&str) -> bool) -> String {
    let numbered = (2..).map(|number: u32| format!("{wanted}{number}"));
    let mut all = std::iter::once(wanted.to_owned()).chain(numbered);
    all.find(|name| take(name)).unwrap_or_default()
}

/// A name with its words in capitals and without characters that generators of clients cannot use.
pub(super) fn plain(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric());
    let plain: String = words.filter_map(capitalised).collect();
    match plain.starts_with(|first: char| first.is_ascii_alphabetic()) {
        true => plain,
        false => format!("Type{plain}"),
    }
}

fn capitalised(word: &str) -> Option<String> {
    let mut letters = word.chars();
    let first = letters.next()?;
    Some(format!(
        "{}{}",
        first.to_ascii_uppercase(),
        letters.as_str()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        let check = |name: &str, expected: &str| assert_eq!(plain(name), expected, "{name}");
        check("User", "User");
        check("Enterprise User", "EnterpriseUser");
        check("x-badge_type", "XBadgeType");
        check("2nd", "Type2nd");
        check("übung", "Bung");
        check("", "Type");
    }

    #[test]
    fn a_taken_name_gets_a_number() {
        let mut taken = HashSet::from(["Error".to_owned(), "UserRequest".to_owned()]);
        assert_eq!(component(&mut taken, "Error"), "Error2");
        assert_eq!(component(&mut taken, "error"), "Error3");
        // Its requests would have a name that another component has.
        assert_eq!(component(&mut taken, "User"), "User2");
    }
}
