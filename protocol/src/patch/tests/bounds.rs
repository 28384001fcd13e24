//! Work is bounded before it is done: the bytes of a body, and the elements that are compared.

use serde_json::json;

use super::*;
use crate::resource::{MAX_BYTES, MAX_ELEMENTS};
use crate::work::{MAX_STEPS, WorkBudget};

/// A user with this many phone numbers.
fn with_phones(count: usize) -> Case {
    let phones: Vec<_> = (0..count)
        .map(|n| json!({"value": n.to_string()}))
        .collect();
    let before = json!({
        "schemas": [USER], "id": "1", "userName": "bjensen", "phoneNumbers": phones,
    });
    Case::new("User", before, Profile::Default)
}

impl Case {
    /// The steps that operations take, or the error.
    fn steps(&self, operations: &Value) -> Result<u64> {
        let work = WorkBudget::default();
        let mut reading = Reading::within(&self.rules, work.clone());
        let body = json!({"schemas": [PATCH_OP], "Operations": operations});
        let request = PatchRequest::parse(&object(body), &mut reading)?;
        let resource = Resource::from_canonical(object(self.before.clone()));
        let resource_type = self.registry.resource_type(self.resource_type).unwrap();
        request.apply(&resource, resource_type, &self.registry, &mut reading)?;
        Ok(MAX_STEPS - work.left())
    }
}

/// 20,000 phone numbers, then one `display` of 300 KB for all of them: 6 GB.
#[test]
fn a_value_that_is_multiplied_by_elements_is_refused_while_it_grows() {
    let long = "x".repeat(300_000);
    let paths = [
        "phoneNumbers.display",
        "phoneNumbers[value pr].display",
        "phoneNumbers[value pr]",
    ];
    for path in paths {
        let value = match path {
            "phoneNumbers[value pr]" => json!({ "display": long }),
            _ => json!(long),
        };
        let case = with_phones(2_000);
        for method in ["add", "replace"] {
            case.refuses(op(method, path, value.clone()), ErrorKind::PayloadTooLarge);
        }
        let keyed = without_path("add", json!({ path: value }));
        case.refuses(keyed, ErrorKind::PayloadTooLarge);
    }
    let mut both = json!([{"op": "add", "path": "phoneNumbers",
        "value": (0..20_000).map(|n| json!({"value": n.to_string()})).collect::<Vec<_>>()}]);
    let operations = both.as_array_mut().unwrap();
    operations.push(json!({"op": "add", "path": "phoneNumbers.display", "value": long}));
    with_phones(1).refuses(both, ErrorKind::PayloadTooLarge);
}

#[test]
fn the_bound_on_the_body_is_the_one_that_is_stated() {
    let case = with_phones(10);
    let length = |value: &Value| value.to_string().len();
    let room = MAX_BYTES - length(&case.before) - length(&json!({"display": ""})) + 1;
    let of = |bytes: usize| {
        op(
            "add",
            r#"phoneNumbers[value eq "7"].display"#,
            json!("x".repeat(bytes)),
        )
    };
    let patched = case.patch(&of(room)).unwrap();
    assert_eq!(patched.resource.to_text().len(), MAX_BYTES);
    let error = case.patch(&of(room + 1)).unwrap_err();
    assert_eq!(error.status(), 413);
    assert!(error.detail().contains("400000 bytes"), "{error}");
    let single = |bytes: usize| op("replace", "title", json!("x".repeat(bytes)));
    let room = MAX_BYTES - length(&case.before) - length(&json!({"title": ""})) + 1;
    assert!(case.patch(&single(room)).is_ok());
    case.refuses(single(room + 1), ErrorKind::PayloadTooLarge);
}

