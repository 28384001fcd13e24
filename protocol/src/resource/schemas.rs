//! `schemas`: which URNs a request may list, and which a resource does list (RFC 7643 §3, §3.3).

use serde_json::{Map, Value};

use super::value::{Place, ValueReader, is_unassigned};
use crate::error::excerpt;
use crate::error::{Error, Result};
use crate::json::{kind_of, take_member};
use crate::profile::Tolerance;
use crate::schema::{Extension, ResourceType};

impl<'a> ValueReader<'a, '_> {
    /// Takes `schemas` out of a request body and checks it; the answer is the extensions it lists.
    pub(crate) fn take_schemas(
        &mut self,
        body: &mut Map<String, Value>,
    ) -> Result<Vec<&'a Extension>> {
        let value = take_member(body, "schemas").unwrap_or_default();
        let (has_base, extensions) = self.listed_schemas(value)?;
        if !has_base && !self.reading.tolerates(Tolerance::MissingSchemas) {
            return Err(Error::invalid_value(format!(
                "`schemas` must list {}",
                self.resource_type.schema.id
            )));
        }
        Ok(extensions)
    }

    /// Whether a list of URNs names the base schema, and the extensions it names, each once.
    pub(crate) fn listed_schemas(&mut self, value: Value) -> Result<(bool, Vec<&'a Extension>)> {
        let listed = match value {
            value if is_unassigned(&value) => Vec::new(),
            Value::Array(listed) => listed,
            single => vec![self.single_for_many(single, Place::named("schemas"))?],
        };
        let mut has_base = false;
        let mut extensions = Vec::<&Extension>::new();
        for value in listed {
            let Value::String(urn) = value else {
                return Err(Error::invalid_value(format!(
                    "`schemas` holds {}; only URNs are allowed",
                    kind_of(&value)
                )));
            };
            match self.resource_type.extension(&urn) {
                Some(extension) if !lists(&extensions, extension) => extensions.push(extension),
                Some(_) => {}
                None if self.resource_type.has_schema(&urn) => has_base = true,
                None => self.unknown_schema(&urn)?,
            }
        }
        Ok((has_base, extensions))
    }

    fn unknown_schema(&mut self, urn: &str) -> Result<()> {
        if self.reading.tolerates(Tolerance::UnknownAttributes) {
            return Ok(());
        }
        Err(Error::invalid_syntax(format!(
            "`schemas` lists `{}`, which is no schema of {}; allowed are {}",
            excerpt(urn),
            self.resource_type.name,
            allowed(self.resource_type).join(", ")
        )))
    }
}

/// Whether the extension is one of these.
pub(crate) fn lists(extensions: &[&Extension], extension: &Extension) -> bool {
    extensions
        .iter()
        .any(|listed| std::ptr::eq(*listed, extension))
}

/// The URNs that a resource with this body lists: its base, and the extensions that have data or are
/// required.
pub(crate) fn of_body(body: &Map<String, Value>, resource_type: &ResourceType) -> Value {
    let extended = resource_type
        .extensions
        .iter()
        .filter(|extension| extension.required || body.contains_key(&extension.schema.id))
        .map(|extension| &extension.schema.id);
    std::iter::once(&resource_type.schema.id)
        .chain(extended)
        .map(|urn| Value::from(urn.as_str()))
        .collect()
}

fn allowed(resource_type: &ResourceType) -> Vec<&str> {
    let extended = resource_type
        .extensions
        .iter()
        .map(|extension| extension.schema.id.as_str());
    std::iter::once(resource_type.schema.id.as_str())
        .chain(extended)
        .collect()
}
