//! `requestsPerSecond`: what processes together answer in ten seconds, and what counting costs. The time is
//! simulated, and every world begins with a period.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use scim_lambda::http::RequestRates;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::feed_histories::node::{Node, Reply, Secrets};
use crate::simulation::{Call, Fault, World};

/// The requests that each process answers in a period without asking the table.
const FREE: usize = 10;
/// A read that needs no call to the table.
const CHEAP: &str = "/scim/v2/ServiceProviderConfig";

struct Limited {
    world: World,
    secrets: Secrets,
}

impl Limited {
    async fn to(per_second: u32) -> Self {
        let world = World::new().await;
        world
            .set_rules(|rules| rules.switches.requests_per_second = per_second)
            .await;
        let secrets = Secrets::new(&world, &["acme"]).await;
        Self { world, secrets }
    }

    /// A process that has read the tenant's configuration, at the beginning of a period.
    async fn nodes(&self, count: usize) -> Vec<Node> {
        let nodes: Vec<Node> = (0..count).map(|_| self.secrets.node(&self.world)).collect();
        for node in &nodes {
            assert_eq!(self.send(node).await.status, 200);
        }
        self.next_period().await;
        nodes
    }

    async fn next_period(&self) {
        let left = 10_000 - self.world.clock().now_millis() % 10_000;
        tokio::time::advance(Duration::from_millis(left)).await;
    }

    async fn send(&self, node: &Node) -> Reply {
        node.send(&self.secrets.tokens[0].1, "GET", CHEAP, &Value::Null)
            .await
    }

    /// The number of answers with 200 among so many requests, one after the other; the others are 429.
    async fn answered(&self, node: &Node, requests: usize) -> usize {
        let mut answered = 0;
        for _ in 0..requests {
            let reply = self.send(node).await;
            assert!([200, 429].contains(&reply.status), "{reply:?}");
            answered += usize::from(reply.status == 200);
        }
        answered
    }
}

