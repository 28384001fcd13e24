//! Properties of every resource and every request.

#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use scim_protocol::message::Selection;
use scim_protocol::patch::PatchRequest;
use scim_protocol::profile::{Profile, Reading, Rules};
use scim_protocol::projection::Projection;
use scim_protocol::resource::{Draft, DraftKind, Resource};
use scim_protocol::schema::{Attribute, DataType, Mutability, Registry, ResourceType};
use scim_protocol::{Result, json};
use serde_json::{Map, Value, json};

const PATCH_OP: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

/// The built-in types and one with every kind and characteristic.
fn registry() -> Registry {
    let mut registry = Registry::builtin().clone();
    for schema in [
        include_str!("data/everything-schema.json"),
        include_str!("data/everything-extension.json"),
    ] {
        let schema: Value = serde_json::from_str(schema).unwrap();
        registry.add_schema(&schema).unwrap();
    }
    registry
        .add_resource_type(&json!({
            "name": "Everything", "endpoint": "/Everything",
            "schema": "urn:example:schemas:Everything",
            "schemaExtensions": [
                {"schema": "urn:example:schemas:extension:Everything", "required": true}
            ],
        }))
        .unwrap();
    registry
}

fn rules(profile: Profile) -> Rules {
    Rules {
        profile,
        ..Rules::default()
    }
}

fn profile() -> impl Strategy<Value = Profile> {
    prop_oneof![
        Just(Profile::Default),
        Just(Profile::Strict),
        Just(Profile::Interop)
    ]
}

/// The profiles in which a body is read the first and the second time. The default profile translates,
/// on the second reading, what another profile let pass on the first.
fn profiles() -> impl Strategy<Value = (Profile, Profile)> {
    (profile(), profile()).prop_map(|(first, second)| match first {
        Profile::Default => (first, second),
        Profile::Strict | Profile::Interop => (first, first),
    })
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-cA-C]{1,3}",
        "[ -~é]{0,6}",
        Just("true".to_owned()),
        Just("True".to_owned()),
        Just("work".to_owned()),
        Just(r#"{"value":"x","displayName":"y"}"#.to_owned()),
        Just("https://example.com/Users/7".to_owned()),
    ]
}

/// A value that fits an attribute's kind.
fn scalar(kind: DataType) -> BoxedStrategy<Value> {
    match kind {
        DataType::Boolean => any::<bool>().prop_map(Value::from).boxed(),
        DataType::Integer => any::<i64>().prop_map(Value::from).boxed(),
        DataType::Decimal => (-1e9..1e9f64).prop_map(Value::from).boxed(),
        DataType::DateTime => (1000..3000u32, 1..=12u32, 1..=28u32)
            .prop_map(|(year, month, day)| json!(format!("{year}-{month:02}-{day:02}T01:02:03Z")))
            .boxed(),
        DataType::Binary => "[A-Za-z0-9+/]{4}".prop_map(Value::from).boxed(),
        DataType::Reference => "(https://example.com/)?[a-z]{1,4}"
            .prop_map(Value::from)
            .boxed(),
        DataType::String | DataType::Complex => text().prop_map(Value::from).boxed(),
    }
}

fn single(attribute: &Attribute) -> BoxedStrategy<Value> {
    if attribute.is_complex() {
        members(&attribute.sub_attributes)
            .prop_map(Value::Object)
            .boxed()
    } else if attribute.name() == "country" {
        // The only value that the default profile stores and a stricter one would refuse.
        "[A-Za-z]{2}".prop_map(Value::from).boxed()
    } else {
        scalar(attribute.kind)
    }
}

fn value(attribute: &Attribute) -> BoxedStrategy<Value> {
    if attribute.multi_valued {
        let one_primary = |mut elements: Vec<Value>| {
            for element in elements.iter_mut().skip(1) {
                if let Some(object) = element.as_object_mut() {
                    object.remove("primary");
                }
            }
            Value::Array(elements)
        };
        vec(single(attribute), 0..3).prop_map(one_primary).boxed()
    } else {
        single(attribute)
    }
}

/// Some of these attributes, and always the required ones.
fn members(attributes: &[Attribute]) -> BoxedStrategy<Map<String, Value>> {
    let each: Vec<_> = attributes
        .iter()
        .map(|attribute| {
            let name = attribute.name().to_owned();
            let given = if attribute.required { 0.99 } else { 0.4 };
            option::weighted(given, value(attribute)).prop_map(move |value| (name.clone(), value))
        })
        .collect();
    each.prop_map(|members| {
        let given = members.into_iter();
        given
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    })
    .boxed()
}

/// A request body that mostly fits the type.
fn body(resource_type: &ResourceType) -> BoxedStrategy<Map<String, Value>> {
    let base = resource_type.schema.id.clone();
    let extensions: Vec<_> = resource_type
        .extensions
        .iter()
        .map(|extension| {
            let urn = extension.schema.id.clone();
            members(&extension.schema.attributes).prop_map(move |members| (urn.clone(), members))
        })
        .collect();
    (members(&resource_type.schema.attributes), extensions)
        .prop_map(move |(mut body, extensions)| {
            let urns = std::iter::once(base.clone());
            let urns = urns.chain(extensions.iter().map(|(urn, _)| urn.clone()));
            body.insert("schemas".to_owned(), urns.map(Value::from).collect());
            for (urn, members) in extensions {
                body.insert(urn, Value::Object(members));
            }
            body
        })
        .boxed()
}

