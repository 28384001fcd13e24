use super::super::Dialect;
use super::*;
use crate::profile::{Profile, Rules};
use crate::schema::Registry;

fn view(name: &str, dialect: Dialect) -> View<'static> {
    View {
        dialect,
        resource_type: Registry::builtin().resource_type(name).unwrap(),
    }
}

fn patched(view: View<'_>, body: &Value, profile: Profile) -> Result<Value> {
    let rules = Rules {
        profile,
        ..Rules::default()
    };
    let body = body.as_object().unwrap().clone();
    let message = super::patch(view, body, &mut Reading::new(&rules))?;
    assert_eq!(message["schemas"], json!([urn::PATCH_OP]));
    Ok(message["Operations"].clone())
}

fn check(name: &str, body: &Value, expected: &Value) {
    let view = view(name, Dialect::General);
    assert_eq!(&patched(view, body, Profile::Default).unwrap(), expected);
}

#[test]
fn a_message_of_2_0_is_refused_with_the_base_url_that_takes_it() {
    let operations = json!([{"op": "replace", "path": "active", "value": false}]);
    let rules = Rules::default();
    for (dialect, body) in [Dialect::General, Dialect::Ionic]
        .iter()
        .flat_map(|dialect| {
            let bodies = [
                json!({"schemas": [urn::PATCH_OP], "Operations": operations}),
                json!({"schemas": [urn::PATCH_OP.to_uppercase()], "active": false}),
                json!({"schemas": [urn::CORE_1_1], "operations": operations}),
                json!({"Operations": operations}),
                json!({"schemas": [urn::BULK_REQUEST]}),
            ];
            bodies.map(|body| (*dialect, body))
        })
    {
        let view = view("User", dialect);
        let object = || body.as_object().unwrap().clone();
        let mut reading = Reading::new(&rules);
        for error in [
            patch(view, object(), &mut reading).unwrap_err(),
            merging_put(view, object(), &mut reading).unwrap_err(),
            request::request(view, object()).unwrap_err(),
            user_name::new_resource(view, object(), &mut reading).unwrap_err(),
        ] {
            assert_eq!(error.kind().scim_type(), Some("invalidSyntax"), "{body}");
            assert!(error.detail().contains("/scim/v2"), "{error}");
        }
    }
}

#[test]
fn a_resource_of_2_0_is_read() {
    check(
        "User",
        &json!({"schemas": [urn::USER, urn::ENTERPRISE_USER], "active": false,
                urn::ENTERPRISE_USER: {"manager": {"value": "26"}}}),
        &json!([
            {"op": "replace", "path": "active", "value": false},
            {"op": "add", "path": format!("{}:manager", urn::ENTERPRISE_USER),
             "value": {"value": "26"}},
        ]),
    );
}

#[test]
fn a_change_of_the_ionic_api_does_not_clear_a_name_that_it_need_not_know() {
    let rules = Rules::default();
    let change = |dialect: Dialect, merges: bool| {
        let view = view("User", dialect);
        let body = json!({"userName": "", "title": "T"});
        let body = body.as_object().unwrap().clone();
        let mut reading = Reading::new(&rules);
        let message = match merges {
            true => merging_put(view, body, &mut reading),
            false => patch(view, body, &mut reading),
        };
        (
            message.unwrap()["Operations"].clone(),
            reading.used_tolerances().to_string(),
        )
    };
    let title = json!({"op": "replace", "path": "title", "value": "T"});
    for merges in [true, false] {
        let (operations, fired) = change(Dialect::Ionic, merges);
        assert_eq!(operations, json!([title]));
        assert_eq!(fired, "derivedUserName");
    }
    let (operations, _) = change(Dialect::General, false);
    assert_eq!(operations[0]["path"], "userName");
}

fn check_text(name: &str, body: &str, expected: &Value) {
    check(name, &serde_json::from_str(body).unwrap(), expected);
}

/// The examples of 1.1 API §3.3.2.
#[test]
fn the_examples_on_groups_become_operations() {
    let check = |body: &str, expected: Value| check_text("Group", body, &expected);
    let dwight = "2819c223-7f76-453a-919d-413861904646";
    let james = "08e1d05d-121c-4561-8b96-473d93df9210";
    let members = json!([{"display": "Dwight Schrute", "value": dwight},
                         {"display": "James Smith", "value": james}]);
    let delete = json!({"op": "remove", "path": "members", "value": [{ "value": dwight }]});
    check(
        include_str!("../../../tests/data/scim11/patch-add-member.json"),
        json!([{"op": "add", "path": "members", "value": [members[0]]}]),
    );
    check(
        include_str!("../../../tests/data/scim11/patch-delete-member.json"),
        json!([delete]),
    );
    check(
        include_str!("../../../tests/data/scim11/patch-remove-members.json"),
        json!([{"op": "remove", "path": "members"}]),
    );
    check(
        include_str!("../../../tests/data/scim11/patch-replace-members.json"),
        json!([{"op": "replace", "path": "members", "value": members}]),
    );
    check(
        include_str!("../../../tests/data/scim11/patch-swap-member.json"),
        json!([delete, {"op": "add", "path": "members", "value": [members[1]]}]),
    );
}