#[tokio::test(start_paused = true)]
async fn ten_requests_are_free_and_a_part_costs_one_call() {
    let limited = Limited::to(50).await;
    let node = limited.nodes(1).await.remove(0);
    for (requests, calls) in [(FREE, 0), (1, 1), (49, 0), (1, 1), (49, 0), (1, 1)] {
        node.line.plan(|_| None);
        assert_eq!(limited.answered(&node, requests).await, requests);
        assert_eq!(node.line.calls(), calls, "{requests} requests");
    }
    let items = limited.world.items().into_iter();
    let mut taken = items.filter(|item| item["pk"]["S"] == "T#acme#L");
    let item = taken.next().unwrap();
    assert_eq!((&item["parts"]["N"], taken.next()), (&json!("3"), None));
    // The next period begins anew.
    limited.next_period().await;
    node.line.plan(|_| None);
    assert_eq!(limited.answered(&node, FREE).await, FREE);
    assert_eq!(node.line.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn three_processes_share_one_budget() {
    let limited = Limited::to(5).await;
    let nodes = limited.nodes(3).await;
    let began = limited.world.clock().now_millis();
    let loads = nodes.iter().map(|node| limited.answered(node, 60));
    let answered: usize = join_all(loads).await.into_iter().sum();
    assert!(limited.world.clock().now_millis() - began < 10_000);
    assert_eq!(answered, 50 + 3 * FREE);
    // A process that has learned that all parts are taken asks no more.
    for node in &nodes {
        node.line.plan(|_| None);
        let refused = limited.send(node).await;
        let left = 10_000 - limited.world.clock().now_millis() % 10_000;
        assert_eq!(refused.status, 429);
        assert_eq!(refused.retry_after, Some(left.div_ceil(1_000)));
        let detail = refused.json["detail"].as_str().unwrap();
        assert!(detail.contains("5 requests a second"), "{detail}");
        assert_eq!(node.line.calls(), 0);
    }
    limited.next_period().await;
    for node in &nodes {
        assert_eq!(limited.answered(node, FREE).await, FREE);
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_come_at_once_take_one_part() {
    let limited = Limited::to(60).await;
    let node = limited.nodes(1).await.remove(0);
    node.line.plan(|_| None);
    let all = join_all((0..64).map(|_| limited.send(&node))).await;
    assert!(all.iter().all(|reply| reply.status == 200));
    assert_eq!(node.line.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_table_that_does_not_answer_slows_one_request_and_refuses_none_below_the_budget() {
    for fault in [
        Fault::Slow(60_000),
        Fault::Throttle,
        Fault::Status(503),
        Fault::LoseRequest,
    ] {
        let limited = Limited::to(5).await;
        let node = limited.nodes(1).await.remove(0);
        let asked = Arc::new(AtomicU64::new(0));
        let asks = Arc::clone(&asked);
        node.line.plan(move |call: &Call| {
            let is_ask = call.body["Key"]["pk"]["S"] == "T#acme#L";
            asks.fetch_add(u64::from(is_ask), Ordering::Relaxed);
            is_ask.then_some(fault)
        });
        let begun = Instant::now();
        assert_eq!(limited.answered(&node, FREE + 1).await, FREE + 1);
        let slowed = begun.elapsed();
        assert!(slowed <= Duration::from_millis(201), "{fault:?} {slowed:?}");
        // The process counts the whole budget as its own, and asks no more.
        let (begun, asks) = (Instant::now(), asked.load(Ordering::Relaxed));
        assert_eq!(limited.answered(&node, 49).await, 49);
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert_eq!(limited.answered(&node, 50).await, 0);
        assert_eq!(asked.load(Ordering::Relaxed), asks);
        // In the next period it asks again.
        node.line.plan(|_| None);
        limited.next_period().await;
        assert_eq!(limited.answered(&node, FREE + 1).await, FREE + 1);
        assert_eq!(node.line.calls(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_costs_the_tenant_one_part_at_most() {
    let limited = Limited::to(5).await;
    let node = limited.nodes(1).await.remove(0);
    node.line
        .plan(|call: &Call| (call.number == 0).then_some(Fault::LoseAnswer));
    assert_eq!(limited.answered(&node, 100).await, FREE + 45);
}

#[tokio::test(start_paused = true)]
async fn a_server_may_let_a_request_wait_for_the_next_period() {
    let limited = Limited::to(1).await;
    let mut rates = RequestRates::default();
    rates.wait_up_to(Duration::from_millis(250));
    let node = limited.secrets.node_with(&limited.world, rates);
    assert_eq!(limited.send(&node).await.status, 200);
    limited.next_period().await;
    assert_eq!(limited.answered(&node, 2 * FREE + 5).await, 2 * FREE);
    let left = 10_000 - limited.world.clock().now_millis() % 10_000;
    tokio::time::advance(Duration::from_millis(left - 251)).await;
    let begun = Instant::now();
    assert_eq!(limited.send(&node).await.retry_after, Some(1));
    assert_eq!(begun.elapsed(), Duration::ZERO);
    tokio::time::advance(Duration::from_millis(1)).await;
    let begun = Instant::now();
    assert_eq!(limited.send(&node).await.status, 200);
    assert_eq!(begun.elapsed(), Duration::from_millis(250));
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_nothing_is_counted() {
    let limited = Limited::to(0).await;
    let node = limited.nodes(1).await.remove(0);
    node.line.plan(|_| None);
    assert_eq!(limited.answered(&node, 2_000).await, 2_000);
    assert_eq!(node.line.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_stops_no_tenant() {
    let limited = Limited::to(1).await;
    limited.world.jump(Duration::from_secs(3_600));
    let ahead = limited.nodes(1).await.remove(0);
    assert_eq!(limited.answered(&ahead, 30).await, 20);
    limited.world.jump_back(Duration::from_secs(3_600));
    assert_eq!(limited.answered(&ahead, FREE).await, FREE);
}
