//! The table's stream as Lambda gives it to functions: cut into lanes, in each of which the records of one
//! item are in order.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};

use aws_lambda_events::dynamodb::EventRecord;
use scim_lambda::feed::record::Record;
use serde_json::{Value, json};

use crate::simulation::World;

/// The most records that one call reads. Fewer are all that there are.
const MAX_RECORDS: usize = 1_000;

/// The records of a table that were not handled yet, by lane.
pub(super) struct Stream {
    iterator: String,
    lanes: Vec<VecDeque<Record>>,
    hasher: RandomState,
    label: String,
    /// The number of changes of the table when it was read last; `None` before that.
    changes: Option<u64>,
}

impl Stream {
    /// The records from the first one of the table on.
    pub(super) fn of(world: &World) -> Self {
        let streams = world.ask("ListStreams", &json!({"TableName": "scim"}));
        let arn = &streams["Streams"][0]["StreamArn"];
        let described = world.ask("DescribeStream", &json!({"StreamArn": arn}));
        let shard = &described["StreamDescription"]["Shards"][0]["ShardId"];
        let first = json!({
            "StreamArn": arn,
            "ShardId": shard,
            "ShardIteratorType": "TRIM_HORIZON",
        });
        let iterator = world.ask("GetShardIterator", &first);
        Self {
            iterator: iterator["ShardIterator"].as_str().unwrap().to_owned(),
            lanes: vec![VecDeque::new()],
            hasher: RandomState::new(),
            label: "2024-01-01T00:00:00.000".to_owned(),
            changes: None,
        }
    }

    /// The records after those that were read, in this number of lanes.
    pub(super) fn continued(&self, lanes: usize) -> Self {
        Self {
            iterator: self.iterator.clone(),
            lanes: vec![VecDeque::new(); lanes],
            hasher: RandomState::new(),
            label: self.label.clone(),
            changes: None,
        }
    }

    /// The stream that a table has after it was restored: it has none of the earlier records.
    pub(super) fn restored(&self) -> Self {
        Self {
            label: "2024-02-02T00:00:00.000".to_owned(),
            ..self.continued(self.lanes())
        }
    }

    /// The number of lanes.
    pub(super) fn lanes(&self) -> usize {
        self.lanes.len()
    }

    /// Reads the new records of the table into the lanes of their items.
    pub(super) fn read(&mut self, world: &World) {
        let changes = Some(world.changes());
        if std::mem::replace(&mut self.changes, changes) == changes {
            return;
        }
        loop {
            let request = json!({"ShardIterator": self.iterator, "Limit": MAX_RECORDS});
            let mut answer = world.ask("GetRecords", &request);
            let records = answer["Records"].as_array_mut().unwrap();
            let is_last = records.len() < MAX_RECORDS;
            for record in records {
                // The table has a clock of its own. The stream gives times in whole seconds.
                let now = world.clock().now_millis() / 1000;
                record["dynamodb"]["ApproximateCreationDateTime"] = json!(now);
                let lane = self.lane(&record["dynamodb"]["Keys"]);
                let record: EventRecord = serde_json::from_value(record.take()).unwrap();
                self.lanes[lane].push_back(Record {
                    stream: Some(self.label.clone()),
                    ..Record::read(&record)
                });
            }
            self.iterator = answer["NextShardIterator"].as_str().unwrap().to_owned();
            if is_last {
                return;
            }
        }
    }

    fn lane(&self, key: &Value) -> usize {
        let parts = ["pk", "sk"].map(|name| key[name]["S"].as_str());
        let hash = self.hasher.hash_one(parts);
        usize::try_from(hash % self.lanes.len() as u64).unwrap()
    }

    /// The next records of a lane, at most `limit` of them.
    pub(super) fn take(&mut self, lane: usize, limit: usize) -> Vec<Record> {
        let lane = &mut self.lanes[lane];
        let taken = lane.len().min(limit);
        lane.drain(..taken).collect()
    }

    /// Puts records back that were taken from a lane last.
    pub(super) fn give_back(&mut self, lane: usize, records: Vec<Record>) {
        for record in records.into_iter().rev() {
            self.lanes[lane].push_front(record);
        }
    }

    /// Whether every record that was read was taken.
    pub(super) fn is_empty(&self) -> bool {
        self.lanes.iter().all(VecDeque::is_empty)
    }
}