#[test]
fn the_examples_on_users_become_operations() {
    let check = |body: &str, expected: Value| check_text("User", body, &expected);
    let email = "emails[value eq \"dschrute@example.com\"]";
    check(
        include_str!("../../../tests/data/scim11/patch-primary-email.json"),
        json!([{"op": "add", "path": format!("{email}.value"), "value": "dschrute@example.com"},
               {"op": "add", "path": format!("{email}.primary"), "value": true}]),
    );
    check(
        include_str!("../../../tests/data/scim11/patch-nick-name.json"),
        json!([{"op": "replace", "path": "nickName", "value": "Barbie"}]),
    );
    check(
        include_str!("../../../tests/data/scim11/patch-remove-nick-name.json"),
        json!([{"op": "remove", "path": "nickName"}]),
    );
    check(
        include_str!("../../../tests/data/scim11/patch-name.json"),
        json!([{"op": "add", "path": "name",
                "value": {"formatted": "Mr. Dwight Kurt Schrute III", "familyName": "Schrute"}}]),
    );
    check(
        include_str!("../../../tests/data/scim11/patch-remove-parts.json"),
        json!([{"op": "remove", "path": "name.formatted"},
               {"op": "remove", "path": "urn:hr:schemas:user:age"}]),
    );
}

#[test]
fn an_element_without_value_is_deleted_by_all_its_parts() {
    let body = include_str!("../../../tests/data/scim11/patch-address.json");
    let body = serde_json::from_str(body).unwrap();
    let view = view("User", Dialect::General);
    let operations = patched(view, &body, Profile::Default).unwrap();
    assert_eq!(
        operations[0],
        json!({"op": "remove", "path": "addresses[type eq \"work\" and \
               streetAddress eq \"100 Universal City Plaza\" and locality eq \"Hollywood\" and \
               region eq \"CA\" and postalCode eq \"91608\" and country eq \"US\" and \
               formatted eq \"100 Universal City Plaza\\nHollywood, CA 91608 US\" and primary eq true]"})
    );
    assert_eq!(operations[1]["op"], "add");
    assert_eq!(operations[1]["path"], "addresses");
    assert_eq!(
        operations[1]["value"][0]["streetAddress"],
        "911 Universal City Plaza"
    );
    assert_eq!(operations.as_array().unwrap().len(), 2);
}

#[test]
fn a_type_distinguishes_elements_of_one_value() {
    check(
        "User",
        &json!({"emails": [{"value": "a", "type": "work", "primary": true, "operation": "Delete"}]}),
        &json!([{"op": "remove", "path": "emails[value eq \"a\" and type eq \"work\"]"}]),
    );
    check(
        "Group",
        &json!({"members": [{"value": "a", "type": "user", "operation": "delete"},
                            {"value": "b", "operation": "delete"}]}),
        &json!([{"op": "remove", "path": "members", "value": [{"value": "a"}, {"value": "b"}]}]),
    );
}

#[test]
fn a_listed_attribute_with_a_value_is_replaced() {
    check(
        "User",
        &json!({"meta": {"attributes": ["userName", "name", "name.givenName", "emails"]},
                "userName": "b", "name": {"givenName": "B"},
                "emails": ["b@x", {"value": "a@x", "operation": "delete"}]}),
        &json!([{"op": "replace", "path": "userName", "value": "b"},
                {"op": "remove", "path": "name"},
                {"op": "replace", "path": "name", "value": {"givenName": "B"}},
                {"op": "replace", "path": "emails", "value": [{"value": "b@x"}]}]),
    );
    check(
        "User",
        &json!({"Meta": {"attributes": ["name.givenName", "name.formatted"]}, "name": {"givenName": "B"}}),
        &json!([{"op": "remove", "path": "name.formatted"},
                {"op": "add", "path": "name", "value": {"givenName": "B"}}]),
    );
    check(
        "User",
        &json!({"meta": {"attributes": ["emails"]}, "emails": [{"value": "a", "operation": "delete"}]}),
        &json!([{"op": "remove", "path": "emails"}]),
    );
}

#[test]
fn extensions_are_merged_attribute_by_attribute() {
    let manager = format!("{}:manager", urn::ENTERPRISE_USER);
    check(
        "User",
        &json!({"meta": {"attributes": ["urn:scim:schemas:extension:enterprise:1.0:costCenter"]},
                "urn:scim:schemas:extension:enterprise:1.0": {"manager": {"managerId": "26"}, "division": null}}),
        &json!([{"op": "remove", "path": format!("{}:costCenter", urn::ENTERPRISE_USER)},
                {"op": "add", "path": manager, "value": {"value": "26"}},
                {"op": "remove", "path": format!("{}:division", urn::ENTERPRISE_USER)}]),
    );
}

