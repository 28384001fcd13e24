//! The capacity of one partition of DynamoDB: 1,000 write and 3,000 read units a second.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

const WRITES: f64 = 1_000.0;
const READS: f64 = 3_000.0;

/// The capacity that every partition has left.
pub(crate) struct Budget {
    writes: HashMap<String, Bucket>,
    reads: HashMap<String, Bucket>,
    /// Calls that were refused.
    pub(crate) throttled: u64,
}

struct Bucket {
    left: f64,
    rate: f64,
    at: Instant,
}

impl Bucket {
    fn new(rate: f64) -> Self {
        Self {
            left: rate,
            rate,
            at: Instant::now(),
        }
    }

    fn left(&mut self) -> f64 {
        let passed: Duration = self.at.elapsed();
        self.at = Instant::now();
        self.left = (self.left + passed.as_secs_f64() * self.rate).min(self.rate);
        self.left
    }
}

impl Budget {
    pub(crate) fn new() -> Self {
        Self {
            writes: HashMap::new(),
            reads: HashMap::new(),
            throttled: 0,
        }
    }

    fn writes(&mut self, pk: &str) -> &mut Bucket {
        let bucket = || Bucket::new(WRITES);
        self.writes.entry(pk.to_owned()).or_insert_with(bucket)
    }

    fn reads(&mut self, pk: &str) -> &mut Bucket {
        let bucket = || Bucket::new(READS);
        self.reads.entry(pk.to_owned()).or_insert_with(bucket)
    }

    /// Spends the units of a call, if every partition has them.
    pub(crate) fn spend(&mut self, operation: &str, body: &Value) -> bool {
        let mut writes = HashMap::<String, f64>::new();
        let mut reads = HashMap::<String, f64>::new();
        match operation {
            "TransactWriteItems" => {
                for step in body["TransactItems"].as_array().unwrap() {
                    let step = step.as_object().unwrap().values().next().unwrap();
                    *writes.entry(pk(step)).or_default() += 2.0;
                }
            }
            "PutItem" | "UpdateItem" | "DeleteItem" => {
                writes.insert(pk(body), 1.0);
            }
            "GetItem" => {
                reads.insert(pk(body), 1.0);
            }
            "BatchGetItem" => {
                for key in body["RequestItems"]["scim"]["Keys"].as_array().unwrap() {
                    *reads.entry(text(&key["pk"])).or_default() += 1.0;
                }
            }
            "Query" => {
                reads.insert(queried(body), 1.0);
            }
            // Calls about the table itself cost nothing.
            _ => return true,
        }
        let fits = writes
            .iter()
            .all(|(pk, units)| self.writes(pk).left() >= *units)
            && reads
                .iter()
                .all(|(pk, units)| self.reads(pk).left() >= *units);
        if fits {
            writes
                .iter()
                .for_each(|(pk, units)| self.writes(pk).left -= units);
            reads
                .iter()
                .for_each(|(pk, units)| self.reads(pk).left -= units);
        } else {
            self.throttled += 1;
        }
        fits
    }

    /// The number of the first items of a batch of writes that fit; their units are spent.
    pub(crate) fn fitting(&mut self, body: &Value) -> usize {
        let items = body["RequestItems"]["scim"].as_array().unwrap();
        for (number, item) in items.iter().enumerate() {
            let write = item.as_object().unwrap().values().next().unwrap();
            let bucket = self.writes(&pk(write));
            if bucket.left() < 1.0 {
                self.throttled += 1;
                return number;
            }
            bucket.left -= 1.0;
        }
        items.len()
    }

    /// The units of a query are known only afterwards, and may leave a debt.
    pub(crate) fn charge_query(&mut self, operation: &str, body: &Value, answer: &str) {
        if operation == "Query" {
            let answer: Value = serde_json::from_str(answer).unwrap();
            let units = answer["ConsumedCapacity"]["CapacityUnits"].as_f64();
            self.reads(&queried(body)).left -= units.unwrap_or(1.0) - 1.0;
        }
    }
}

fn text(value: &Value) -> String {
    value["S"].as_str().unwrap().to_owned()
}

fn pk(write: &Value) -> String {
    let key = match &write["Item"] {
        Value::Null => &write["Key"],
        item => item,
    };
    text(&key["pk"])
}

fn queried(body: &Value) -> String {
    text(&body["ExpressionAttributeValues"][":pk"])
}
