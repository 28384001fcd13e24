//! `schemas` as the target of an operation: removing an extension's URN removes its data.

use serde_json::Value;

use super::Op;
use super::apply::Patching;
use super::select::Selected;
use crate::error::{Error, Result};
use crate::profile::Tolerance;
use crate::resource::schemas::{lists, of_body};
use crate::schema::Extension;

impl<'a> Patching<'a, '_> {
    /// Adding a URN changes nothing, because `schemas` follows from what the body holds.
    pub(super) fn schemas(
        &mut self,
        op: Op,
        selected: Selected<'_>,
        value: Option<Value>,
    ) -> Result<()> {
        if selected.filter.is_some() && op != Op::Remove {
            return Err(Error::mutability(
                "An element of `schemas` cannot be edited; add or remove URNs",
            ));
        }
        match op {
            Op::Add => self
                .values
                .listed_schemas(value.unwrap_or_default())
                .map(|_| ()),
            Op::Replace => self.replace_schemas(value.unwrap_or_default()),
            Op::Remove => self.remove_schemas(selected, value),
        }
    }

    fn replace_schemas(&mut self, value: Value) -> Result<()> {
        let (has_base, listed) = self.values.listed_schemas(value)?;
        if !has_base {
            return Err(self.base_stays());
        }
        let resource_type = self.values.resource_type;
        resource_type
            .extensions
            .iter()
            .filter(|extension| !extension.required && !lists(&listed, extension))
            .try_for_each(|extension| self.remove_extension(extension))
    }

    fn remove_schemas(&mut self, selected: Selected<'_>, value: Option<Value>) -> Result<()> {
        let (has_base, listed) = match (selected.filter, value.filter(|value| !value.is_null())) {
            (Some(filter), _) => {
                let bound = filter.bind_element(selected.attribute, self.values.reading)?;
                self.close_lists();
                let present = of_body(&self.body, self.values.resource_type);
                let matching = present.as_array().into_iter().flatten();
                let matching = matching.filter(|urn| bound.matches_element(urn)).cloned();
                self.values.listed_schemas(matching.collect())?
            }
            (None, Some(value)) => {
                self.values.reading.tolerates(Tolerance::RemovedValues);
                self.values.listed_schemas(value)?
            }
            (None, None) => (true, Vec::new()),
        };
        if has_base {
            return Err(self.base_stays());
        }
        let is_nothing = listed.is_empty() && selected.filter.is_some();
        if is_nothing && !self.values.reading.tolerates(Tolerance::RemovedNothing) {
            return Err(Error::no_target("The filter matches no URN of `schemas`"));
        }
        self.remove_extensions(&listed)
    }

    fn remove_extensions(&mut self, extensions: &[&'a Extension]) -> Result<()> {
        extensions
            .iter()
            .try_for_each(|extension| self.remove_extension(extension))
    }

    fn base_stays(&self) -> Error {
        Error::mutability(format!(
            "`schemas` must keep {}",
            self.values.resource_type.schema.id
        ))
    }
}
