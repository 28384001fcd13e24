//! Resources of a type that is registered in the course of a history.

use std::cell::RefCell;

use serde_json::{Value, json};

use super::node::Node;
use super::requests::{Client, Known};
use scim_lambda::identity::TenantId;

const BADGE: &str = "urn:example:schemas:Badge";
/// The attribute that no answer and no event has, and the beginning of its values.
pub(super) const HIDDEN: &str = "hiddenPin";

/// Registers the type of badges. A process that dies may have registered the schema only.
pub(super) async fn register(node: &Node, tenant: &TenantId) {
    let attribute = |name: &str, returned: &str| {
        json!({
            "name": name, "type": "string", "multiValued": false, "description": name,
            "required": false, "caseExact": false, "mutability": "readWrite",
            "returned": returned, "uniqueness": "none",
        })
    };
    let schema = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
        "id": BADGE,
        "name": "Badge",
        "description": "A badge",
        "attributes": [attribute("colour", "default"), attribute(HIDDEN, "never")],
    });
    let badge = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
        "name": "Badge",
        "endpoint": "/Badges",
        "description": "A badge",
        "schema": BADGE,
    });
    let provider = &node.service.provider;
    if provider.add_schema(tenant, &schema).await.is_ok() {
        // The type is registered again if this fails.
        let _ = provider.add_resource_type(tenant, &badge).await;
    }
}

/// Creates, changes or deletes a badge. Nothing happens as long as the process does not know the type.
pub(super) async fn change(client: &Client<'_>, known: &RefCell<Known>) {
    let (name, badge) = {
        let mut known = known.borrow_mut();
        (known.name(), fastrand::choice(&known.badges).cloned())
    };
    let Some(badge) = badge else {
        return create(client, known, &name).await;
    };
    let path = format!("/scim/v2/Badges/{badge}");
    match fastrand::u8(..6) {
        0 => drop(client.send("DELETE", &path, Value::Null).await),
        1 | 2 => create(client, known, &name).await,
        3 => {
            let hidden = json!([{"op": "add", "path": HIDDEN, "value": format!("{HIDDEN}{name}")}]);
            client.patch(&path, hidden).await;
        }
        _ => {
            let colour = json!([{"op": "add", "path": "colour", "value": name}]);
            client.patch(&path, colour).await;
        }
    }
}

async fn create(client: &Client<'_>, known: &RefCell<Known>, name: &str) {
    let hidden = format!("{HIDDEN}{name}");
    let body = json!({"schemas": [BADGE], "colour": name, (HIDDEN): hidden});
    let reply = client.send("POST", "/scim/v2/Badges", body).await;
    let id = reply.json["id"].as_str().map(str::to_owned);
    known.borrow_mut().badges.extend(id);
}
