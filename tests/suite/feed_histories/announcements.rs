//! Announcements of filled sets, by processes that die at any call and by attempts that get no further. Also
//! the cost of reading memberships for events, and when they are read again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use scim_lambda::feed::read::{After, Limits, read};
use scim_lambda::feed::record::Record;
use scim_lambda::feed::stream::handle;
use scim_lambda::feed::{Announcer, Event};
use scim_lambda::store::{ItemChange, Meter};
use serde_json::json;
use tokio::time::sleep;

use super::consumer::Directory;
use super::history::follow;
use super::node::Node;
use super::stream::Stream;
use super::{Base, MEMBERS_PER_PART, appender};
use crate::simulation::{Call, Fault, World};
use crate::support::cause;

/// More members than one transaction takes.
const MANY: usize = 36;

/// Replaces the members of a group by a list so long that its set is filled before it becomes current.
/// Returns the records of the change.
async fn replace_members(base: &Base) -> Vec<Record> {
    let mut stream = base.stream.continued(1);
    replace_with(base, &base.known[0].users[..MANY], &mut stream).await
}

/// Makes these the members of the first group; returns the records that the stream has then.
async fn replace_with(base: &Base, members: &[String], stream: &mut Stream) -> Vec<Record> {
    let node = base.secrets.node(&base.world);
    let (_, token) = &base.secrets.tokens[0];
    let known = &base.known[0];
    let members: Vec<_> = members.iter().map(|id| json!({"value": id})).collect();
    let path = format!("/scim/v2/Groups/{}", known.groups[0]);
    let operation = json!({"op": "replace", "path": "members", "value": members});
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [operation],
    });
    let reply = node.send(token, "PATCH", &path, &body).await;
    assert!(reply.status < 300, "{reply:?}");
    stream.read(&base.world);
    stream.take(0, usize::MAX)
}

fn is_member(record: &Record) -> bool {
    matches!(record.change, ItemChange::Member(_))
}

/// A directory in which a whole new list of members was just made current, and the records of that change.
/// The records of the members are left out, as if they had been handled before.
async fn unannounced() -> (Base, Vec<Record>) {
    let base = Base::new().await;
    let mut records = replace_members(&base).await;
    records.retain(|record| !is_member(record));
    (base, records)
}

async fn announce(base: &Base, world: &World, node: &Node) -> bool {
    let appender = appender(world, node);
    let announcer = Announcer::new(&appender).with_members_per_part(MEMBERS_PER_PART);
    announcer.announce(&base.secrets.tokens[0].0).await.is_ok()
}

#[tokio::test(start_paused = true)]
async fn an_announcement_is_completed_wherever_its_process_dies() {
    let (base, records) = unannounced().await;
    let tenant = &base.secrets.tokens[0].0;
    for fault in [Fault::Kill, Fault::KillAfter] {
        for unlucky in 0.. {
            let world = base.world.copy();
            // The clock of a copy begins again, and the records must not be later than it.
            sleep(Duration::from_secs(600)).await;
            let first = base.secrets.node(&world);
            first
                .line
                .plan(move |call: &Call| (call.number == unlucky).then_some(fault));
            for node in [&first, &base.secrets.node(&world)] {
                let handled = handle(&appender(&world, node), &records, None).await;
                assert!(handled.failed_from.is_none() || node.line.is_dead());
                let is_made = announce(&base, &world, node).await;
                assert!(is_made || node.line.is_dead());
                sleep(Duration::from_secs(30)).await;
            }
            let node = base.secrets.node(&world);
            let consumer = follow(&node, tenant).await;
            Directory::of(&world, tenant.as_str()).check_memberships(&consumer.directory());
            if !first.line.is_dead() {
                assert!(
                    unlucky > 20,
                    "the undisturbed announcement took {unlucky} calls"
                );
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn memberships_are_read_again_after_a_page_was_refused() {
    let base = Base::new().await;
    let (world, secrets, known) = (&base.world, &base.secrets, &base.known[0]);
    let (tenant, token) = &secrets.tokens[0];
    let (client, late, other) = (
        secrets.node(world),
        secrets.node(world),
        secrets.node(world),
    );
    // The second group of a directory begins without members.
    let path = format!("/scim/v2/Groups/{}", known.groups[1]);
    let member = json!([{"value": known.users[0]}]);
    let change = |op: &str| {
        json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{"op": op, "path": "members", "value": member}],
        })
    };
    let mut stream = base.stream.continued(1);
    let mut changed = async |op: &str| {
        let reply = client.send(token, "PATCH", &path, &change(op)).await;
        assert!(reply.status < 300, "{reply:?}");
        stream.read(world);
        stream.take(0, usize::MAX)
    };
    let added = changed("add").await;
    let mut looks = 0;
    late.line.plan(move |call: &Call| {
        looks += usize::from(call.operation == "BatchGetItem");
        (looks == 2).then(|| {
            looks += 1;
            Fault::Freeze
        })
    });
    let late_appender = appender(world, &late);
    let meanwhile = async {
        late.line.frozen().await;
        let removed = changed("remove").await;
        let handled = handle(&appender(world, &other), &removed, None).await;
        assert_eq!(handled.failed_from, None);
        late.line.thaw();
    };
    let (handled, ()) = tokio::join!(handle(&late_appender, &added, None), meanwhile);
    assert_eq!(handled.failed_from, None);
    let consumer = follow(&client, tenant).await;
    Directory::of(world, tenant.as_str()).check_memberships(&consumer.directory());
}

#[tokio::test(start_paused = true)]
async fn the_memberships_of_a_batch_are_read_together() {
    let base = Base::new().await;
    let mut records = replace_members(&base).await;
    records.retain(is_member);
    assert!(records.len() >= MANY, "{}", records.len());
    let node = base.secrets.node(&base.world);
    let batches = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&batches);
    node.line.plan(move |call: &Call| {
        let is_batch = call.operation == "BatchGetItem";
        counter.fetch_add(usize::from(is_batch), Ordering::SeqCst);
        None
    });
    let handled = handle(&appender(&base.world, &node), &records, None).await;
    assert_eq!(handled.failed_from, None);
    // One for the group, and one for the items and the resources of its members.
    assert_eq!(batches.load(Ordering::SeqCst), 2);
    // The other calls read the tenant's configuration and the tail, and put the page.
    assert!(node.line.calls() <= 5, "{} calls", node.line.calls());
}

