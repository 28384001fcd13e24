//! Makes the calls of DynamoDB's API on a table in this process. A call has the name of an operation
//! and the body of a request, and its answer a status and a body.
//!
//! A call waits for SQLite, so asynchronous code has to make it on a thread that may block.

use std::time::Instant;

use dynoxide::Database;
use dynoxide::actions::transact_get_items::{
    TransactGet, TransactGetItem, TransactGetItemsRequest,
};
use dynoxide::actions::transact_write_items::{
    TransactWriteItem, TransactWriteItemsRequest, TransactWriteItemsResponse,
};
use dynoxide::errors::DynoxideError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::request_tokens::{KnownTransaction, ParametersHash, RequestTokens};

/// The largest number of characters of a `ClientRequestToken`, as in DynamoDB.
const MAX_TOKEN_CHARACTERS: usize = 36;

/// The operations that change items.
const WRITES: [&str; 5] = [
    "PutItem",
    "UpdateItem",
    "DeleteItem",
    "BatchWriteItem",
    "TransactWriteItems",
];

/// A table, and the request tokens of its transactions.
///
/// dynoxide can remember request tokens too, but it goes through all of them at every transaction.
/// So they are kept here, and dynoxide never gets them.
pub struct Engine {
    database: Database,
    tokens: RequestTokens,
    /// Wakes the reader of the stream.
    writes: watch::Sender<()>,
}

/// The answer to one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The JSON body.
    pub body: String,
}

/// Why a call was refused.
enum CallRefusal {
    /// The database refuses the call.
    Database(DynoxideError),
    /// The operation does not exist, or is not supported here.
    UnknownOperation,
    /// Another call is making the same transaction.
    TransactionInProgress,
}

type Result<T> = std::result::Result<T, CallRefusal>;

impl Engine {
    /// Answers calls from `database`.
    #[must_use]
    pub fn new(database: Database) -> Self {
        let tokens = RequestTokens::default();
        Self {
            database,
            tokens,
            writes: watch::Sender::new(()),
        }
    }

    /// The table's database.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Makes a call, such as `PutItem`, with the JSON body of its request.
    #[must_use]
    pub fn answer(&self, operation: &str, body: &[u8]) -> Reply {
        match self.run(operation, body) {
            Ok(body) => {
                if WRITES.contains(&operation) {
                    self.writes.send_replace(());
                }
                Reply { status: 200, body }
            }
            Err(refusal) => refusal.into(),
        }
    }

    /// A channel that signals each write.
    pub(super) fn writes(&self) -> watch::Receiver<()> {
        self.writes.subscribe()
    }

    fn run(&self, operation: &str, body: &[u8]) -> Result<String> {
        let database = &self.database;
        match operation {
            "GetItem" => call(body, |request| database.get_item(request)),
            "PutItem" => call(body, |request| database.put_item(request)),
            "UpdateItem" => call(body, |request| database.update_item(request)),
            "DeleteItem" => call(body, |request| database.delete_item(request)),
            "Query" => call(body, |request| database.query(request)),
            "Scan" => call(body, |request| database.scan(request)),
            "BatchGetItem" => call(body, |request| database.batch_get_item(request)),
            "BatchWriteItem" => call(body, |request| database.batch_write_item(request)),
            "TransactGetItems" => call(body, |request| database.transact_get_items(request)),
            "TransactWriteItems" => self.transact(body),
            "CreateTable" => call(body, |request| database.create_table(request)),
            "DeleteTable" => call(body, |request| database.delete_table(request)),
            "DescribeTable" => call(body, |request| database.describe_table(request)),
            "ListTables" => call(body, |request| database.list_tables(request)),
            "UpdateTimeToLive" => call(body, |request| database.update_time_to_live(request)),
            "DescribeTimeToLive" => call(body, |request| database.describe_time_to_live(request)),
            "ListStreams" => call(body, |request| database.list_streams(request)),
            "DescribeStream" => call(body, |request| database.describe_stream(request)),
            "GetShardIterator" => call(body, |request| database.get_shard_iterator(request)),
            "GetRecords" => call(body, |request| database.get_records(request)),
            _ => Err(CallRefusal::UnknownOperation),
        }
    }

