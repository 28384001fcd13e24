use super::*;
use crate::protocol::filter::Filter;
use crate::protocol::profile::{Profile, Reading, Rules};
use crate::protocol::schema::{Index, Registry};
use crate::protocol::sort::SortOrder;

fn plan(type_name: &str, filter: &str, sort: &str) -> Plan {
    plan_in(Registry::builtin(), type_name, filter, sort)
}

fn plan_in(registry: &Registry, type_name: &str, filter: &str, sort: &str) -> Plan {
    let rules = Rules {
        profile: Profile::Strict,
        ..Rules::default()
    };
    let mut reading = Reading::new(&rules);
    let resource_type = registry.resource_type(type_name).unwrap();
    let filter = match filter {
        "" => BoundFilter::Constant(true),
        text => {
            let filter = Filter::parse(text, &mut reading).unwrap();
            filter.bind(resource_type, &mut reading).unwrap()
        }
    };
    let (by, order) = match sort.strip_prefix('-') {
        Some(by) => (by, SortOrder::Descending),
        None => (sort, SortOrder::Ascending),
    };
    let sort =
        (!by.is_empty()).then(|| SortBy::bind(by, order, resource_type, &mut reading).unwrap());
    Plan::new(&filter, resource_type, sort.as_ref())
}

#[test]
fn users_are_found_by_the_most_selective_key() {
    let check = |filter: &str, expected: &str| {
        assert_eq!(plan("User", filter, "").to_string(), expected, "{filter}");
    };
    check("", "all");
    check("id pr", "all");
    check("title eq \"x\"", "all filter");
    check("id eq \"1\"", "get 1 filter");
    check("userName eq \"b\"", "claim userName 1 filter");
    check("userName ne \"b\"", "all filter");
    check("userName sw \"b\"", "index userName sw filter");
    check("userName sw \"\"", "all filter");
    check(
        "userName ge \"a\" and userName lt \"c\"",
        "index userName ge lt filter",
    );
    check(
        "externalId eq \"7\" and active eq true",
        "index externalId eq filter",
    );
    check(
        "externalId eq \"7\" and userName eq \"b\"",
        "claim userName 1 filter",
    );
    check(
        "userName sw \"a\" and externalId eq \"7\"",
        "index externalId eq filter",
    );
    check("emails co \"x\"", "all filter");
    check("emails eq \"x\"", "index emails.value eq filter");
    check(
        "emails.value ge \"a\" and emails.value lt \"b\"",
        "index emails.value ge filter",
    );
    check(
        "emails[type eq \"work\" and value eq \"x\"]",
        "index emails.value eq filter",
    );
    check("emails[type eq \"work\" or value eq \"x\"]", "all filter");
    check("not (userName eq \"b\")", "all filter");
    check(
        "userName eq \"b\" and not (active eq true)",
        "claim userName 1 filter",
    );
    check("groups eq \"g\"", "members of a group");
    check("groups[value eq \"g\"]", "members of a group");
    check(
        "groups.value eq \"g\" and active eq true",
        "members of a group filter",
    );
    check("groups.type eq \"direct\"", "all filter");
    check("meta.resourceType eq \"Group\"", "nothing");
    check(
        "meta.resourceType eq \"User\" and userName eq \"b\"",
        "claim userName 1 filter",
    );
}

#[test]
fn either_of_several_keys_is_their_union() {
    let check = |filter: &str, expected: &str| {
        assert_eq!(plan("User", filter, "").to_string(), expected, "{filter}");
    };
    check(
        "userName eq \"a\" or userName eq \"b\"",
        "claim userName 2 filter",
    );
    check("id eq \"2\" or id eq \"1\" or id eq \"2\"", "get 2 filter");
    check(
        "userName eq \"a\" or emails eq \"x\"",
        "claim userName 1 filter + index emails.value eq filter",
    );
    check(
        "emails eq \"b\" or externalId eq \"7\" or emails eq \"a\" or emails.value eq \"b\"",
        "index emails.value eq 2 filter + index externalId eq filter",
    );
    check(
        "externalId eq \"7\" or externalId eq \"7\"",
        "index externalId eq filter",
    );
    check(
        "externalId eq \"7\" or externalId sw \"8\"",
        "index externalId eq filter + index externalId sw filter",
    );
    check("userName eq \"a\" or title eq \"x\"", "all filter");
    check("userName eq \"a\" or id pr", "all");
    check(
        "(userName eq \"a\" or externalId eq \"7\") and active eq true",
        "claim userName 1 filter + index externalId eq filter",
    );
}

