#!/usr/bin/env python3
"""Plays the same load to `scim serve` and to other SCIM servers, and prints their CPU time as ratios.

    cargo build --release --features cli --bin scim
    python3 -m venv target/peers && target/peers/bin/pip install -r benches/peers/requirements.txt
    npm install --prefix target/peers-npm scimmy scimmy-routers express
    python3 benches/peers/run.py --users 1000 10000

The others keep everything in memory and write nothing to disk; our time is that of the whole process,
the embedded table included.
"""

import argparse
import contextlib
import itertools
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import load
from load import measure, new_user, patch, query
from record import Record

TOKEN = "token"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scim", default="target/release/scim")
    parser.add_argument("--python", default="target/peers/bin/scim2-server")
    parser.add_argument("--npm", default="target/peers-npm")
    parser.add_argument("--users", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--record", action="store_true", help="keep the figures of this run for plots.py")
    arguments = parser.parse_args()
    servers = {
        "scim serve": lambda: ours(arguments.scim),
        "scim2-server": lambda: scim2_server(arguments.python),
        "scimmy": lambda: scimmy(arguments.npm),
    }
    columns = ["scim_serve", "scim2_server", "scim2_server_ratio", "scimmy", "scimmy_ratio"]
    record = Record("peers", "operation", "users", *columns)
    for users in arguments.users:
        results = {}
        for name, start in servers.items():
            with start() as server:
                results[name] = run(server, users)
        print(f"\n### {users:,} users: server CPU ms per request\n")
        print("| operation | " + " | ".join(servers) + " | ratios |")
        print("|---" * (len(servers) + 2) + "|")
        for operation, own in results["scim serve"].items():
            times = [results[name].get(operation) for name in servers]
            shown = ["–" if spent is None else f"{spent:.2f}" for spent in times]
            ratios = ["–" if spent is None else f"{spent / own:.1f}×" for spent in times[1:]]
            print(f"| {operation} | " + " | ".join(shown) + " | " + ", ".join(ratios) + " |", flush=True)
            pairs = [cell.strip("–×") for pair in zip(shown[1:], ratios) for cell in pair]
            record.add(operation, users, shown[0], *pairs)
    if arguments.record:
        record.write()


def run(server, users):
    """CPU milliseconds of each operation, in a directory that has this number of users."""
    spent = {}

    def note(name, requests, seconds=8):
        try:
            result = measure(server, requests, seconds)
        except AssertionError as refused:
            print(f"{name}: {refused}", file=sys.stderr)
            return
        spent[name] = result.service_ms + result.table_ms

    creations = [("POST", "/Users", new_user(f"user.{n}")) for n in range(users)]
    measure(server, creations[:-200], 600)
    note("create user", creations[-200:])
    found = server.ask(query("/Users", count=200))["Resources"]
    every = lambda n: itertools.islice(itertools.cycle(found), n)
    note("get by id, with `groups`", [("GET", f"/Users/{user['id']}", None) for user in every(1000)])
    for attribute in ("userName", "externalId"):
        filters = (f'{attribute} eq "{user[attribute]}"' for user in every(1000))
        note(f"filter `{attribute} eq`", [("GET", query("/Users", filter=text), None) for text in filters])
    title = lambda n: {"op": "replace", "path": "title", "value": f"Title {n}"}
    note("PATCH", [("PATCH", f"/Users/{user['id']}", patch(title(n))) for n, user in enumerate(every(1000))])
    body = lambda n, user: {**user, "title": f"Role {n}"}
    note("PUT", [("PUT", f"/Users/{user['id']}", body(n, user)) for n, user in enumerate(every(1000))])
    rename = lambda n: {"op": "replace", "path": "userName", "value": f"renamed.{n}@example.com"}
    note("rename", [("PATCH", f"/Users/{user['id']}", patch(rename(n))) for n, user in enumerate(found)])
    note("list 100", [("GET", query("/Users", count=100), None)] * 100)
    note("list 100, second page", [("GET", query("/Users", count=100, startIndex=101), None)] * 100)
    note("delete user", [("DELETE", f"/Users/{user['id']}", None) for user in found])
    return spent


@contextlib.contextmanager
def started(command, environment=None):
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def ours(scim):
    data = tempfile.mkdtemp()
    command = [scim, "serve", "--json", "--listen", "127.0.0.1:0", "--data", data, "--set", "requestsPerSecond=0"]
    with started(command) as process:
        ready = json.loads(process.stdout.readline())
        yield load.Server(ready["baseUrl"], ready["token"], process.pid)
    shutil.rmtree(data)


@contextlib.contextmanager
def scim2_server(command):
    port = free_port()
    with started([command, "--port", str(port), "--bearer-token", TOKEN]) as process:
        wait_for(port)
        yield load.Server(f"http://127.0.0.1:{port}/v2", TOKEN, process.pid)


@contextlib.contextmanager
def scimmy(modules):
    port = free_port()
    # Modules are looked for beside the script.
    script = pathlib.Path(modules).resolve() / "scimmy-server.mjs"
    shutil.copy(HERE / "scimmy-server.mjs", script)
    with started(["node", str(script), str(port)], {**os.environ, "NODE_ENV": "production"}) as process:
        wait_for(port)
        yield load.Server(f"http://127.0.0.1:{port}/scim", TOKEN, process.pid)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(port):
    for _ in range(300):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.1)
    raise SystemExit(f"nothing listens on port {port}")


if __name__ == "__main__":
    main()
