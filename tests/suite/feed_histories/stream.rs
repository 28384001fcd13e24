//! The table's stream as Lambda gives it to functions: cut into lanes, in each of which the records of one
//! item are in order.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};

use aws_lambda_events::dynamodb::EventRecord;
use scim_lambda::feed::record::Record;
use serde_json::{Value, json};

use crate::simulation::World;

/// The records of a table that were not handled yet, by lane.
pub(super) struct Stream {
    iterator: String,
    lanes: Vec<VecDeque<Record>>,
    hasher: RandomState,
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
        }
    }

    /// The records after those that were read, in this number of lanes.
    pub(super) fn continued(&self, lanes: usize) -> Self {
        Self {
            iterator: self.iterator.clone(),
            lanes: vec![VecDeque::new(); lanes],
            hasher: RandomState::new(),
        }
    }

    /// The number of lanes.
    pub(super) fn lanes(&self) -> usize {
        self.lanes.len()
    }

    /// Reads the new records of the table into the lanes of their items.
    pub(super) fn read(&mut self, world: &World) {
        loop {
            let request = json!({"ShardIterator": self.iterator});
            let mut answer = world.ask("GetRecords", &request);
            let records = answer["Records"].as_array_mut().unwrap();
            if records.is_empty() {
                return;
            }
            for record in records {
                // The table has a clock of its own. The stream gives times in whole seconds.
                let now = world.clock().now_millis() / 1000;
                record["dynamodb"]["ApproximateCreationDateTime"] = json!(now);
                let lane = self.lane(&record["dynamodb"]["Keys"]);
                let record: EventRecord = serde_json::from_value(record.take()).unwrap();
                self.lanes[lane].push_back(Record::read(&record));
            }
            self.iterator = answer["NextShardIterator"].as_str().unwrap().to_owned();
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

    /// Whether every record that was read was taken.
    pub(super) fn is_empty(&self) -> bool {
        self.lanes.iter().all(VecDeque::is_empty)
    }
}
