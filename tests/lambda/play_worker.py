#!/usr/bin/env python3
"""Plays events through the functions of scim-worker, one function for each handler, under the emulator.

    play_worker.py --bootstrap PATH --services URL [--calls FILE] [--log FILE]

`--services` is the endpoint of an emulator of SQS, EventBridge and Secrets Manager; what the functions need there
is made. The table is the one that the environment names. `--calls` is where the calls that each function made are
written, for `.ci/role_calls.py`. The last line counts what was checked.
"""

import argparse
import collections
import contextlib
import copy
import json
import os
import pathlib
import socket
import sys
import time
from unittest import mock

import admin
import boto3
import emulator
from recorder import Recorder
from services import STACK, Services

EVENTS = pathlib.Path(__file__).parents[2] / "events"
TENANT = "acme"


def main():
    options = parse_options()
    failed = 0
    with contextlib.ExitStack() as opened:
        log = opened.enter_context(open(options.log, "wb")) if options.log else sys.stderr.buffer
        stage = Stage(options, log)
        opened.callback(stage.stop)
        for what, check in CHECKS.items():
            try:
                problem = check(stage)
            except (ValueError, LookupError) as error:
                # The function has not answered with JSON, or an item lacks something.
                problem = repr(error)
            if problem:
                failed += 1
                print(f"FAIL {what} | {problem}")
        if options.calls:
            calls = {handler: sorted(calls) for handler, calls in stage.calls.items()}
            pathlib.Path(options.calls).write_text(json.dumps(calls))
    print(f"worker-events: {len(CHECKS) - failed} passed, {failed} failed, 0 skipped")
    sys.exit(1 if failed else 0)


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bootstrap", metavar="PATH", required=True, help="the binary of scim-worker")
    parser.add_argument("--services", metavar="URL", required=True, help="SQS, EventBridge and Secrets Manager")
    parser.add_argument("--calls", metavar="FILE", help="where to write the calls that the functions made")
    parser.add_argument("--log", metavar="FILE", help="where the emulator and the functions log; default: stderr")
    return parser.parse_args()


class Stage:
    """What the functions meet: a table, the services, and between them and the functions a recorder."""

    def __init__(self, options, log):
        self.bootstrap, self.log = options.bootstrap, log
        self.services = Services(options.services)
        table = os.environ["AWS_ENDPOINT_URL_DYNAMODB"]
        others = dict.fromkeys(("sqs", "events", "secretsmanager"), options.services)
        self.recorder = Recorder({"dynamodb": table, **others})
        self.table = boto3.client("dynamodb", endpoint_url=table, region_name=os.environ["AWS_REGION"])
        self.calls = collections.defaultdict(set)
        self.printed = collections.defaultdict(bytes)
        self.records = 0
        environment = {"AWS_ENDPOINT_URL_DYNAMODB": self.recorder.url, **self.services.environment(self.recorder.url)}
        # They log all that they can, which has to be without secrets.
        os.environ |= {**environment, "SCIM_LOG": "debug"}
        # The table has its own secrets; the functions have those of the services.
        os.environ.pop("SCIM_SECRETS_FILE", None)

    def stop(self):
        self.recorder.stop()

    def play(self, handler, event, **changed):
        """What the function of this handler answers to an event, or prints if it does not start. An event in bytes
        is sent as it is."""
        payload = event if isinstance(event, bytes) else json.dumps(event).encode()
        before = len(self.printed[handler])
        with mock.patch.dict(os.environ, changed), self.running(handler) as url:
            answer = emulator.invoke(url, payload)
        return answer or self.printed[handler][before:]

    @contextlib.contextmanager
    def running(self, handler):
        """The URL at which the function of this handler is invoked."""
        self.recorder.calls = self.calls[handler]
        running = emulator.Emulator(self.bootstrap, self.log, handler)
        try:
            yield running.url
        finally:
            running.stop()
            self.printed[handler] += running.printed

    def create_users(self, count):
        """Has the reader of the stream read about so many new users; returns its answer."""
        sample_record = sample("stream-user.json")["Records"][0]
        records = []
        for _ in range(count):
            self.records += 1
            record = copy.deepcopy(sample_record)
            change = record["dynamodb"]
            record["eventID"] = f"{self.records:032x}"
            change["SequenceNumber"] = str(int(change["SequenceNumber"]) + self.records)
            change["ApproximateCreationDateTime"] = int(time.time())
            id = change["Keys"]["sk"]["S"][:-12] + f"{self.records:012}"
            text = json.dumps(change).replace(change["Keys"]["sk"]["S"], id)
            record["dynamodb"] = json.loads(text)
            records.append(record)
        return json.loads(self.play("stream", {"Records": records}))

    def deliver(self):
        """Has the deliverer handle one message; returns its answer."""
        return json.loads(self.play("deliver", sample("queue-deliver.json")))

    def items(self, partition):
        condition = {"KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": {":pk": {"S": partition}}}
        return self.table.query(TableName=os.environ["SCIM_TABLE"], ConsistentRead=True, **condition)["Items"]

    def put(self, item):
        self.table.put_item(TableName=os.environ["SCIM_TABLE"], Item=item)

    def remove(self, item):
        key = {name: item[name] for name in ("pk", "sk")}
        self.table.delete_item(TableName=os.environ["SCIM_TABLE"], Key=key)


