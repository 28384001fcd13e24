#!/usr/bin/env python3
"""Receives the webhooks of one tenant, and prints how fast they come and how late.

    pip install standardwebhooks
    cargo build --release --features cli --bin scim
    python3 benches/webhooks.py

First a webhook is added with `--from beginning` to a tenant that has many events, and the messages and events a
second are those from the first message to the last; the median of several webhooks, one after the other, is
shown. Then a client sends a steady number of changes a second, and the lag is the time from the answer to a
change until the receiver has the whole message with its event. Then the same is measured beside a second receiver
that accepts connections and never answers. Only the changes during the attempts to send to it count, not those
during the waits between attempts.

Every message is verified by its signature after the measurement. `--record` keeps the figures for `plots.py`.
"""

import argparse
import concurrent.futures
import contextlib
import http.server
import json
import pathlib
import socket
import statistics
import subprocess
import threading
import time

from standardwebhooks.webhooks import Webhook

from feed import LONGEST_LAG_SECONDS, USERS, Reader, create, milliseconds, started, steady, versions
from record import Record

TENANT = "demo"
CLIENTS = 4
# How long no message comes until a receiver looks at what it has. Doing so earlier would take time from the server.
QUIET_SECONDS = 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scim", default="target/release/scim")
    parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path("target"))
    parser.add_argument("--behind", type=int, default=10_000, help="events that a new webhook has to get")
    parser.add_argument("--rounds", type=int, default=5, help="webhooks that get them, one after the other")
    parser.add_argument("--rate", type=int, default=100, help="changes a second for the lag")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--record", action="store_true", help="keep the figures of this run")
    arguments = parser.parse_args()
    record = Record("webhooks", "what", "figure")

    def report(what, figure):
        print(f"| {what} | {figure} |", flush=True)
        record.add(what, figure)

    messages, events = catching_up(arguments)
    report(f"messages a second to a receiver that is {arguments.behind:,} events behind", f"{messages:.0f}")
    report("events a second in them", f"{events:.0f}")
    lags = lags_alone(arguments)
    report(f"lag at {arguments.rate} changes a second, p50, ms", milliseconds(lags, 0.5))
    report("the same, p99, ms", milliseconds(lags, 0.99))
    lags = lags_beside_hanging(arguments)
    report("lag while another receiver hangs, p50, ms", milliseconds(lags, 0.5))
    report("the same, p99, ms", milliseconds(lags, 0.99))
    if arguments.record:
        record.write()


class Receiver:
    """Notes when each message comes and answers at once. What is in them it reads later."""

    def __init__(self, name="user.updated"):
        self.name, self.messages, self.seen = name, [], {}
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.messages.append((time.perf_counter(), self.headers, body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/scim-events"
        self.thread = threading.Thread(target=self.server.serve_forever)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def wait_for(self, expected):
        """Until every change has come."""
        read, end = 0, time.perf_counter() + LONGEST_LAG_SECONDS
        while not expected <= self.seen.keys():
            count = None
            while count != len(self.messages):
                assert time.perf_counter() < end, "an event does not come"
                count = len(self.messages)
                time.sleep(QUIET_SECONDS)
            for at, _, body in self.messages[read:count]:
                for key in versions(events_of(body), self.name):
                    self.seen.setdefault(key, at)
            read = count

    def verify(self, secret):
        """Fails if a message is not signed with the secret."""
        for _, headers, body in self.messages:
            Webhook(secret).verify(body, headers)


def events_of(body):
    return json.loads(body)["data"]["events"]


def catching_up(arguments):
    """Messages and events a second to a new webhook of a tenant that has many events."""
    with started(arguments.scim, arguments.data) as (server, folder):
        reader = Reader(server, "user.created")
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
            users = list(pool.map(lambda number: create(server, number), range(arguments.behind)))
        created = {(user, "1") for user in users}
        reader.wait_for(created)
        rounds = [from_beginning(arguments.scim, folder, created) for _ in range(arguments.rounds)]
    return [statistics.median(rates) for rates in zip(*rounds)]


def from_beginning(scim, folder, expected):
    """Messages and events a second of one webhook that begins with the oldest event."""

    def command(*words):
        command = [scim, "webhook", *words, "--data", folder, "--json"]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    with Receiver("user.created") as receiver:
        added = command("add", receiver.url, "--tenant", TENANT, "--from", "beginning")
        receiver.wait_for(expected)
        receiver.verify(added["secret"])
        command("remove", added["id"])
    spent = receiver.messages[-1][0] - receiver.messages[0][0]
    counts = [len(events_of(body)) for _, _, body in receiver.messages[1:]]
    return len(counts) / spent, sum(counts) / spent


def lags_alone(arguments):
    """The lag of each change to the only receiver."""
    with Receiver() as receiver:
        return [lag for _, lag in lags_to(receiver, arguments)]


def lags_beside_hanging(arguments):
    """The lag of each change that was answered while another receiver hung."""
    with Receiver() as receiver, Hanging() as hanging:
        lags = lags_to(receiver, arguments, hanging.url)
    during = [lag for at, lag in lags if any(begin <= at < end for begin, end in hanging.attempts)]
    lengths = ", ".join(f"{end - begin:.1f}" for begin, end in hanging.attempts)
    print(f"{len(during):,} of {len(lags):,} changes were made during attempts of {lengths} s", flush=True)
    return during


def lags_to(receiver, arguments, *others):
    """When each change was answered, and its lag to the receiver, of whose events the others get all too."""
    options = [option for url in (receiver.url, *others) for option in ("--webhook", url)]
    with started(arguments.scim, arguments.data, *options) as (server, _):
        users = [create(server, number) for number in range(USERS)]
        lags = steady(server, users, receiver, arguments.rate, arguments.seconds)
        receiver.verify(server.secrets[receiver.url])
    return lags


class Hanging:
    """Accepts connections and never answers. Notes when each was accepted, and when the server gave it up."""

    def __init__(self):
        self.attempts = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/scim-events"
        self.thread = threading.Thread(target=self._hang)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()

    def _hang(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return  # It was shut down.
            begin = time.perf_counter()
            with connection, contextlib.suppress(ConnectionResetError):
                while connection.recv(65_536):
                    pass
            self.attempts.append((begin, time.perf_counter()))


if __name__ == "__main__":
    main()
