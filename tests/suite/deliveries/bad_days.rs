//! Receivers that fail, feeds that lose events, and subscriptions that end.

use std::sync::Arc;

use scim_lambda::feed::brake;
use scim_lambda::feed::read::{self, After, Limits};
use scim_lambda::feed::{AccessChange, lifecycle};
use scim_lambda::protocol::profile::{Brake, Switches};
use scim_lambda::store::{Epoch, FeedHead, SubscriptionState};
use serde_json::json;

use super::{Answer, DAY, Field, HOUR, MINUTE, SECOND, acme, numbers};

/// The types of the events of the feed.
async fn types_in_feed(field: &Field) -> Vec<String> {
    let store = field.store(&acme());
    let all = Limits {
        events: 10_000,
        bytes: 10_000_000,
    };
    let part = read::read(&acme(), &store, &After::Beginning, all, |_| true, None).await;
    let events = part.unwrap().events.into_iter();
    events
        .map(|event| event.body.event_type.as_str().to_owned())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_fails_for_three_days_gets_the_same_batch_when_it_is_resumed() {
    let field = Field::new().await;
    let hook = field.subscribe("hook", |_| {}).await;
    field.append(3).await;
    field.receivers.answer(|_| Answer::Fail);
    let begun = field.now();
    field.job().await;
    // What comes meanwhile is not part of the batch that was written down.
    field.append(5).await;
    field.pass_step_by_step(4 * DAY).await;
    let sent = field.receivers.all();
    assert!((15..35).contains(&sent.len()), "{}", sent.len());
    assert!(sent.iter().all(|attempt| attempt.id == sent[0].id));
    field.assert_same_bytes();
    assert_eq!(sent[0].numbers(), numbers(1, 4));
    let waits: Vec<u64> = sent
        .windows(2)
        .map(|pair| (pair[1].at - pair[0].at) / 1000)
        .collect();
    assert!((5..=70).contains(&waits[0]), "{waits:?}");
    assert!(
        waits.iter().all(|wait| *wait <= 6 * 60 * 60 + 60),
        "{waits:?}"
    );
    let last = sent.last().unwrap().at - begun;
    assert!((259_200_000..259_300_000).contains(&last), "{last}");
    let failed = field.delivery(&hook).await.unwrap();
    assert!(failed.failed.is_some() && failed.due.is_none() && failed.lease.is_none());
    let failing = failed.failing.unwrap();
    assert_eq!(
        (failing.code.as_str(), failing.attempts),
        ("status", sent.len() as u64)
    );
    let told = types_in_feed(&field).await;
    assert_eq!(
        told.iter().filter(|name| *name == "webhook.failed").count(),
        1
    );
    // Events of the tenant lead to nothing until it is resumed.
    field.append(1).await;
    field.job().await;
    assert_eq!(field.receivers.all().len(), sent.len());
    field.receivers.answer(|_| Answer::Accept);
    assert!(field.stack().subscriptions().resume(&hook).await.unwrap());
    field.job().await;
    let resumed = &field.receivers.all()[sent.len()..];
    assert_eq!(
        (&resumed[0].id, &resumed[0].body),
        (&sent[0].id, &sent[0].body)
    );
    // The batch, what came meanwhile, the event that says so, and the last one.
    assert_eq!(field.accepted(&hook), numbers(1, 11));
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_comes_back_is_not_failing_any_more() {
    let field = Field::new().await;
    let hook = field.subscribe("hook", |_| {}).await;
    for round in 1..=3_u64 {
        field.append(1).await;
        field.receivers.answer(|_| Answer::Fail);
        field.job().await;
        field.pass_step_by_step(DAY).await;
        field.receivers.answer(|_| Answer::Accept);
        field.pass_step_by_step(7 * HOUR).await;
        assert_eq!(field.accepted(&hook), numbers(1, 1 + round));
    }
    // Never three days in a row.
    let delivery = field.delivery(&hook).await.unwrap();
    assert_eq!(
        (delivery.failed, delivery.failing, delivery.due),
        (None, None, None)
    );
}

#[tokio::test(start_paused = true)]
async fn short_waits_get_a_job_and_all_waits_are_on_the_list() {
    let field = Field::new().await;
    field.subscribe("hook", |_| {}).await;
    field.append(1).await;
    field.receivers.answer(|_| Answer::Fail);
    field.job().await;
    let left = field.jobs.take();
    assert_eq!(left.len(), 1);
    assert!(
        left[0].wait >= 4 * SECOND && left[0].wait < 6 * SECOND,
        "{left:?}"
    );
    let due = field.next_due().await.unwrap();
    assert_eq!(due.tenant, Some(acme()));
    // A job that comes too early does nothing.
    field.job().await;
    assert_eq!(field.receivers.all().len(), 1);
    field.world.jump(6 * SECOND);
    field.job().await;
    assert_eq!(field.receivers.all().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_gone_ends_its_subscription_alone() {
    let field = Field::new().await;
    let gone = field.subscribe("gone", |hook| hook.tenant = None).await;
    let other = field.subscribe("other", |_| {}).await;
    field.append(2).await;
    field
        .receivers
        .answer(|attempt| match attempt.subscription.as_str() {
            "gone" => Answer::Gone,
            _ => Answer::Accept,
        });
    field.job().await;
    field.settle().await;
    let state = field
        .stack()
        .subscriptions()
        .get(&gone)
        .await
        .unwrap()
        .unwrap()
        .state;
    let SubscriptionState::Disabled { reason, .. } = state else {
        panic!("{state:?}");
    };
    assert!(reason.contains("410"), "{reason}");
    field.append(1).await;
    field.job().await;
    let sent = field.receivers.all();
    assert_eq!(
        sent.iter()
            .filter(|attempt| attempt.subscription == "gone")
            .count(),
        1
    );
    // The other one also learns that a webhook has ended.
    assert_eq!(field.accepted(&other), numbers(1, 5));
    assert!(
        types_in_feed(&field)
            .await
            .contains(&"webhook.failed".to_owned())
    );
    field.receivers.answer(|_| Answer::Accept);
    field.stack().subscriptions().resume(&gone).await.unwrap();
    field.job().await;
    assert_eq!(field.accepted(&gone), numbers(1, 5));
    field.assert_same_bytes();
}

#[tokio::test(start_paused = true)]
async fn a_batch_stays_the_same_across_appends_and_new_types() {
    let field = Field::new().await;
    let hook = field
        .subscribe("hook", |hook| hook.types = vec!["badge.*".to_owned()])
        .await;
    field.append_to(&acme(), "badge.created", 2).await;
    field.receivers.answer(|_| Answer::Fail);
    field.job().await;
    field.append_to(&acme(), "badge.created", 150).await;
    field
        .world
        .set_rules(|rules| rules.switches.event_days = 90)
        .await;
    field.pass(MINUTE).await;
    field.receivers.answer(|_| Answer::Accept);
    field.pass(HOUR).await;
    let sent = field.receivers.all();
    assert_eq!(sent[0].numbers(), numbers(1, 3));
    let tries = sent
        .iter()
        .filter(|attempt| attempt.id == sent[0].id)
        .count();
    assert!(tries >= 3, "{tries}");
    field.assert_same_bytes();
    assert_eq!(field.accepted(&hook), numbers(1, 153));
}

#[tokio::test(start_paused = true)]
async fn what_the_brake_holds_is_sent_when_it_is_released() {
    let field = Field::new().await;
    let hold = |switches: &mut Switches| switches.brake = Brake::Hold;
    field
        .world
        .set_rules(|rules| hold(&mut rules.switches))
        .await;
    lifecycle::create(&field.store(&acme())).await.unwrap();
    let hook = field.subscribe("hook", |_| {}).await;
    let gained = Some(AccessChange::Gained);
    field
        .append_changes(&acme(), "user.created", 40, gained)
        .await;
    let lost = Some(AccessChange::Lost);
    field
        .append_changes(&acme(), "user.deactivated", 30, lost)
        .await;
    field.job().await;
    // The event that the brake has tripped comes before those that are held.
    assert_eq!(field.accepted(&hook), numbers(1, 42));
    let held = field.delivery(&hook).await.unwrap();
    assert!(held.held.is_some() && held.lease.is_none());
    let due = field.next_due().await.unwrap();
    assert!(
        (58_000..62_000).contains(&(due.at * 1000 - field.now())),
        "{due:?}"
    );
    // Jobs until then look, and write nothing.
    let revision = held.revision;
    field.job().await;
    assert_eq!(field.delivery(&hook).await.unwrap().revision, revision);
    field.pass(MINUTE + SECOND).await;
    assert_eq!(field.accepted(&hook).len(), 42);
    let mut switches = Switches::default();
    hold(&mut switches);
    assert!(
        brake::release(&field.store(&acme()), &switches)
            .await
            .unwrap()
    );
    field.job().await;
    let accepted = field.accepted(&hook);
    assert!(accepted.len() > 70, "{}", accepted.len());
    assert_eq!(accepted, numbers(1, accepted.len() as u64));
    assert_eq!(field.delivery(&hook).await.unwrap().held, None);
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_begins_anew_is_followed_from_its_beginning() {
    for is_failing in [false, true] {
        let field = Field::new().await;
        let hook = field.subscribe("hook", |_| {}).await;
        field.append(3).await;
        if is_failing {
            // A batch is written down that is not in the new epoch.
            field.receivers.answer(|_| Answer::Fail);
        }
        field.job().await;
        let before = field.receivers.take();
        let store = field.store(&acme());
        let (head, _) = store.feed().newest().await.unwrap();
        let head = head.unwrap();
        let next = FeedHead {
            epoch: Epoch::after(Some(&head.epoch), field.now()),
            is_complete: false,
            ..head.clone()
        };
        assert!(store.feed().put_head(Some(&head), &next).await.unwrap());
        field.append(2).await;
        field.receivers.answer(|_| Answer::Accept);
        field.pass(MINUTE).await;
        field.job().await;
        let sent = field.receivers.all();
        assert_eq!(sent.len(), 1, "{is_failing}");
        assert_eq!(sent[0].types()[0], "feed.started");
        assert_eq!(sent[0].events()[0]["detail"], json!({"complete": false}));
        assert_eq!(field.accepted(&hook), numbers(1, 3));
        assert_ne!(sent[0].id, before[0].id);
    }
}

#[tokio::test(start_paused = true)]
async fn a_receiver_learns_that_events_have_expired_before_they_came() {
    for is_failing in [false, true] {
        let field = Field::new().await;
        field
            .world
            .set_rules(|rules| rules.switches.event_days = 2)
            .await;
        let hook = field.subscribe("hook", |_| {}).await;
        field.append(2).await;
        field.job().await;
        let reached = field.delivery(&hook).await.unwrap().reached;
        field.append(2).await;
        if is_failing {
            field.receivers.answer(|_| Answer::Fail);
            field.job().await;
        }
        field.receivers.take();
        field.world.jump(DAY + 12 * HOUR);
        field.append(3).await;
        field.world.jump(DAY);
        field.receivers.answer(|_| Answer::Fail);
        field.job().await;
        let first = field.receivers.all().remove(0);
        assert_eq!(first.types()[0], "feed.gap", "{is_failing}");
        assert_eq!(first.numbers(), numbers(5, 8));
        let since = first.events()[0]["detail"]["since"]
            .as_str()
            .unwrap()
            .to_owned();
        let since = chrono::DateTime::parse_from_rfc3339(&since).unwrap();
        assert_eq!(since.timestamp_millis().unsigned_abs(), reached);
        // The gap is part of the batch: it is sent again with the same bytes.
        field.receivers.answer(|_| Answer::Accept);
        field.pass(MINUTE).await;
        field.assert_same_bytes();
        let last = field.receivers.all().pop().unwrap();
        assert_eq!((last.id, last.body), (first.id, first.body));
        field.append(1).await;
        field.job().await;
        let last = field.receivers.all().pop().unwrap();
        assert_eq!(last.types(), ["user.updated"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_is_removed_gets_nothing_more() {
    let field = Arc::new(Field::new().await);
    let hook = field.subscribe("hook", |_| {}).await;
    field.append(1_000).await;
    field.receivers.answer(|_| Answer::AcceptAfter(2 * SECOND));
    let remove = async {
        tokio::time::sleep(SECOND).await;
        assert!(field.stack().subscriptions().remove(&hook).await.unwrap());
    };
    let acme = acme();
    let (is_done, ()) = tokio::join!(field.job_in(&field.process, &acme), remove);
    assert!(is_done);
    // It is noticed within five seconds.
    let sent = field.receivers.all().len();
    assert!(sent <= 4, "{sent}");
    field.pass(MINUTE).await;
    field.job().await;
    assert_eq!(field.receivers.all().len(), sent);
    assert_eq!(field.delivery(&hook).await, None);
}
