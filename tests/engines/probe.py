#!/usr/bin/env python3
"""Prints how a DynamoDB engine behaves where engines are known to differ.

    python3 tests/engines/probe.py http://127.0.0.1:8000

It needs boto3, makes a table called `probe` and deletes it at the end. Credentials are those of the
environment, or made up. `docs/engines.md` holds what it printed for some engines.
"""

import concurrent.futures
import os
import sys
import time
import uuid

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

TABLE = "probe"
PROBES = []


def main():
    client = connect(sys.argv[1])
    make_table(client)
    try:
        for probe in PROBES:
            print(f"{probe.__doc__}: {outcome(probe, client)}", flush=True)
    finally:
        client.delete_table(TableName=TABLE)


def connect(endpoint, key=None):
    os.environ.setdefault("AWS_ACCESS_KEY_ID", "probe")
    os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "probe")
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    config = Config(retries={"total_max_attempts": 1}, parameter_validation=False)
    other = {"aws_access_key_id": key, "aws_secret_access_key": "another"} if key else {}
    return boto3.client("dynamodb", endpoint_url=endpoint, config=config, **other)


def make_table(client):
    client.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )


def outcome(probe, client):
    """The result of a probe, or its error."""
    try:
        return probe(client)
    except ClientError as error:
        reasons = error.response.get("CancellationReasons", [])
        codes = ",".join(reason.get("Code", "-") for reason in reasons[:3])
        return f"{error.response['Error']['Code']}{' ' + codes if codes else ''}: {error.response['Error']['Message'][:90]}"
    except BotoCoreError as error:
        return type(error).__name__


def probe(function):
    PROBES.append(function)
    return function


def key(pk, sk="a"):
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def put(pk, sk="a", size=0):
    return {"Put": {"TableName": TABLE, "Item": {**key(pk, sk), "body": {"S": "x" * size}}}}


def units(answer):
    consumed = answer.get("ConsumedCapacity")
    consumed = consumed if isinstance(consumed, list) else [consumed] if consumed else []
    return sum(table.get("CapacityUnits", 0) for table in consumed) if consumed else "none reported"


def transact(client, *steps, **arguments):
    return client.transact_write_items(TransactItems=list(steps), ReturnConsumedCapacity="TOTAL", **arguments)


@probe
def transaction_units(client):
    """Units of a transaction that puts 2.5 KB"""
    return units(transact(client, put("units", size=2_500)))


@probe
def put_units(client):
    """Units of a put of 2.5 KB outside of transactions"""
    item = put("units", "b", 2_500)["Put"]["Item"]
    return units(client.put_item(TableName=TABLE, Item=item, ReturnConsumedCapacity="TOTAL"))


@probe
def query_units(client):
    """Units of a consistent query of 10 items of 1.5 KB"""
    for number in range(10):
        client.put_item(TableName=TABLE, Item=put("query", str(number), 1_500)["Put"]["Item"])
    return units(query(client, "query", ReturnConsumedCapacity="TOTAL"))


def query(client, pk, **arguments):
    return client.query(
        TableName=TABLE,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": pk}},
        ConsistentRead=True,
        **arguments,
    )


@probe
def missing_units(client):
    """Units of a consistent read of an item that does not exist"""
    get = client.get_item(TableName=TABLE, Key=key("no"), ConsistentRead=True, ReturnConsumedCapacity="TOTAL")
    return units(get)


@probe
def repeated_token(client):
    """A transaction that adds one, sent twice with one token: count, units of the second"""
    update = {"TableName": TABLE, "Key": key("token"), "UpdateExpression": "ADD n :one",
              "ExpressionAttributeValues": {":one": {"N": "1"}}}
    token = str(uuid.uuid4())
    transact(client, {"Update": update}, ClientRequestToken=token)
    again = transact(client, {"Update": update}, ClientRequestToken=token)
    count = client.get_item(TableName=TABLE, Key=key("token"), ConsistentRead=True)["Item"]["n"]["N"]
    return f"{count}, {units(again)}"


@probe
def other_parameters(client):
    """The same token with another transaction"""
    token = str(uuid.uuid4())
    transact(client, put("one"), ClientRequestToken=token)
    transact(client, put("other"), ClientRequestToken=token)
    return "taken"


