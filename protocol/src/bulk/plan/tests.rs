use proptest::prelude::*;

use super::super::resolve;
use super::*;
use crate::profile::{Reading, Rules};

fn plan(body: &Value) -> BulkPlan {
    let switches = Switches {
        bulk_max_operations: u32::MAX,
        ..Switches::default()
    };
    let rules = Rules {
        switches,
        ..Rules::default()
    };
    let request = BulkRequest::parse(body.as_object().unwrap(), &mut Reading::new(&rules));
    super::plan(request.unwrap(), Registry::builtin(), &rules.switches)
}

fn operations(operations: &[Value]) -> BulkPlan {
    plan(&json!({"schemas": [urn::BULK_REQUEST], "Operations": operations}))
}

fn post(endpoint: &str, name: &str, data: &Value) -> Value {
    json!({"method": "POST", "path": format!("/{endpoint}"), "bulkId": name, "data": data})
}

fn user(name: &str) -> Value {
    post("Users", name, &json!({"userName": name}))
}

fn group(name: &str, members: &[&str]) -> Value {
    let members: Vec<_> = members.iter().map(|id| json!({"value": id})).collect();
    post(
        "Groups",
        name,
        &json!({"displayName": name, "members": members}),
    )
}

fn patch(path: &str, operation: &Value) -> Value {
    json!({"method": "PATCH", "path": path, "data": {"schemas": [urn::PATCH_OP], "Operations": [operation]}})
}

fn delete(path: &str) -> Value {
    json!({"method": "DELETE", "path": path})
}

/// Compares the steps, each given as its entry and the steps that it waits for.
fn check(plan: &BulkPlan, expected: &[(usize, &[usize])]) {
    let steps = plan.steps.iter();
    let steps: Vec<_> = steps
        .map(|step| (step.entry, step.after.as_slice()))
        .collect();
    assert_eq!(steps, expected);
}

#[test]
fn operations_that_share_nothing_wait_for_nothing() {
    let plan = operations(&[
        user("a"),
        user("b"),
        group("g", &["1", "2"]),
        group("h", &["3"]),
        patch(
            "/Users/7",
            &json!({"op": "replace", "path": "title", "value": "T"}),
        ),
        patch(
            "/Users/8",
            &json!({"op": "replace", "path": "title", "value": "T"}),
        ),
    ]);
    check(
        &plan,
        &[(0, &[]), (1, &[]), (2, &[]), (3, &[]), (4, &[]), (5, &[])],
    );
}

#[test]
fn a_reference_waits_for_the_operation_it_refers_to() {
    let forward = operations(&[group("g", &["bulkId:a", "bulkId:b"]), user("a"), user("b")]);
    check(&forward, &[(1, &[]), (2, &[]), (0, &[0, 1])]);
    let add = json!({"op": "add", "path": "members", "value": [{"value": "bulkId:a"}]});
    let path = operations(&[patch("/Groups/bulkId:g", &add), user("a"), group("g", &[])]);
    check(&path, &[(2, &[]), (1, &[]), (0, &[0, 1])]);
}

#[test]
fn operations_on_one_resource_keep_their_order() {
    let title = json!({"op": "replace", "path": "title", "value": "T"});
    let plan = operations(&[
        patch("/Users/7", &title),
        patch("/Users/8", &title),
        patch("/Users/7", &title),
        delete("/Users/7"),
    ]);
    check(&plan, &[(0, &[]), (1, &[]), (2, &[0]), (3, &[2])]);
}

#[test]
fn a_member_keeps_its_order_with_groups() {
    let remove = json!({"op": "remove", "path": "members[value eq \"7\"]"});
    let merge = json!({"op": "add", "value": {"Members": ["7"]}});
    let plan = operations(&[
        group("g", &["7"]),
        delete("/Users/7"),
        patch("/Groups/1", &remove),
        patch("/Groups/2", &merge),
        patch(
            "/Groups/3",
            &json!({"op": "replace", "path": "displayName", "value": "7"}),
        ),
    ]);
    check(
        &plan,
        &[(0, &[]), (1, &[0]), (2, &[1]), (3, &[2]), (4, &[])],
    );
}

