//! Requests to `Admin` by programs of another version, and its answers to them.
//!
//! A caller may be older than the function: it ignores members of answers that it does not know. One that is newer is
//! told what this version does not know.

use std::cell::RefCell;
use std::collections::BTreeSet;

use scim_lambda::admin::brake::{ReleaseBrake, ShowBrake};
use scim_lambda::admin::credential::{
    CreateCredential, ListCredentials, RevokeAllCredentials, RevokeCredential, RotateCredential,
};
use scim_lambda::admin::data::{CheckData, ExportData, ImportData};
use scim_lambda::admin::event::{ForgetEvents, ListEvents};
use scim_lambda::admin::look_up::{FindGroups, FindUsers, GroupMembers};
use scim_lambda::admin::schema::{
    AddOwnRoles, AddResourceType, AddSchema, ListResourceTypes, ListSchemas, RemoveResourceType,
    RemoveSchema, ResourceTypeLosses, ShowResourceType, ShowSchema,
};
use scim_lambda::admin::stack::ShowStack;
use scim_lambda::admin::stack_key::RotateStackKey;
use scim_lambda::admin::tenant::{
    CreateTenant, DeleteTenant, DeleteTenants, ListTenants, RestoreTenant, ResumeTenant, SetTenant,
    ShowTenant, SuspendTenant,
};
use scim_lambda::admin::webhook::{
    AddWebhook, ListWebhooks, RemoveWebhook, ResumeWebhook, RotateSecret, ShowWebhook, TestWebhook,
};
use scim_lambda::admin::{Code, Failure, Operation, names, read_answer};
use serde_json::{Value, json};

use crate::admin::{Fixture, error};
use crate::admin_operations::{SCHEMA, Subjects, every_operation};

/// Reads an answer as the command does, and writes what it has understood.
type Read = fn(&[u8]) -> Result<Value, Failure>;

fn read<O: Operation>(text: &[u8]) -> Result<Value, Failure> {
    read_answer::<O>(text).map(|answer| json!(answer))
}

/// How the command reads the answer of each operation.
const READERS: &[(&str, Read)] = &[
    reader::<CreateCredential>(),
    reader::<ListCredentials>(),
    reader::<RevokeCredential>(),
    reader::<RevokeAllCredentials>(),
    reader::<RotateCredential>(),
    reader::<AddSchema>(),
    reader::<ListSchemas>(),
    reader::<ShowSchema>(),
    reader::<RemoveSchema>(),
    reader::<AddResourceType>(),
    reader::<ResourceTypeLosses>(),
    reader::<ListResourceTypes>(),
    reader::<ShowResourceType>(),
    reader::<RemoveResourceType>(),
    reader::<AddOwnRoles>(),
    reader::<FindUsers>(),
    reader::<FindGroups>(),
    reader::<GroupMembers>(),
    reader::<ListEvents>(),
    reader::<ForgetEvents>(),
    reader::<ShowBrake>(),
    reader::<ReleaseBrake>(),
    reader::<CreateTenant>(),
    reader::<ListTenants>(),
    reader::<ShowTenant>(),
    reader::<SetTenant>(),
    reader::<SuspendTenant>(),
    reader::<ResumeTenant>(),
    reader::<DeleteTenant>(),
    reader::<RestoreTenant>(),
    reader::<ExportData>(),
    reader::<ImportData>(),
    reader::<CheckData>(),
    reader::<AddWebhook>(),
    reader::<ListWebhooks>(),
    reader::<ShowWebhook>(),
    reader::<TestWebhook>(),
    reader::<RotateSecret>(),
    reader::<ResumeWebhook>(),
    reader::<RemoveWebhook>(),
    reader::<ShowStack>(),
    reader::<DeleteTenants>(),
    reader::<RotateStackKey>(),
];

const fn reader<O: Operation>() -> (&'static str, Read) {
    (O::NAME, read::<O>)
}