DONE = {"batchItemFailures": []}


def failure(id):
    return {"batchItemFailures": [{"itemIdentifier": id}]}


def sample(name):
    return json.loads((EVENTS / name).read_text())


def unless(is_right, found):
    return None if is_right else f"found {found!r}"


def subscribes(stage):
    answer = stage.play("sweep", {})
    beats = [item for item in stage.items("S#H") if item["sk"]["S"] == "heartbeat"]
    receivers = [item["receiver"]["S"] for item in stage.items("S#B") if item["kind"]["S"] == "HB"]
    found = (answer, len(beats), receivers)
    return unless(found == (b"null", 1, ["eventBus"]), found)


def passes_on(stage):
    answer = json.loads(stage.play("stream", sample("stream-journal-entry.json")))
    if answer != DONE:
        return f"found {answer!r}"
    delayed, messages = stage.services.delayed("FinishQueue"), stage.services.receive("FinishQueue", wait_seconds=10)
    return unless((delayed, messages) == (1, [{"tenant": TENANT}]), (delayed, messages))


def begins_again(stage):
    event = sample("stream-journal-entry.json")
    queue = os.environ["SCIM_FINISH_QUEUE"] + "-of-another-stack"
    answer = json.loads(stage.play("stream", event, SCIM_FINISH_QUEUE=queue))
    stage.calls["stream"] -= {call for call in stage.calls["stream"] if call[1].endswith("-of-another-stack")}
    return unless(answer == failure(event["Records"][0]["dynamodb"]["SequenceNumber"]), answer)


def sets_aside(stage):
    event = sample("stream-user.json")
    change = event["Records"][0]["dynamodb"]
    change["NewImage"]["body"] = {"S": "{"}
    answer = json.loads(stage.play("stream", event))
    kept = stage.services.receive("SetAsideQueue")
    wanted = {name: change["Keys"][key]["S"] for name, key in (("partitionKey", "pk"), ("sortKey", "sk"))}
    wanted["sequenceNumber"] = change["SequenceNumber"]
    return unless((answer, kept) == (DONE, [wanted]), (answer, kept))


def calls_deliverer(stage):
    stage.services.receive("DeliverQueue")
    answer = stage.create_users(1)
    messages = stage.services.receive("DeliverQueue")
    return unless((answer, messages) == (DONE, [{"tenant": TENANT}]), (answer, messages))


def puts_on_bus(stage):
    answer = stage.deliver()
    events = stage.services.receive("OnBus")
    event = events[-1] if events else {}
    found = {name: event.get(name) for name in ("source", "detail-type")}
    found |= {name: event.get("detail", {}).get(name) for name in ("type", "tenant")}
    wanted = {"source": f"scim.{STACK}", "detail-type": "user.created", "type": "user.created", "tenant": TENANT}
    return unless((answer, found) == (DONE, wanted), (answer, events))


def puts_again(stage):
    """Every third entry is refused the first time, and all are refused the first time that they come alone."""
    refused = set()

    def refuse(entry):
        id = json.loads(entry["Detail"])["id"]
        if len(refused) < 8 and id not in refused and entry["DetailType"] == "user.created":
            refused.add(id)
            return "ThrottlingException"
        return None

    created = stage.create_users(25)
    stage.recorder.refuse = refuse
    answer = stage.deliver()
    stage.recorder.refuse = None
    numbers = [event["detail"]["seq"] for event in stage.services.receive("OnBus")]
    is_right = (created, answer, len(refused)) == (DONE, DONE, 8)
    is_right = is_right and len(numbers) == 25 and len(set(numbers)) == 25
    return unless(is_right, (created, answer, refused, numbers))


def waits_for_bus(stage):
    stage.create_users(1)
    stage.recorder.refuse = lambda _: "InternalFailure"
    answer = stage.deliver()
    stage.recorder.refuse = None
    waiting = [item for item in stage.items(f"T#{TENANT}#D") if "due" in item]
    due = stage.items("S#D")
    events = stage.services.receive("OnBus")
    is_right = answer == DONE and len(waiting) == 1 and due and not events
    return unless(is_right, (answer, waiting, due, events))


def sends_what_is_due(stage):
    """The bus has failed before, so the tenant is due. When its time has come, the sweep sends a job."""
    deadline = time.monotonic() + 60
    is_due = lambda: any(item["sk"]["S"].endswith(TENANT) for item in stage.items("S#D"))
    if not is_due():
        return "nothing is due"
    while is_due() and time.monotonic() < deadline:
        stage.services.receive("DeliverQueue")
        answer = stage.play("sweep", {})
    messages = stage.services.receive("DeliverQueue")
    delivered, events = stage.deliver(), stage.services.receive("OnBus")
    found = (answer, messages[:1], is_due(), delivered, len(events))
    return unless(found == (b"null", [{"tenant": TENANT}], False, DONE, 1), found)


