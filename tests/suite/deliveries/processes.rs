//! Processes that die, are frozen, or work at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use scim_lambda::clock::CLOCKS_DIFFER_MILLIS;
use scim_lambda::store::Start;

use super::{Answer, Attempt, Field, MINUTE, acme, numbers};
use crate::simulation::Fault;

/// Another process goes on after the lease of a dead one.
async fn take_over(field: &Field) {
    // The queue brings the job of the dead process again.
    field.world.jump(2 * MINUTE);
    assert!(field.job_in(&field.process, &acme()).await);
    field.settle().await;
    field.pass(MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn a_process_may_die_at_every_call() {
    for fault in [Fault::Kill, Fault::KillAfter] {
        for number in 0.. {
            let field = Field::new().await;
            let hook = field.subscribe("hook", |_| {}).await;
            field.append(150).await;
            field.append(120).await;
            let dying = field.world.process();
            dying
                .line
                .plan(move |call| (call.number == number).then_some(fault));
            let is_done = field.job_in(&dying, &acme()).await;
            let died = dying.line.is_dead();
            take_over(&field).await;
            assert_eq!(field.accepted(&hook), numbers(1, 271), "{fault:?} {number}");
            field.assert_same_bytes();
            let delivery = field.delivery(&hook).await.unwrap();
            assert_eq!(
                (delivery.batch, delivery.lease),
                (None, None),
                "{fault:?} {number}"
            );
            if !died {
                assert!(is_done && number > 6, "{number}");
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_may_die_at_every_call_while_the_receiver_fails() {
    for fault in [Fault::Kill, Fault::KillAfter] {
        for number in 0.. {
            let field = Field::new().await;
            let hook = field.subscribe("hook", |_| {}).await;
            field.append(5).await;
            let mut failures = 2;
            field.receivers.answer(move |_| {
                failures -= 1;
                match failures >= 0 {
                    true => Answer::Fail,
                    false => Answer::Accept,
                }
            });
            let dying = field.world.process();
            dying
                .line
                .plan(move |call| (call.number == number).then_some(fault));
            field.job_in(&dying, &acme()).await;
            let died = dying.line.is_dead();
            take_over(&field).await;
            field.pass(MINUTE).await;
            field.pass(MINUTE).await;
            assert_eq!(field.accepted(&hook), numbers(1, 6), "{fault:?} {number}");
            field.assert_same_bytes();
            if !died {
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_the_table_may_be_lost_at_every_call() {
    for fault in [
        Fault::LoseAnswer,
        Fault::LoseRequest,
        Fault::StatusAfter(502),
    ] {
        for number in 0.. {
            let field = Field::new().await;
            let hook = field.subscribe("hook", |_| {}).await;
            field.append(250).await;
            let process = field.world.process();
            let is_hit = Arc::new(AtomicBool::new(false));
            let hit = Arc::clone(&is_hit);
            process.line.plan(move |call| {
                let is_this = call.number == number;
                hit.fetch_or(is_this, Ordering::SeqCst);
                is_this.then_some(fault)
            });
            assert!(field.job_in(&process, &acme()).await);
            // A write that took effect recognises itself: nothing is left to a later job, and nothing comes twice.
            let sent = field.receivers.all();
            let sent: Vec<u64> = sent.iter().flat_map(Attempt::numbers).collect();
            assert_eq!(sent, numbers(1, 251), "{fault:?} {number}");
            let delivery = field.delivery(&hook).await.unwrap();
            assert_eq!(
                (delivery.batch, delivery.lease),
                (None, None),
                "{fault:?} {number}"
            );
            if !is_hit.load(Ordering::SeqCst) {
                assert!(number > 6, "{number}");
                break;
            }
        }
    }
}

/// The receiver checks that it never gets two messages of one tenant at once.
#[tokio::test(start_paused = true)]
async fn two_processes_at_once_send_each_batch_once() {
    for seed in 0..30 {
        fastrand::seed(seed);
        let field = Field::new().await;
        let hook = field.subscribe("hook", |_| {}).await;
        field.append(350).await;
        field
            .receivers
            .answer(|_| Answer::AcceptAfter(Duration::from_millis(fastrand::u64(0..40))));
        let others: Vec<_> = (0..3).map(|_| field.world.process()).collect();
        let acme = acme();
        let jobs = others.iter().map(|process| field.job_in(process, &acme));
        let done = futures_util::future::join_all(jobs).await;
        assert_eq!(done, [true, true, true], "{seed}");
        let sent = field.receivers.all();
        let sent: Vec<u64> = sent.iter().flat_map(Attempt::numbers).collect();
        assert_eq!(sent, numbers(1, 351), "{seed}");
        field.pass(2 * MINUTE).await;
        assert_eq!(field.receivers.all().len(), 4, "{seed}");
        assert_eq!(field.delivery(&hook).await.unwrap().lease, None, "{seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_comes_while_another_process_sends_is_not_left_behind() {
    for events in [1, 250] {
        for delay in (0..160).step_by(5) {
            let field = Field::new().await;
            let hook = field.subscribe("hook", |_| {}).await;
            field.append(events).await;
            let slowly = Answer::AcceptAfter(Duration::from_millis(20));
            field.receivers.answer(move |_| slowly);
            let (first, second, acme) = (field.world.process(), field.world.process(), acme());
            let late = async {
                tokio::time::sleep(Duration::from_millis(delay)).await;
                field.append(1).await;
                assert!(field.job_in(&second, &acme).await);
            };
            let (is_done, ()) = tokio::join!(field.job_in(&first, &acme), late);
            assert!(is_done);
            // No further job: one of the two processes has sent it.
            let all = numbers(1, events as u64 + 2);
            assert_eq!(field.accepted(&hook), all, "{events} {delay}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_was_frozen_sends_nothing_when_it_wakes() {
    let field = Field::new().await;
    let hook = field.subscribe("hook", |_| {}).await;
    field.append(250).await;
    let frozen = field.world.process();
    let mut writes = 0;
    frozen.line.plan(move |call| {
        writes += u64::from(call.operation == "UpdateItem");
        (call.operation == "UpdateItem" && writes == 2).then_some(Fault::Freeze)
    });
    let other = async {
        frozen.line.frozen().await;
        let before = field.receivers.all().len();
        assert_eq!(before, 1);
        // While the lease lasts, another process leaves the delivery alone.
        field.job().await;
        assert_eq!(field.receivers.all().len(), before);
        field.world.jump(2 * MINUTE);
        field.job().await;
        assert_eq!(field.accepted(&hook), numbers(1, 251));
        let sent = field.receivers.all().len();
        frozen.line.thaw();
        sent
    };
    let acme = acme();
    let (_, sent) = tokio::join!(field.job_in(&frozen, &acme), other);
    assert_eq!(field.receivers.all().len(), sent);
    assert_eq!(field.delivery(&hook).await.unwrap().lease, None);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_meets_a_dead_process_comes_again_after_its_lease() {
    let field = Field::new().await;
    let hook = field
        .subscribe("hook", |hook| hook.from = Start::Beginning)
        .await;
    field.append(1).await;
    let dying = field.world.process();
    dying
        .line
        .plan(|call| (call.operation == "UpdateItem").then_some(Fault::KillAfter));
    assert!(!field.job_in(&dying, &acme()).await);
    field.job().await;
    assert!(field.receivers.all().is_empty());
    let left = field.jobs.take();
    assert_eq!(left.len(), 1);
    let lease = field.delivery(&hook).await.unwrap().lease.unwrap();
    let comes = field.now() + u64::try_from(left[0].wait.as_millis()).unwrap();
    let late = comes - lease.until;
    assert!(late.abs_diff(CLOCKS_DIFFER_MILLIS) <= 1_000, "{left:?}");
    // One such job is enough.
    field.job().await;
    assert!(field.jobs.take().is_empty());
    field.world.jump(left[0].wait);
    field.job().await;
    assert_eq!(field.accepted(&hook), numbers(1, 2));
}