#[test]
fn unique_values_keep_their_order() {
    let plan = operations(&[
        post("Users", "a", &json!({"userName": "STRASSE"})),
        post("Users", "b", &json!({"USERNAME": "straße"})),
        post("Users", "c", &json!({"userName": "other"})),
    ]);
    check(&plan, &[(0, &[]), (1, &[0]), (2, &[])]);
    let plan = operations(&[
        delete("/Users/1"),
        delete("/Users/2"),
        user("a"),
        user("b"),
        patch(
            "/Users/3",
            &json!({"op": "add", "value": {"userName": "c"}}),
        ),
        delete("/Users/4"),
        delete("/Groups/5"),
    ]);
    let expected: [(usize, &[usize]); 7] = [
        (0, &[]),
        (1, &[]),
        (2, &[0, 1]),
        (3, &[0, 1]),
        (4, &[2, 3]),
        (5, &[4]),
        (6, &[]),
    ];
    check(&plan, &expected);
}

#[test]
fn a_switch_makes_group_names_unique() {
    let groups = [group("g", &[]), group("h", &[])].map(|mut group| {
        group["data"]["displayName"] = json!("Sales");
        group
    });
    check(&operations(&groups), &[(0, &[]), (1, &[])]);
    let switches = Switches {
        unique_group_display_name: true,
        ..Switches::default()
    };
    let rules = Rules::default();
    let body = json!({"schemas": [urn::BULK_REQUEST], "Operations": groups});
    let request = BulkRequest::parse(body.as_object().unwrap(), &mut Reading::new(&rules));
    let plan = super::plan(request.unwrap(), Registry::builtin(), &switches);
    check(&plan, &[(0, &[]), (1, &[0])]);
}

#[test]
fn a_limit_on_errors_means_one_by_one() {
    let body = json!({"schemas": [urn::BULK_REQUEST], "failOnErrors": 1,
                      "Operations": [user("a"), {"method": "GET"}, user("b")]});
    let plan = plan(&body);
    check(&plan, &[(0, &[]), (1, &[0]), (2, &[1])]);
    assert!(plan.steps[1].operation.is_err());
    assert_eq!(plan.labels[1].method, "GET");
}

/// RFC 7644 §3.7.1.
#[test]
fn a_circle_is_closed_by_a_patch() {
    let text = include_str!("../../../tests/data/bulk/circle.json");
    let plan = plan(&serde_json::from_str(text).unwrap());
    check(&plan, &[(1, &[]), (0, &[0]), (1, &[0, 1])]);
    let operation = |step: usize| plan.steps[step].operation.as_ref().unwrap();
    assert_eq!(operation(0).data.get("members"), None);
    assert_eq!(operation(0).data["displayName"], "Group B");
    assert_eq!(
        operation(1).data["members"],
        json!([{"type": "Group", "value": "bulkId:ytrewq"}])
    );
    assert!(plan.steps[2].completes && !plan.steps[0].completes);
    assert_eq!(
        operation(2).target,
        OperationTarget::BulkId("ytrewq".into())
    );
    assert_eq!(
        operation(2).data["Operations"],
        json!([{"op": "add", "path": "members", "value": [{"type": "Group", "value": "bulkId:qwerty"}]}])
    );
}

/// RFC 7644 §3.7.2.
#[test]
fn the_examples_with_references_go_in_order() {
    for text in [
        include_str!("../../../tests/data/bulk/user-and-group.json"),
        include_str!("../../../tests/data/bulk/manager.json"),
    ] {
        check(
            &plan(&serde_json::from_str(text).unwrap()),
            &[(0, &[]), (1, &[0])],
        );
    }
}

