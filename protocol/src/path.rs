//! Attribute notation: `attr`, `attr.sub`, `urn:…:attr.sub` and a bare extension URN
//! (RFC 7644 §3.10).
//!
//! ```abnf
//! attrPath  = [URI ":"] ATTRNAME *1subAttr
//! subAttr   = "." ATTRNAME
//! ```

use std::fmt;

use crate::name::is_attribute_name;
use crate::profile::{Reading, Tolerance};
use crate::schema::{AttributeTarget, ResourceType};

/// An attribute path as written. Its characters are checked; what it names is not known yet.
///
/// A URN holds colons and dots itself, so only a resource type knows where it ends: at the end of the
/// longest registered URN.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AttributePath(Box<str>);

impl AttributePath {
    /// Reads a path; `None` if no attribute path has this form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let plain = || {
            let mut parts = text.split('.');
            let (attribute, sub, more) = (parts.next(), parts.next(), parts.next());
            attribute.is_some_and(is_attribute_name)
                && sub.is_none_or(is_attribute_name)
                && more.is_none()
        };
        let urn = || text.bytes().all(is_path_byte) && !text.ends_with(['.', ':']);
        let valid = if is_urn(text) { urn() } else { plain() };
        valid.then(|| Self(text.into()))
    }

    /// The path as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The attribute of this resource type that the path names; `None` if it names none.
    ///
    /// A bare name that no core attribute has, but exactly one extension has, names that extension's
    /// attribute where the profile tolerates it.
    pub(crate) fn resolve<'r>(
        &self,
        resource_type: &'r ResourceType,
        reading: &mut Reading<'_>,
    ) -> Option<AttributeTarget<'r>> {
        if !is_urn(&self.0) {
            return resolve_plain(resource_type, &self.0, reading);
        }
        let (extension, rest) = resource_type.split_urn(&self.0)?;
        if rest.is_empty() {
            return extension.map(|_| AttributeTarget {
                extension,
                attribute: None,
                sub_attribute: None,
            });
        }
        let (name, sub) = split_sub_attribute(rest);
        let attribute = match extension {
            Some(extension) => extension.schema.attribute(name)?,
            None => resource_type.attribute(name)?,
        };
        let sub_attribute = match sub {
            Some(sub) => Some(attribute.sub_attribute(sub)?),
            None => None,
        };
        Some(AttributeTarget {
            extension,
            attribute: Some(attribute),
            sub_attribute,
        })
    }
}

/// Whether a byte may appear in an attribute path, with or without a URN.
pub(crate) fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'[' | b']' | b'(' | b')' | b'"' | b',')
}

fn is_urn(text: &str) -> bool {
    text.get(..4)
        .is_some_and(|head| head.eq_ignore_ascii_case("urn:"))
}

fn split_sub_attribute(text: &str) -> (&str, Option<&str>) {
    text.split_once('.')
        .map_or((text, None), |(name, sub)| (name, Some(sub)))
}

fn resolve_plain<'r>(
    resource_type: &'r ResourceType,
    text: &str,
    reading: &mut Reading<'_>,
) -> Option<AttributeTarget<'r>> {
    let (name, sub) = split_sub_attribute(text);
    let (extension, attribute) = match resource_type.attribute(name) {
        Some(attribute) => (None, attribute),
        None => {
            let (extension, attribute) = resource_type.sole_extension_with(name)?;
            reading
                .tolerates(Tolerance::BareExtensionNames)
                .then_some((Some(extension), attribute))?
        }
    };
    let sub_attribute = match sub {
        Some(sub) => Some(attribute.sub_attribute(sub)?),
        None => None,
    };
    Some(AttributeTarget {
        extension,
        attribute: Some(attribute),
        sub_attribute,
    })
}

impl fmt::Display for AttributePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Profile, Rules};
    use crate::schema::Registry;

    fn resolve(text: &str, profile: Profile) -> Option<String> {
        let user = Registry::builtin().resource_type("User").unwrap();
        let rules = Rules {
            profile,
            ..Rules::default()
        };
        let target = AttributePath::parse(text)?.resolve(user, &mut Reading::new(&rules))?;
        let extension = target
            .extension
            .map_or("", |extension| extension.schema.name.as_str());
        let names = [target.attribute, target.sub_attribute]
            .into_iter()
            .flatten()
            .map(|a| a.name());
        Some(
            std::iter::once(extension)
                .chain(names)
                .collect::<Vec<_>>()
                .join("/"),
        )
    }

    #[test]
    fn paths_lead_to_attributes_in_any_case() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(
                resolve(text, Profile::Strict).as_deref(),
                expected,
                "{text}"
            );
        };
        check("username", Some("/userName"));
        check("name.GIVENNAME", Some("/name/givenName"));
        check("meta.lastModified", Some("/meta/lastModified"));
        check("urn:ietf:params:scim:schemas:core:2.0:User:id", Some("/id"));
        let enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
        check(
            &format!("{enterprise}:manager.value"),
            Some("EnterpriseUser/manager/value"),
        );
        check(enterprise, Some("EnterpriseUser"));
        for nowhere in [
            "foo",
            "name.foo",
            "a.b.c",
            "emails[",
            "",
            "urn:example:x",
            "department",
            "userName.",
        ] {
            check(nowhere, None);
        }
    }

    #[test]
    fn bare_extension_names_need_the_default_profile() {
        assert_eq!(
            resolve("department", Profile::Default).as_deref(),
            Some("EnterpriseUser/department")
        );
        assert_eq!(
            resolve("manager.value", Profile::Default).as_deref(),
            Some("EnterpriseUser/manager/value")
        );
        assert_eq!(resolve("manager.value", Profile::Interop), None);
    }
}