#[test]
fn an_attribute_that_shrinks_makes_room() {
    let case = with_phones(10);
    let long = |path: &str| json!({"op": "replace", "path": path, "value": "x".repeat(300_000)});
    case.refuses(
        json!([long("title"), long("nickName")]),
        ErrorKind::PayloadTooLarge,
    );
    let cleared = json!({"op": "remove", "path": "title"});
    assert!(
        case.patch(&json!([long("title"), cleared, long("nickName")]))
            .is_ok()
    );
    let extension = format!("{ENTERPRISE}:department");
    let dropped = json!({"op": "remove", "path": ENTERPRISE});
    assert!(
        case.patch(&json!([long(&extension), dropped, long("title")]))
            .is_ok()
    );
    let display = long(r#"phoneNumbers[value eq "7"].display"#);
    let removed = json!({"op": "remove", "path": r#"phoneNumbers[value eq "7"]"#});
    assert!(
        case.patch(&json!([display, removed, long("title")]))
            .is_ok()
    );
}

/// A resource that is older than the bound can be changed, but not grow.
#[test]
fn a_larger_resource_can_shrink() {
    let mut case = with_phones(10);
    case.before["title"] = json!("x".repeat(MAX_BYTES));
    assert!(case.patch(&op("replace", "title", json!("x"))).is_ok());
    assert!(case.patch(&op("replace", "active", json!(true))).is_err());
}

#[test]
fn the_number_of_elements_is_bounded() {
    let more = |count: usize| {
        let values: Vec<_> = (0..count)
            .map(|n| json!({"value": format!("n{n}")}))
            .collect();
        op("add", "phoneNumbers", json!(values))
    };
    let case = with_phones(10);
    assert!(case.patch(&more(MAX_ELEMENTS - 10)).is_ok());
    for count in [MAX_ELEMENTS - 9, MAX_ELEMENTS + 1] {
        let error = case.patch(&more(count)).unwrap_err();
        assert_eq!(error.status(), 413);
        assert!(
            error
                .detail()
                .contains("`phoneNumbers` has more than 20000"),
            "{error}"
        );
    }
}

/// One index serves all operations: its cost grows with the operations and not with the elements.
#[test]
fn operations_do_not_index_the_elements_again() {
    let case = with_phones(14_000);
    let each = |method: &str, count: usize| {
        let one = |n: usize| {
            let value = json!({"value": n.to_string(), "display": "d", "primary": n == 7});
            json!({"op": method, "path": "phoneNumbers", "value": [value]})
        };
        case.steps(&(0..count).map(|n| one(13_900 + n)).collect())
            .unwrap()
    };
    for method in ["add", "remove"] {
        let (one, all) = (each(method, 1), each(method, 1_000));
        assert!(
            all - one <= 999 * 100,
            "{method}: {one} for 1, {all} for 1,000"
        );
    }
}

#[test]
fn the_index_follows_changes_of_every_kind() {
    let case = with_phones(3);
    let add = |value: Value| json!({"op": "add", "path": "phoneNumbers", "value": [value]});
    let new = json!({"value": "9", "type": "work"});
    let indexed = add(json!({"value": "0"}));
    let check = |change: Value, again: Value, expected: Value| {
        case.gives(
            json!([indexed, change, add(again)]),
            json!({"phoneNumbers": expected}),
        );
    };
    let all = |first: Value| json!([first, {"value": "1"}, {"value": "2"}]);
    // After a change, an element is found by its new value and no longer by its old one.
    let rename =
        json!({"op": "replace", "path": r#"phoneNumbers[value eq "0"].value"#, "value": "9"});
    check(
        rename.clone(),
        json!({"value": "9", "display": "D"}),
        all(json!({"value": "9", "display": "D"})),
    );
    check(
        rename,
        json!({"value": "0"}),
        json!([{"value": "9"}, {"value": "1"}, {"value": "2"}, {"value": "0"}]),
    );
    // After each way of removal, it is added again.
    for gone in [
        json!({"op": "remove", "path": r#"phoneNumbers[value eq "1"]"#}),
        json!({"op": "remove", "path": "phoneNumbers", "value": [{"value": "1"}]}),
    ] {
        check(
            gone,
            json!({"value": "1"}),
            json!([{"value": "0"}, {"value": "2"}, {"value": "1"}]),
        );
    }
    // After a replacement by a whole new list.
    let list = json!({"op": "replace", "path": "phoneNumbers", "value": [new]});
    check(
        list,
        json!({"value": "9", "type": "work", "display": "D"}),
        json!([{"value": "9", "display": "D", "type": "work"}]),
    );
    // After a creation through a filter.
    let made = json!({"op": "add", "path": r#"phoneNumbers[value eq "9" and type eq "work"].display"#, "value": "D"});
    check(
        made,
        new,
        json!([{"value": "0"}, {"value": "1"}, {"value": "2"},
        {"value": "9", "display": "D", "type": "work"}]),
    );
}

/// Of several elements with one `value` and `type` the first one is found, and after its removal the
/// next.
#[test]
fn of_equal_elements_the_next_is_found_after_a_removal() {
    let mut case = with_phones(0);
    case.before["phoneNumbers"] = json!([{"value": "1", "type": "a"}, {"value": "1", "type": "b"}]);
    let add = |display: &str| {
        let value = json!([{"value": "1", "type": "a", "display": display}]);
        json!({"op": "add", "path": "phoneNumbers", "value": value})
    };
    let set = |path: &str, value: &str| json!({"op": "replace", "path": path, "value": value});
    case.gives(
        json!([
            add("x"),
            set(r#"phoneNumbers[type eq "b"].type"#, "a"),
            set(r#"phoneNumbers[display eq "x"].value"#, "3"),
            add("y"),
        ]),
        json!({"phoneNumbers": [
            {"value": "3", "display": "x", "type": "a"},
            {"value": "1", "display": "y", "type": "a"},
        ]}),
    );
}

/// Operations times elements: each of these compares every element.
#[test]
fn operations_times_elements_are_bounded() {
    let case = with_phones(10_000);
    let many = |one: Value| case.steps(&Value::Array(vec![one; 1_000]));
    let filter = json!({"op": "remove", "path": r#"phoneNumbers[value eq "x" or value eq "y"]"#});
    let all = json!({"op": "replace", "path": "phoneNumbers.type", "value": "work"});
    let partial: Vec<_> = (0..100)
        .map(|n| json!({"display": n.to_string()}))
        .collect();
    let partial = json!({"op": "remove", "path": "phoneNumbers", "value": partial});
    for operation in [filter, all, partial] {
        let error = many(operation.clone()).unwrap_err();
        assert_eq!(error.status(), 413, "{error}");
        assert!(case.steps(&json!([operation])).is_ok());
    }
}

#[test]
fn work_that_is_done_again_is_not_counted_twice() {
    let case = with_phones(14_000);
    let mut reading = Reading::new(&case.rules);
    let body = json!({"schemas": [PATCH_OP], "Operations": vec![
        json!({"op": "replace", "path": r#"phoneNumbers[value eq "x"]"#, "value": null}); 200]});
    let request = PatchRequest::parse(&object(body), &mut reading).unwrap();
    let resource = Resource::from_canonical(object(case.before.clone()));
    let user = case.registry.resource_type("User").unwrap();
    for _ in 0..3 {
        reading.begin_again();
        assert!(
            request
                .apply(&resource, user, &case.registry, &mut reading)
                .is_ok()
        );
    }
    assert!(
        request
            .apply(&resource, user, &case.registry, &mut reading)
            .is_err()
    );
}