def connects_to_no_local_webhook(stage):
    """A webhook whose name leads to this machine: nothing connects, and the delivery says why."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.1)
    id, url = "0123456789abcdef", f"https://localhost:{listener.getsockname()[1]}/hook"
    key = "whsec_" + "A" * 43 + "="
    secret = {"version": 1, "current": {"key": key, "made": 0, "request": "play"}}
    stage.services.secrets.create_secret(Name=f"{STACK}/webhooks/{id}", SecretString=json.dumps(secret))
    texts = {"pk": "S#B", "sk": id, "kind": "HB", "receiver": "webhook", "url": url, "from": "beginning",
             "state": "active"}
    item = {name: {"S": value} for name, value in texts.items()}
    stage.put({**item, "types": {"L": []}, "created": {"N": "0"}, "resumed": {"N": "0"}})
    answer = stage.deliver()
    with contextlib.closing(listener):
        try:
            listener.accept()
            return "the function has connected to this machine"
        except TimeoutError:
            pass
    [delivery] = [item for item in stage.items(f"T#{TENANT}#D") if item["sk"]["S"] == id] or [{}]
    code = delivery.get("code", {}).get("S")
    has_read = ("secretsmanager:GetSecretValue", f"{STACK}/webhooks/{id}") in stage.calls["deliver"]
    return unless((answer, code, has_read) == (DONE, "address", True), (answer, delivery, has_read))


def announces(stage):
    """A group whose members were put before it: the reader leaves them to the finisher. The message to the
    finisher is lost, so after five minutes the sweep sends another one. What the finisher says of the members is to
    be delivered."""
    user, group, made = sample("stream-user.json")["Records"][0]["dynamodb"]["NewImage"], "018e334d-guides", 1_710_270_238_000
    texts = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "id": group, "displayName": "Guides"}
    stage.put({"pk": {"S": "S#T"}, "sk": {"S": TENANT}, "kind": {"S": "HT"}})
    stage.put(user)
    stage.put({
        "pk": {"S": f"T#{TENANT}#M#{group}#f.set#0"}, "sk": user["sk"], "kind": {"S": "M"}, "type": {"S": "User"},
        "stamp": {"N": "1"},
    })
    item = {
        **user, "pk": {"S": f"T#{TENANT}#R#Group#0"}, "sk": {"S": group}, "body": {"S": json.dumps(texts)},
        "mv": {"N": "1"}, "ms": {"N": str(made)}, "set": {"S": "f.set"}, "n": {"N": "1"},
    }
    stage.put(item)
    event = sample("stream-user.json")
    record = event["Records"][0]
    record["eventID"] = "f" * 32
    record["dynamodb"] |= {
        "ApproximateCreationDateTime": int(time.time()) - 290, "NewImage": item,
        "Keys": {name: item[name] for name in ("pk", "sk")},
    }
    read = json.loads(stage.play("stream", event))
    stage.services.receive("FinishQueue")
    called, deadline = [], time.monotonic() + 60
    while not called and time.monotonic() < deadline:
        swept = stage.play("sweep", {})
        called = stage.services.receive("FinishQueue")
    stage.services.receive("DeliverQueue")
    finished = json.loads(stage.play("finish", sample("queue-finish.json")))
    messages = stage.services.receive("DeliverQueue")
    wanted = [{"tenant": TENANT}]
    found = (read, swept, called, finished, messages)
    return unless(found == (DONE, b"null", wanted, DONE, wanted), found)


def gives_back(handler, name):
    def check(stage):
        event = sample(name)
        event["Records"][0]["body"] = "{}"
        answer = json.loads(stage.play(handler, event))
        return unless(answer == failure(event["Records"][0]["messageId"]), answer)

    return check


def comes_again(stage):
    """The table cannot be read: the message is not lost."""
    event = sample("queue-deliver.json")
    answer = json.loads(stage.play("deliver", event, SCIM_TABLE="no-such-table"))
    return unless(answer == failure(event["Records"][0]["messageId"]), answer)


def refuses(stage):
    found = stage.play("nonsense", {})
    return unless(b"scim-worker has no handler" in found, found[-300:])


CHECKS = {
    "the sweep writes the heartbeat and subscribes the event bus": subscribes,
    "a journal entry of the stream goes to the finisher": passes_on,
    "a stream without its queue begins again at the record": begins_again,
    "a record that cannot be read is set aside": sets_aside,
    "a tenant with new events goes to the deliverer": calls_deliverer,
    "the deliverer puts events on the bus": puts_on_bus,
    "entries that the bus refuses are put again": puts_again,
    "a bus that accepts nothing is tried again later": waits_for_bus,
    "the sweep sends what is due to the deliverer": sends_what_is_due,
    "a webhook on this machine is not called": connects_to_no_local_webhook,
    "the finisher announces members, and they are delivered": announces,
    "the finisher gives back a message that names no tenant": gives_back("finish", "queue-finish.json"),
    "the deliverer gives back a message that names no tenant": gives_back("deliver", "queue-deliver.json"),
    "a message comes again if the table cannot be read": comes_again,
    **admin.CHECKS,
    "a handler that does not exist is named": refuses,
}

if __name__ == "__main__":
    main()
