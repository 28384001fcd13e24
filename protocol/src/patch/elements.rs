//! Operations on multi-valued attributes: all elements, those that a filter matches, or parts of them.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::Op;
use super::apply::{check_part, into_object};
use super::known::{Known, holds, joined};
use super::select::Selected;
use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::profile::{Profile, Tolerance};
use crate::resource::finish::several_primaries;
use crate::resource::repeated::{identity, is_primary, value_identity};
use crate::resource::tolerance;
use crate::resource::value::{ValueReader, is_unassigned};
use crate::resource::{kept_element, kept_elements};

/// A `remove` may carry this many values that are compared part by part.
const MAX_PARTIAL_VALUES: usize = 100;

/// The value of a multi-valued attribute after one operation.
pub(super) fn write(
    values: &mut ValueReader<'_, '_>,
    op: Op,
    selected: Selected<'_>,
    old: Option<Value>,
    value: Option<Value>,
) -> Result<Option<Value>> {
    let elements = match old {
        Some(Value::Array(elements)) => elements,
        _ => Vec::new(),
    };
    let mut writing = Writing {
        values,
        selected,
        elements,
        primaries: Vec::new(),
    };
    let whole = selected.filter.is_none() && selected.sub.is_none();
    match (op, value) {
        (Op::Remove, value) if whole => writing.remove_values(value)?,
        (Op::Remove, _) => writing.remove()?,
        (Op::Add, Some(value)) if is_unassigned(&value) => {}
        (Op::Replace, value) if value.as_ref().is_none_or(is_unassigned) => {
            writing.remove_for_replace(whole)?;
        }
        (Op::Add, Some(value)) if whole => writing.append(value)?,
        (Op::Replace, Some(value)) if whole => writing.replace_all(value)?,
        (_, Some(value)) => writing.write_selected(op, value)?,
        (_, None) => {}
    }
    writing.settle_primary()?;
    Ok(Some(Value::Array(writing.elements)))
}

/// One operation at work on an attribute's elements.
struct Writing<'w, 'a, 'r> {
    values: &'w mut ValueReader<'a, 'r>,
    selected: Selected<'w>,
    elements: Vec<Value>,
    /// The elements that the operation makes primary.
    primaries: Vec<usize>,
}

