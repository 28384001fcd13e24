//! What an operator does while clients are at work: switches are turned, and a type is registered. Also what
//! readers get of a feed that the brake holds.

use std::cell::{Cell, RefCell};

use scim_lambda::feed::brake;
use scim_lambda::feed::read::{After, Limits, read};
use scim_lambda::identity::TenantId;
use scim_lambda::protocol::profile::{Brake, EventValues};

use super::consumer::Consumer;
use super::node::Node;
use super::requests::{Client, Known};
use super::{badges, store};

/// What happens in a history beside the requests of clients. In most histories no switch is turned, because
/// events without values show less.
#[derive(Debug, Default)]
pub(super) struct Operator {
    turns_switches: bool,
    registers: bool,
    /// So many users are deactivated at once that the brake trips, but not twice.
    has_wave: Cell<bool>,
}

impl Operator {
    pub(super) fn random() -> Self {
        let turns_switches = fastrand::u8(..4) == 0;
        Self {
            turns_switches,
            registers: fastrand::u8(..3) == 0,
            has_wave: Cell::new(turns_switches && fastrand::bool()),
        }
    }

    /// Does something in the place of a client, or nothing in most cases. Whatever fails because the process
    /// dies has been done or not.
    pub(super) async fn act(
        &self,
        client: &Client<'_>,
        tenant: &TenantId,
        known: &RefCell<Known>,
    ) -> bool {
        match fastrand::u8(..10) {
            0 if self.turns_switches => {
                let modes = [Brake::Off, Brake::Warn, Brake::Hold];
                turn_switches(client.node, tenant, &modes).await;
            }
            1 if self.registers && fastrand::u8(..4) == 0 => {
                badges::register(client.node, tenant).await;
            }
            1..=3 if self.registers => badges::change(client, known).await,
            4 if self.has_wave.replace(false) => {
                turn_switches(client.node, tenant, &[Brake::Hold]).await;
                client.deactivate_many(known).await;
            }
            _ => return false,
        }
        true
    }
}

/// Turns the switches that change what events say, and what readers get of them.
async fn turn_switches(node: &Node, tenant: &TenantId, modes: &[Brake]) {
    let provider = &node.service.provider;
    let Ok(mut rules) = provider.rules(tenant).await else {
        return;
    };
    rules.switches.event_values = match fastrand::bool() {
        true => EventValues::All,
        false => EventValues::Names,
    };
    rules.switches.brake = modes[fastrand::usize(..modes.len())];
    let _ = provider.set_rules(tenant, &rules).await;
}

/// Checks what a reader gets of a feed that may be held: everything up to the report of the brake, and after
/// the release what comes behind it. Whether it was held.
pub(super) async fn check_hold(node: &Node, tenant: &TenantId, everything: &Consumer) -> bool {
    let store = store(node, tenant);
    let switches = node.service.provider.rules(tenant).await.unwrap().switches;
    let (mut after, mut last, mut is_held) = (After::Beginning, 0, false);
    loop {
        let limits = Limits {
            events: fastrand::usize(1..100),
            bytes: 1_000_000,
        };
        let part = read(tenant, &store, &after, limits, |_| true, Some(&switches)).await;
        let part = part.unwrap();
        for event in &part.events {
            assert_eq!(event.seq, last + 1);
            assert!(
                part.held.is_none_or(|hold| event.seq < hold.from),
                "{event:?}"
            );
            last = event.seq;
        }
        after = part.next;
        match part.held {
            Some(hold) if last + 1 == hold.from => {
                assert!(!is_held, "the release takes effect at once");
                is_held = true;
                assert!(brake::release(&store, &switches).await.unwrap());
            }
            _ if part.behind == 0 => break,
            _ => {}
        }
    }
    assert_eq!(last, everything.events());
    is_held
}
