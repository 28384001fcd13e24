//! Writes items in bulk: in transactions of thousands, without a stream record for each, and without
//! waiting for the disk in between. After a crash the table must be discarded.

use dynoxide::{AttributeValue, Database, ImportOptions, Item};
use serde_json::Value;

use super::EmbeddedError;

/// Writes items in bulk to a table in this process. The mode of bulk loading ends when this value is
/// dropped.
pub struct Importer {
    database: Database,
    table: String,
}

impl Importer {
    pub(super) fn new(database: Database, table: &str) -> Result<Self, EmbeddedError> {
        database.enable_bulk_loading().map_err(failed)?;
        let table = table.to_owned();
        Ok(Self { database, table })
    }

    /// Writes all items or none, and replaces items with the same keys. An item is given as the
    /// names of its attributes with their values, which are texts and numbers.
    ///
    /// # Errors
    /// `Import`.
    pub fn import(&self, items: Vec<Vec<(String, Value)>>) -> Result<(), EmbeddedError> {
        let items = items.into_iter().map(item).collect();
        self.database
            .import_items(&self.table, items, ImportOptions::default())
            .map_err(failed)?;
        Ok(())
    }
}

impl Drop for Importer {
    fn drop(&mut self) {
        // If this fails the mode ends with the process, which is the end of a load.
        let _ = self.database.disable_bulk_loading();
    }
}

fn item(plain: Vec<(String, Value)>) -> Item {
    let value = |value| match value {
        Value::String(text) => Some(AttributeValue::S(text)),
        Value::Number(number) => Some(AttributeValue::N(number.to_string())),
        _ => None,
    };
    plain
        .into_iter()
        .filter_map(|(name, json)| Some((name, value(json)?)))
        .collect()
}

fn failed(error: dynoxide::DynoxideError) -> EmbeddedError {
    EmbeddedError::Import(error.into())
}
