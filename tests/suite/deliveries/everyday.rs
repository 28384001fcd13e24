//! Deliveries to receivers that answer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use scim_lambda::delivery::LONGEST_JOB;
use scim_lambda::identity::TenantId;
use scim_lambda::store::{MAX_SUBSCRIPTIONS, Start};
use scim_lambda::worker::Worker;
use tokio::time::Instant;

use crate::simulation::{Call, Process};

use super::{Answer, Attempt, Field, MINUTE, SECOND, acme, numbers};

/// Counts such calls of a process from now on.
fn count(process: &Process, is_counted: impl Fn(&Call) -> bool + Send + 'static) -> Arc<AtomicU64> {
    let counter = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&counter);
    process.line.plan(move |call| {
        count.fetch_add(u64::from(is_counted(call)), Ordering::SeqCst);
        None
    });
    counter
}

#[tokio::test(start_paused = true)]
async fn events_come_in_order_and_in_batches_of_a_hundred() {
    let field = Field::new().await;
    let hook = field.subscribe("hook", |_| {}).await;
    field.append(150).await;
    field.append(100).await;
    field.job().await;
    let sent = field.receivers.all();
    let lengths: Vec<usize> = sent.iter().map(|attempt| attempt.numbers().len()).collect();
    assert_eq!(lengths, [100, 100, 51]);
    assert_eq!(field.accepted(&hook), numbers(1, 251));
    assert_eq!(sent[0].types()[0], "feed.started");
    let ids: BTreeSet<&str> = sent.iter().map(|sent| sent.id.as_str()).collect();
    assert_eq!(ids.len(), 3);
    for id in ids {
        let digits = id.strip_prefix("msg_").unwrap();
        assert!(
            digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{id}"
        );
    }
    let delivery = field.delivery(&hook).await.unwrap();
    assert_eq!(
        (delivery.batch, delivery.lease, delivery.failing),
        (None, None, None)
    );
    assert!(delivery.succeeded.is_some());
    assert!(field.jobs.take().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_job_without_news_writes_nothing_and_an_event_costs_two_writes() {
    let field = Field::new().await;
    field.subscribe("hook", |_| {}).await;
    field.append(3).await;
    field.job().await;
    let counted = async |news: usize| {
        let process = field.world.process();
        // The process reads the tenant's configuration with its first job.
        field.job_in(&process, &acme()).await;
        let writes = count(&process, |call| {
            !["Query", "GetItem"].contains(&call.operation.as_str())
        });
        if news > 0 {
            field.append(news).await;
        }
        field.job_in(&process, &acme()).await;
        (process.line.calls(), writes.load(Ordering::SeqCst))
    };
    assert_eq!(counted(0).await, (3, 0));
    let (calls, writes) = counted(1).await;
    assert_eq!(writes, 2);
    assert!(calls <= 7, "{calls}");
}

#[tokio::test(start_paused = true)]
async fn only_the_wanted_types_come_and_the_position_moves_past_the_others() {
    let field = Field::new().await;
    let hook = field
        .subscribe("hook", |hook| {
            hook.types = vec!["group.*".to_owned(), "badge.*".to_owned()]
        })
        .await;
    field.append(30).await;
    field.append_to(&acme(), "group.created", 2).await;
    field.append(30).await;
    field.job().await;
    let sent = field.receivers.take();
    assert_eq!(sent.len(), 1);
    assert_eq!(
        sent[0].types(),
        ["feed.started", "group.created", "group.created"]
    );
    let before = field.delivery(&hook).await.unwrap().after;
    field.append(30).await;
    field.job().await;
    assert!(field.receivers.take().is_empty());
    let after = field.delivery(&hook).await.unwrap();
    assert_ne!(after.after, before);
    assert_eq!(after.lease, None);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_begins_when_it_was_made_also_in_a_long_feed() {
    let field = Field::new().await;
    for _ in 0..20 {
        field.append(3).await;
        field.world.jump(MINUTE);
    }
    let hook = field
        .subscribe("hook", |hook| hook.from = Start::Created)
        .await;
    let quiet = field
        .subscribe("quiet", |hook| hook.from = Start::Created)
        .await;
    field.job().await;
    assert!(field.receivers.take().is_empty());
    // Some happens before the first job that has something to send.
    for _ in 0..15 {
        field.append(3).await;
        field.world.jump(MINUTE);
    }
    field.job().await;
    assert_eq!(field.accepted(&hook), numbers(62, 106));
    assert_eq!(field.accepted(&quiet), numbers(62, 106));
    let first = field.receivers.all().remove(0);
    assert!(first.types().iter().all(|name| name == "user.updated"));
}

#[tokio::test(start_paused = true)]
async fn a_tenants_events_go_to_its_own_subscriptions_and_to_those_of_all() {
    let field = Field::new().await;
    let umbrella = TenantId::parse("umbrella").unwrap();
    let own = field.subscribe("own", |_| {}).await;
    let all = field.subscribe("all", |hook| hook.tenant = None).await;
    field.append(2).await;
    field.append_to(&umbrella, "user.created", 3).await;
    for tenant in [&acme(), &umbrella] {
        assert!(field.job_in(&field.process, tenant).await);
    }
    for attempt in field.receivers.all() {
        let tenants = attempt
            .events()
            .into_iter()
            .map(|event| event["tenant"].clone());
        assert!(
            tenants
                .into_iter()
                .all(|tenant| tenant == attempt.tenant.as_str())
        );
        assert!(attempt.subscription == all.as_str() || attempt.tenant == "acme");
    }
    let of = |id: &str, tenant: &str| {
        let sent = field.receivers.all().into_iter();
        let sent = sent.filter(|sent| sent.subscription == id && sent.tenant == tenant);
        sent.map(|sent| sent.numbers().len()).sum::<usize>()
    };
    assert_eq!(
        (of(own.as_str(), "acme"), of(own.as_str(), "umbrella")),
        (3, 0)
    );
    assert_eq!(
        (of(all.as_str(), "acme"), of(all.as_str(), "umbrella")),
        (3, 4)
    );
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_hangs_delays_no_other() {
    let field = Field::new().await;
    let slow = field.subscribe("slow", |_| {}).await;
    let quick = field.subscribe("quick", |_| {}).await;
    field.append(250).await;
    field
        .receivers
        .answer(|attempt| match attempt.subscription.as_str() {
            "slow" => Answer::Hang,
            _ => Answer::Accept,
        });
    let begun = field.now();
    field.job().await;
    assert_eq!(field.accepted(&quick), numbers(1, 251));
    assert!(field.accepted(&slow).is_empty());
    let sent = field.receivers.all();
    let last = sent
        .iter()
        .filter(|sent| sent.is_accepted)
        .map(|sent| sent.at)
        .max();
    assert!(last.unwrap() - begun < 1_000, "{last:?} {begun}");
    let waits = field.delivery(&slow).await.unwrap();
    assert_eq!(waits.failing.unwrap().code, "timeout");
    assert!(waits.due.is_some() && waits.lease.is_none());
}

#[tokio::test(start_paused = true)]
async fn slow_receivers_of_one_tenant_delay_no_receiver_of_another() {
    let field = Field::new().await;
    for number in 0..MAX_SUBSCRIPTIONS - 1 {
        let id = format!("slow{number}");
        field.subscribe(&id, |_| {}).await;
    }
    let umbrella = TenantId::parse("umbrella").unwrap();
    let quick = field
        .subscribe("quick", |hook| hook.tenant = Some(umbrella.clone()))
        .await;
    // Far behind, so that each has more to read when its receiver accepts a batch.
    field.append(450).await;
    field.append_to(&umbrella, "user.created", 1).await;
    field
        .receivers
        .answer(|attempt| match attempt.subscription.as_str() {
            "quick" => Answer::Accept,
            _ => Answer::AcceptAfter(9 * SECOND),
        });
    let worker = Worker::new(field.process.provider.tenants(), field.world.clock());
    let begun = field.now();
    let tenants = BTreeSet::from([acme(), umbrella.clone()]);
    let failed = worker.deliver(tenants, &field.receivers, &field.jobs).await;
    assert_eq!(failed, BTreeSet::new());
    let sent = field.receivers.all();
    let quick = sent.iter().find(|sent| sent.subscription == quick.as_str());
    assert!(
        quick.unwrap().at - begun < 2_000,
        "{}",
        quick.unwrap().at - begun
    );
}

#[tokio::test(start_paused = true)]
async fn a_job_ends_in_time_though_every_receiver_hangs() {
    let field = Field::new().await;
    let mut hooks = Vec::new();
    for number in 0..MAX_SUBSCRIPTIONS {
        hooks.push(field.subscribe(&format!("hook{number}"), |_| {}).await);
    }
    field.append(1).await;
    field.receivers.answer(|_| Answer::Hang);
    let begun = Instant::now();
    field.job().await;
    assert!(begun.elapsed() < LONGEST_JOB, "{:?}", begun.elapsed());
    // None waited for another one to give up.
    let tried = field.receivers.take().into_iter();
    let tried: BTreeSet<String> = tried.map(|attempt| attempt.subscription).collect();
    assert_eq!(tried.len(), MAX_SUBSCRIPTIONS);
    field.receivers.answer(|_| Answer::Accept);
    for _ in 0..5 {
        field.pass(MINUTE).await;
    }
    for hook in hooks {
        assert_eq!(field.accepted(&hook), numbers(1, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn a_tenant_far_behind_is_caught_up_in_bounded_jobs() {
    const EVENTS: usize = 100_000;
    let field = Field::new().await;
    let hook = field.subscribe("hook", |_| {}).await;
    for _ in 0..EVENTS / 1_000 {
        field.append(1_000).await;
    }
    // Each attempt takes a while, so no job comes to the end.
    field.receivers.answer(|_| Answer::AcceptAfter(SECOND / 10));
    let mut jobs = 0;
    loop {
        let begun = field.now();
        let process = field.world.process();
        let seen = field.receivers.all().len();
        assert!(field.job_in(&process, &acme()).await);
        jobs += 1;
        assert!(
            field.now() - begun < 30_000,
            "a job took {} ms",
            field.now() - begun
        );
        let batches = u64::try_from(field.receivers.all().len() - seen).unwrap();
        // One write a batch, one read for several pages, a look at the subscription every five seconds.
        assert!(
            process.line.calls() <= batches + batches / 5 + 20,
            "{batches} {}",
            process.line.calls()
        );
        if field.jobs.take().is_empty() {
            break;
        }
        assert!(jobs < 20, "there is no end");
    }
    assert!(jobs > 2, "{jobs}");
    let sent = field.receivers.all();
    let all: Vec<u64> = sent.iter().flat_map(Attempt::numbers).collect();
    assert_eq!(all, numbers(1, EVENTS as u64 + 1));
    assert!(sent.iter().all(|attempt| attempt.body.len() < 1_100_000));
    assert_eq!(field.delivery(&hook).await.unwrap().lease, None);
}

#[tokio::test(start_paused = true)]
async fn a_long_feed_is_read_once() {
    let field = Field::new().await;
    field.subscribe("hook", |_| {}).await;
    for _ in 0..5 {
        field.append(1_000).await;
    }
    let process = field.world.process();
    let reads = count(&process, |call| {
        call.body["ExpressionAttributeValues"][":pk"]["S"] == "T#acme#E"
    });
    assert!(field.job_in(&process, &acme()).await);
    // Two to find the pages from the beginning, and then what is left at the end.
    assert!(reads.load(Ordering::SeqCst) <= 8, "{reads:?}");
    assert_eq!(field.receivers.all().len(), 51);
}
