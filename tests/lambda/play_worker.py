#!/usr/bin/env python3
"""Plays events through the functions of scim-worker, one function for each handler, under the emulator.

    play_worker.py --bootstrap PATH --queues URL [--log FILE]

`--queues` is the endpoint of an SQS; the queues are made there. The table is the one that the
environment names. The last line counts what was checked.
"""

import argparse
import contextlib
import json
import os
import pathlib
import sys

import boto3
import emulator

EVENTS = pathlib.Path(__file__).parents[2] / "events"


def main():
    options = parse_options()
    queues = Queues(options.queues)
    os.environ |= queues.environment()
    checks = {
        "a journal entry of the stream goes to the finisher": lambda play: passes_on(play, queues),
        "a stream without its queue begins again at the record": lambda play: begins_again(play, queues),
        "the finisher finishes what a message names": finishes,
        "the finisher gives back a message that names no tenant": gives_back,
        "the sweep writes the heartbeat": sweeps,
        "a handler that does not exist is named": refuses,
    }
    failed = 0
    with contextlib.ExitStack() as opened:
        log = opened.enter_context(open(options.log, "wb")) if options.log else sys.stderr.buffer

        def play(handler, event, **changed):
            """What the function of this handler answers to an event, or prints if it does not start."""
            kept = {name: os.environ[name] for name in changed}
            os.environ.update(changed)
            running = emulator.Emulator(options.bootstrap, log, handler)
            try:
                return emulator.invoke(running.url, json.dumps(event).encode()) or running.printed
            finally:
                running.stop()
                os.environ.update(kept)

        for what, check in checks.items():
            problem = check(play)
            if problem:
                failed += 1
                print(f"FAIL {what} | {problem}")
    print(f"worker-events: {len(checks) - failed} passed, {failed} failed, 0 skipped")
    sys.exit(1 if failed else 0)


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bootstrap", metavar="PATH", required=True, help="the binary of scim-worker")
    parser.add_argument("--queues", metavar="URL", required=True, help="the endpoint of an SQS")
    parser.add_argument("--log", metavar="FILE", help="where the emulator and the functions log; default: stderr")
    return parser.parse_args()


class Queues:
    """The queues of a stack, at an endpoint that takes any credentials."""

    def __init__(self, endpoint):
        self.endpoint = endpoint
        self.client = boto3.client(
            "sqs", endpoint_url=endpoint, aws_access_key_id="test", aws_secret_access_key="test",
            region_name=os.environ["AWS_REGION"],
        )
        self.finish = self.client.create_queue(QueueName="finish")["QueueUrl"]
        self.set_aside = self.client.create_queue(QueueName="set-aside")["QueueUrl"]

    def environment(self):
        return {
            "AWS_ENDPOINT_URL_SQS": self.endpoint,
            "SCIM_FINISH_QUEUE": self.finish,
            "SCIM_SET_ASIDE_QUEUE": self.set_aside,
        }

    def delayed(self):
        """The number of messages that the finisher's queue still keeps back."""
        name = "ApproximateNumberOfMessagesDelayed"
        attributes = self.client.get_queue_attributes(QueueUrl=self.finish, AttributeNames=[name])
        return int(attributes["Attributes"][name])

    def receive(self):
        """The body of the next message of the finisher's queue, or None if none comes."""
        answer = self.client.receive_message(QueueUrl=self.finish, WaitTimeSeconds=10)
        for message in answer.get("Messages", []):
            self.client.delete_message(QueueUrl=self.finish, ReceiptHandle=message["ReceiptHandle"])
            return json.loads(message["Body"])


def sample(name):
    return json.loads((EVENTS / name).read_text())


def unless(is_right, found):
    return None if is_right else f"found {found!r}"


def passes_on(play, queues):
    answer = json.loads(play("stream", sample("stream-journal-entry.json")))
    if answer != {"batchItemFailures": []}:
        return f"found {answer!r}"
    delayed, message = queues.delayed(), queues.receive()
    return unless((delayed, message) == (1, {"tenant": "acme"}), (delayed, message))


def begins_again(play, queues):
    event = sample("stream-journal-entry.json")
    answer = json.loads(play("stream", event, SCIM_FINISH_QUEUE=queues.finish + "-of-another-stack"))
    sequence = event["Records"][0]["dynamodb"]["SequenceNumber"]
    return unless(answer == {"batchItemFailures": [{"itemIdentifier": sequence}]}, answer)


def finishes(play):
    answer = json.loads(play("finish", sample("queue-finish.json")))
    return unless(answer == {"batchItemFailures": []}, answer)


def gives_back(play):
    event = sample("queue-finish.json")
    event["Records"][0]["body"] = "{}"
    answer = json.loads(play("finish", event))
    wanted = {"batchItemFailures": [{"itemIdentifier": event["Records"][0]["messageId"]}]}
    return unless(answer == wanted, answer)


def sweeps(play):
    answer = play("sweep", {})
    table = boto3.client(
        "dynamodb", endpoint_url=os.environ["AWS_ENDPOINT_URL_DYNAMODB"], region_name=os.environ["AWS_REGION"]
    )
    key = {"pk": {"S": "S#H"}, "sk": {"S": "heartbeat"}}
    item = table.get_item(TableName=os.environ["SCIM_TABLE"], Key=key).get("Item", {})
    return unless(answer == b"null" and item.get("kind") == {"S": "H"}, (answer, item))


def refuses(play):
    found = play("nonsense", {})
    return unless(b"scim-worker has no handler" in found, found[-300:])


if __name__ == "__main__":
    main()
