//! The arguments of an operation, before they are read.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::de::value::MapDeserializer;
use serde_json::value::RawValue;

use super::Operation;
use crate::protocol::error::{Error, Result};

/// The arguments of an operation. Each is text until it is read as what it has to be: as JSON of any kind, 6 MB would
/// take a hundred times as much memory.
#[derive(Clone)]
pub(super) struct Arguments<'r>(pub(super) BTreeMap<String, &'r RawValue>);

impl Arguments<'_> {
    /// Reads the arguments of an operation.
    ///
    /// # Errors
    /// `InvalidValue` naming what is missing, unknown or of another type.
    pub(super) fn read<O: Operation>(self) -> Result<O> {
        let members = MapDeserializer::new(self.0.into_iter());
        O::deserialize(members).map_err(|error| fault(O::NAME, &error))
    }
}

/// Reads a part of a request. `name` says which part, for the error.
///
/// # Errors
/// `InvalidValue` for one of another type.
pub(super) fn read<T: DeserializeOwned>(name: &str, value: &RawValue) -> Result<T> {
    serde_json::from_str(value.get()).map_err(|error| fault(name, &error))
}

/// What serde found wrong, without the place in the text: it counts from the beginning of one member.
fn fault(name: &str, error: &serde_json::Error) -> Error {
    let text = error.to_string();
    let text = text
        .rsplit_once(" at line ")
        .map_or(&*text, |(text, _)| text);
    Error::invalid_value(format!("{name}: {text}"))
}
