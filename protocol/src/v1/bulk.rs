//! Bulk requests of 1.1 (API §3.5). The result is a bulk request of 2.0 and is planned, carried out
//! and limited like one; its answer is written by
//! [`render_response_v1`](crate::bulk::render_response_v1).

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::{Dialect, TranslatedRequest, View, patch, request, user_name};
use crate::bulk::respell;
use crate::bulk::{BulkEntry, BulkOperation, BulkRequest, Method, OperationLabel, OperationTarget};
use crate::error::Result;
use crate::profile::Reading;
use crate::schema::{MembershipAttribute, Registry};
use crate::urn;

/// The spelling of references in one example of the draft.
const MISSPELLED: &str = "batchId:";

/// The spelling of references everywhere else.
const PREFIX: &str = "bulkId:";

/// A bulk request of 1.1 after translation.
#[derive(Debug)]
pub struct TranslatedBulk {
    /// The request of 2.0.
    pub request: BulkRequest,
    /// For each new user, by the client's name for it: the attribute that its `userName` was taken from.
    pub names_from: HashMap<String, &'static str>,
}

/// Translates the body of a POST to `/Bulk` into the request of 2.0.
///
/// The labels stay those of 1.1: a PUT of the Ionic dialect becomes a PATCH, but its result is still
/// called PUT. The groups that a new user is to join (`groups` in the Ionic extension) become
/// completions of its POST.
///
/// **Shape**: `{"schemas":["urn:scim:schemas:core:1.0"],"Operations":[{"method":"PATCH",
/// "path":"/Users/7","data":{"nickName":"B"}}]}`.
///
/// # Errors
/// As [`BulkRequest::parse`]. A fault in one operation becomes the result of that operation.
pub fn bulk_request(
    mut body: Map<String, Value>,
    registry: &Registry,
    dialect: Dialect,
    reading: &mut Reading<'_>,
) -> Result<TranslatedBulk> {
    body.retain(|key, _| !key.eq_ignore_ascii_case("schemas"));
    body.insert("schemas".into(), json!([urn::BULK_REQUEST]));
    let request = BulkRequest::parse(&body, reading)?;
    let names = request.entries.iter();
    let names: HashSet<_> = names
        .filter_map(|entry| entry.label.bulk_id.clone())
        .collect();
    let mut names_from = HashMap::new();
    let mut entries = Vec::with_capacity(request.entries.len());
    for entry in request.entries {
        let mut extras = Extras::default();
        let operation = entry.operation.and_then(|operation| {
            let mut operation = translated(operation, registry, dialect, reading, &mut extras)?;
            respell(&mut operation, registry, MISSPELLED, &names);
            Ok(operation)
        });
        let name = entry.label.bulk_id.as_deref().unwrap_or_default();
        if let Some(from) = extras.name_from {
            names_from.insert(name.to_owned(), from);
        }
        let groups = extras.groups.into_iter();
        entries.push(BulkEntry {
            operation,
            completions: groups
                .map(|group| membership(registry, respelled(group, &names), name))
                .collect(),
            ..entry
        });
    }
    Ok(TranslatedBulk {
        request: BulkRequest { entries, ..request },
        names_from,
    })
}

/// The creation of a resource and everything that completes it, as one bulk request. It takes effect
/// as a whole or not at all.
#[must_use]
pub fn creation(view: View<'_>, request: TranslatedRequest, registry: &Registry) -> BulkRequest {
    let name = "new";
    let endpoint = &view.resource_type.endpoint;
    let groups = request.groups.into_iter();
    let entry = BulkEntry {
        label: OperationLabel {
            method: Method::Post.name().to_owned(),
            bulk_id: Some(name.to_owned()),
            path: format!("/{endpoint}"),
        },
        operation: Ok(BulkOperation {
            method: Method::Post,
            endpoint: endpoint.clone(),
            target: OperationTarget::New(name.to_owned()),
            version: None,
            data: request.body,
        }),
        completions: groups
            .map(|group| membership(registry, group, name))
            .collect(),
    };
    BulkRequest {
        fail_on_errors: None,
        entries: vec![entry],
    }
}

/// The parts of a new resource that are not in its body.
#[derive(Default)]
struct Extras {
    groups: Vec<String>,
    name_from: Option<&'static str>,
}

/// The operation with a body of 2.0. An operation on an unknown endpoint is left as it is; it fails
/// later.
fn translated(
    mut operation: BulkOperation,
    registry: &Registry,
    dialect: Dialect,
    reading: &mut Reading<'_>,
    extras: &mut Extras,
) -> Result<BulkOperation> {
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
        (Method::Patch, _) => patch::patch(view, data, reading)?,
        (Method::Put, Dialect::Ionic) => {
            operation.method = Method::Patch;
            patch::merging_put(view, data, reading)?
        }
        (Method::Put, Dialect::General) => request::request(view, data)?.body,
        (Method::Post, _) => {
            let request = user_name::new_resource(view, data, reading)?;
            *extras = Extras {
                groups: request.groups,
                name_from: request.name_from,
            };
            request.body
        }
    };
    Ok(operation)
}

/// The id of a group, or a reference to a new group in the spelling of 2.0.
fn respelled(group: String, names: &HashSet<String>) -> String {
    match group.strip_prefix(MISSPELLED) {
        Some(name) if names.contains(name) => format!("{PREFIX}{name}"),
        _ => group,
    }
}