/// Asks for every operation in turn. `prepare` gets each request before it is sent, and `look` its answer.
async fn with_every_operation(
    prepare: impl AsyncFn(&Fixture, &Value),
    look: impl Fn(&str, &Value),
) {
    let fixture = Fixture::new().await;
    let subjects = Subjects::of(&fixture.world).await;
    let asked = RefCell::new(BTreeSet::new());
    every_operation(&subjects, &async |request: Value| {
        prepare(&fixture, &request).await;
        let op = request["op"].as_str().unwrap().to_owned();
        let answer = Fixture::ok(fixture.ask(request).await);
        look(&op, &answer);
        asked.borrow_mut().insert(op);
        answer
    })
    .await;
    let known: BTreeSet<String> = names().map(str::to_owned).collect();
    assert_eq!(asked.into_inner(), known);
}

/// Fails unless a request is refused as invalid, with these words in the text.
async fn check_refused(fixture: &Fixture, request: Value, words: &[&str]) {
    let answer = fixture.ask(request.clone()).await;
    let (code, detail) = error(&answer);
    assert_eq!(code, "invalid", "{request}: {answer}");
    for word in words {
        assert!(detail.contains(word), "{request}: {detail}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_argument_of_a_later_version_and_a_missing_one_are_named() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    with_every_operation(
        async |fixture, request| {
            let op = request["op"].as_str().unwrap();
            let mut later = request.clone();
            later["colour"] = json!("blue");
            check_refused(fixture, later, &[op, "unknown field `colour`"]).await;
            let required = schema["$defs"][op]["required"].as_array().unwrap().iter();
            // The fixture sends an actor of its own.
            let required = required.filter(|name| **name != "actor");
            for name in required.map(|name| name.as_str().unwrap()) {
                let mut without = request.clone();
                without.as_object_mut().unwrap().remove(name);
                check_refused(fixture, without, &[&format!("`{name}`")]).await;
            }
        },
        |_, _| {},
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_operation_of_a_later_version_is_answered_with_those_that_there_are() {
    let fixture = Fixture::new().await;
    let request = json!({"op": "tenant.paint", "tenant": "acme", "colour": "blue"});
    let all: Vec<_> = names().collect();
    let mut words = vec!["`op` is `tenant.paint`; it takes "];
    words.extend(&all);
    check_refused(&fixture, request, &words).await;
}

/// Adds a member that no version knows to every object in an answer.
fn add_later_members(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.values_mut().for_each(add_later_members);
            members.insert("laterMember".to_owned(), json!({"of": ["another version"]}));
        }
        Value::Array(elements) => elements.iter_mut().for_each(add_later_members),
        _ => {}
    }
}

/// Removes it, where it was kept: in objects whose members are names that people have chosen.
fn remove_later_members(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.remove("laterMember");
            members.values_mut().for_each(remove_later_members);
        }
        Value::Array(elements) => elements.iter_mut().for_each(remove_later_members),
        _ => {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_ignores_the_members_of_a_later_answer_at_every_depth() {
    with_every_operation(
        async |_, _| {},
        |op, answer| {
            let reader = READERS.iter().find(|(name, _)| *name == op);
            let (_, read) = reader.unwrap_or_else(|| panic!("READERS lacks {op}"));
            let text = |answer: &Value| json!({"ok": answer}).to_string();
            let now = read(text(answer).as_bytes()).unwrap();
            let mut later = answer.clone();
            // A map from a status to a number has no members for which a later version may have other values.
            let statuses = answer["refusals"]["statuses"].clone();
            add_later_members(&mut later);
            if statuses.is_object() {
                later["refusals"]["statuses"] = statuses;
            }
            let mut understood = read(text(&later).as_bytes())
                .unwrap_or_else(|failure| panic!("{op}: {failure}: {}", failure.causes));
            remove_later_members(&mut understood);
            assert_eq!(understood, now, "{op}");
        },
    )
    .await;
}

#[test]
fn an_answer_of_an_earlier_version_says_that_the_versions_differ() {
    let answer = json!({"ok": {"tenant": "acme"}}).to_string();
    let failure = read_answer::<ShowTenant>(answer.as_bytes()).unwrap_err();
    assert_eq!(failure.code, Code::Failed);
    let expected = "The answer to tenant.show is of another version of the service; update the stack or the command, \
                    whichever is older";
    assert_eq!(failure.detail, expected);
    assert!(
        failure.causes.contains("missing field"),
        "{}",
        failure.causes
    );
}
