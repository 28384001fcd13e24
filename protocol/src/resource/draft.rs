//! Reads the body of a POST or PUT and divides it into the body to store and the parts stored
//! elsewhere.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::finish::finish;
use super::keep::Replacing;
use super::limit::check_size;
use super::member::{MemberValue, members};
use super::password::{PasswordChange, is_password};
use super::place::Place;
use super::value::ValueReader;
use super::{Resource, body, names, schemas};
use crate::error::{Error, Result};
use crate::json;
use crate::profile::Reading;
use crate::schema::{
    Attribute, AttributeTarget, Extension, Mutability, Registry, ResourceType, Returned,
};

/// The operation that the body belongs to.
#[derive(Debug, Clone, Copy)]
pub enum DraftKind<'a> {
    /// A new resource.
    Create {
        /// The id that it gets.
        id: &'a str,
    },
    /// The replacement of a resource.
    Replace {
        /// The resource as it is stored now.
        existing: &'a Resource,
    },
    /// A resource that was exported, with the id that it had. What no request can bring is taken as it is: read-only
    /// values, and members that the type does not define.
    Import {
        /// The id that it had.
        id: &'a str,
        /// The resource as it was exported.
        exported: &'a Resource,
    },
}

/// The content of a request body.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// The resource to store.
    pub resource: Resource,
    /// The members that the body lists; `None` when it does not name `members`.
    pub members: Option<Vec<MemberValue>>,
    /// The change of the password; `None` when the body does not name it.
    pub password: Option<PasswordChange>,
    /// The attributes with `returned: request` that the body names, which the answer shows
    /// ([`Projection::after_write`](crate::projection::Projection::after_write)).
    pub written: Vec<String>,
}

/// See [`Resource::from_request`].
pub(super) fn read(
    mut request: Map<String, Value>,
    resource_type: &ResourceType,
    registry: &Registry,
    reading: &mut Reading<'_>,
    verb: DraftKind<'_>,
) -> Result<Draft> {
    let mut values = ValueReader {
        resource_type,
        registry,
        reading,
    };
    if let DraftKind::Import { .. } = verb {
        // A tolerance could take one of these for an attribute that is named in another way.
        request.retain(|name, _| resource_type.has_member(name));
    }
    let named = schemas::take(&mut values, &mut request)?;
    let mut drafting = Drafting {
        values,
        body: Map::new(),
        given: Vec::new(),
        members: None,
        password: None,
        written: BTreeSet::new(),
    };
    for (key, value) in request {
        drafting.member(&key, value)?;
    }
    let length = match verb {
        DraftKind::Create { .. } | DraftKind::Import { .. } => 0,
        DraftKind::Replace { existing } => json::object_length(existing.body()),
    };
    match verb {
        DraftKind::Create { id } => {
            drafting.body.insert("id".to_owned(), Value::from(id));
            drafting.check_outside()?;
        }
        DraftKind::Replace { existing } => {
            let switches = &drafting.values.reading.rules.switches;
            let replacing = Replacing {
                existing: existing.body(),
                given: &drafting.given,
                named: switches
                    .put_keeps_unnamed_extensions
                    .then_some(named.as_slice()),
            };
            replacing.keep(&mut drafting.body, resource_type)?;
        }
        DraftKind::Import { id, exported } => {
            let taking = Replacing {
                existing: exported.body(),
                given: &drafting.given,
                named: None,
            };
            taking.keep(&mut drafting.body, resource_type)?;
            drafting.body.insert("id".to_owned(), Value::from(id));
        }
    }
    let body = finish(drafting.body, resource_type, drafting.values.reading)?;
    check_size(&body, length)?;
    Ok(Draft {
        resource: Resource(body),
        members: drafting.members,
        password: drafting.password,
        written: drafting.written.into_iter().collect(),
    })
}

/// A draft while the body is read.
struct Drafting<'a, 'r> {
    values: ValueReader<'a, 'r>,
    body: Map<String, Value>,
    /// The attributes that the request names, with or without a value.
    given: Vec<&'a Attribute>,
    members: Option<Vec<MemberValue>>,
    password: Option<PasswordChange>,
    written: BTreeSet<String>,
}