impl Writing<'_, '_, '_> {
    /// `add` without filter: what is there already is brought up to date, the rest is appended.
    fn append(&mut self, value: Value) -> Result<()> {
        let Selected { attribute, .. } = self.selected;
        // RFC 7644 §3.5.2.1 lets a value be one element or an array.
        let listed = match value {
            Value::Array(_) => value,
            single => Value::Array(vec![single]),
        };
        let given = self
            .values
            .elements(attribute, listed, self.selected.place())?;
        let mut known = Known::default();
        for (position, element) in self.elements.iter().enumerate() {
            known.insert(attribute, element, position);
        }
        for element in given {
            let position = match known.find(attribute, &element) {
                Some(position) => position,
                None => {
                    known.insert(attribute, &element, self.elements.len());
                    self.elements.push(Value::Null);
                    self.elements.len() - 1
                }
            };
            if is_primary(&element) {
                self.primaries.push(position);
            }
            if let Some(slot) = self.elements.get_mut(position) {
                *slot = joined(attribute, slot.take(), element);
            }
        }
        Ok(())
    }

    fn replace_all(&mut self, value: Value) -> Result<()> {
        let Selected { attribute, .. } = self.selected;
        let place = self.selected.place();
        let new = self.values.elements(attribute, value, place)?;
        self.elements = kept_elements(attribute, &self.elements, new, place)?;
        Ok(())
    }

    /// `remove` without filter: everything, or the values that the operation carries.
    fn remove_values(&mut self, value: Option<Value>) -> Result<()> {
        let Selected { attribute, .. } = self.selected;
        let Some(value) = value.filter(|value| !value.is_null()) else {
            self.elements.clear();
            return Ok(());
        };
        // The RFC gives the value no meaning, but to remove everything when asked to remove something
        // would destroy data, so every profile honours it.
        self.values.reading.tolerates(Tolerance::RemovedValues);
        let listed = match value {
            Value::Array(_) => value,
            single => Value::Array(vec![single]),
        };
        let given = self
            .values
            .elements(attribute, listed, self.selected.place())?;
        let (named, partial): (Vec<_>, Vec<_>) = given
            .into_iter()
            .partition(|element| !attribute.is_complex() || element.get("value").is_some());
        if partial.len() > MAX_PARTIAL_VALUES {
            return Err(Error::invalid_value(format!(
                "A `remove` may carry at most {MAX_PARTIAL_VALUES} elements without `value`"
            )));
        }
        let named: HashSet<_> = named
            .iter()
            .map(|element| match element.get("type") {
                Some(_) => identity(attribute, element),
                None => value_identity(attribute, element),
            })
            .collect();
        self.elements.retain(|element| {
            !named.contains(&identity(attribute, element))
                && !named.contains(&value_identity(attribute, element))
                && !partial.iter().any(|part| holds(element, part))
        });
        Ok(())
    }

    /// `remove` of the selected elements, or of a part of them.
    fn remove(&mut self) -> Result<()> {
        let matches = self.matches()?;
        if matches.is_empty() {
            return self.nothing_to_remove();
        }
        self.remove_at(&matches)
    }

    fn nothing_to_remove(&mut self) -> Result<()> {
        if self.selected.filter.is_none()
            || self.values.reading.tolerates(Tolerance::RemovedNothing)
        {
            return Ok(());
        }
        Err(self.no_target())
    }

    fn remove_at(&mut self, matches: &[usize]) -> Result<()> {
        if self.selected.sub.is_some() {
            return self.write_part(matches, &Value::Null);
        }
        let matches: HashSet<_> = matches.iter().copied().collect();
        let mut position = 0;
        self.elements.retain(|_| {
            position += 1;
            !matches.contains(&(position - 1))
        });
        Ok(())
    }

    /// `replace` by `null` or `[]`, which clears what is there and makes nothing.
    fn remove_for_replace(&mut self, whole: bool) -> Result<()> {
        if whole {
            self.elements.clear();
            return Ok(());
        }
        let matches = self.matches()?;
        if matches.is_empty() && self.selected.filter.is_some() {
            return self.check_created().map(|_| ());
        }
        self.remove_at(&matches)
    }

    /// `add` or `replace` of the selected elements, or of a part of them.
    fn write_selected(&mut self, op: Op, value: Value) -> Result<()> {
        let matches = self.matches()?;
        if matches.is_empty() {
            return self.create(value);
        }
        if self.selected.sub.is_some() {
            return self.write_part(&matches, &value);
        }
        let value =
            tolerance::unwrapped_single(self.values.reading, self.selected.attribute, value);
        for position in matches {
            self.write_element(op, position, value.clone())?;
        }
        Ok(())
    }

    fn write_element(&mut self, op: Op, position: usize, value: Value) -> Result<()> {
        let Selected { attribute, .. } = self.selected;
        let place = self.selected.place();
        let is_merged = attribute.is_complex() && (op == Op::Add || self.merges(position, &value));
        let Some(slot) = self.elements.get_mut(position) else {
            return Ok(());
        };
        let (element, gives_primary) = if is_merged {
            let object = self.values.object(attribute, value, place)?;
            let gives_primary = crate::json::member(&object, "primary").is_some();
            let mut complex = into_object(Some(slot.take()));
            self.values.merge(attribute, &mut complex, object, place)?;
            (Value::Object(complex), gives_primary)
        } else {
            let element = self.values.element(attribute, value, place)?;
            let element = kept_element(attribute, slot, element.unwrap_or_default(), place)?;
            (element, true)
        };
        if gives_primary && is_primary(&element) {
            self.primaries.push(position);
        }
        *slot = element;
        Ok(())
    }

    /// Whether a `replace` leaves the parts of an element that its value does not name
    /// ([`Tolerance::MergedElements`]).
    fn merges(&mut self, position: usize, value: &Value) -> bool {
        let old = self.elements.get(position).and_then(Value::as_object);
        let names = |name: &str| match value {
            Value::Object(object) => crate::json::member(object, name).is_some(),
            _ => name == "value",
        };
        let leaves_some = old.is_some_and(|old| old.keys().any(|name| !names(name)));
        leaves_some && self.values.reading.tolerates(Tolerance::MergedElements)
    }

    /// Sets or clears the selected sub-attribute in these elements.
    fn write_part(&mut self, matches: &[usize], value: &Value) -> Result<()> {
        let Selected { attribute, .. } = self.selected;
        let Some(sub) = self.selected.sub else {
            return Ok(());
        };
        for position in matches {
            let Some(slot) = self.elements.get_mut(*position) else {
                continue;
            };
            let mut complex = into_object(Some(slot.take()));
            check_part(&complex, sub, is_unassigned(value), &self.selected)?;
            let part = Map::from_iter([(sub.name().to_owned(), value.clone())]);
            let place = self.selected.place();
            self.values.merge(attribute, &mut complex, part, place)?;
            *slot = Value::Object(complex);
            if sub.name == "primary" && is_primary(slot) {
                self.primaries.push(*position);
            }
        }
        self.elements
            .retain(|element| element.as_object().is_none_or(|object| !object.is_empty()));
        Ok(())
    }

    /// Makes the element that a filter describes and does not find ([`Tolerance::CreatedElements`]).
    fn create(&mut self, value: Value) -> Result<()> {
        let terms = self.check_created()?;
        let Selected { attribute, sub, .. } = self.selected;
        let place = self.selected.place();
        let value = tolerance::unwrapped_single(self.values.reading, attribute, value);
        let element = if attribute.is_complex() {
            let object = match sub {
                Some(sub) => Map::from_iter([(sub.name().to_owned(), value)]),
                None => self.values.object(attribute, value, place)?,
            };
            let mut complex = Map::new();
            self.values.merge(attribute, &mut complex, terms, place)?;
            self.values.merge(attribute, &mut complex, object, place)?;
            Value::Object(complex)
        } else {
            let element = self.values.element(attribute, value, place)?;
            element.unwrap_or_default()
        };
        if is_primary(&element) {
            self.primaries.push(self.elements.len());
        }
        self.elements.push(element);
        Ok(())
    }

    /// What a new element holds because of the filter; `NoTarget` when none may be made.
    fn check_created(&mut self) -> Result<Map<String, Value>> {
        let terms = match self.selected.filter {
            Some(filter) => filter.equalities(),
            None => Some(Vec::new()),
        };
        let terms = terms.filter(|_| self.values.reading.tolerates(Tolerance::CreatedElements));
        let Some(terms) = terms else {
            return Err(self.no_target());
        };
        let named = terms.into_iter().filter_map(|(path, value)| {
            let sub = self.selected.attribute.sub_attribute(path.as_str())?;
            Some((sub.name().to_owned(), value.to_json()))
        });
        Ok(named.collect())
    }

    /// The positions of the selected elements: all of them, or those that match the filter.
    fn matches(&mut self) -> Result<Vec<usize>> {
        let Some(filter) = self.selected.filter else {
            return Ok((0..self.elements.len()).collect());
        };
        let bound = filter.bind_element(self.selected.attribute, self.values.reading)?;
        let matches: Vec<_> = self
            .elements
            .iter()
            .enumerate()
            .filter(|(_, element)| bound.matches_element(element))
            .map(|(position, _)| position)
            .collect();
        if matches.len() > 1 && self.values.reading.rules.profile == Profile::Interop {
            return Err(Error::invalid_filter(format!(
                "`{}` matches {} elements; one is allowed",
                self.shown(filter),
                matches.len()
            )));
        }
        Ok(matches)
    }

    fn shown(&self, filter: &Filter) -> String {
        format!("{}[{filter}]", self.selected.place())
    }

    fn no_target(&self) -> Error {
        let target = match self.selected.filter {
            Some(filter) => self.shown(filter),
            None => self.selected.place().to_string(),
        };
        Error::no_target(format!("`{target}` matches no element"))
    }

    /// One element that becomes primary takes that from the others (RFC 7644 §3.5.2).
    fn settle_primary(&mut self) -> Result<()> {
        self.primaries.dedup();
        let chosen = match self.primaries.as_slice() {
            [] => return Ok(()),
            [chosen] => *chosen,
            [first, ..] if self.values.reading.tolerates(Tolerance::SeveralPrimaries) => *first,
            _ => return Err(several_primaries(self.selected.place())),
        };
        for (position, element) in self.elements.iter_mut().enumerate() {
            if position != chosen && is_primary(element) {
                element["primary"] = Value::Bool(false);
            }
        }
        Ok(())
    }
}
