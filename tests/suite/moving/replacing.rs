//! What an import does with a directory that has resources already.

use serde_json::{Value, json};

use super::{Deployment, comparable, fill, group, user};

/// A file, and a directory that has changed since it was exported.
async fn changed() -> (Deployment, Vec<String>, Vec<String>) {
    let deployment = Deployment::start().await;
    let ids = fill(&deployment).await;
    let lines = deployment.export().await;
    let server = &deployment.server;
    let ada = format!("/scim/v2/Users/{}", ids[0]);
    let patch = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "replace", "path": "userName", "value": "ada.new@example.com"}],
    });
    assert_eq!(server.send("PATCH", &ada, Some(&patch)).await.status, 200);
    let bert = format!("/scim/v2/Users/{}", ids[1]);
    assert_eq!(server.send("DELETE", &bert, None).await.status, 204);
    let dora = server.create("/scim/v2/Users", &user("dora")).await;
    let inner = format!("/scim/v2/Groups/{}", ids[3]);
    let add = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "add", "path": "members", "value": [{"value": dora}, {"value": ids[2]}]}],
    });
    assert_eq!(server.send("PATCH", &inner, Some(&add)).await.status, 200);
    let empty = format!("/scim/v2/Groups/{}", ids[5]);
    assert_eq!(server.send("PATCH", &empty, Some(&add)).await.status, 200);
    server
        .create("/scim/v2/Groups", &group("Late", &[&dora, &ids[0]]))
        .await;
    (deployment, lines, ids)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_differs_is_an_error_with_its_line() {
    let (deployment, lines, ids) = changed().await;
    let before = deployment.server.items().await;
    let checked = deployment.round("check", "fail", &lines).await;
    let place = lines
        .iter()
        .position(|line| line.contains(&format!(r#""id":"{}","version""#, ids[0])));
    let line = place.unwrap() as u64 + 1;
    let detail = format!("User {} exists with other content", ids[0]);
    assert_eq!(checked.errors, [(line, "taken".to_owned(), detail)]);
    assert_eq!(
        deployment.server.items().await,
        before,
        "a check writes nothing"
    );
    let imported = deployment.round("write", "fail", &lines).await;
    assert_eq!(imported.errors, checked.errors);
    assert_eq!(imported.counts["created"], 1);
    let ada = format!("/scim/v2/Users/{}", ids[0]);
    let ada = deployment.server.send("GET", &ada, None).await;
    assert_eq!(ada.json["userName"], "ada.new@example.com");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_differs_can_be_skipped() {
    let (deployment, lines, ids) = changed().await;
    let imported = deployment.import("skip", &lines).await;
    let expected = [
        ("created", 1),
        ("kept", 1),
        ("membersAdded", 1),
        ("membersSame", 3),
        ("same", 4),
    ];
    assert_eq!(imported.counted(), expected);
    let ada = format!("/scim/v2/Users/{}", ids[0]);
    let ada = deployment.server.send("GET", &ada, None).await;
    assert_eq!(ada.json["userName"], "ada.new@example.com");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_can_be_replaced() {
    let (deployment, lines, _) = changed().await;
    let before = deployment.server.items().await;
    let checked = deployment.round("check", "replace", &lines).await;
    assert_eq!(checked.errors, []);
    assert_eq!(checked.counts["removed"], 2);
    assert_eq!(checked.counts["changed"], 1);
    assert_eq!(
        deployment.server.items().await,
        before,
        "a check writes nothing"
    );
    let removed = deployment.round("remove", "replace", &lines).await;
    assert_eq!(removed.counted(), [("removed", 2)]);
    let imported = deployment.import("replace", &lines).await;
    assert_eq!(imported.counts["created"], 1);
    assert_eq!(imported.counts["changed"], 1);
    // Dora was removed and has left the groups; Carla is left.
    assert_eq!(imported.counts["membersRemoved"], 2);
    let without_times = |lines: &[String]| {
        let mut lines = comparable(lines);
        for line in &mut lines {
            if let Some(resource) = line.get_mut("resource").and_then(Value::as_object_mut) {
                resource.retain(|name, _| name != "lastModified");
            }
        }
        lines
    };
    assert_eq!(
        without_times(&deployment.export().await)[1..],
        without_times(&lines)[1..]
    );
    let again = deployment.import("replace", &lines).await;
    assert_eq!(again.counted(), [("membersSame", 4), ("same", 6)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_out_of_order_removes_nothing() {
    let (deployment, mut lines, _) = changed().await;
    let users = lines.len() - 2;
    lines.swap(1, users - 4);
    let checked = deployment.round("check", "replace", &lines).await;
    assert!(
        checked
            .errors
            .iter()
            .any(|(_, code, detail)| code == "invalid" && detail.contains("order"))
    );
    let before = deployment.server.items().await;
    for step in ["remove", "write"] {
        let answer = deployment
            .ask(json!({
                "op": "data.import", "tenant": "acme", "step": step, "ifExists": "replace",
                "text": lines.join("\n"),
            }))
            .await;
        assert_eq!(answer["error"]["code"], "invalid", "{answer}");
        assert!(
            answer["error"]["detail"]
                .as_str()
                .unwrap()
                .contains("Line "),
            "{answer}"
        );
    }
    assert_eq!(deployment.server.items().await, before);
    // In any other import, the order of the resources does not matter.
    let imported = deployment.round("write", "skip", &lines).await;
    assert_eq!(imported.errors, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_version_comes_again_with_another_content() {
    let deployment = Deployment::start().await;
    let id = deployment
        .server
        .create("/scim/v2/Users", &user("ada"))
        .await;
    let path = format!("/scim/v2/Users/{id}");
    let lines = deployment.export().await;
    let mut seen = std::collections::BTreeMap::<String, String>::new();
    for round in 0..3 {
        for change in 0..3 {
            let patch = json!({
                "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
                "Operations": [{"op": "replace", "path": "title", "value": format!("{round} {change}")}],
            });
            let answer = deployment.server.send("PATCH", &path, Some(&patch)).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            let mut body = answer.json.clone();
            body.as_object_mut().unwrap().remove("meta");
            let tag = answer.header("etag").to_owned();
            if let Some(before) = seen.insert(tag.clone(), body.to_string()) {
                assert_eq!(before, body.to_string(), "{tag}");
            }
        }
        assert_eq!(
            deployment.server.send("DELETE", &path, None).await.status,
            204
        );
        deployment.import("fail", &lines).await;
    }
    assert_eq!(seen.len(), 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_differ_are_handled_as_resources_are() {
    let (source, target) = (
        Deployment::with_rules(&super::hashing()).await,
        Deployment::start().await,
    );
    let lines = source.export().await;
    let acme = scim_lambda::identity::TenantId::parse("acme").unwrap();
    let provider = target.server.stack.provider();
    let mut rules = provider.rules(&acme).await.unwrap();
    rules.switches.default_count = 50;
    provider.set_rules(&acme, &rules).await.unwrap();
    let refused = target.round("check", "fail", &lines).await;
    let detail = "The tenant has defaultCount=50, and the file defaultCount=100".to_owned();
    assert_eq!(refused.errors, [(1, "taken".to_owned(), detail)]);
    // What is at its default in the tenant is taken in any case.
    let skipped = target.import("skip", &lines).await;
    assert_eq!(skipped.counted(), [("settings", 2)]);
    let kept = provider.rules(&acme).await.unwrap();
    assert_eq!(kept.switches.default_count, 50);
    target.import("replace", &lines).await;
    let wanted = source.server.stack.provider().rules(&acme).await.unwrap();
    assert_eq!(provider.rules(&acme).await.unwrap(), wanted);
}
