//! Every kind of write, with every temporary fault, at every call in turn. The request succeeds, and
//! takes effect once.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use scim_lambda::aws;
use scim_lambda::embedded::DataDirectory;
use scim_lambda::identity::CredentialId;
use scim_lambda::protocol::error::{ErrorKind, Result};
use scim_lambda::protocol::version::Version;
use scim_lambda::stack::{Config, Stack};
use scim_lambda::store::{ConfigItem, Meter};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support::{bearer, cause};

use crate::simulation::{
    Call, Fault, Process, World, add, group, id, kind, remove, replace, tenant, user, values,
};

/// More members than any change puts into one transaction.
const MANY: usize = 55;

/// The kinds of write. Those of many members use the journal.
#[derive(Debug, Clone, Copy)]
enum Write {
    CreateUser,
    PatchUser,
    RenameUser,
    ReplaceUser,
    DeleteUser,
    DeleteMember,
    CreateGroup,
    CreateGroupOfMany,
    RenameGroup,
    AddMember,
    AddPresentMembers,
    AddGroup,
    AddIfMatch,
    AddMany,
    RemoveMember,
    RemoveMany,
    ReplaceMembers,
    ReplaceMany,
    PutGroupOfMany,
    Clear,
    DeleteGroup,
}

const WRITES: [Write; 21] = [
    Write::CreateUser,
    Write::PatchUser,
    Write::RenameUser,
    Write::ReplaceUser,
    Write::DeleteUser,
    Write::DeleteMember,
    Write::CreateGroup,
    Write::CreateGroupOfMany,
    Write::RenameGroup,
    Write::AddMember,
    Write::AddPresentMembers,
    Write::AddGroup,
    Write::AddIfMatch,
    Write::AddMany,
    Write::RemoveMember,
    Write::RemoveMany,
    Write::ReplaceMembers,
    Write::ReplaceMany,
    Write::PutGroupOfMany,
    Write::Clear,
    Write::DeleteGroup,
];

/// A tenant with a group, which is in another group, and users, some of them members.
struct Directory {
    world: World,
    inside: Vec<String>,
    outside: Vec<String>,
    group: String,
    other: String,
}

impl Directory {
    async fn new() -> Self {
        let world = World::new().await;
        let process = world.process();
        let inside = process.users("in", MANY).await;
        let outside = process.users("out", MANY).await;
        let group = process.group("Guides", &inside).await;
        let other = process.group("Staff", std::slice::from_ref(&group)).await;
        world.finish().await;
        Self {
            world,
            inside,
            outside,
            group,
            other,
        }
    }

    fn copy(&self) -> Self {
        Self {
            world: self.world.copy(),
            inside: self.inside.clone(),
            outside: self.outside.clone(),
            group: self.group.clone(),
            other: self.other.clone(),
        }
    }

    async fn perform(&self, write: Write, writer: &Process) -> Result<()> {
        let title = |title: &str| json!([{"op": "replace", "path": "title", "value": title}]);
        let rename = |path: &str| json!([{"op": "replace", "path": path, "value": "renamed"}]);
        let (some, others) = (&self.outside[..2], &self.inside[..2]);
        let patch = async |operations| writer.patch("Group", &self.group, operations).await;
        match write {
            Write::CreateUser => writer.post("User", user("new")).await.map(drop),
            Write::PatchUser => {
                let patched = writer.patch("User", &self.inside[0], title("Guide"));
                patched.await.map(drop)
            }
            Write::RenameUser => {
                let patched = writer.patch("User", &self.inside[0], rename("userName"));
                patched.await.map(drop)
            }
            Write::ReplaceUser => {
                let replaced = writer.put("User", &self.inside[0], user("replaced"));
                replaced.await.map(drop)
            }
            Write::DeleteUser => writer.delete("User", &self.outside[0]).await,
            Write::DeleteMember => writer.delete("User", &self.inside[0]).await,
            Write::CreateGroup => writer.post("Group", group("New", some)).await.map(drop),
            Write::CreateGroupOfMany => {
                let created = writer.post("Group", group("New", &self.outside));
                created.await.map(drop)
            }
            Write::RenameGroup => patch(rename("displayName")).await.map(drop),
            Write::AddMember => patch(add(&some[..1])).await.map(drop),
            Write::AddPresentMembers => patch(add(others)).await.map(drop),
            Write::AddGroup => {
                let outer = std::slice::from_ref(&self.other);
                patch(add(outer)).await.map(drop)
            }
            Write::AddIfMatch => {
                let shown = writer.get("Group", &self.group).await?;
                let tag = shown["meta"]["version"].as_str().unwrap();
                let patched = writer.patch_if("Group", &self.group, add(some), tag);
                patched.await.map(drop)
            }
            Write::AddMany => patch(add(&self.outside)).await.map(drop),
            Write::RemoveMember => patch(remove(&others[..1])).await.map(drop),
            Write::RemoveMany => patch(remove(&self.inside[1..])).await.map(drop),
            Write::ReplaceMembers => patch(replace(some)).await.map(drop),
            Write::ReplaceMany => patch(replace(&self.outside)).await.map(drop),
            Write::PutGroupOfMany => {
                let body = group("Rangers", &self.outside);
                writer.put("Group", &self.group, body).await.map(drop)
            }
            Write::Clear => patch(json!([{"op": "remove", "path": "members"}]))
                .await
                .map(drop),
            Write::DeleteGroup => writer.delete("Group", &self.group).await,
        }
    }