#[test]
fn read_only_attributes_are_left_out() {
    check(
        "User",
        &json!({"schemas": [urn::CORE_1_1], "id": "7", "groups": [{"value": "g"}], "title": "T",
                "shoeSize": 43, urn::IONIC_USER: {"groups": ["g"]}}),
        &json!([{"op": "replace", "path": "title", "value": "T"}]),
    );
    let user = view("User", Dialect::General);
    let error = patched(user, &json!({"shoeSize": 43}), Profile::Strict).unwrap_err();
    assert_eq!(error.kind().scim_type(), Some("invalidPath"));
}

#[test]
fn simple_lists_are_changed_by_their_values() {
    check(
        "Role",
        &json!({"scopes": ["users:read", {"value": "users:list", "operation": "delete"}]}),
        &json!([{"op": "remove", "path": "scopes[value eq \"users:list\"]"},
                {"op": "add", "path": "scopes", "value": ["users:read"]}]),
    );
}

#[test]
fn a_delete_of_nothing_is_refused() {
    for (name, attribute) in [("User", "emails"), ("Group", "members")] {
        let view = view(name, Dialect::General);
        let body = json!({attribute: [{"operation": "delete"}]});
        let error = patched(view, &body, Profile::Default).unwrap_err();
        assert_eq!(error.kind().scim_type(), Some("invalidValue"));
    }
}

#[test]
fn the_number_of_listed_attributes_is_bounded() {
    let user = view("User", Dialect::General);
    let body = |count: usize| json!({"meta": {"attributes": vec!["title"; count]}});
    let error = patched(user, &body(MAX_OPERATIONS + 1), Profile::Default).unwrap_err();
    assert_eq!(error.status(), 413);
    assert!(patched(user, &body(MAX_OPERATIONS), Profile::Default).is_ok());
}

#[test]
fn the_number_of_changes_is_bounded_in_words_of_1_1() {
    let user = view("User", Dialect::General);
    let body = |count: usize| {
        let emails: Vec<_> = (0..count)
            .map(|number| json!({"value": format!("{number}@example.com")}))
            .collect();
        json!({"emails": emails})
    };
    let error = patched(user, &body(MAX_OPERATIONS + 1), Profile::Default).unwrap_err();
    assert_eq!(error.status(), 413);
    assert!(error.detail().contains("makes 1001 changes"), "{error}");
    assert!(patched(user, &body(MAX_OPERATIONS), Profile::Default).is_ok());
}

#[test]
fn a_patch_of_nothing_becomes_a_message_that_adds_nothing() {
    for body in [json!({}), json!({"id": "8", "emails": []})] {
        check("User", &body, &json!([{"op": "add", "value": {}}]));
    }
}

#[test]
fn a_group_of_the_ionic_api_has_users_only() {
    let group = view("Group", Dialect::Ionic);
    let body = |kind: &str| json!({"members": [{"value": "7", "type": kind}]});
    assert_eq!(
        patched(group, &body("user"), Profile::Default).unwrap(),
        json!([{"op": "add", "path": "members", "value": [{"value": "7", "type": "User"}]}])
    );
    let error = patched(group, &body("group"), Profile::Default).unwrap_err();
    assert_eq!(error.status(), 400);
}

#[test]
fn a_merging_put_clears_only_empty_attributes() {
    let rules = Rules::default();
    let put = |name: &str, body: Value| {
        let view = view(name, Dialect::Ionic);
        let body = body.as_object().unwrap().clone();
        let message = merging_put(view, body, &mut Reading::new(&rules)).unwrap();
        message["Operations"].clone()
    };
    assert_eq!(
        put(
            "Device",
            json!({"schemas": [urn::CORE_1_1], "id": "7", "name": "N", "status": false, "os": "",
                   "plugin": null, "subjectAttributes": [], "user": {"id": "8"},
                   "source": {"name": "s"}})
        ),
        json!([{"op": "replace", "path": "name", "value": "N"},
               {"op": "replace", "path": "status", "value": false},
               {"op": "remove", "path": "os"},
               {"op": "remove", "path": "plugin"},
               {"op": "remove", "path": "subjectAttributes"},
               {"op": "remove", "path": "source"},
               {"op": "replace", "path": "source", "value": {"name": "s"}}])
    );
    let description = format!("{}:description", urn::DESCRIBED_GROUP);
    assert_eq!(
        put("Group", json!({"description": "d"})),
        json!([{"op": "replace", "path": description, "value": "d"}])
    );
    let ionic = |name: &str| format!("{}:{name}", urn::IONIC_USER);
    assert_eq!(
        put("User", json!({urn::IONIC_USER: null})),
        json!([{"op": "remove", "path": ionic("domainUpn")},
               {"op": "remove", "path": ionic("subjectAttributes")}])
    );
}
