//! Who has removed a member from a group: named where it is certain, and never wrongly.

use std::sync::Arc;
use std::time::Duration;

use scim_lambda::feed::Event;
use serde_json::{Value, json};

use super::{everything, follow};
use crate::simulation::{Call, Fault, Process, World, add, group, remove};

/// Longer than a group has to be left alone before a removal names its author.
const QUIET: Duration = Duration::from_secs(6 * 60);

/// A group with these users, which nothing has changed for a while, and a process that reads the feed.
struct Company {
    world: Arc<World>,
    users: Vec<String>,
    group: String,
}

impl Company {
    async fn new(users: usize) -> Self {
        let world = Arc::new(World::new().await);
        let process = world.process();
        let users = process.users("member", users).await;
        let group = process.group("Guides", &users).await;
        follow(&world).await;
        world.jump(QUIET);
        Self {
            world,
            users,
            group,
        }
    }

    async fn change(&self, process: &Process, operations: Value) {
        let changed = process.patch("Group", &self.group, operations).await;
        changed.unwrap();
    }

    /// Appends what is new; every event that says that a user was removed.
    async fn removals(&self, user: &str) -> Vec<Event> {
        follow(&self.world).await;
        let mut events = everything(&self.world.process()).await;
        events.retain(|event| {
            let member = event.body.member.as_ref();
            event.body.event_type.as_str() == "group.member.removed"
                && member.is_some_and(|member| member.id == user)
        });
        events
    }

    /// The request of the last event that says that a user was removed.
    async fn remover(&self, user: &str) -> Option<String> {
        let removals = self.removals(user).await;
        let cause = removals.last().unwrap().body.cause.as_ref();
        cause.map(|cause| cause.request.as_str().to_owned())
    }
}

fn request(process: &Process) -> Option<String> {
    Some(process.cause.request.as_str().to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_removal_names_its_request_however_it_was_made() {
    let company = Company::new(6).await;
    let users = &company.users;
    // One after the other, and the feed comes when all are done.
    let [alone, with_body, together, replacing] = [(); 4].map(|()| company.world.process());
    company.change(&alone, remove(&users[..1])).await;
    let mut with_name = remove(&users[1..2]);
    let renamed = json!({"op": "replace", "path": "displayName", "value": "Scouts"});
    with_name.as_array_mut().unwrap().push(renamed);
    company.change(&with_body, with_name).await;
    company.change(&together, remove(&users[2..4])).await;
    let put = replacing.put("Group", &company.group, group("Scouts", &users[5..]));
    put.await.unwrap();
    for (user, process) in users
        .iter()
        .zip([&alone, &with_body, &together, &together, &replacing])
    {
        let removals = company.removals(user).await;
        assert_eq!(removals.len(), 1);
        assert_eq!(company.remover(user).await, request(process));
    }
}

#[tokio::test(start_paused = true)]
async fn a_removal_in_quick_turns_has_no_author() {
    let company = Company::new(2).await;
    let ada = &company.users[..1];
    let [first, second] = [(); 2].map(|()| company.world.process());
    company.change(&first, remove(ada)).await;
    assert_eq!(company.remover(&ada[0]).await, request(&first));
    company.change(&first, add(ada)).await;
    follow(&company.world).await;
    company.change(&second, remove(ada)).await;
    assert_eq!(company.removals(&ada[0]).await.len(), 2);
    assert_eq!(company.remover(&ada[0]).await, None);
    // Once the turns are over, removals have authors again.
    company.change(&first, add(ada)).await;
    company.world.jump(QUIET);
    company.change(&second, remove(ada)).await;
    assert_eq!(company.remover(&ada[0]).await, request(&second));
}

#[tokio::test(start_paused = true)]
async fn a_removal_with_a_deletion_or_of_many_members_has_no_author() {
    let company = Company::new(20).await;
    let (users, process) = (&company.users, company.world.process());
    company.change(&process, remove(&users[..15])).await;
    assert_eq!(company.remover(&users[0]).await, None);
    process.delete("User", &users[15]).await.unwrap();
    assert_eq!(company.remover(&users[15]).await, None);
}

/// A writer dies between the removal and the update of the group that says who it was, or anywhere else;
/// then another one removes the same member.
#[tokio::test(start_paused = true)]
async fn a_writer_that_dies_is_not_taken_for_the_one_after_it_nor_the_other_way_round() {
    for fault in [Fault::Kill, Fault::KillAfter, Fault::LoseAnswer] {
        for unlucky in 0.. {
            let company = Company::new(3).await;
            let ada = &company.users[..1];
            let [dying, next] = [(); 2].map(|()| company.world.process());
            dying
                .line
                .plan(move |call: &Call| (call.number == unlucky).then_some(fault));
            let _ = dying.patch("Group", &company.group, remove(ada)).await;
            let has_met_fault = dying.line.calls() > unlucky;
            let members = company.world.process().members(&company.group).await;
            let true_author = match members.contains(&ada[0]) {
                true => &next,
                false => &dying,
            };
            company.change(&next, remove(ada)).await;
            let found = company.remover(&ada[0]).await;
            let is_right = found.is_none() || found == request(true_author);
            assert!(is_right, "{fault:?} {unlucky}: {found:?}");
            if !has_met_fault {
                assert_eq!(found, request(&dying));
                break;
            }
        }
    }
}

/// Three writers have read the group before any of them changes it: one removes the member and says so, one
/// adds it again, and one removes it and has not said so yet when the feed looks.
#[tokio::test(start_paused = true)]
async fn a_removal_whose_update_is_late_is_not_named_after_an_earlier_one() {
    let company = Company::new(3).await;
    let ada = &company.users[..1];
    let [first, adder, late] = [(); 3].map(|()| company.world.process());
    // After the first call of this kind that is about the group has taken effect.
    let freeze_after = |process: &Process, operation: &'static str| {
        let (mut is_frozen, group) = (false, company.group.clone());
        process.line.plan(move |call: &Call| {
            let is_about = call.body.to_string().contains(&group);
            let is_here = !is_frozen && is_about && call.operation == operation;
            is_frozen |= is_here;
            is_here.then_some(Fault::Freeze)
        });
    };
    freeze_after(&adder, "GetItem");
    freeze_after(&late, "TransactWriteItems");
    let turns = async {
        adder.line.frozen().await;
        company.change(&first, remove(ada)).await;
        assert_eq!(company.remover(&ada[0]).await, request(&first));
        // The addition is made, and its update of the group waits.
        freeze_after(&adder, "TransactWriteItems");
        adder.line.thaw();
        adder.line.frozen().await;
        let removing = company.change(&late, remove(ada));
        let looking = async {
            late.line.frozen().await;
            // The first removal, the addition that is no more, and the second removal.
            let removals = company.removals(&ada[0]).await;
            let causes = removals.iter().map(|event| event.body.cause.is_some());
            assert_eq!(causes.collect::<Vec<_>>(), [true, false, false]);
            late.line.thaw();
            adder.line.thaw();
        };
        tokio::join!(removing, looking);
    };
    tokio::join!(company.change(&adder, add(ada)), turns);
}
