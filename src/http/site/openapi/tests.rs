use std::collections::BTreeSet;

use axum::http::Method as HttpMethod;

use super::*;

fn described() -> Value {
    for_everyone("https://directory.example.com")
}

/// The name of a verb in a path item.
fn name(verb: Verb) -> &'static str {
    method(verb).name()
}

/// The route that a path of the document leads to, with values in the place of their names.
fn route(path: &str) -> Route {
    let path = path
        .replace("{urn}", "urn:x")
        .replace("{name}", "User")
        .replace("{id}", "1");
    Route::parse(&path)
}

fn actions_of<'a>(route: &'a Route, registry: &'a Registry) -> Actions<'a> {
    let find = |endpoint: &str| {
        let found = registry.at_endpoint(endpoint).map(AsRef::as_ref);
        found.ok_or_else(no_such_endpoint)
    };
    Actions::at(route.target.as_ref().unwrap(), &Api::V2, find).unwrap()
}

#[test]
fn every_described_operation_is_served() {
    let (document, registry) = (described(), Registry::builtin());
    let paths = document["paths"].as_object().unwrap();
    for (path, item) in paths {
        if OAuthEndpoint::at(path).is_some() {
            continue;
        }
        let route = route(path);
        let actions = actions_of(&route, registry);
        for method in item.as_object().unwrap().keys() {
            let upper = HttpMethod::from_bytes(method.to_ascii_uppercase().as_bytes()).unwrap();
            assert!(actions.by_method(&upper).is_some(), "{method} {path}");
        }
        let template = route.target.as_ref().unwrap().template();
        let has_value =
            template.contains("{id}") || template.contains("{urn}") || template.contains("{name}");
        assert_eq!(path.contains('{'), has_value, "{path}");
        let served: Vec<_> = actions.all().map(|action| name(action.verb())).collect();
        let listed: Vec<_> = item.as_object().unwrap().keys().collect();
        assert_eq!(served, listed, "{path}");
    }
}

#[test]
fn every_kind_of_target_is_described_except_the_page_for_people() {
    let document = described();
    let paths = document["paths"].as_object().unwrap();
    let described: BTreeSet<_> = paths
        .keys()
        .filter(|path| OAuthEndpoint::at(path).is_none())
        .map(|path| route(path).target.unwrap().template())
        .collect();
    let registry = Registry::builtin();
    let endpoints = registry
        .resource_types()
        .iter()
        .map(|found| found.endpoint.as_str());
    let served = Route::all_of_v2(endpoints).map(|(_, route)| route.target.unwrap().template());
    let served: BTreeSet<_> = served.collect();
    let left_out: Vec<_> = served.difference(&described).copied().collect();
    assert_eq!(left_out, ["/docs", "/docs/{file}"]);
    // This is every template that a target of SCIM 2.0 can have; a new one belongs into the document.
    assert_eq!(served.len(), 19);
}

#[test]
fn the_operations_of_a_type_of_a_tenant_are_described() {
    let mut registry = Registry::builtin().clone();
    let schema = serde_json::json!({"id": "urn:example:Badge", "name": "Badge",
        "attributes": [{"name": "number", "required": true}]});
    registry.add_schema(&schema).unwrap();
    let badge =
        serde_json::json!({"name": "Badge", "endpoint": "/Badges", "schema": "urn:example:Badge"});
    registry.add_resource_type(&badge).unwrap();
    let document = document(&registry, Some(&Rules::default()), "");
    let paths = &document["paths"];
    for (path, methods) in [
        ("/scim/v2/Badges", vec!["get", "post"]),
        ("/scim/v2/Badges/.search", vec!["post"]),
        (
            "/scim/v2/Badges/{id}",
            vec!["get", "put", "patch", "delete"],
        ),
    ] {
        let listed: Vec<_> = paths[path].as_object().unwrap().keys().collect();
        assert_eq!(listed, methods, "{path}");
    }
    assert!(paths.get("/scim/v2/Badges/{id}/members").is_none());
    assert!(paths.get("/scim/v2/Groups/{id}/members").is_some());
}

/// The operations and parameters of Ironclad's published description of its SCIM API.
#[test]
fn every_operation_of_ironclad_can_be_expressed() {
    let document = described();
    let one = ["200", "400", "403", "404", "500"].as_slice();
    for (path, method, statuses) in [
        ("/Users", "get", &["200", "400", "403", "500"][..]),
        ("/Users", "post", &["201", "400", "403", "409", "500"]),
        ("/Users/{id}", "get", one),
        ("/Users/{id}", "patch", one),
        ("/Users/{id}", "put", one),
        ("/Users/{id}", "delete", &["204", "403", "404", "500"]),
        ("/Groups", "get", &["200", "400", "403", "500"]),
        ("/Groups", "post", &["201", "400", "403", "409", "500"]),
        ("/Groups/{id}", "get", one),
        ("/Groups/{id}", "patch", one),
        ("/Groups/{id}", "put", one),
        ("/Groups/{id}", "delete", &["204", "403", "404", "500"]),
        ("/Schemas", "get", &["200", "403", "500"]),
        ("/Schemas/{urn}", "get", &["200", "403", "404", "500"]),
    ] {
        let operation = &document["paths"][format!("/scim/v2{path}")][method];
        for status in statuses {
            assert!(
                operation["responses"].get(status).is_some(),
                "{method} {path} {status}"
            );
        }
        if method == "get" && !path.contains('{') && !path.starts_with("/Schemas") {
            let listed = operation["parameters"].as_array().unwrap();
            let listed: Vec<_> = listed
                .iter()
                .filter_map(|one| one["$ref"].as_str())
                .collect();
            for name in [
                "filter",
                "attributes",
                "excludedAttributes",
                "startIndex",
                "count",
            ] {
                let reference = format!("#/components/parameters/{name}");
                assert!(
                    listed.contains(&reference.as_str()),
                    "{method} {path} {name}"
                );
            }
        }
    }
}