#[test]
fn groups_are_found_by_their_members() {
    let check = |filter: &str, expected: &str| {
        assert_eq!(plan("Group", filter, "").to_string(), expected, "{filter}");
    };
    check("members eq \"u\"", "groups of a member");
    check("members[value eq \"u\"]", "groups of a member");
    check(
        "members[value eq \"u\" and type eq \"User\"]",
        "groups of a member filter",
    );
    check(
        "id eq \"g\" and members eq \"u\"",
        "get 1 with a member filter",
    );
    check(
        "members eq \"u\" and id eq \"g\" and displayName eq \"x\"",
        "get 1 with a member filter",
    );
    check(
        "members eq \"u\" and displayName sw \"x\"",
        "groups of a member filter",
    );
    check("displayName eq \"x\"", "index displayName eq filter");
    check("members ne \"u\"", "all filter");
}

#[test]
fn many_resources_are_sorted_by_an_index_and_few_in_memory() {
    let check = |filter: &str, sort: &str, expected: &str| {
        assert_eq!(
            plan("User", filter, sort).to_string(),
            expected,
            "{filter} {sort}"
        );
    };
    check("", "userName", "index userName");
    check("", "-userName", "index userName descending");
    check("", "externalId", "index externalId + without externalId");
    check(
        "",
        "-externalId",
        "without externalId descending + index externalId descending",
    );
    check("", "emails.value", "all sort");
    check("", "title", "all sort");
    check("active eq true", "userName", "index userName filter");
    check(
        "userName sw \"a\"",
        "-userName",
        "index userName sw descending filter",
    );
    check(
        "externalId sw \"a\"",
        "userName",
        "index externalId sw filter sort",
    );
    check(
        "externalId eq \"a\"",
        "userName",
        "index externalId eq filter sort",
    );
}

#[test]
fn times_of_changes_are_found_by_the_hour_if_there_is_an_index() {
    let mut registry = Registry::builtin().clone();
    registry.index_last_modified(|_| true);
    let check = |type_name: &str, filter: &str, sort: &str, expected: &str| {
        let filter = filter.replace('T', "\"2026-11-23T03:04:05Z\"");
        let plan = plan_in(&registry, type_name, &filter, sort);
        assert_eq!(plan.to_string(), expected, "{filter} {sort}");
        assert_eq!(plan.total, Total::Resources, "{filter}");
    };
    check(
        "User",
        "meta.lastModified gt T",
        "",
        "index meta.lastModified gt filter",
    );
    check(
        "User",
        "meta.lastModified ge T and meta.lastModified lt T",
        "",
        "index meta.lastModified ge lt filter",
    );
    check(
        "User",
        "meta.lastModified eq T",
        "",
        "index meta.lastModified eq filter",
    );
    check(
        "User",
        "meta[lastModified gt T]",
        "",
        "index meta.lastModified gt filter",
    );
    check(
        "User",
        "userName sw \"a\" and meta.lastModified gt T",
        "",
        "index userName sw filter",
    );
    // An hour has no order of its own.
    check(
        "User",
        "meta.lastModified gt T",
        "meta.lastModified",
        "index meta.lastModified gt filter sort",
    );
    check("User", "title pr", "meta.lastModified", "all filter sort");
    check("User", "meta.lastModified ne T", "", "all filter");
    check("User", "meta.created gt T", "", "all filter");
    check("Group", "meta.lastModified gt T", "", "all filter");
    registry.mark_building("User", Index::LAST_MODIFIED);
    let building = plan_in(
        &registry,
        "User",
        "meta.lastModified gt \"2026-11-23T03:04:05Z\"",
        "",
    );
    assert_eq!(building.to_string(), "all filter");
}

#[test]
fn totals_are_counted_where_counting_keys_is_enough() {
    let check = |filter: &str, expected: Total| {
        assert_eq!(plan("User", filter, "").total, expected, "{filter}");
    };
    check("", Total::Counter);
    check("meta.created pr", Total::Counter);
    check("userName sw \"a\"", Total::Keys);
    check("userName gt \"a\" and userName lt \"b\"", Total::Keys);
    check("emails eq \"a\"", Total::Keys);
    check("emails sw \"a\"", Total::Keys);
    check(
        "emails[type eq \"work\" and value sw \"a\"]",
        Total::Resources,
    );
    check("externalId eq \"a\" and active eq true", Total::Resources);
    check("userName sw \"a\" or externalId eq \"a\"", Total::Resources);
    check("groups eq \"g\"", Total::Keys);
    assert_eq!(plan("User", "", "externalId").total, Total::Counter);
}

#[test]
fn the_text_of_a_plan_contains_no_values() {
    let secret = "userName eq \"bjensen\" or emails sw \"bjensen\" or groups eq \"bjensen\"";
    assert!(!plan("User", secret, "").to_string().contains("bjensen"));
}