impl<'a> Drafting<'a, '_> {
    fn member(&mut self, key: &str, value: Value) -> Result<()> {
        match names::target(&mut self.values, key) {
            None => self.values.unknown(&key),
            Some(AttributeTarget {
                extension: Some(extension),
                attribute: None,
                ..
            }) => self.container(extension, value),
            Some(target) => self.attribute(target, value),
        }
    }

    fn container(&mut self, extension: &'a Extension, value: Value) -> Result<()> {
        for (key, value) in names::container(extension, value)? {
            match names::target_within(&mut self.values, extension, &key) {
                Some(target) => self.attribute(target, value)?,
                None => self
                    .values
                    .unknown(&format_args!("{}:{key}", extension.schema.id))?,
            }
        }
        Ok(())
    }

    fn attribute(&mut self, target: AttributeTarget<'a>, value: Value) -> Result<()> {
        let Some(attribute) = target.attribute else {
            return Ok(());
        };
        if attribute.mutability == Mutability::ReadOnly {
            return Ok(());
        }
        let urn = target
            .extension
            .map(|extension| extension.schema.id.as_str());
        let place = Place::new(urn, attribute);
        self.given.push(attribute);
        self.written.extend(requested_paths(target));
        if self.values.resource_type.is_detached(attribute) {
            // A client that did not read the members may send null for them, so null changes nothing.
            if !value.is_null() {
                self.members = Some(members(&mut self.values, attribute, value, place)?);
            }
        } else if is_password(attribute) {
            let value = self.values.value(attribute, value, place)?;
            self.password = Some(PasswordChange::read(value)?);
        } else if let Some(sub) = target.sub_attribute {
            self.part(target.extension, attribute, sub, value, place)?;
        } else if let Some(value) = self.values.value(attribute, value, place)? {
            body::set(&mut self.body, target.extension, attribute, Some(value));
        }
        Ok(())
    }

    /// A member whose name is a path, such as `name.givenName`.
    fn part(
        &mut self,
        extension: Option<&Extension>,
        attribute: &Attribute,
        sub: &Attribute,
        value: Value,
        place: Place<'_>,
    ) -> Result<()> {
        if attribute.multi_valued {
            return self.values.unknown(&place.sub(sub.name()));
        }
        let mut complex = json::into_object(body::take(&mut self.body, extension, attribute));
        let part = Map::from_iter([(sub.name().to_owned(), value)]);
        self.values.merge(attribute, &mut complex, part, place)?;
        body::set(
            &mut self.body,
            extension,
            attribute,
            Some(Value::Object(complex)),
        );
        Ok(())
    }

    /// Checks that a required attribute that is stored outside the body has a value.
    fn check_outside(&self) -> Result<()> {
        let resource_type = self.values.resource_type;
        let missing = resource_type.attributes().find(|(_, attribute)| {
            attribute.required
                && ((resource_type.is_detached(attribute)
                    && self.members.as_ref().is_none_or(Vec::is_empty))
                    || (is_password(attribute)
                        && !matches!(self.password, Some(PasswordChange::Set(_)))))
        });
        match missing {
            Some((_, attribute)) if attribute.mutability != Mutability::ReadOnly => Err(
                Error::invalid_value(format!("`{}` is required and has no value", attribute.name)),
            ),
            _ => Ok(()),
        }
    }
}

/// The full names of those attributes of the target that are returned on request only.
pub(crate) fn requested_paths(target: AttributeTarget<'_>) -> Vec<String> {
    let Some(attribute) = target.attribute else {
        return Vec::new();
    };
    let full = |sub_attribute| AttributeTarget {
        sub_attribute,
        ..target
    };
    let subs = attribute
        .sub_attributes
        .iter()
        .filter(|sub| sub.returned == Returned::Request)
        .map(|sub| full(Some(sub)).to_string());
    let whole = (attribute.returned == Returned::Request).then(|| full(None).to_string());
    whole.into_iter().chain(subs).collect()
}