    /// Everything that a reader can see, except for times and random ids.
    async fn visible(&self) -> Vec<Value> {
        let reader = self.world.process();
        let mut visible = Vec::new();
        for kind in ["User", "Group"] {
            let list = reader.list(kind, "count=1000").await.unwrap();
            let resources = list["Resources"].as_array().unwrap();
            assert_eq!(list["totalResults"], resources.len(), "{kind}");
            visible.extend(resources.iter().map(|resource| {
                let is_new = [&self.inside, &self.outside]
                    .iter()
                    .all(|ids| !ids.contains(&id(resource)));
                let groups = values(&resource["groups"]);
                // The answer also shows random ids.
                let version = Version::of_tag(resource["meta"]["version"].as_str().unwrap());
                json!({
                    "id": if is_new { Value::Null } else { resource["id"].clone() },
                    "name": resource["userName"].as_str().or(resource["displayName"].as_str()),
                    "title": resource["title"],
                    "version": version.stored().to_string(),
                    "groups": groups.iter().filter(|id| **id == self.group || **id == self.other).collect::<Vec<_>>(),
                    "members": values(&resource["members"]),
                })
            }));
        }
        visible
    }
}

/// Makes one fault of this kind, at every call in turn at which it is possible.
async fn one_fault_anywhere(fault: Fault, can_be: fn(&Call) -> bool) {
    one_of_the_faults_anywhere(&[fault], can_be).await;
}

/// Makes one fault at every call in turn at which it is possible; the faults alternate.
async fn one_of_the_faults_anywhere(faults: &[Fault], can_be: fn(&Call) -> bool) {
    let template = Directory::new().await;
    for write in WRITES {
        let undisturbed = template.copy();
        let writer = undisturbed.world.process();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&calls);
        writer.line.plan(move |call| {
            let can_be = can_be(call).then_some(call.number);
            seen.lock().unwrap().extend(can_be);
            None
        });
        undisturbed.perform(write, &writer).await.unwrap();
        undisturbed.world.finish().await;
        let expected = undisturbed.visible().await;
        let calls = std::mem::take(&mut *calls.lock().unwrap());
        for (turn, number) in calls.into_iter().enumerate() {
            let fault = faults[turn % faults.len()];
            let directory = template.copy();
            let writer = directory.world.process();
            writer
                .line
                .plan(move |call| (call.number == number).then_some(fault));
            let place = format!("{write:?}, {fault:?} at {number}");
            let done = directory.perform(write, &writer).await;
            assert!(done.is_ok(), "{place}: {done:?}");
            directory.world.finish().await;
            assert_eq!(directory.visible().await, expected, "{place}");
            directory.world.check().await;
        }
    }
}

fn is_write(call: &Call) -> bool {
    !matches!(
        call.operation.as_str(),
        "Query" | "GetItem" | "BatchGetItem"
    )
}

fn is_batch(call: &Call) -> bool {
    call.operation.starts_with("Batch")
}

#[tokio::test(start_paused = true)]
async fn conflicts_are_retried() {
    one_fault_anywhere(Fault::Conflict, is_write).await;
}

#[tokio::test(start_paused = true)]
async fn throttled_calls_are_retried() {
    one_fault_anywhere(Fault::Throttle, |_| true).await;
}

