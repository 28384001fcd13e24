//! Mutability, completeness and order.

use serde_json::json;

use super::*;

#[test]
fn mutability_is_kept_exactly() {
    for profile in [Profile::Default, Profile::Strict, Profile::Interop] {
        let case = Case::user(profile);
        for path in ["id", "meta", "meta.created", "groups"] {
            case.refuses(op("replace", path, json!("x")), ErrorKind::Mutability);
            case.refuses(op("add", path, json!("x")), ErrorKind::Mutability);
            case.refuses(remove(path), ErrorKind::Mutability);
        }
    }
    let unset = Case::everything(json!({"complex": {"text": "t"}}));
    unset.gives(
        op("add", "immutable", json!("i")),
        json!({"immutable": "i"}),
    );
    unset.gives(
        op("replace", "immutable", json!("i")),
        json!({"immutable": "i"}),
    );
    unset.gives(
        op("add", "complex.fixed", json!("f")),
        json!({"complex": {"text": "t", "fixed": "f"}}),
    );
    unset.refuses(op("add", "complex.ours", json!("x")), ErrorKind::Mutability);
    unset.refuses(op("add", "readOnly", json!("x")), ErrorKind::Mutability);
    unset.keeps(op("add", "complex", json!({"ours": "x"})));
    unset.keeps(remove("immutable"));
    let set = Case::everything(json!({
        "immutable": "i", "immutables": ["a"], "complex": {"text": "t", "fixed": "f", "ours": "o"},
        "kept": [{"value": "a", "fixed": "f", "ours": "o"}],
    }));
    set.keeps(op("replace", "immutable", json!("i")));
    set.keeps(op("add", "immutables", json!(["a"])));
    set.keeps(op("replace", "kept", json!([{"value": "a"}])));
    set.refuses(
        op("replace", "immutable", json!("j")),
        ErrorKind::Mutability,
    );
    set.refuses(op("add", "immutable", json!("j")), ErrorKind::Mutability);
    set.refuses(remove("immutable"), ErrorKind::Mutability);
    set.refuses(op("add", "immutables", json!(["b"])), ErrorKind::Mutability);
    set.refuses(remove(r#"immutables[value eq "a"]"#), ErrorKind::Mutability);
    set.refuses(
        op("replace", "complex", json!({"fixed": "g"})),
        ErrorKind::Mutability,
    );
    set.refuses(
        op("replace", "complex.fixed", json!("g")),
        ErrorKind::Mutability,
    );
    set.refuses(remove("complex.fixed"), ErrorKind::Mutability);
    set.refuses(
        op("replace", "kept", json!([{"value": "a", "fixed": "g"}])),
        ErrorKind::Mutability,
    );
    set.refuses(
        op("replace", r#"kept[value eq "a"].fixed"#, json!("g")),
        ErrorKind::Mutability,
    );
}

#[test]
fn a_resource_is_whole_after_the_last_operation() {
    let case =
        Case::everything(json!({"needed": {"must": "m", "may": "x"}, "many": [{"value": "a"}]}));
    case.refuses(remove("needed.must"), ErrorKind::Mutability);
    case.refuses(remove("many.value"), ErrorKind::Mutability);
    case.refuses(
        op("replace", "many[value eq \"a\"].value", json!(null)),
        ErrorKind::Mutability,
    );
    case.refuses(
        op("replace", "needed", json!({"must": null})),
        ErrorKind::InvalidValue,
    );
    case.refuses(
        op("add", "many", json!([{"type": "t"}])),
        ErrorKind::InvalidValue,
    );
    case.gives(remove("needed"), json!({"needed": null}));
    let bare = Case::everything(json!({}));
    bare.refuses(op("add", "needed.may", json!("x")), ErrorKind::InvalidValue);
    bare.gives(
        json!([
            {"op": "add", "path": "needed.may", "value": "x"},
            {"op": "add", "path": "needed.must", "value": "m"},
        ]),
        json!({"needed": {"must": "m", "may": "x"}}),
    );
    bare.refuses(
        json!([{"op": "remove", "path": "name"}, {"op": "add", "path": "name", "value": "n"}]),
        ErrorKind::Mutability,
    );
}

#[test]
fn operations_see_the_result_of_those_before() {
    let case = Case::user(Profile::Strict);
    case.gives(
        json!([
            {"op": "add", "path": "title", "value": "x"},
            {"op": "remove", "path": "title"},
        ]),
        json!({"title": null}),
    );
    case.gives(
        json!([
            {"op": "remove", "path": "active"},
            {"op": "add", "path": "active", "value": false},
        ]),
        json!({"active": false}),
    );
    case.gives(
        json!([
            {"op": "replace", "path": r#"emails[type eq "home"].type"#, "value": "other"},
            {"op": "replace", "path": r#"emails[type eq "other"].value"#, "value": "o@x"},
        ]),
        json!({"emails": [{"value": "w@x", "type": "work", "primary": true},
                          {"value": "o@x", "type": "other"}]}),
    );
}

/// When a type has lost a schema, no operation drops the data under it, and no path leads to it.
#[test]
fn data_of_a_schema_that_is_gone_stays() {
    const GONE: &str = "urn:example:schemas:extension:Gone";
    let mut case = Case::user(Profile::Default);
    case.before[GONE] = json!({"a": [{"x": "y"}], "b": 1});
    case.before[ENTERPRISE]["shoe"] = json!(9);
    let (gone, shoe) = (case.before[GONE].clone(), json!({"shoe": 9}));
    case.keeps(op("replace", "active", json!(true)));
    case.gives(op("replace", "title", json!("t")), json!({ GONE: gone }));
    case.gives(
        remove(&format!("{ENTERPRISE}:department")),
        json!({ GONE: gone, ENTERPRISE: shoe }),
    );
    case.gives(
        op("replace", "schemas", json!([USER])),
        json!({ GONE: gone, ENTERPRISE: null }),
    );
    case.gives(
        without_path("replace", json!({GONE: {"b": 2}, "title": "t"})),
        json!({ GONE: gone }),
    );
    case.refuses(remove(GONE), ErrorKind::InvalidPath);
    case.refuses(
        op("replace", &format!("{GONE}:b"), json!(2)),
        ErrorKind::InvalidPath,
    );
}
