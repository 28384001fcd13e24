//! Bulk requests of 1.1 (API §3.5). What comes out is planned, done and limited like a bulk request of
//! 2.0; its answer is written by [`render_response_v1`](crate::bulk::render_response_v1).

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::{Dialect, View};
use crate::bulk::{BulkRequest, Entry, Label, Method, Operation, Target};
use crate::error::Result;
use crate::profile::Reading;
use crate::schema::{Membership, Registry};
use crate::urn;

/// How an example of the draft writes references.
const MISSPELLED: &str = "batchId:";

/// A bulk request of 1.1 translated.
#[derive(Debug)]
pub struct Bulk {
    /// The 2.0 operations with the labels of the 1.1 ones: in the Ionic dialect a PUT has become a
    /// PATCH and is still called PUT in its result. Behind them stand those of `memberships`.
    pub request: BulkRequest,
    /// For each operation that was added at the end, the position of the POST that ordered it (by
    /// `groups` in the Ionic extension). It has no result of its own; its failure is the POST's.
    pub memberships: Vec<usize>,
}

impl Bulk {
    /// Translates the body of a POST to `/Bulk`.
    ///
    /// **Shape**: `{"schemas":["urn:scim:schemas:core:1.0"],"Operations":[{"method":"PATCH",
    /// "path":"/Users/7","data":{"nickName":"B"}}]}`.
    ///
    /// # Errors
    /// As [`BulkRequest::parse`]; a fault in one operation is that operation's.
    pub fn parse(
        mut body: Map<String, Value>,
        registry: &Registry,
        dialect: Dialect,
        reading: &mut Reading<'_>,
    ) -> Result<Self> {
        body.retain(|key, _| !key.eq_ignore_ascii_case("schemas"));
        body.insert("schemas".into(), json!([urn::BULK_REQUEST]));
        let request = BulkRequest::parse(&body, reading)?;
        let names = request.entries.iter();
        let names: HashSet<_> = names
            .filter_map(|entry| entry.label.bulk_id.clone())
            .collect();
        let mut entries = Vec::with_capacity(request.entries.len());
        let mut ordered = Vec::new();
        for (position, entry) in request.entries.into_iter().enumerate() {
            let mut groups = Vec::new();
            let operation = entry.operation.and_then(|mut operation| {
                let values = operation.data.values_mut();
                values.for_each(|value| respell(value, &names));
                translated(operation, registry, dialect, reading, &mut groups)
            });
            let name = entry.label.bulk_id.clone().unwrap_or_default();
            let groups = groups.into_iter();
            ordered.extend(groups.map(|group| (position, membership(registry, &group, &name))));
            entries.push(Entry { operation, ..entry });
        }
        let (memberships, added): (Vec<_>, Vec<_>) = ordered.into_iter().unzip();
        entries.extend(added);
        Ok(Self {
            request: BulkRequest { entries, ..request },
            memberships,
        })
    }
}

/// The operation with a body of 2.0; one on an unknown endpoint stays as it is, to fail there.
fn translated(
    mut operation: Operation,
    registry: &Registry,
    dialect: Dialect,
    reading: &mut Reading<'_>,
    groups: &mut Vec<String>,
) -> Result<Operation> {
    let Some(resource_type) = registry.at_endpoint(&operation.endpoint) else {
        return Ok(operation);
    };
    let view = View {
        dialect,
        resource_type,
    };
    let data = std::mem::take(&mut operation.data);
    operation.data = match (operation.method, dialect) {
        (Method::Delete, _) => data,
        (Method::Patch, _) => view.patch(data, reading)?,
        (Method::Put, Dialect::Ionic) => {
            operation.method = Method::Patch;
            view.merging_put(data, reading)?
        }
        (Method::Put, Dialect::General) => view.request(data)?.body,
        (Method::Post, _) => {
            let request = view.request(data)?;
            *groups = request.groups;
            request.body
        }
    };
    Ok(operation)
}

/// The operation that makes a new user a member of a group.
fn membership(registry: &Registry, group: &str, user: &str) -> Entry {
    let mut types = registry.resource_types().iter();
    let groups = types.find(|found| found.membership == Some(Membership::Members));
    let endpoint = groups.map_or("Groups", |groups| &groups.endpoint);
    let member = json!({ "value": format!("bulkId:{user}") });
    let add = json!({"op": "add", "path": Membership::Members.attribute(), "value": [member]});
    Entry {
        label: Label {
            method: Method::Patch.name().to_owned(),
            bulk_id: None,
            path: format!("/{endpoint}/{group}"),
        },
        operation: Ok(Operation {
            method: Method::Patch,
            endpoint: endpoint.to_owned(),
            target: Target::Id(group.to_owned()),
            version: None,
            data: Map::from_iter([
                ("schemas".to_owned(), json!([urn::PATCH_OP])),
                ("Operations".to_owned(), json!([add])),
            ]),
        }),
    }
}

