//! Operations on multi-valued attributes: on all elements, on those that match a filter, or on a
//! sub-attribute of them.

use serde_json::{Map, Value};

use super::Op;
use super::list::{ElementList, holds, joined};
use super::select::Selected;
use crate::error::{Error, Result, excerpt};
use crate::filter::Filter;
use crate::json;
use crate::profile::{Profile, Tolerance};
use crate::resource::finish::several_primaries;
use crate::resource::repeated::is_primary;
use crate::resource::tolerance;
use crate::resource::value::{ValueReader, is_unassigned};
use crate::resource::{kept_element, kept_elements};
use crate::work::{ELEMENT, Steps, steps_of_bytes};

/// The number of values without `value` that a `remove` may carry. Each of them is compared with every
/// element.
const MAX_PARTIAL_VALUES: usize = 100;

/// Changes the elements of a multi-valued attribute by one operation.
pub(super) fn write(
    values: &mut ValueReader<'_, '_>,
    op: Op,
    selected: Selected<'_>,
    list: &mut ElementList,
    value: Option<Value>,
) -> Result<()> {
    let mut writing = Writing {
        values,
        selected,
        list,
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
    writing.settle_primary()
}

/// One operation on an attribute's elements.
struct Writing<'w, 'a, 'r> {
    values: &'w mut ValueReader<'a, 'r>,
    selected: Selected<'w>,
    list: &'w mut ElementList,
    /// The elements that the operation makes primary.
    primaries: Vec<usize>,
}