    /// Makes a transaction, unless one with the same request token has been made.
    fn transact(&self, body: &[u8]) -> Result<String> {
        let body: Value = serde_json::from_slice(body).map_err(unreadable)?;
        let parameters = ParametersHash::of(&body["TransactItems"]);
        let mut request: TransactWriteItemsRequest =
            serde_json::from_value(body).map_err(unreadable)?;
        let Some(token) = request.client_request_token.take() else {
            return written(&self.database.transact_write_items(request)?);
        };
        check_token(&token)?;
        match self.tokens.claim(&token, parameters, Instant::now()) {
            KnownTransaction::New(claim) => {
                let response = self.database.transact_write_items(request)?;
                claim.complete(Instant::now());
                written(&response)
            }
            KnownTransaction::Completed => written(&self.repeated(request)?),
            KnownTransaction::Running => Err(CallRefusal::TransactionInProgress),
            KnownTransaction::Different => {
                let text = "The token was used with other parameters";
                Err(DynoxideError::IdempotentParameterMismatchException(text.to_owned()).into())
            }
        }
    }

    /// The answer for a transaction that has been made already. Nothing is written, and it costs as
    /// much as reading the items, as DynamoDB documents it.
    fn repeated(&self, request: TransactWriteItemsRequest) -> Result<TransactWriteItemsResponse> {
        let reads = request
            .transact_items
            .into_iter()
            .map(|step| self.read(step));
        let answer = self.database.transact_get_items(TransactGetItemsRequest {
            transact_items: reads.collect::<Result<_>>()?,
            return_consumed_capacity: request.return_consumed_capacity,
        })?;
        Ok(TransactWriteItemsResponse {
            consumed_capacity: answer.consumed_capacity,
            item_collection_metrics: None,
        })
    }

    /// The read of the item of one step of a transaction.
    fn read(&self, step: TransactWriteItem) -> Result<TransactGetItem> {
        let (table_name, key) = match step {
            TransactWriteItem { put: Some(put), .. } => {
                let mut item = put.item;
                let names = self.key_of(&put.table_name)?;
                item.retain(|name, _| names.contains(name));
                (put.table_name, item)
            }
            TransactWriteItem {
                update: Some(update),
                ..
            } => (update.table_name, update.key),
            TransactWriteItem {
                delete: Some(delete),
                ..
            } => (delete.table_name, delete.key),
            TransactWriteItem {
                condition_check: Some(check),
                ..
            } => (check.table_name, check.key),
            _ => {
                let text = "A step of a transaction does nothing";
                return Err(DynoxideError::ValidationException(text.to_owned()).into());
            }
        };
        let get = TransactGet {
            table_name,
            key,
            ..TransactGet::default()
        };
        Ok(TransactGetItem { get })
    }

    /// The names of the attributes that are the key of a table.
    fn key_of(&self, table: &str) -> Result<Vec<String>> {
        let table_name = table.to_owned();
        let described = self.database.describe_table(
            dynoxide::actions::describe_table::DescribeTableRequest { table_name },
        )?;
        let schema = described.table.key_schema;
        Ok(schema.into_iter().map(|part| part.attribute_name).collect())
    }
}

impl From<DynoxideError> for CallRefusal {
    fn from(error: DynoxideError) -> Self {
        Self::Database(error)
    }
}

