#!/usr/bin/env python3
"""Prints the most memory that `scim serve` had resident for one request whose body holds many objects.

    cargo build --release --features cli --bin scim
    python3 benches/body_memory.py

Each row is one request to a new server on a table in memory. The objects stand in a member that no
schema has, 25 in each other: nothing takes more memory for its bytes. `--record` keeps the figures for
`plots.py`.
"""

import argparse
import json
import pathlib

from record import Record
from service import serve

LEVELS = 25
PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scim", default="target/release/scim")
    parser.add_argument("--record", action="store_true", help="keep the figures of this run")
    arguments = parser.parse_args()
    record = Record("body_memory", "request", "objects", "body_bytes", "status", "mb_before", "mb_at_most")
    print("| request | objects | body, bytes | status | MB before | MB at most |")
    print("|---|---|---|---|---|---|")
    for objects in (99_000, 800_000):
        for base, method in (("/scim/v2", "PUT"), ("/scim/v2", "PATCH"), ("/v2/demo/scim", "PUT")):
            row(arguments.scim, objects, base, method, record)
    if arguments.record:
        record.write()


def row(scim, objects, base, method, record):
    with serve(scim, ":memory:") as (server, _):
        connection = server.connect()
        _, _, text = server.send(connection, "POST", "/Users", {"userName": "ada@example.com"})
        path = f"{base}/Users/{json.loads(text)['id']}"
        body = body_of(method, objects)
        before = most_mb(server.pid)
        connection.request(method, path, body, server.headers | {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        name, megabytes = f"{method} {base}/Users/…", [f"{before:.0f}", f"{most_mb(server.pid):.0f}"]
        print(f"| {name} | {objects:,} | {len(body):,} | {answer.status} | {' | '.join(megabytes)} |", flush=True)
        record.add(name, objects, len(body), answer.status, *megabytes)


def body_of(method, objects):
    one = "0"
    for _ in range(LEVELS):
        one = '{"":' + one + "}"
    emails = '[{"value":"ada@example.com","x":[' + ",".join([one] * (objects // LEVELS)) + "]}]"
    if method == "PUT":
        return f'{{"userName":"ada@example.com","emails":{emails}}}'
    operation = f'{{"op":"add","path":"emails","value":{emails}}}'
    return f'{{"schemas":["{PATCH_OP}"],"Operations":[{operation}]}}'


def most_mb(pid):
    """The most memory that the process had resident so far."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
