//! Changes of a registered schema that are allowed while there are resources.

use super::{Attribute, Schema};
use crate::error::{Error, Result};

/// Checks that every resource that fits a schema also fits `next`, and is still found by its indexes.
/// Attributes and indexes may be added. Descriptions, and the characteristics that only concern
/// answers, may change.
///
/// # Errors
/// `InvalidValue` naming the attribute and the characteristic that must not change.
pub fn check_successor(schema: &Schema, next: &Schema) -> Result<()> {
    check_list("", &schema.attributes, &next.attributes)
}

fn check_list(parent: &str, before: &[Attribute], after: &[Attribute]) -> Result<()> {
    for old in before {
        let path = format!("{parent}{}", old.name());
        match after.iter().find(|new| new.name == old.name) {
            Some(new) => check_attribute(&path, old, new)?,
            None => {
                return Err(refused(
                    &path,
                    "is missing, but resources may have a value of it",
                ));
            }
        }
    }
    let is_new = |new: &&Attribute| before.iter().all(|old| old.name != new.name);
    match after.iter().filter(is_new).find(|new| new.required) {
        Some(new) => {
            let path = format!("{parent}{}", new.name());
            Err(refused(
                &path,
                "is new and `required`, but resources have no value of it",
            ))
        }
        None => Ok(()),
    }
}

fn check_attribute(path: &str, old: &Attribute, new: &Attribute) -> Result<()> {
    let kept = [
        ("name", old.name() == new.name()),
        ("type", old.kind == new.kind),
        ("multiValued", old.multi_valued == new.multi_valued),
        ("caseExact", old.case_exact == new.case_exact),
        ("uniqueness", old.uniqueness == new.uniqueness),
        ("mutability", old.mutability == new.mutability),
    ];
    if let Some((characteristic, _)) = kept.iter().find(|(_, is_kept)| !is_kept) {
        return Err(refused(
            path,
            &format!("may not change its `{characteristic}`"),
        ));
    }
    if new.required && !old.required {
        return Err(refused(path, "may not become `required`"));
    }
    if old.indexed && !new.indexed {
        return Err(refused(path, "may not lose its index"));
    }
    check_list(
        &format!("{path}."),
        &old.sub_attributes,
        &new.sub_attributes,
    )
}

fn refused(path: &str, why: &str) -> Error {
    Error::invalid_value(format!(
        "The schema is registered already, and `{path}` {why}"
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn schema(attributes: &Value) -> Schema {
        let urn = "urn:example:params:scim:schemas:Badge";
        Schema::from_json(&json!({"id": urn, "name": "Badge", "attributes": attributes})).unwrap()
    }

    fn check(change: impl Fn(&mut Value), refused: Option<&str>) {
        let before = json!([
            {"name": "number", "type": "string"},
            {"name": "doors", "type": "complex", "multiValued": true, "subAttributes": [
                {"name": "name", "type": "string", "indexed": true},
            ]},
        ]);
        let mut after = before.clone();
        change(&mut after);
        let outcome = check_successor(&schema(&before), &schema(&after));
        match (outcome, refused) {
            (Ok(()), None) => {}
            (Err(error), Some(reason)) => assert!(error.detail().contains(reason), "{error}"),
            (outcome, _) => panic!("{refused:?}: {outcome:?}"),
        }
    }

    #[test]
    fn a_change_that_keeps_resources_valid_is_allowed() {
        check(|_| {}, None);
        check(|after| after[0]["indexed"] = json!(true), None);
        check(
            |after| after[0]["description"] = json!("On the front"),
            None,
        );
        check(|after| after[0]["returned"] = json!("request"), None);
        let more = json!({"name": "issued", "type": "dateTime"});
        check(
            |after| after.as_array_mut().unwrap().push(more.clone()),
            None,
        );
    }

    #[test]
    fn a_change_that_could_invalidate_resources_is_refused() {
        check(|after| after[0]["name"] = json!("Number"), Some("`name`"));
        check(
            |after| after[0]["mutability"] = json!("readOnly"),
            Some("`mutability`"),
        );
        check(
            |after| after[0]["type"] = json!("integer"),
            Some("`number` may not change its `type`"),
        );
        check(
            |after| after[0]["caseExact"] = json!(true),
            Some("`caseExact`"),
        );
        check(
            |after| after[0]["multiValued"] = json!(true),
            Some("`multiValued`"),
        );
        check(
            |after| after[0]["uniqueness"] = json!("server"),
            Some("`uniqueness`"),
        );
        check(
            |after| after[0]["required"] = json!(true),
            Some("`number` may not become"),
        );
        check(
            |after| after[1]["subAttributes"][0]["indexed"] = json!(false),
            Some("`doors.name` may not lose"),
        );
        check(
            |after| {
                after.as_array_mut().unwrap().remove(0);
            },
            Some("`number` is missing"),
        );
        let more = json!({"name": "issued", "type": "dateTime", "required": true});
        check(
            |after| after.as_array_mut().unwrap().push(more.clone()),
            Some("`issued` is new"),
        );
    }
}