impl From<CallRefusal> for Reply {
    fn from(refusal: CallRefusal) -> Self {
        match refusal {
            CallRefusal::Database(error) => Self {
                status: error.status_code(),
                body: error.to_json(),
            },
            CallRefusal::UnknownOperation => {
                let kind = "com.amazon.coral.service#UnknownOperationException";
                Self::refusal(400, kind, "The operation is not offered here")
            }
            CallRefusal::TransactionInProgress => {
                let kind = "com.amazonaws.dynamodb.v20120810#TransactionInProgressException";
                Self::refusal(400, kind, "The transaction with this token is in progress")
            }
        }
    }
}

impl Reply {
    /// A refusal in DynamoDB's form.
    pub(super) fn refusal(status: u16, kind: &str, message: &str) -> Self {
        let body = json!({"__type": kind, "message": message}).to_string();
        Self { status, body }
    }
}

/// Reads the request, makes the call and writes the answer.
fn call<Q, A>(body: &[u8], make: impl FnOnce(Q) -> dynoxide::Result<A>) -> Result<String>
where
    Q: DeserializeOwned,
    A: Serialize,
{
    let request = serde_json::from_slice(body).map_err(unreadable)?;
    written(&make(request)?)
}

fn written<A: Serialize>(answer: &A) -> Result<String> {
    let text = serde_json::to_string(answer);
    text.map_err(|error| DynoxideError::InternalServerError(error.to_string()).into())
}

/// The refusal of a body that is no request of its operation. The messages of dynoxide's own checks
/// begin with the name of the error that DynamoDB would answer with.
#[expect(
    clippy::needless_pass_by_value,
    reason = "`map_err` passes the error by value"
)]
fn unreadable(error: serde_json::Error) -> CallRefusal {
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or_default();
    let refusal = match text.split_once(':') {
        Some((mark, message)) if mark.starts_with("VALIDATION") => {
            DynoxideError::ValidationException(message.to_owned())
        }
        Some((mark, message)) if mark.starts_with("SERIALIZATION") => {
            DynoxideError::SerializationException(message.to_owned())
        }
        _ => DynoxideError::SerializationException(text.to_owned()),
    };
    refusal.into()
}

