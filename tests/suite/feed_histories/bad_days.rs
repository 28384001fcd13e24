//! A tenant that is deleted and made again while its records are late, and a table that is restored to an
//! earlier moment.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::Duration;

use scim_lambda::feed::lifecycle;
use scim_lambda::feed::read::{After, Gone, Limits, Part, ReadError, read};
use scim_lambda::identity::TenantId;
use serde_json::json;

use super::consumer::{Consumer, Directory};
use super::history::{History, follow, follow_from};
use super::node::Node;
use super::requests::{Client, Known};
use super::{TENANTS, appender, store};

/// The shortest time after which a name is used again, and the one after which a table is restored.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The number of steps of a history that goes on after the table was restored.
const STEPS_AFTER_RESTORE: usize = 4;

/// What there was of a tenant before it was deleted.
#[derive(Clone, Default)]
pub(super) struct Former {
    ids: BTreeSet<String>,
    positions: Vec<After>,
}

impl Former {
    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Checks that the feed of the new tenant has nothing of the former one.
    pub(super) async fn check(&self, node: &Node, tenant: &TenantId, consumer: &Consumer) {
        consumer.check_lacks(&self.ids);
        for position in &self.positions {
            assert_eq!(gone(node, tenant, position).await, Some(Gone::OtherEpoch));
        }
    }
}

/// Deletes the second tenant, and makes it again under its name, while records of the first one are late.
/// Some of them come before the name is used again, the others after it.
pub(super) async fn make_again(history: &History<'_>) {
    let (world, stream) = (&history.world, &history.stream);
    let node = history.secrets.node(world);
    let (tenant, token) = &history.secrets.tokens[1];
    let consumer = follow(&node, tenant).await;
    let positions = consumer.positions.iter().cloned();
    let former = Former {
        ids: world.ids(tenant.as_str()),
        positions: positions.map(|(_, position)| position).collect(),
    };
    lifecycle::end(&store(&node, tenant)).await.unwrap();
    world.remove(tenant.as_str());
    // The records get the time at which they are read.
    stream.borrow_mut().read(world);
    let lanes = stream.borrow().lanes();
    let appender = appender(world, &node);
    for lane in 0..lanes {
        let batch = stream.borrow_mut().take(lane, fastrand::usize(..20));
        let handled = history.handle(&node, &appender, &batch).await;
        assert!(!handled.appended.contains(tenant), "{handled:?}");
    }
    world.jump(DAY);
    lifecycle::create(&store(&node, tenant)).await.unwrap();
    let mut known = Known::default();
    let client = Client { node: &node, token };
    client.fill(&mut known, TENANTS[1].1).await;
    *history.known[1].borrow_mut() = known;
    *history.former.borrow_mut() = former;
}

/// A copy of the table at this moment, as it is when it is restored a day later: its stream is a new one.
pub(super) fn backup<'h>(history: &History<'h>) -> History<'h> {
    history.stream.borrow_mut().read(&history.world);
    let world = history.world.copy();
    let now = |of: &crate::simulation::World| of.clock().now_millis();
    let behind = Duration::from_millis(now(&history.world) - now(&world));
    world.jump(behind + DAY);
    let known: Vec<Known> = history
        .known
        .iter()
        .map(|known| known.borrow().clone())
        .collect();
    let stream = history.stream.borrow().restored();
    History::with(world, history.secrets, stream, &known, STEPS_AFTER_RESTORE)
}

/// Restores the table to the moment of the backup. A position of after that moment leads nowhere, and neither
/// does any other one once a change has come. Consumers list the directory, and follow the feed from there.
pub(super) async fn restore(history: &History<'_>, backup: &History<'_>) {
    let lost = history.secrets.node(&history.world);
    let node = history.secrets.node(&backup.world);
    let mut positions = Vec::new();
    for (tenant, token) in &history.secrets.tokens {
        let before = follow(&node, tenant).await;
        let of_tenant = follow(&lost, tenant).await.positions.clone();
        let is_same = is_same_epoch(&of_tenant, &before.positions);
        for (last, position) in &of_tenant {
            let found = gone(&node, tenant, position).await;
            let expected = match (is_same, *last <= before.events()) {
                (true, true) => None,
                (true, false) => Some(Gone::NoSuchPlace),
                (false, _) => Some(Gone::OtherEpoch),
            };
            assert_eq!(found, expected, "{position:?}");
        }
        positions.push(of_tenant);
        // A change of each tenant begins the new epochs.
        let client = Client { node: &node, token };
        let user = json!({"userName": "first-after-restore"});
        let reply = client.send("POST", "/scim/v2/Users", user).await;
        assert_eq!(reply.status, 201);
    }
    backup.settle().await;
    let mut consumers = Vec::new();
    for ((tenant, _), old) in history.secrets.tokens.iter().zip(positions) {
        for (_, position) in &old {
            assert_eq!(gone(&node, tenant, position).await, Some(Gone::OtherEpoch));
        }
        let now = try_read(&node, tenant, &After::Now).await.unwrap().next;
        let After::Position(position) = &now else {
            panic!("{now:?}");
        };
        let directory = Directory::of(&backup.world, tenant.as_str());
        let consumer = Consumer::listed(directory, position.next_seq() - 1);
        consumers.push((tenant, consumer, now));
    }
    backup.act(&Cell::new(0)).await;
    backup.settle().await;
    for (tenant, consumer, now) in consumers {
        let consumer = follow_from(&node, tenant, consumer, now).await;
        Directory::of(&backup.world, tenant.as_str()).check(&consumer.directory());
    }
}

/// Whether the positions of these readers are in one epoch.
fn is_same_epoch(one: &[(u64, After)], other: &[(u64, After)]) -> bool {
    let epoch = |positions: &[(u64, After)]| match positions.last() {
        Some((_, After::Position(position))) => {
            position.to_string().split('.').next().map(str::to_owned)
        }
        _ => None,
    };
    epoch(one) == epoch(other)
}

/// Why a position leads nowhere; `None` if it does lead somewhere.
async fn gone(node: &Node, tenant: &TenantId, position: &After) -> Option<Gone> {
    match try_read(node, tenant, position).await {
        Ok(_) => None,
        Err(ReadError::Gone(gone)) => Some(gone),
        Err(ReadError::Failed(error)) => panic!("{error:?}"),
    }
}

async fn try_read(node: &Node, tenant: &TenantId, after: &After) -> Result<Part, ReadError> {
    let limits = Limits {
        events: 1,
        bytes: 1_000_000,
    };
    read(tenant, &store(node, tenant), after, limits, |_| true, None).await
}