@probe
def refusing_item(client):
    """The item that refused a transaction, asked for with ALL_OLD"""
    client.put_item(TableName=TABLE, Item=key("held"))
    step = put("held")
    step["Put"] |= {"ConditionExpression": "attribute_not_exists(pk)", "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    try:
        transact(client, put("free"), step)
    except ClientError as error:
        reasons = error.response["CancellationReasons"]
        return "in the reason" if reasons[1].get("Item") == key("held") else f"not in {reasons}"
    return "not refused"


@probe
def two_steps(client):
    """Two steps of a transaction for one item"""
    transact(client, put("twice"), put("twice"))
    return "taken"


@probe
def many_steps(client):
    """101 steps in a transaction"""
    transact(client, *(put("many", str(number)) for number in range(101)))
    return "taken"


@probe
def large_transaction(client):
    """A transaction of 5 MB, where 4 MB are allowed"""
    transact(client, *(put("large", str(number), 250_000) for number in range(20)))
    return "taken"


@probe
def large_item(client):
    """An item over 400 KB by put"""
    client.put_item(TableName=TABLE, Item=put("large", size=420_000)["Put"]["Item"])
    return "taken"


@probe
def large_item_in_transaction(client):
    """An item over 400 KB in a transaction"""
    transact(client, put("large", size=420_000))
    return "taken"


@probe
def grown_item(client):
    """An item that an update makes larger than 400 KB"""
    client.put_item(TableName=TABLE, Item=put("grown", size=390_000)["Put"]["Item"])
    client.update_item(TableName=TABLE, Key=key("grown"), UpdateExpression="SET more = :m",
                       ExpressionAttributeValues={":m": {"S": "x" * 30_000}})
    return "taken"


@probe
def long_sort_key(client):
    """A sort key of 1,025 bytes"""
    client.put_item(TableName=TABLE, Item=key("key", "x" * 1_025))
    return "taken"


@probe
def empty_sort_key(client):
    """An empty sort key"""
    client.put_item(TableName=TABLE, Item=key("key", ""))
    return "taken"


@probe
def order(client):
    """Order of the sort keys Z, a, é, ｚ (U+FF5A), 𝄞 (U+1D11E)"""
    for name in "Zaé\uff5a\U0001d11e":
        client.put_item(TableName=TABLE, Item=key("order", name))
    return " ".join(item["sk"]["S"] for item in query(client, "order")["Items"])


@probe
def page_end(client):
    """Bytes of a page of a query of 3 MB"""
    for number in range(10):
        client.put_item(TableName=TABLE, Item=put("page", str(number), 300_000)["Put"]["Item"])
    page = query(client, "page")
    return sum(len(item["body"]["S"]) for item in page["Items"])


@probe
def batch_duplicates(client):
    """One key twice in a batch write"""
    request = {"PutRequest": {"Item": key("batch")}}
    client.batch_write_item(RequestItems={TABLE: [request, request]})
    return "taken"


@probe
def large_batch(client):
    """101 keys in a batch read"""
    keys = [key("batch", str(number)) for number in range(101)]
    client.batch_get_item(RequestItems={TABLE: {"Keys": keys}})
    return "taken"


@probe
def unused_value(client):
    """A value that no expression uses"""
    client.put_item(TableName=TABLE, Item=key("unused"), ConditionExpression="attribute_not_exists(pk)",
                    ExpressionAttributeValues={":unused": {"S": "x"}})
    return "taken"


@probe
def any_access_key(client):
    """A call with another access key id"""
    connect(client.meta.endpoint_url, "another").list_tables()
    return "answered"


@probe
def parallel_adds(client):
    """200 transactions of 8 clients that add one to the same item: done, conflicts, count"""
    conflicts = []

    def add(_):
        step = {"Update": {"TableName": TABLE, "Key": key("busy"), "UpdateExpression": "ADD n :one",
                           "ExpressionAttributeValues": {":one": {"N": "1"}}}}
        try:
            transact(client, step)
        except ClientError as error:
            conflicts.append(error.response["Error"]["Code"])

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(200)))
    count = client.get_item(TableName=TABLE, Key=key("busy"), ConsistentRead=True)["Item"]["n"]["N"]
    return f"{200 - len(conflicts)}, {len(conflicts)}, {count}"


@probe
def growth(client):
    """Time of 50 transactions with 2,000 more items, as a multiple of the time before"""

    def fifty(name):
        begun = time.perf_counter()
        for number in range(50):
            transact(client, put(f"{name}-{number}", size=1_000))
        return time.perf_counter() - begun

    fifty("warm-up")
    before = fifty("before")
    for number in range(0, 2_000, 25):
        requests = [{"PutRequest": {"Item": put(f"more-{number + n}", size=1_000)["Put"]["Item"]}} for n in range(25)]
        client.batch_write_item(RequestItems={TABLE: requests})
    return f"{fifty('after') / before:.1f}"


if __name__ == "__main__":
    main()
