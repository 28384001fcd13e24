#!/usr/bin/env python3
"""Runs `scim serve` on directories of several sizes and prints what each operation costs.

    cargo build --release --features cli --bin scim
    python3 benches/service.py --users 1000 10000 100000

Data is made under --data and kept, so that a second run finds it. `--record` keeps the figures for
`plots.py`. With `--against OLD_SCIM` each row is measured with both programs in turns, each on a copy of
the same directory, and the table shows the new program's time as a multiple of the old one's.
"""

import argparse
import contextlib
import itertools
import json
import pathlib
import shutil
import subprocess
import tempfile
import time

import load
from load import measure, new_user, patch, query
from record import Record

GIVEN = "ada alan amina barbara carlos chinua dorothy edsger farah grace".split()
FAMILY = "almeida bauer chen dubois eriksen fischer garcia haddad ivanova jensen".split()
LEAN = {"excludedAttributes": "groups"}
WHOLE = {"excludedAttributes": "members"}
FEW = {"attributes": "userName,name.familyName,emails"}
# With --against the requests of a row are sent in this many parts, to each program in turn.
PARTS = 6


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scim", default="target/release/scim")
    parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path("target/directories"))
    parser.add_argument("--users", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--requests", type=int, default=1_000)
    parser.add_argument("--against", metavar="OLD_SCIM", help="another program to compare with")
    parser.add_argument("--record", action="store_true", help="keep the figures of this run")
    arguments = parser.parse_args()
    columns = ["operation", "users", "calls", "rru", "wru", "service_ms", "table_ms", "p50_ms", "p99_ms"]
    record = Record("service", *columns)
    for users in arguments.users:
        data = arguments.data / str(users)
        generate(arguments.scim, data, users)
        if arguments.against:
            compare(arguments, data, users)
        else:
            report(arguments, data, users, record)
    if arguments.record and not arguments.against:
        record.write()


def report(arguments, data, users, record):
    """What each operation costs."""
    with serve(arguments.scim, data) as (server, started_ms):
        idle = server.resident_mb()
        print(f"\n### {users:,} users, and a group of {users:,} members\n")
        print(f"Ready after {started_ms:.0f} ms, {idle:.0f} MB resident.\n")
        print("| operation | calls | RRU | WRU | service CPU ms | table CPU ms | p50 ms | p99 ms |")
        print("|---|---|---|---|---|---|---|---|")
        for name, requests, limits in rows(server, arguments.requests):
            result = measure(server, requests, **limits)
            costs = [f"{cost:g}" for cost in (result.calls, result.reads, result.writes)]
            times = [f"{result.service_ms:.3f}", f"{result.table_ms:.3f}", f"{result.p50:.2f}", f"{result.p99:.2f}"]
            print(f"| {' | '.join([name, *costs, *times])} |", flush=True)
            record.add(name, users, *costs, *times)
        print(f"\nAfterwards {server.resident_mb():.0f} MB resident.", flush=True)


def compare(arguments, data, users):
    """The CPU time of the service as a multiple of that of another program."""
    with contextlib.ExitStack() as stack:
        copies = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(dir=arguments.data)))
        servers = []
        for name, scim in [("old", arguments.against), ("new", arguments.scim)]:
            shutil.copytree(data, copies / name)
            servers.append(stack.enter_context(serve(scim, copies / name))[0])
        print(f"\n### {users:,} users, and a group of {users:,} members\n")
        print("| operation | calls, RRU, WRU | old service CPU ms | new service CPU ms | ratio |")
        print("|---|---|---|---|---|")
        for (name, old, limits), (_, new, _) in zip(*(rows(server, arguments.requests) for server in servers)):
            halves = in_turns(servers, (old, new), limits)
            spent = [mean(half, "service_ms") for half in halves]
            costs = ["{:.4g}, {:.4g}, {:.4g}".format(*(mean(half, of) for of in ("calls", "reads", "writes"))) for half in halves]
            same = costs[0] if costs[0] == costs[1] else " and ".join(costs)
            print(f"| {name} | {same} | {spent[0]:.3f} | {spent[1]:.3f} | {spent[1] / spent[0]:.2f} |", flush=True)


def mean(results, of):
    """What one request of several results costs on average."""
    return sum(getattr(result, of) * result.count for result in results) / sum(result.count for result in results)


def in_turns(servers, requests, limits):
    """The results of the parts of a row, by server. Each goes first as often as the other."""
    results = ([], [])
    parts = [[list(all)[part::PARTS] for part in range(PARTS)] for all in requests]
    for part in range(PARTS):
        for server in (0, 1) if part % 2 == 0 else (1, 0):
            results[server].append(measure(servers[server], parts[server][part], **limits))
    return results


def generate(scim, data, users):
    """Makes the directory, unless it is there."""
    if data.exists():
        return
    command = [scim, "generate", "--users", users, "--group-members", users, "--data", data]
    print(subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout.strip())


