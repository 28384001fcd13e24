#!/usr/bin/env python3
"""Follows the feed of one tenant while clients write, and prints how late and how fast its events come.

    cargo build --release --features cli --bin scim
    python3 benches/feed.py

First a client sends a steady number of changes a second, and the lag is the time from the answer to a change
until a reader of `GET /events` has its event; the reader asks every 5 ms. Then clients write as fast as they
can, and the events a second are those of the whole time until the reader has the last one. `--record` keeps
the figures for `plots.py`.
"""

import argparse
import contextlib
import http.client
import itertools
import json
import pathlib
import tempfile
import threading
import time
import urllib.parse

from load import new_user, patch
from record import Record
from service import serve

USERS = 20
POLL_SECONDS = 0.005
LONGEST_LAG_SECONDS = 60


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scim", default="target/release/scim")
    parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path("target"))
    parser.add_argument("--rate", type=int, default=100, help="changes a second for the lag")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--record", action="store_true", help="keep the figures of this run")
    arguments = parser.parse_args()
    record = Record("feed", "what", "figure")

    def report(what, figure):
        print(f"| {what} | {figure} |", flush=True)
        record.add(what, figure)

    with started(arguments.scim, arguments.data) as (server, _):
        users = [create(server, number) for number in range(USERS)]
        lags = [lag for _, lag in steady(server, users, Reader(server), arguments.rate, arguments.seconds)]
        report(f"lag at {arguments.rate} changes a second, p50, ms", milliseconds(lags, 0.5))
        report("the same, p99, ms", milliseconds(lags, 0.99))
        written, seen = flat_out(server, users, arguments.clients, arguments.seconds)
        report(f"changes a second that {arguments.clients} clients make", f"{written:.0f}")
        report("events a second, to the end of the feed", f"{seen:.0f}")
    if arguments.record:
        record.write()


@contextlib.contextmanager
def started(scim, data, *options):
    """A running server on a directory of its own, and the directory."""
    with tempfile.TemporaryDirectory(dir=data) as folder, serve(scim, folder, *options) as (server, _):
        yield server, folder


def milliseconds(lags, share):
    """The lag that this share of them does not exceed, as text."""
    return f"{sorted(lags)[int(share * (len(lags) - 1))] * 1000:.0f}"


def create(server, number):
    connection = server.connect()
    status, _, text = server.send(connection, "POST", "/Users", new_user(f"user.{number}"))
    connection.close()
    assert status == 201, text[:500]
    return json.loads(text)["id"]


def change(server, connection, user, number):
    """One change of a user; returns the version that the answer shows."""
    operation = {"op": "replace", "path": "title", "value": f"Guide {number}"}
    status, headers, text = server.send(connection, "PATCH", f"/Users/{user}", patch(operation))
    assert status == 200, text[:500]
    return headers["ETag"].removeprefix("W/").strip('"').split("-")[0]


def versions(events, name):
    """The user and the version of each event whose type has this name."""
    return [(event["resource"]["id"], str(event["resource"]["version"])) for event in events if event["type"] == name]


class Reader:
    """Follows the feed on a thread of its own, and notes when each version of each user comes."""

    def __init__(self, server, name="user.updated"):
        self.server, self.name, self.seen, self.is_over = server, name, {}, False
        self.connection = http.client.HTTPConnection(server.host, timeout=300)
        self.position = self.ask("now")["next"]
        self.thread = threading.Thread(target=self._follow)
        self.thread.start()

    def ask(self, after):
        path = "/events?" + urllib.parse.urlencode({"after": after, "limit": 1000})
        self.connection.request("GET", path, headers=self.server.headers)
        answer = self.connection.getresponse()
        text = answer.read()
        assert answer.status == 200, text[:500]
        return json.loads(text)

    def _follow(self):
        while True:
            is_over = self.is_over
            page = self.ask(self.position)
            self.position, now = page["next"], time.perf_counter()
            self.seen.update(dict.fromkeys(versions(page["events"], self.name), now))
            if not page["events"]:
                if is_over:
                    return
                time.sleep(POLL_SECONDS)

    def wait_for(self, expected):
        """Until every change has come."""
        end = time.perf_counter() + LONGEST_LAG_SECONDS
        while not expected <= self.seen.keys():
            assert time.perf_counter() < end, "an event does not come"
            time.sleep(POLL_SECONDS)
        self.is_over = True
        self.thread.join()


def steady(server, users, reader, rate, seconds):
    """Makes changes at a steady rate; returns when each was answered, and its lag until the reader had it."""
    answered = {}
    connection, begun = server.connect(), time.perf_counter()
    for number, user in zip(range(rate * seconds), itertools.cycle(users)):
        time.sleep(max(0, begun + number / rate - time.perf_counter()))
        version = change(server, connection, user, number)
        answered[user, version] = time.perf_counter()
    connection.close()
    reader.wait_for(answered.keys())
    return [(at, max(0, reader.seen[key] - at)) for key, at in answered.items()]


def write(server, users, clients, seconds):
    """Has clients change users as fast as they can; returns the number of changes and of seconds."""
    counts, end = [0] * clients, time.perf_counter() + seconds

    def work(client):
        connection = server.connect()
        mine = itertools.cycle(users[client::clients])
        while time.perf_counter() < end:
            change(server, connection, next(mine), f"{client} {counts[client]}")
            counts[client] += 1

    begun = time.perf_counter()
    threads = [threading.Thread(target=work, args=(client,)) for client in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts), time.perf_counter() - begun


def flat_out(server, users, clients, seconds):
    """Changes a second, and events a second until the feed has them all."""
    reader, begun = Reader(server), time.perf_counter()
    count, spent = write(server, users, clients, seconds)
    end = time.perf_counter() + LONGEST_LAG_SECONDS
    while len(reader.seen) < count:
        assert time.perf_counter() < end, "an event does not come"
        time.sleep(POLL_SECONDS)
    whole = time.perf_counter() - begun
    reader.is_over = True
    reader.thread.join()
    return count / spent, count / whole


if __name__ == "__main__":
    main()