impl Writing<'_, '_, '_> {
    /// `add` without filter: an element that exists is updated, the others are appended.
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
        self.count(self.list.steps_to_index() + given.len() as u64 * ELEMENT)?;
        for element in given {
            let gives_primary = is_primary(&element);
            let position = match self.list.index(attribute).find(attribute, &element) {
                Some(position) => {
                    let old = self.list.take(attribute, position);
                    let element = joined(attribute, old, element);
                    self.list.put(attribute, position, element)?;
                    position
                }
                None => self.list.push(attribute, element)?,
            };
            if gives_primary {
                self.primaries.push(position);
            }
        }
        Ok(())
    }

    fn replace_all(&mut self, value: Value) -> Result<()> {
        let Selected { attribute, .. } = self.selected;
        let place = self.selected.place();
        let new = self.values.elements(attribute, value, place)?;
        let all = self.list.positions() + new.len();
        self.count(all as u64 * ELEMENT)?;
        let old: Vec<_> = self.list.iter().map(|(_, element)| element).collect();
        let new = kept_elements(attribute, &old, new, place)?;
        self.list.replace_all(new)
    }

    /// `remove` without filter: all elements, or those that the operation's value names.
    fn remove_values(&mut self, value: Option<Value>) -> Result<()> {
        let Selected { attribute, .. } = self.selected;
        let Some(value) = value.filter(|value| !value.is_null()) else {
            return self.list.replace_all(Vec::new());
        };
        // The RFC gives the value no meaning. But if a client names a few elements, removing all of them
        // would destroy data, so every profile honours the value.
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
        self.count(self.list.steps_to_index() + named.len() as u64 * ELEMENT)?;
        for element in &named {
            let found = self.list.index(attribute).all(attribute, element);
            self.remove_positions(&found)?;
        }
        self.remove_partial(&partial)
    }

    /// Removes each element that has all the sub-attributes of one of these.
    fn remove_partial(&mut self, partial: &[Value]) -> Result<()> {
        self.count(partial.len() as u64 * self.list.positions() as u64)?;
        let elements = self.list.iter();
        let found = elements.filter(|(_, element)| partial.iter().any(|part| holds(element, part)));
        let found: Vec<_> = found.map(|(position, _)| position).collect();
        self.remove_positions(&found)
    }

    /// `remove` of the selected elements, or of a sub-attribute of them.
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
        self.remove_positions(matches)
    }

    fn remove_positions(&mut self, positions: &[usize]) -> Result<()> {
        self.count(positions.len() as u64 * ELEMENT)?;
        for position in positions {
            self.list.take(self.selected.attribute, *position);
        }
        Ok(())
    }

    /// `replace` by `null` or `[]`, which clears the selected elements or sub-attribute and creates
    /// nothing.
    fn remove_for_replace(&mut self, whole: bool) -> Result<()> {
        if whole {
            return self.list.replace_all(Vec::new());
        }
        let matches = self.matches()?;
        if matches.is_empty() && self.selected.filter.is_some() {
            return self.check_created().map(|_| ());
        }
        self.remove_at(&matches)
    }

    /// `add` or `replace` of the selected elements, or of a sub-attribute of them.
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
        let steps = steps_to_write(&value);
        for position in matches {
            self.count(steps)?;
            self.write_element(op, position, value.clone())?;
        }
        Ok(())
    }

    fn write_element(&mut self, op: Op, position: usize, value: Value) -> Result<()> {
        let Selected { attribute, .. } = self.selected;
        let place = self.selected.place();
        let is_merged = attribute.is_complex() && (op == Op::Add || self.merges(position, &value));
        let (element, gives_primary) = if is_merged {
            let object = self.values.object(attribute, value, place)?;
            let gives_primary = json::get(&object, "primary").is_some();
            let mut complex = json::into_object(Some(self.list.take(attribute, position)));
            self.values.merge(attribute, &mut complex, object, place)?;
            (Value::Object(complex), gives_primary)
        } else {
            let element = self.values.element(attribute, value, place)?;
            let old = self.list.get(position);
            let element = kept_element(attribute, old, element.unwrap_or_default(), place)?;
            (element, true)
        };
        if gives_primary && is_primary(&element) {
            self.primaries.push(position);
        }
        self.list.put(attribute, position, element)
    }

    /// Whether a `replace` leaves the sub-attributes of an element that its value does not name
    /// ([`Tolerance::MergedElements`]).
    fn merges(&mut self, position: usize, value: &Value) -> bool {
        let old = self.list.get(position).as_object();
        let names = |name: &str| match value {
            Value::Object(object) => json::get(object, name).is_some(),
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
        let steps = steps_to_write(value);
        for position in matches {
            self.count(steps)?;
            let mut complex = json::into_object(Some(self.list.take(attribute, *position)));
            self.selected.check_clears(&complex, is_unassigned(value))?;
            let part = Map::from_iter([(sub.name().to_owned(), value.clone())]);
            let place = self.selected.place();
            self.values.merge(attribute, &mut complex, part, place)?;
            let element = Value::Object(complex);
            if sub.name == "primary" && is_primary(&element) {
                self.primaries.push(*position);
            }
            self.list.put(attribute, *position, element)?;
        }
        Ok(())
    }

    /// Creates the element that a filter describes but does not find ([`Tolerance::CreatedElements`]).
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
        let gives_primary = is_primary(&element);
        let position = self.list.push(attribute, element)?;
        if gives_primary {
            self.primaries.push(position);
        }
        Ok(())
    }

    /// The sub-attributes that a new element takes from the filter; `NoTarget` when none may be
    /// created.
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
        self.count(self.list.positions() as u64)?;
        let Some(filter) = self.selected.filter else {
            return Ok(self.list.iter().map(|(position, _)| position).collect());
        };
        let bound = filter.bind_element(self.selected.attribute, self.values.reading)?;
        let steps = Steps::of(self.values.reading.work());
        let elements = self.list.iter();
        let matches: Vec<_> = elements
            .filter(|(_, element)| bound.holds_in(element, &steps))
            .map(|(position, _)| position)
            .collect();
        self.count(steps.taken())?;
        if matches.len() > 1 && self.values.reading.rules.profile == Profile::Interop {
            return Err(Error::invalid_filter(format!(
                "`{}` matches {} elements; one is allowed",
                excerpt(self.shown(filter)),
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
        Error::no_target(format!("`{}` matches no element", excerpt(target)))
    }

    /// When one element becomes primary, the others no longer are (RFC 7644 §3.5.2).
    fn settle_primary(&mut self) -> Result<()> {
        let Some(&chosen) = self.primaries.first() else {
            return Ok(());
        };
        let is_one = self.primaries.iter().all(|position| *position == chosen);
        if !is_one && !self.values.reading.tolerates(Tolerance::SeveralPrimaries) {
            return Err(several_primaries(self.selected.place()));
        }
        let attribute = self.selected.attribute;
        let others = self.list.primaries().iter().copied();
        let others: Vec<_> = others.filter(|position| *position != chosen).collect();
        self.count(others.len() as u64 * ELEMENT)?;
        for position in others {
            let mut element = self.list.take(attribute, position);
            element["primary"] = Value::Bool(false);
            self.list.put(attribute, position, element)?;
        }
        Ok(())
    }

    fn count(&mut self, steps: u64) -> Result<()> {
        self.values.reading.count(steps)
    }
}

/// The steps of writing a value into one element: its text is copied.
fn steps_to_write(value: &Value) -> u64 {
    ELEMENT + steps_of_bytes(json::text_length(value))
}