@contextlib.contextmanager
def serve(scim, data, *options):
    """A running server, and how long it took to be ready."""
    begun = time.perf_counter()
    command = [scim, "serve", "--json", "--listen", "127.0.0.1:0", "--data", str(data)]
    # The clients of a benchmark send far more than one tenant may.
    command += ["--set", "requestsPerSecond=0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    ready = json.loads(process.stdout.readline())
    started_ms = (time.perf_counter() - begun) * 1000
    time.sleep(1)
    secrets = {webhook["url"]: webhook["secret"] for webhook in ready.get("webhooks", [])}
    try:
        yield load.Server(ready["baseUrl"], ready["token"], process.pid, secrets), started_ms
    finally:
        process.terminate()
        process.wait()


def rows(server, count):
    """Each row's name, its requests, and the limits of their measurement. A row may need what those before it made."""
    users = sample(server)
    group = server.ask(query("/Groups", **WHOLE))["Resources"][0]["id"]
    stamp = f"{time.time():.0f}"
    every = lambda n: itertools.islice(itertools.cycle(users), n)

    def row(name, requests, **limits):
        return name, list(requests), limits

    def get(name, paths, n=count):
        return row(name, [("GET", path, None) for path in itertools.islice(paths, n)])

    yield get("`/ServiceProviderConfig`", itertools.repeat("/ServiceProviderConfig"))
    yield get("get by id", (query(f"/Users/{user['id']}", **LEAN) for user in every(count)))
    yield get("get by id with `groups`", (f"/Users/{user['id']}" for user in every(count)))
    for attribute in ("userName", "externalId"):
        filters = (f'{attribute} eq "{user[attribute]}"' for user in every(count))
        yield get(f"filter `{attribute} eq`", (query("/Users", filter=text, **LEAN) for text in filters))
    lists = max(count // 5, 20)
    yield get("list 100, first page", itertools.repeat(query("/Users", count=100, **LEAN)), lists)
    yield get("list 100, second page", itertools.repeat(query("/Users", count=100, startIndex=101, **LEAN)), lists)
    cursor = server.ask(query("/Users", count=100, cursor="", **LEAN))["nextCursor"]
    yield get("list 100, by cursor", itertools.repeat(query("/Users", count=100, cursor=cursor, **LEAN)), lists)
    yield get("list 100, three attributes", itertools.repeat(query("/Users", count=100, **FEW)), lists)
    some = query("/Users", count=100, filter='userName sw "a" and active eq true', **LEAN)
    yield get("list 100, filter", itertools.repeat(some), lists)
    few = query("/Users", count=100, filter='userName sw "a" and active eq true', **FEW)
    yield get("list 100, filter and three attributes", itertools.repeat(few), lists)
    yield get("list 100 with `groups`", itertools.repeat(query("/Users", count=100)), lists)
    yield get("group without `members`", itertools.repeat(query(f"/Groups/{group}", **WHOLE)))
    both = (f'id eq "{group}" and members eq "{user["id"]}"' for user in every(count))
    yield get("`id eq` and `members eq`", (query("/Groups", filter=text, **WHOLE) for text in both))

    path = lambda user: query(f"/Users/{user['id']}", **LEAN)
    title = lambda n: {"op": "replace", "path": "title", "value": f"Title {stamp} {n}"}
    yield row("PATCH, no index changed", [("PATCH", path(user), patch(title(n))) for n, user in enumerate(every(count))])
    body = lambda n, user: {**user, "title": f"Role {stamp} {n}"}
    yield row("PUT, no index changed", [("PUT", path(user), body(n, user)) for n, user in enumerate(every(count))])
    yield row("create user", [("POST", "/Users", new_user(f"new.{stamp}.{n}")) for n in range(count)])
    # On a slow disk the row before may have ended before all users were created.
    created = server.ask(query("/Users", filter=f'userName sw "new.{stamp}."', count=200, **LEAN))
    ids = [user["id"] for user in created.get("Resources", [])]
    rename = lambda n: {"op": "replace", "path": "userName", "value": f"renamed.{stamp}.{n}@example.com"}
    yield row("rename", [("PATCH", path({"id": id}), patch(rename(n))) for n, id in enumerate(ids)])
    add = lambda id: {"op": "add", "path": "members", "value": [{"value": id}]}
    yield row("add one member", [("PATCH", f"/Groups/{group}", patch(add(id))) for id in ids])
    remove = lambda id: {"op": "remove", "path": f'members[value eq "{id}"]'}
    yield row("remove one member", [("PATCH", f"/Groups/{group}", patch(remove(id))) for id in ids])
    yield row("delete user", [("DELETE", f"/Users/{id}", None) for id in ids], seconds=60)


def sample(server):
    """Users from all over the directory."""
    users = []
    for given, family in itertools.product(GIVEN, FAMILY):
        found = server.ask(query("/Users", filter=f'userName sw "{given}.{family}."', count=10, **LEAN))
        users += found.get("Resources", [])
    return users


if __name__ == "__main__":
    main()