fn check_token(token: &str) -> Result<()> {
    if (1..=MAX_TOKEN_CHARACTERS).contains(&token.len()) {
        return Ok(());
    }
    let text = format!("ClientRequestToken has 1 to {MAX_TOKEN_CHARACTERS} characters");
    Err(DynoxideError::ValidationException(text).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine() -> Engine {
        let engine = Engine::new(Database::memory().unwrap());
        let table = json!({
            "TableName": "scim",
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
            "AttributeDefinitions": [
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "sk", "AttributeType": "S"},
            ],
        });
        assert_eq!(ask(&engine, "CreateTable", &table).0, 200);
        engine
    }

    fn ask(engine: &Engine, operation: &str, body: &Value) -> (u16, Value) {
        let reply = engine.answer(operation, body.to_string().as_bytes());
        (reply.status, serde_json::from_str(&reply.body).unwrap())
    }

    /// Adds one to a counter, puts an item of some 6,000 bytes, checks and deletes.
    fn transaction(token: &str) -> Value {
        let key = |sk: &str| json!({"pk": {"S": "a"}, "sk": {"S": sk}});
        let mut item = key("put");
        item["body"] = json!({"S": "x".repeat(6_000)});
        json!({
            "ClientRequestToken": token,
            "ReturnConsumedCapacity": "TOTAL",
            "TransactItems": [
                {"Update": {"TableName": "scim", "Key": key("count"), "UpdateExpression": "ADD n :one",
                            "ExpressionAttributeValues": {":one": {"N": "1"}}}},
                {"Put": {"TableName": "scim", "Item": item}},
                {"ConditionCheck": {"TableName": "scim", "Key": key("check"),
                                    "ConditionExpression": "attribute_not_exists(pk)"}},
                {"Delete": {"TableName": "scim", "Key": key("delete")}},
            ],
        })
    }

    fn count(engine: &Engine) -> Value {
        let key = json!({"pk": {"S": "a"}, "sk": {"S": "count"}});
        let get = json!({"TableName": "scim", "Key": key, "ConsistentRead": true});
        ask(engine, "GetItem", &get).1["Item"]["n"]["N"].take()
    }

    #[test]
    fn a_transaction_that_is_sent_again_is_not_made_again() {
        let engine = engine();
        let (status, first) = ask(&engine, "TransactWriteItems", &transaction("token"));
        assert_eq!(status, 200, "{first}");
        assert_eq!(first["ConsumedCapacity"][0]["CapacityUnits"], 18.0);
        let (status, again) = ask(&engine, "TransactWriteItems", &transaction("token"));
        assert_eq!(status, 200, "{again}");
        // A transactional read costs two units for each 4 KB of each item.
        assert_eq!(again["ConsumedCapacity"][0]["CapacityUnits"], 10.0);
        assert_eq!(count(&engine), "1");
        ask(&engine, "TransactWriteItems", &transaction("another"));
        assert_eq!(count(&engine), "2");
    }

    #[test]
    fn a_token_with_other_parameters_is_refused() {
        let engine = engine();
        ask(&engine, "TransactWriteItems", &transaction("token"));
        let mut other = transaction("token");
        other["TransactItems"][0]["Update"]["ExpressionAttributeValues"][":one"]["N"] = "2".into();
        let (status, refused) = ask(&engine, "TransactWriteItems", &other);
        let kind = refused["__type"].as_str().unwrap();
        assert_eq!(status, 400, "{refused}");
        assert!(
            kind.ends_with("IdempotentParameterMismatchException"),
            "{kind}"
        );
        assert_eq!(count(&engine), "1");
        // Whether the capacity is reported is no parameter of the transaction.
        let mut silent = transaction("token");
        silent["ReturnConsumedCapacity"] = "NONE".into();
        assert_eq!(
            ask(&engine, "TransactWriteItems", &silent),
            (200, json!({}))
        );
    }

    #[test]
    fn the_token_of_a_refused_transaction_can_be_used_again() {
        let engine = engine();
        let key = json!({"pk": {"S": "a"}, "sk": {"S": "check"}});
        let put = json!({"TableName": "scim", "Item": key});
        ask(&engine, "PutItem", &put);
        assert_eq!(
            ask(&engine, "TransactWriteItems", &transaction("token")).0,
            400
        );
        let delete = json!({"TableName": "scim", "Key": key});
        ask(&engine, "DeleteItem", &delete);
        assert_eq!(
            ask(&engine, "TransactWriteItems", &transaction("token")).0,
            200
        );
        assert_eq!(count(&engine), "1");
    }

    #[test]
    fn a_call_that_cannot_be_made_is_refused_in_dynamodbs_form() {
        fn check(operation: &str, body: &str, kind: &str) {
            let reply = engine().answer(operation, body.as_bytes());
            let answer: Value = serde_json::from_str(&reply.body).unwrap();
            assert_eq!(reply.status, 400, "{answer}");
            let found = answer["__type"].as_str().unwrap();
            assert!(found.ends_with(kind), "{operation} {body}: {answer}");
            let message = answer["message"].as_str().or(answer["Message"].as_str());
            let message = message.unwrap();
            assert!(!message.contains("VALIDATION"), "{message}");
        }
        let long = transaction(&"x".repeat(37)).to_string();
        check("TransactWriteItems", &long, "ValidationException");
        check(
            "TransactWriteItems",
            &transaction("").to_string(),
            "ValidationException",
        );
        check("TransactWriteItems", "{}", "SerializationException");
        check("DescribeTable", "{}", "ValidationException");
        check("GetItem", "not JSON", "SerializationException");
        check("GetItem", &"[".repeat(100_000), "SerializationException");
        check("", "{}", "UnknownOperationException");
        check("ExecuteStatement", "{}", "UnknownOperationException");
    }
}