#[tokio::test(start_paused = true)]
async fn lost_requests_are_sent_again() {
    one_fault_anywhere(Fault::LoseRequest, is_write).await;
}

#[tokio::test(start_paused = true)]
async fn writes_whose_answer_is_lost_are_made_once() {
    one_fault_anywhere(Fault::LoseAnswer, is_write).await;
}

#[tokio::test(start_paused = true)]
async fn short_pages_are_continued() {
    one_fault_anywhere(Fault::ShortPage(1), |call| call.operation == "Query").await;
}

#[tokio::test(start_paused = true)]
async fn items_that_a_batch_leaves_out_are_sent_again() {
    for done in [0, 1] {
        one_fault_anywhere(Fault::Unprocessed(done), is_batch).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_without_json_is_retried() {
    let statuses = [500, 503, 502, 429].map(Fault::Status);
    one_of_the_faults_anywhere(&statuses, |_| true).await;
}

#[tokio::test(start_paused = true)]
async fn writes_whose_answer_was_replaced_by_html_are_made_once() {
    let statuses = [504, 200, 503].map(Fault::StatusAfter);
    one_of_the_faults_anywhere(&statuses, is_write).await;
}

#[tokio::test(start_paused = true)]
async fn a_lasting_status_is_unavailable_and_never_internal() {
    let directory = Directory::new().await;
    for status in [408, 429, 500, 501, 502, 503, 504, 507] {
        let writer = directory.world.process();
        writer.line.plan(move |_| Some(Fault::Status(status)));
        for write in [Write::CreateUser, Write::PatchUser, Write::DeleteGroup] {
            let done = directory.perform(write, &writer).await;
            assert_eq!(kind(done), ErrorKind::Unavailable, "{write:?} {status}");
        }
        let list = writer.list("User", "").await;
        assert_eq!(kind(list), ErrorKind::Unavailable, "{status}");
        assert!(writer.line.calls() > 4, "it is tried again");
    }
    // A 403 does not come from the table but from a proxy or a policy, so people have to repair it.
    let writer = directory.world.process();
    writer.line.plan(|_| Some(Fault::Status(403)));
    assert_eq!(kind(writer.list("User", "").await), ErrorKind::Internal);
}

#[tokio::test(start_paused = true)]
async fn a_configuration_of_many_pages_is_read_to_its_end() {
    let world = World::new().await;
    let process = world.process();
    let store = process.provider.store();
    let store = store.for_tenant(
        &tenant(),
        cause(),
        Meter::default(),
        Duration::from_secs(10),
    );
    // Five of them are more than one call reads.
    let schema = |number: usize| {
        json!({
            "id": format!("urn:example:Thing{number}"),
            "name": format!("Thing{number}"),
            "description": "x".repeat(290_000),
            "attributes": [{"name": "title", "type": "string"}],
        })
    };
    for number in 0..5 {
        let (id, schema) = (format!("urn:example:Thing{number}"), schema(number));
        let stored = store.configuration().put(ConfigItem::Schema(&id, &schema));
        stored.await.unwrap();
        let name = format!("Thing{number}");
        let resource_type = json!({
            "name": name, "endpoint": format!("/Things{number}"), "schema": id,
        });
        let stored = store
            .configuration()
            .put(ConfigItem::ResourceType(&name, &resource_type));
        stored.await.unwrap();
    }
    for faults in [false, true] {
        let reader = world.process();
        reader
            .line
            .plan(move |_| faults.then_some(Fault::ShortPage(1)));
        let config = reader.provider.config(&tenant()).await.unwrap();
        assert_eq!((config.schemas.len(), config.resource_types.len()), (5, 5));
        assert!(reader.line.calls() > 1);
        for number in 0..5 {
            let kind = format!("Thing{number}");
            assert_eq!(reader.total(&kind).await, 0, "{kind} is there");
        }
    }
    // The configuration is too large already, so it can only become smaller.
    let more = process.provider.add_schema(&tenant(), &schema(5)).await;
    assert_eq!(kind(more), ErrorKind::PayloadTooLarge);
    let mut smaller = schema(4);
    smaller["description"] = json!("Things");
    process
        .provider
        .add_schema(&tenant(), &smaller)
        .await
        .unwrap();
}

/// The shipped router in front of a process, and a token of the tenant.
async fn front(process: Process) -> (Router, String) {
    let data = DataDirectory::in_memory().unwrap();
    let config = Config {
        table: "scim".to_owned(),
        stack: "test".to_owned(),
        stack_secret: "test/stack".to_owned(),
        secrets_file: Some(data.secrets_file()),
        public_url: None,
        server_timing: false,
        functions: Vec::new(),
        docs: None,
    };
    let sdk = aws::emulator("http://table.invalid");
    let stack = Stack::open_or_create(config, &sdk).await.unwrap();
    let new = bearer();
    stack.issuer().create_tenant(&tenant()).await.unwrap();
    let issued = stack.issuer().create_credential(&tenant(), new).await;
    let mut service = Arc::into_inner(stack.service()).unwrap();
    service.provider = Arc::new(process.provider);
    // The first request reads the secret, because its file is removed when this function ends.
    let router = scim_lambda::http::router(Arc::new(service));
    let token = issued.unwrap().secret;
    let warm = send(&router, &token, "/scim/v2/Users", None).await;
    assert_eq!(warm.0, 200, "{}", warm.2);
    (router, token)
}

/// Sends a GET, or a POST of a body: the status, `Retry-After` and the text of the answer.
async fn send(
    router: &Router,
    token: &str,
    path: &str,
    body: Option<&Value>,
) -> (u16, Option<String>, String) {
    let method = if body.is_some() { "POST" } else { "GET" };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("Authorization", format!("Bearer {token}"))
        .header("Content-Type", "application/json");
    let text = body.map_or(String::new(), Value::to_string);
    let request = request.body(Body::from(text)).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let retry = response.headers().get("retry-after");
    let retry = retry.map(|seconds| seconds.to_str().unwrap().to_owned());
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, retry, String::from_utf8(bytes.to_vec()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn every_503_has_a_retry_after() {
    let world = World::new().await;
    let process = world.process();
    let line = Arc::clone(&process.line);
    let (router, token) = front(process).await;
    let bases = ["/scim/v2", "/scim/v1", "/v2/acme/scim"];
    line.plan(|_| Some(Fault::Status(502)));
    let new = user("new");
    for base in bases {
        for body in [None, Some(&new)] {
            let path = format!("{base}/Users");
            let (status, retry, text) = send(&router, &token, &path, body).await;
            assert_eq!((status, retry.as_deref()), (503, Some("2")), "{text}");
            assert!(!text.contains("html"), "{text}");
        }
    }
    // The operations of a bulk request have a status of their own, and the answer has the header.
    let operation = json!({"method": "POST", "path": "/Users", "bulkId": "a", "data": user("new")});
    let bulk = json!({"Operations": [operation]});
    for base in &bases[..2] {
        let path = format!("{base}/Bulk");
        line.plan(|call| is_write(call).then_some(Fault::Status(500)));
        let (status, retry, text) = send(&router, &token, &path, Some(&bulk)).await;
        assert_eq!((status, retry.as_deref()), (200, Some("2")), "{text}");
        assert!(text.contains("503"), "{text}");
    }
    line.plan(|_| None);
    let (status, retry, text) = send(&router, &token, "/scim/v2/Bulk", Some(&bulk)).await;
    assert_eq!((status, retry), (200, None), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_signature_is_used_by_the_request_whose_answer_was_lost() {
    let world = World::new().await;
    let credential = CredentialId::parse("5f0c").unwrap();
    for fault in [Fault::LoseAnswer, Fault::LoseRequest, Fault::Throttle] {
        let process = world.process();
        let store = process.provider.store();
        let store = store.for_tenant(
            &tenant(),
            cause(),
            Meter::default(),
            Duration::from_secs(10),
        );
        let signature = format!("{fault:?}");
        let mut is_first = true;
        let plan = move |_: &Call| std::mem::take(&mut is_first).then_some(fault);
        process.line.plan(plan);
        let first = store
            .signatures()
            .use_up(&credential, &signature, 1_000)
            .await;
        assert!(first.unwrap(), "{fault:?}");
        assert_eq!(process.line.calls(), 2, "{fault:?}");
        for another in [&store, &store.clone()] {
            let second = another
                .signatures()
                .use_up(&credential, &signature, 1_000)
                .await;
            assert!(!second.unwrap(), "{fault:?}");
        }
    }
    let items = world.items();
    let used = items.iter().filter(|item| item["pk"]["S"] == "T#acme#S");
    let used: Vec<_> = used.map(|item| &item["expires"]["N"]).collect();
    assert_eq!(used, ["1000"; 3]);
}