#[test]
fn a_circle_does_not_change_other_operations() {
    let manager = |name: &str, of: &str| {
        post(
            "Users",
            name,
            &json!({"userName": name, "title": "T",
                    urn::ENTERPRISE_USER: {"department": "D", "manager": {"value": format!("bulkId:{of}")}}}),
        )
    };
    let plan = operations(&[manager("a", "b"), manager("b", "a")]);
    check(&plan, &[(1, &[]), (0, &[0]), (1, &[0, 1])]);
    let data = &plan.steps[0].operation.as_ref().unwrap().data;
    assert_eq!(data[urn::ENTERPRISE_USER], json!({"department": "D"}));
    let rest = &plan.steps[2].operation.as_ref().unwrap().data["Operations"];
    let path = format!("{}:manager", urn::ENTERPRISE_USER);
    assert_eq!(
        rest,
        &json!([{"op": "add", "path": path, "value": {"value": "bulkId:a"}}])
    );
}

#[test]
fn a_resource_may_refer_to_itself() {
    let plan = operations(&[group("g", &["bulkId:g", "7"])]);
    check(&plan, &[(0, &[]), (0, &[0])]);
    let data = &plan.steps[0].operation.as_ref().unwrap().data;
    assert_eq!(data["members"], json!([{"value": "7"}]));
}

#[test]
fn an_unresolved_reference_comes_last() {
    let plan = operations(&[group("g", &["bulkId:lost"])]);
    check(&plan, &[(0, &[])]);
    let mut operation = plan.steps.into_iter().next().unwrap().operation.unwrap();
    assert!(resolve(&mut operation, Registry::builtin(), &|_| None).is_err());
}

#[test]
fn a_long_chain_does_not_exhaust_the_stack() {
    let chain: Vec<_> = (0..50_000)
        .map(|position| {
            let next = format!("bulkId:{}", position + 1);
            group(&position.to_string(), &[&next])
        })
        .collect();
    let plan = operations(&chain);
    assert_eq!(plan.steps.len(), 50_000);
    assert_eq!(plan.steps[0].entry, 49_999);
}

fn any_operation() -> impl Strategy<Value = Value> {
    let name = || prop::sample::select(vec!["a", "b", "c", "d", "e"]);
    let id = || {
        prop::sample::select(vec![
            "1", "2", "bulkId:a", "bulkId:b", "bulkId:c", "bulkId:x",
        ])
    };
    let ids = prop::collection::vec(id(), 0..3);
    prop_oneof![
        name().prop_map(user),
        (name(), ids).prop_map(|(name, ids)| group(name, &ids)),
        id().prop_map(|id| delete(&format!("/Users/{id}"))),
        (id(), id()).prop_map(|(group, member)| {
            let add = json!({"op": "add", "path": "members", "value": member});
            patch(&format!("/Groups/{group}"), &add)
        }),
    ]
}

proptest! {
    #[test]
    fn every_operation_runs_once_and_after_those_it_refers_to(
        listed in prop::collection::vec(any_operation(), 0..12)
    ) {
        let plan = operations(&listed);
        let mut first = vec![None; listed.len()];
        let mut makers = HashMap::new();
        for step in plan.steps.iter().filter(|step| !step.completes) {
            if let Ok(operation) = &step.operation {
                makers.extend(operation.made_name().map(|name| (name.to_owned(), ())));
            }
        }
        let mut made = HashMap::new();
        for (position, step) in plan.steps.iter().enumerate() {
            prop_assert!(step.after.iter().all(|before| *before < position));
            if !step.completes {
                prop_assert_eq!(first[step.entry].replace(position), None);
            }
            let Ok(operation) = &step.operation else { continue };
            for name in references(&mut operation.clone(), Registry::builtin()) {
                if makers.contains_key(&name) {
                    let maker = made.get(&name);
                    prop_assert!(maker.is_some_and(|maker| step.after.contains(maker)), "{}", name);
                }
            }
            made.extend(operation.made_name().map(|name| (name.to_owned(), position)));
        }
        prop_assert!(first.iter().all(Option::is_some));
    }
}