fn respell(value: &mut Value, names: &HashSet<String>) {
    match value {
        Value::String(text) => {
            if let Some(name) = text.strip_prefix(MISSPELLED)
                && names.contains(name)
            {
                *text = format!("bulkId:{name}");
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(|value| respell(value, names)),
        Value::Object(members) => members.values_mut().for_each(|value| respell(value, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Rules;

    fn parse(dialect: Dialect, text: &str) -> Bulk {
        let rules = Rules::default();
        let body = serde_json::from_str(text).unwrap();
        let mut reading = Reading::new(&rules);
        Bulk::parse(body, Registry::builtin(), dialect, &mut reading).unwrap()
    }

    fn operation(bulk: &Bulk, position: usize) -> &Operation {
        bulk.request.entries[position].operation.as_ref().unwrap()
    }

    #[test]
    fn each_body_is_translated_by_its_type() {
        let text = include_str!("../../tests/data/scim11/bulk-request.json");
        let bulk = parse(Dialect::General, text);
        assert_eq!(bulk.request.fail_on_errors, Some(1));
        assert_eq!(operation(&bulk, 0).data["schemas"], json!([urn::USER]));
        assert_eq!(operation(&bulk, 1).method, Method::Put);
        assert_eq!(operation(&bulk, 1).data["schemas"], json!([urn::USER]));
        assert_eq!(
            operation(&bulk, 2).data["Operations"],
            json!([{"op": "remove", "path": "nickName"},
                   {"op": "replace", "path": "userName", "value": "Dave"}])
        );
        assert_eq!(operation(&bulk, 3).method, Method::Delete);
    }

    #[test]
    fn a_put_of_the_ionic_api_merges_and_keeps_its_name() {
        let text = include_str!("../../tests/data/scim11/bulk-request.json");
        let bulk = parse(Dialect::Ionic, text);
        assert_eq!(operation(&bulk, 1).method, Method::Patch);
        assert_eq!(bulk.request.entries[1].label.method, "PUT");
        assert_eq!(
            operation(&bulk, 1).data["Operations"],
            json!([{"op": "replace", "path": "userName", "value": "Bob"}])
        );
    }

    #[test]
    fn references_are_found_in_the_names_of_2_0() {
        for (text, expected) in [
            (
                include_str!("../../tests/data/scim11/bulk-manager.json"),
                "qwerty",
            ),
            (
                include_str!("../../tests/data/scim11/bulk-user-and-group.json"),
                "qwerty",
            ),
            (
                include_str!("../../tests/data/scim11/bulk-circle.json"),
                "qwerty",
            ),
        ] {
            let bulk = parse(Dialect::General, text);
            assert_eq!(operation(&bulk, 1).references(), [expected]);
        }
    }

    #[test]
    fn a_new_user_joins_its_groups_afterwards() {
        let text = r#"{"Operations": [
            {"method": "POST", "path": "/Users", "bulkId": "a",
             "data": {"userName": "a", "urn:scim:schemas:extension:ionic:1.0": {"groups": ["7", {"value": "8"}]}}},
            {"method": "DELETE", "path": "/Users/9"}]}"#;
        let bulk = parse(Dialect::Ionic, text);
        assert_eq!(bulk.memberships, [0, 0]);
        assert_eq!(bulk.request.entries.len(), 4);
        assert_eq!(operation(&bulk, 2).target, Target::Id("7".into()));
        assert_eq!(operation(&bulk, 3).references(), ["a"]);
    }

    #[test]
    fn a_fault_in_one_operation_is_its_own() {
        let text = r#"{"Operations": [
            {"method": "PUT", "path": "/Groups/1", "data": {"members": [{"value": "2", "type": "group"}]}},
            {"method": "PATCH", "path": "/Nothing/1", "data": {"a": 1}},
            {"method": "GET", "path": "/Users"}]}"#;
        let bulk = parse(Dialect::Ionic, text);
        let failed = |position: usize| bulk.request.entries[position].operation.is_err();
        assert!(failed(0) && !failed(1) && failed(2));
    }
}