/// The operation that makes a new user a member of a group. The group may be new too.
fn membership(registry: &Registry, group: String, user: &str) -> BulkOperation {
    let mut types = registry.resource_types().iter();
    let groups = types.find(|found| found.membership == Some(MembershipAttribute::Members));
    let endpoint = groups.map_or("Groups", |groups| &groups.endpoint);
    let member = json!({ "value": format!("{PREFIX}{user}") });
    let add =
        json!({"op": "add", "path": MembershipAttribute::Members.attribute(), "value": [member]});
    BulkOperation {
        method: Method::Patch,
        endpoint: endpoint.to_owned(),
        target: match group.strip_prefix(PREFIX) {
            Some(name) => OperationTarget::BulkId(name.to_owned()),
            None => OperationTarget::Id(group),
        },
        version: None,
        data: Map::from_iter([
            ("schemas".to_owned(), json!([urn::PATCH_OP])),
            ("Operations".to_owned(), json!([add])),
        ]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bulk::{plan, references};
    use crate::profile::{Rules, Switches};

    fn parse(dialect: Dialect, text: &str) -> BulkRequest {
        let rules = Rules::default();
        let body = serde_json::from_str(text).unwrap();
        let mut reading = Reading::new(&rules);
        let translated = bulk_request(body, Registry::builtin(), dialect, &mut reading);
        translated.unwrap().request
    }

    fn operation(bulk: &BulkRequest, position: usize) -> &BulkOperation {
        bulk.entries[position].operation.as_ref().unwrap()
    }

    #[test]
    fn each_body_is_translated_by_its_type() {
        let text = include_str!("../../tests/data/scim11/bulk-request.json");
        let bulk = parse(Dialect::General, text);
        assert_eq!(bulk.fail_on_errors, Some(1));
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
        assert_eq!(bulk.entries[1].label.method, "PUT");
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
            assert_eq!(
                references(&mut operation(&bulk, 1).clone(), Registry::builtin()),
                [expected]
            );
        }
    }

    #[test]
    fn a_new_user_joins_its_groups_afterwards() {
        let text = r#"{"Operations": [
            {"method": "POST", "path": "/Users", "bulkId": "a",
             "data": {"userName": "a", "urn:scim:schemas:extension:ionic:1.0": {"groups": ["7", {"value": "bulkId:g"}]}}},
            {"method": "POST", "path": "/Groups", "bulkId": "g", "data": {"displayName": "g"}}]}"#;
        let bulk = parse(Dialect::Ionic, text);
        let completions = &bulk.entries[0].completions;
        assert_eq!(completions[0].target, OperationTarget::Id("7".into()));
        assert_eq!(
            references(&mut completions[0].clone(), Registry::builtin()),
            ["a"]
        );
        assert_eq!(
            references(&mut completions[1].clone(), Registry::builtin()),
            ["g", "a"]
        );
        let plan = plan(bulk, Registry::builtin(), &Switches::default());
        let steps: Vec<_> = plan
            .steps
            .iter()
            .map(|step| (step.entry, step.after.as_slice(), step.completes))
            .collect();
        assert_eq!(
            steps,
            [
                (0, &[][..], false),
                (0, &[0][..], true),
                (1, &[][..], false),
                (0, &[0, 1, 2][..], true),
            ]
        );
    }

    #[test]
    fn a_message_of_2_0_is_the_fault_of_its_operation() {
        let text = r#"{"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": [
            {"method": "PATCH", "path": "/Users/1", "data": {"schemas":
                ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
                "Operations": [{"op": "replace", "path": "active", "value": false}]}},
            {"method": "POST", "path": "/users", "bulkId": "a", "data": {"schemas":
                ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "a"}}]}"#;
        for dialect in [Dialect::General, Dialect::Ionic] {
            let bulk = parse(dialect, text);
            let error = bulk.entries[0].operation.as_ref().unwrap_err();
            assert!(error.detail().contains("/scim/v2"), "{error}");
            assert_eq!(operation(&bulk, 1).data["userName"], "a");
        }
    }

    #[test]
    fn a_new_user_of_the_ionic_api_may_lack_a_name() {
        let text = r#"{"Operations": [{"method": "POST", "path": "/Users", "bulkId": "a",
            "data": {"emails": [{"value": "a@example.com"}]}}]}"#;
        let rules = Rules::default();
        let body = serde_json::from_str(text).unwrap();
        let mut reading = Reading::new(&rules);
        let bulk = bulk_request(body, Registry::builtin(), Dialect::Ionic, &mut reading).unwrap();
        assert_eq!(
            operation(&bulk.request, 0).data["userName"],
            "a@example.com"
        );
        assert_eq!(bulk.names_from["a"], "emails");
    }

    #[test]
    fn a_fault_in_one_operation_is_its_result() {
        let text = r#"{"Operations": [
            {"method": "PUT", "path": "/Groups/1", "data": {"members": [{"value": "2", "type": "group"}]}},
            {"method": "PATCH", "path": "/Nothing/1", "data": {"a": 1}},
            {"method": "GET", "path": "/Users"}]}"#;
        let bulk = parse(Dialect::Ionic, text);
        let failed = |position: usize| bulk.entries[position].operation.is_err();
        assert!(failed(0) && !failed(1) && failed(2));
    }
}