/// One of the types with a body for it.
fn typed_body() -> impl Strategy<Value = (&'static str, Map<String, Value>)> {
    let registry = registry();
    let each = ["User", "Group", "Everything"]
        .map(|name| body(registry.resource_type(name).unwrap()).prop_map(move |body| (name, body)));
    proptest::strategy::Union::new(each)
}

fn read(
    body: Map<String, Value>,
    resource_type: &ResourceType,
    registry: &Registry,
    rules: &Rules,
    verb: DraftKind<'_>,
) -> Result<Draft> {
    let mut reading = Reading::new(rules);
    Resource::from_request(body, resource_type, registry, &mut reading, verb)
}

/// Any JSON, with some names that have a meaning.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((any_path(), inner), 0..4)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

fn any_path() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "userName",
        "name",
        "name.givenName",
        "emails",
        "emails.value",
        "emails[type eq \"work\"]",
        "emails[type eq \"work\"].value",
        "emails[primary eq true].primary",
        "emails[not (value pr)].display",
        "members",
        "members[value eq \"7\"]",
        "members[value eq \"7\"].display",
        "groups",
        "schemas",
        "schemas[value pr]",
        "id",
        "meta.version",
        "password",
        "manager",
        "manager.$ref",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value",
        "urn:example:schemas:extension:Everything",
        "urn:example:schemas:extension:Everything:label",
        "immutable",
        "immutables",
        "texts",
        "texts[value eq \"a\"]",
        "many",
        "many[value eq \"a\"].type",
        "kept[fixed pr]",
        "needed.must",
        "complex",
        "complex.fixed",
        "integer",
        "value",
        "type",
        "primary",
        "display",
        "displayName",
    ]);
    prop_oneof![8 => known.prop_map(str::to_owned), 1 => "[ -~]{0,12}"]
}

/// An operation that mostly fits the type: an attribute that clients may write, a sub-attribute or
/// some elements of it, and a value of its kind.
fn fitting_operation(resource_type: &ResourceType) -> BoxedStrategy<Value> {
    let writable = resource_type
        .attributes()
        .filter(|(_, attribute)| attribute.mutability != Mutability::ReadOnly);
    let targets = writable.flat_map(|(extension, attribute)| {
        let path = match extension {
            Some(extension) => format!("{}:{}", extension.schema.id, attribute.name),
            None => attribute.name().to_owned(),
        };
        let parts = attribute.sub_attributes.iter();
        let parts = parts.filter(|sub| sub.mutability != Mutability::ReadOnly);
        let filters: &[&str] = if attribute.multi_valued {
            &["", "[type eq \"work\"]", "[value sw \"a\"]"]
        } else {
            &[""]
        };
        let of_parts: Vec<_> = parts
            .flat_map(|sub| filters.iter().map(move |filter| (filter, sub)))
            .map(|(filter, sub)| (format!("{path}{filter}.{}", sub.name), value(sub)))
            .collect();
        std::iter::once((path, value(attribute))).chain(of_parts)
    });
    let each = targets.map(|(path, value)| {
        let op = prop::sample::select(vec!["add", "replace", "remove"]);
        (op, option::weighted(0.9, value))
            .prop_map(move |(op, value)| json!({"op": op, "path": path, "value": value}))
    });
    proptest::strategy::Union::new(each).boxed()
}

/// One of the types, a body for it, and operations on that.
fn typed_patch() -> impl Strategy<Value = (&'static str, Map<String, Value>, Vec<Value>)> {
    let registry = registry();
    let each = ["User", "Group", "Everything"].map(|name| {
        let resource_type = registry.resource_type(name).unwrap();
        let operation = prop_oneof![
            9 => fitting_operation(resource_type),
            1 => any_operation(),
        ];
        (body(resource_type), vec(operation, 1..5))
            .prop_map(move |(body, operations)| (name, body, operations))
    });
    proptest::strategy::Union::new(each)
}

fn any_operation() -> impl Strategy<Value = Value> {
    let op = prop::sample::select(vec!["add", "replace", "remove", "Add", "Replace"]);
    (
        op,
        option::weighted(0.8, any_path()),
        option::weighted(0.9, any_json()),
    )
        .prop_map(|(op, path, value)| {
            let mut operation = json!({ "op": op });
            if let Some(path) = path {
                operation["path"] = Value::from(path);
            }
            if let Some(value) = value {
                operation["value"] = value;
            }
            operation
        })
}

