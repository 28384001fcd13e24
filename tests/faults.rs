//! Every kind of write, with every fault that passes, at every call in turn: the request succeeds, and
//! has been made once.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod simulation;

use std::sync::{Arc, Mutex};

use scim_lambda::protocol::error::Result;
use serde_json::{Value, json};
use simulation::{Call, Fault, Process, World, add, group, id, remove, replace, user, values};

/// More members than one transaction takes, whatever is done with them.
const MANY: usize = 55;

/// The kinds of write. Those of many members are journalled.
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
    AddMemberThere,
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
    Write::AddMemberThere,
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

/// A tenant with a group, which is in another one, and users who are in it or not.
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
            Write::AddMemberThere => patch(add(others)).await.map(drop),
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

    /// Everything that a reader can tell, but for times and for ids that nobody can know.
    async fn told(&self) -> Vec<Value> {
        let reader = self.world.process();
        let mut told = Vec::new();
        for kind in ["User", "Group"] {
            let list = reader.list(kind, "count=1000").await.unwrap();
            let resources = list["Resources"].as_array().unwrap();
            assert_eq!(list["totalResults"], resources.len(), "{kind}");
            told.extend(resources.iter().map(|resource| {
                let is_new = [&self.inside, &self.outside]
                    .iter()
                    .all(|ids| !ids.contains(&id(resource)));
                let groups = values(&resource["groups"]);
                json!({
                    "id": if is_new { Value::Null } else { resource["id"].clone() },
                    "name": resource["userName"].as_str().or(resource["displayName"].as_str()),
                    "title": resource["title"],
                    "version": resource["meta"]["version"],
                    "groups": groups.iter().filter(|id| **id == self.group || **id == self.other).collect::<Vec<_>>(),
                    "members": values(&resource["members"]),
                })
            }));
        }
        told
    }
}

/// Makes one fault of this kind, at every call in turn at which it can be.
async fn one_fault_anywhere(fault: Fault, can_be: fn(&Call) -> bool) {
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
        let expected = undisturbed.told().await;
        let calls = std::mem::take(&mut *calls.lock().unwrap());
        for number in calls {
            let directory = template.copy();
            let writer = directory.world.process();
            writer
                .line
                .plan(move |call| (call.number == number).then_some(fault));
            let place = format!("{write:?}, {fault:?} at {number}");
            let done = directory.perform(write, &writer).await;
            assert!(done.is_ok(), "{place}: {done:?}");
            directory.world.finish().await;
            assert_eq!(directory.told().await, expected, "{place}");
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
async fn conflicts_pass() {
    one_fault_anywhere(Fault::Conflict, is_write).await;
}

#[tokio::test(start_paused = true)]
async fn throttling_passes() {
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
async fn short_pages_lead_on() {
    one_fault_anywhere(Fault::ShortPage(1), |call| call.operation == "Query").await;
}

#[tokio::test(start_paused = true)]
async fn what_a_batch_leaves_out_is_asked_for_again() {
    for done in [0, 1] {
        one_fault_anywhere(Fault::Unprocessed(done), is_batch).await;
    }
}
