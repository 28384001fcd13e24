//! What leads to a job: the reader of the stream, the finisher, and a subscription that is added.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use scim_lambda::delivery::make_due;
use scim_lambda::identity::TenantId;
use scim_lambda::store::Due;
use scim_lambda::worker::Worker;

use super::{Field, MINUTE, SECOND, acme};
use crate::simulation::{replace, tenant};

/// The tenants of the jobs that were left since the last call.
fn left(field: &Field) -> Vec<TenantId> {
    let jobs = field.jobs.take().into_iter();
    jobs.map(|job| job.tenant).collect()
}

#[tokio::test(start_paused = true)]
async fn the_reader_of_the_stream_leaves_jobs_for_wanted_tenants_only() {
    let field = Field::new().await;
    let process = field.world.process();
    let worker = Worker::new(process.provider.tenants(), field.world.clock());
    process.user("ada").await;
    let lists = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&lists);
    process.line.plan(move |call| {
        let is_list = call.body["ExpressionAttributeValues"][":pk"]["S"] == "S#B";
        count.fetch_add(u64::from(is_list), Ordering::SeqCst);
        None
    });
    // Without a subscription a batch makes no further call, except one a minute.
    for _ in 0..3 {
        assert_eq!(
            worker.stream(&field.world.records(), &field.jobs).await,
            None
        );
    }
    assert_eq!(
        (left(&field), lists.load(Ordering::SeqCst)),
        (Vec::new(), 1)
    );
    let other = TenantId::parse("umbrella").unwrap();
    field
        .subscribe("other", |hook| hook.tenant = Some(other))
        .await;
    field.world.jump(MINUTE);
    assert_eq!(
        worker.stream(&field.world.records(), &field.jobs).await,
        None
    );
    assert_eq!(
        (left(&field), lists.load(Ordering::SeqCst)),
        (Vec::new(), 2)
    );
    field.subscribe("hook", |_| {}).await;
    field.world.jump(MINUTE);
    // Nothing of the batch is new: the process that appended it may have died before it left the job.
    assert_eq!(
        worker.stream(&field.world.records(), &field.jobs).await,
        None
    );
    assert_eq!(left(&field), [acme()]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_whose_jobs_are_not_taken_comes_again() {
    let field = Field::new().await;
    field.subscribe("hook", |_| {}).await;
    let worker = Worker::new(field.process.provider.tenants(), field.world.clock());
    field.process.user("ada").await;
    field.jobs.is_out_of_reach.store(true, Ordering::SeqCst);
    let records = field.world.records();
    let failed = worker.stream(&records, &field.jobs).await.unwrap();
    let is_of_acme = |record: &&aws_lambda_events::dynamodb::EventRecord| {
        record.change.sequence_number.as_ref() == Some(&failed)
    };
    let record = records.iter().find(is_of_acme).unwrap();
    assert!(format!("{:?}", record.change.keys).contains("T#acme#R#User"));
    field.jobs.is_out_of_reach.store(false, Ordering::SeqCst);
    assert_eq!(worker.stream(&records, &field.jobs).await, None);
    assert_eq!(left(&field), [acme()]);
}

#[tokio::test(start_paused = true)]
async fn what_the_finisher_reports_is_delivered_too() {
    let field = Field::new().await;
    field.subscribe("hook", |_| {}).await;
    let process = &field.process;
    let users = process.users("member", 120).await;
    let group = process.group("Guides", &[]).await;
    process
        .patch("Group", &group, replace(&users))
        .await
        .unwrap();
    let worker = Worker::new(process.provider.tenants(), field.world.clock());
    assert_eq!(
        worker.stream(&field.world.records(), &field.jobs).await,
        None
    );
    field.settle().await;
    let before = field.receivers.take().len();
    assert!(before > 0);
    tokio::time::advance(30 * SECOND).await;
    let failed = worker.finish(BTreeSet::from([tenant()]), &field.jobs).await;
    assert_eq!(failed, BTreeSet::new());
    field.settle().await;
    let types: Vec<String> = field
        .receivers
        .take()
        .iter()
        .flat_map(super::Attempt::types)
        .collect();
    assert_eq!(types, vec!["group.member.added"; 120]);
}

#[tokio::test(start_paused = true)]
async fn a_new_subscription_is_due_now_and_once_every_process_knows_it() {
    let field = Field::new().await;
    let now = field.now();
    make_due(&field.stack(), Some(&acme()), now).await.unwrap();
    make_due(&field.stack(), None, now).await.unwrap();
    let all = field.stack().due().until(u64::MAX / 2, 10).await.unwrap();
    let later = now + 65_000;
    let expected = [now, later].map(|at| [None, Some(acme())].map(|who| Due::at_millis(at, who)));
    assert_eq!(all, expected.as_flattened());
    let due = field.stack().due().until(now + 1_000, 10).await.unwrap();
    assert_eq!(due, expected[0]);
    assert_eq!(
        field
            .stack()
            .due()
            .until(now + 1_000, 1)
            .await
            .unwrap()
            .len(),
        1
    );
    field.stack().due().remove(&due).await.unwrap();
    let rest = field.stack().due().until(u64::MAX / 2, 10).await.unwrap();
    assert_eq!(rest, expected[1]);
}