#[tokio::test(start_paused = true)]
async fn an_announcement_that_gets_no_further_becomes_a_gap() {
    let (base, records) = unannounced().await;
    let tenant = &base.secrets.tokens[0].0;
    let node = base.secrets.node(&base.world);
    let handled = handle(&appender(&base.world, &node), &records, None).await;
    assert_eq!(handled.failed_from, None);
    let mut attempts = 0;
    let node = loop {
        attempts += 1;
        let node = base.secrets.node(&base.world);
        node.line.plan(|call: &Call| {
            let is_of_members = call.body.to_string().contains("#M#");
            (call.operation == "Query" && is_of_members).then_some(Fault::LoseRequest)
        });
        if announce(&base, &base.world, &node).await {
            break node;
        }
        sleep(Duration::from_secs(30)).await;
    };
    assert_eq!(attempts, 21);
    let store = node.service.provider.store();
    let wait = Duration::from_secs(100);
    let store = store.for_tenant(tenant, cause(), Meter::default(), wait);
    let all = Limits {
        events: 1_000,
        bytes: 10_000_000,
    };
    let part = read(tenant, &store, &After::Beginning, all, |_| true, None).await;
    let last = part.unwrap().events.last().map(Event::to_json).unwrap();
    assert_eq!(last["type"], "feed.gap");
    assert_eq!(last["resource"]["type"], "Group");
    assert_eq!(last["resource"]["id"], *base.known[0].groups[0]);
    sleep(Duration::from_secs(30)).await;
    assert_eq!(store.announcements().waiting().await.unwrap(), []);
}

/// The items of the replaced set stay until no request can be reading it any more.
#[tokio::test(start_paused = true)]
async fn a_small_list_tells_who_is_removed_before_the_replaced_set_is_swept() {
    let base = Base::new().await;
    let (world, tenant) = (&base.world, &base.secrets.tokens[0].0);
    let node = base.secrets.node(world);
    let mut stream = base.stream.continued(1);
    let users = &base.known[0].users;
    for (members, is_kept) in [(&users[10..14], 0), (&users[13..17], 1), (&users[..0], 0)] {
        let records = replace_with(&base, members, &mut stream).await;
        let handled = handle(&appender(world, &node), &records, None).await;
        assert_eq!(handled.failed_from, None);
        let before = follow(&node, tenant).await.events();
        assert!(announce(&base, world, &node).await);
        let consumer = follow(&node, tenant).await;
        Directory::of(world, tenant.as_str()).check_memberships(&consumer.directory());
        // Those of the new set have told of themselves.
        assert!(consumer.events() - before <= 4 - is_kept, "{is_kept}");
    }
    let swept = node.service.provider.finish(tenant).await.unwrap();
    assert_eq!(swept, 0, "nothing is swept yet");
}