fn patch(
    operations: &[Value],
    resource: &Resource,
    resource_type: &ResourceType,
    registry: &Registry,
    rules: &Rules,
) -> Result<scim_protocol::patch::PatchOutcome> {
    let mut reading = Reading::new(rules);
    let body = json!({"schemas": [PATCH_OP], "Operations": operations});
    let body = body.as_object().cloned().unwrap_or_default();
    PatchRequest::parse(&body, &mut reading)?.apply(resource, resource_type, registry, &mut reading)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_canonical_body_put_back_is_the_same(
        (name, body) in typed_body(), (first, second) in profiles(),
    ) {
        let registry = registry();
        let resource_type = registry.resource_type(name).unwrap();
        let created = read(body, resource_type, &registry, &rules(first), DraftKind::Create { id: "1" });
        let Ok(created) = created else { return Ok(()) };
        let existing = &created.resource;
        let again = read(
            existing.body().clone(), resource_type, &registry, &rules(second),
            DraftKind::Replace { existing },
        );
        // A value that only the default profile accepts, such as a reference that is not a URI, is
        // refused.
        if first != second && again.is_err() {
            return Ok(());
        }
        prop_assert_eq!(again.unwrap().resource.to_text(), existing.to_text());
    }

    #[test]
    fn a_patch_that_sets_present_values_changes_nothing(
        (name, body) in typed_body(), profile in profile(), replaces in any::<bool>(),
    ) {
        let registry = registry();
        let resource_type = registry.resource_type(name).unwrap();
        let rules = rules(profile);
        let created = read(body, resource_type, &registry, &rules, DraftKind::Create { id: "1" });
        let Ok(created) = created else { return Ok(()) };
        let op = if replaces { "replace" } else { "add" };
        let operations: Vec<_> = created.resource.body()
            .iter()
            .filter(|(name, _)| *name != "id")
            .map(|(name, value)| json!({"op": op, "path": name, "value": value}))
            .collect();
        let patched = patch(&operations, &created.resource, resource_type, &registry, &rules).unwrap();
        prop_assert!(!patched.changed);
        prop_assert_eq!(patched.resource.to_text(), created.resource.to_text());
    }

    #[test]
    fn any_patch_ends_in_an_error_or_a_canonical_resource(
        (name, body, operations) in typed_patch(), profile in profile(),
    ) {
        let registry = registry();
        let resource_type = registry.resource_type(name).unwrap();
        let rules = rules(profile);
        let created = read(body, resource_type, &registry, &rules, DraftKind::Create { id: "1" });
        let Ok(created) = created else { return Ok(()) };
        let patched = patch(&operations, &created.resource, resource_type, &registry, &rules);
        let Ok(patched) = patched else { return Ok(()) };
        prop_assert_eq!(patched.changed, patched.resource != created.resource);
        prop_assert_eq!(patched.resource.id(), "1");
        let existing = &patched.resource;
        let again = read(
            existing.body().clone(), resource_type, &registry, &rules, DraftKind::Replace { existing },
        );
        prop_assert_eq!(again.unwrap().resource.to_text(), existing.to_text());
    }

    #[test]
    fn any_body_is_read_or_refused(body in any_json(), profile in profile()) {
        let registry = registry();
        let Value::Object(body) = body else { return Ok(()) };
        for resource_type in registry.resource_types() {
            let verb = DraftKind::Create { id: "1" };
            let _ = read(body.clone(), resource_type, &registry, &rules(profile), verb);
        }
    }

    #[test]
    fn a_projection_keeps_id_and_schemas_and_hides_attributes_that_are_never_returned(
        (name, body) in typed_body(), names in vec(any_path(), 0..4), excludes in any::<bool>(),
    ) {
        let registry = registry();
        let resource_type = registry.resource_type(name).unwrap();
        let rules = rules(Profile::Default);
        let created = read(body, resource_type, &registry, &rules, DraftKind::Create { id: "1" });
        let Ok(created) = created else { return Ok(()) };
        let selection = if excludes {
            Selection { excluded_attributes: names, ..Selection::default() }
        } else {
            Selection { attributes: names, ..Selection::default() }
        };
        let projection = Projection::new(&selection, resource_type, &mut Reading::new(&rules));
        let text = created.resource.to_text();
        let is_whole = projection.shows_all_of(&text);
        let stored = created.resource.into_body();
        let shown = projection.apply(stored.clone());
        prop_assert!(shown.contains_key("id") && shown.contains_key("schemas"));
        let shown = Value::Object(shown);
        prop_assert!(!shown.to_string().contains("\"writeOnly\":"));
        prop_assert!(!shown.to_string().contains("\"hidden\":"));
        if is_whole {
            prop_assert_eq!(shown, Value::Object(stored));
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..64)) {
        let _ = json::parse_object(&bytes);
    }

    #[test]
    fn any_json_object_is_read_as_it_is(value in any_json()) {
        let Value::Object(object) = &value else { return Ok(()) };
        let mut names: Vec<_> = object.keys().map(|name| name.to_ascii_lowercase()).collect();
        names.sort();
        names.dedup();
        if let Ok(read) = json::parse_object(value.to_string().as_bytes()) {
            prop_assert_eq!(names.len(), object.len());
            prop_assert_eq!(&Value::Object(read), &value);
        }
    }
}
