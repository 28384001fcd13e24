//! Turns of tenants at a table that makes one call at a time.

use std::sync::atomic::{AtomicUsize, Ordering};

use aws_sdk_dynamodb::operation::get_item::GetItemError;
use futures_util::future::join_all;

use super::*;
use crate::aws;
use crate::clock::SystemClock;
use crate::identity::CauseKind;

fn cause() -> Cause {
    Cause::without_credential(CauseKind::Command)
}

/// The largest number of calls that ran at the same time, of two tenants with ten calls each.
async fn most_at_once(store: &Store, alone: bool) -> usize {
    let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let call = async || {
        most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(1)).await;
        running.fetch_sub(1, Ordering::SeqCst);
        Ok::<(), SdkError<GetItemError>>(())
    };
    let tenant = |number: usize| {
        let tenant = TenantId::parse(["a", "b"][number % 2]).unwrap();
        let store = store
            .for_tenant(&tenant, cause(), Meter::default(), Duration::from_secs(20))
            .table;
        if alone { store.alone() } else { store }
    };
    let tenants: Vec<Table> = (0..20).map(tenant).collect();
    let calls = tenants
        .iter()
        .map(|tenant| tenant.call(Account::Read, call, |_| false));
    for made in join_all(calls).await {
        made.unwrap();
    }
    most.into_inner()
}

#[tokio::test(start_paused = true)]
async fn a_tenant_has_few_calls_under_way_at_a_table_that_does_one_thing_at_a_time() {
    let sdk = aws::emulator("http://table.invalid");
    let store = Store::new(&sdk, "scim", Arc::new(SystemClock));
    assert_eq!(most_at_once(&store, false).await, 20);
    assert_eq!(most_at_once(&store, true).await, 20);
    let store = store.with_calls_per_tenant(2);
    assert_eq!(most_at_once(&store, false).await, 4);
    assert_eq!(most_at_once(&store, true).await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_turn_does_not_come_in_time_is_not_made() {
    let sdk = aws::emulator("http://table.invalid");
    let store = Store::new(&sdk, "scim", Arc::new(SystemClock)).with_calls_per_tenant(1);
    let tenant = TenantId::parse("a").unwrap();
    let tenant = store
        .for_tenant(&tenant, cause(), Meter::default(), Duration::from_secs(20))
        .table;
    let slow = async || {
        tokio::time::sleep(Duration::from_secs(30)).await;
        Ok::<(), SdkError<GetItemError>>(())
    };
    let never = async || {
        panic!("it has no turn");
        #[expect(unreachable_code, reason = "names the type")]
        Ok::<(), SdkError<GetItemError>>(())
    };
    let slow = tenant.call(Account::Read, slow, |_| false);
    let never = tenant.call(Account::Read, never, |_| false);
    let (slow, never) = tokio::join!(slow, never);
    assert!(slow.is_ok());
    assert!(matches!(never, Err(Failure::GaveUp(_))));
}
