//! The cost of the AWS SDK itself: the calls that operations make, without the service around them.
//!
//! `cargo bench --features cli --bench sdk -- DIRECTORY`. The directory is one that `scim generate`
//! has filled, such as those that `benches/service.py` leaves in `target/directories`. The table runs
//! in this process, as in `scim serve`. The time of its threads is not counted.

#![expect(clippy::unwrap_used, reason = "a measurement fails by panicking")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Builder;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::types::{AttributeValue, Put, ReturnConsumedCapacity, TransactWriteItem};
use scim_lambda::embedded::{DataDirectory, Embedded};

const CONNECTIONS: u64 = 8;
const CALLS: u64 = 2_000;
const USERS: &str = "T#demo#R#User#0";

fn main() {
    let folder = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with("--"));
    let folder = folder.unwrap_or("target/directories/10000".to_owned());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(measure_all(Path::new(&folder)));
}

async fn measure_all(folder: &Path) {
    let data = DataDirectory::at(folder).unwrap();
    let table = Embedded::open(&data).unwrap();
    let config = Builder::from(&table.sdk_config());
    let client = Client::from_conf(config.retry_config(RetryConfig::disabled()).build());
    let first = page(&client, 100).await;
    let ids: Arc<Vec<String>> = Arc::new(first);
    println!("| call | SDK CPU ms |\n|---|---|");

    let (reader, all) = (client.clone(), Arc::clone(&ids));
    measure("GetItem of a user", CALLS, move |number| {
        let (client, id) = (reader.clone(), all[number as usize % all.len()].clone());
        async move {
            let get = client.get_item().table_name("scim").consistent_read(true);
            let get = get.key("pk", s(USERS)).key("sk", s(&id));
            get.return_consumed_capacity(ReturnConsumedCapacity::Total)
                .send()
                .await
                .unwrap();
        }
    })
    .await;
    let reader = client.clone();
    measure("Query of 100 users", CALLS / 5, move |_| {
        let client = reader.clone();
        async move {
            page(&client, 100).await;
        }
    })
    .await;
    let writer = client.clone();
    measure("UpdateItem of a user", CALLS, move |number| {
        let (client, id) = (writer.clone(), ids[number as usize % ids.len()].clone());
        async move {
            let update = client.update_item().table_name("scim");
            let update = update.key("pk", s(USERS)).key("sk", s(&id));
            update
                .condition_expression("attribute_exists(pk)")
                .update_expression("SET modified = :m")
                .expression_attribute_values(":m", AttributeValue::N(number.to_string()))
                .return_values(aws_sdk_dynamodb::types::ReturnValue::AllNew)
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .send()
                .await
                .unwrap();
        }
    })
    .await;
    measure("TransactWriteItems of 5 items", CALLS, move |number| {
        let client = client.clone();
        async move { transact(&client, number).await }
    })
    .await;
}

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

/// Reads the first users, at most `limit` of them, and returns their ids.
async fn page(client: &Client, limit: i32) -> Vec<String> {
    let query = client.query().table_name("scim").consistent_read(true);
    let output = query
        .key_condition_expression("pk = :pk")
        .expression_attribute_values(":pk", s(USERS))
        .projection_expression("sk, body, v, created, modified")
        .return_consumed_capacity(ReturnConsumedCapacity::Total)
        .limit(limit)
        .send()
        .await
        .unwrap();
    let ids = output.items().iter();
    ids.map(|item| item["sk"].as_s().unwrap().clone()).collect()
}

/// A transaction as large as the creation of a user.
async fn transact(client: &Client, number: u64) {
    let item = |part: usize| {
        let body = if part == 0 {
            "x".repeat(700)
        } else {
            String::new()
        };
        let put = Put::builder()
            .table_name("scim")
            .item("pk", s("T#bench#R#User#0"))
            .item("sk", s(&format!("{number}-{part}")))
            .item("body", s(&format!("body {body}")))
            .condition_expression("attribute_not_exists(pk)")
            .build();
        TransactWriteItem::builder().put(put.unwrap()).build()
    };
    let transaction = client.transact_write_items();
    let sent = transaction
        .set_transact_items(Some((0..5).map(item).collect()))
        .return_consumed_capacity(ReturnConsumedCapacity::Total)
        .send();
    // A second run finds the items of the first, which costs the same.
    let _ = sent.await;
}

/// Makes calls over several connections, and prints the cost of each, without that of the table's
/// threads.
async fn measure<F, C>(name: &str, calls: u64, call: C)
where
    F: Future<Output = ()> + Send,
    C: Fn(u64) -> F + Clone + Send + Sync + 'static,
{
    call(0).await;
    let next = Arc::new(AtomicU64::new(1));
    let before = cpu_nanoseconds();
    let workers: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (next, call) = (Arc::clone(&next), call.clone());
            tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number > calls {
                        return;
                    }
                    call(number).await;
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    let spent = cpu_nanoseconds() - before;
    println!("| {name} | {:.3} |", spent as f64 / calls as f64 / 1e6);
}

/// CPU time of all threads of this process but the table's.
fn cpu_nanoseconds() -> u64 {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let tasks = tasks.filter_map(|task| {
        let path = task.ok()?.path();
        let name = fs::read_to_string(path.join("comm")).ok()?;
        let spent = fs::read_to_string(path.join("schedstat")).ok()?;
        let spent: u64 = spent.split(' ').next()?.parse().ok()?;
        (name.trim() != "table").then_some(spent)
    });
    tasks.sum()
}
