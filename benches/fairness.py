#!/usr/bin/env python3
"""Measures how long a quiet tenant waits beside a noisy one, in `scim serve`.

    cargo build --release --features cli --bin scim
    python3 benches/fairness.py

The quiet tenant looks users up by `userName eq` over one connection, first alone, then beside each kind of
noise. The noisy tenant may send any number of requests. At the end come floods of cheap requests, each once
without a limit and once with `requestsPerSecond=50`, and of tokens that no tenant has. The script fails if its p99 beside noise is more than 5 times its own p99 and more than 100 ms. It also
prints the server's memory before and after 200 password hashes. `--record` keeps the figures for `plots.py`.
"""

import argparse
import contextlib
import http.client
import json
import multiprocessing
import pathlib
import shutil
import statistics
import subprocess
import threading
import time

import load
from load import CORE, PATCH, new_user, query
from record import Record
from service import serve

SEARCH = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
ALLOWED_RATIO, ALLOWED_MS = 5, 100


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scim", default="target/release/scim")
    parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path("target/directories/fairness"))
    parser.add_argument("--seconds", type=float, default=10, help="how long each kind of noise lasts")
    parser.add_argument("--only", help="play only the kinds of noise whose names hold this")
    parser.add_argument("--record", action="store_true", help="keep the figures of this run")
    arguments = parser.parse_args()
    record = Record("fairness", "noise", "answers", "quiet_requests", "p50_ms", "p99_ms", "p99_ratio")
    noisy, limited = prepare(arguments.scim, arguments.data)
    with serve(arguments.scim, arguments.data) as (quiet, _):
        names = fill(quiet)
        noise, limited = as_tenant(quiet, noisy), as_tenant(quiet, limited)
        before = quiet.resident_mb()
        hashes = play(noise, [hashed(number) for number in range(200)], threads=16)
        after = quiet.resident_mb()
        print(f"Memory before 200 password hashes {before:.0f} MB, after {after:.0f} MB ({hashes} answers 201).\n")
        alone = measure(quiet, names, arguments.seconds)
        print("| noise of the other tenant | answers of the noisy tenant | quiet requests | p50 ms | p99 ms | ratio of p99 |")
        print("|---|---|---|---|---|---|")
        row(record, "none", "", alone, alone)
        failed = []
        plays = [(noise, *attack) for attack in attacks(noise)] + list(floods(noise, limited))
        for server, name, threads, requests in plays:
            if arguments.only and arguments.only not in name:
                continue
            with beside(server, requests, threads) as answers:
                time.sleep(1)
                latencies = measure(quiet, names, arguments.seconds)
            row(record, name, tally(answers), latencies, alone)
            if p99(latencies) > max(ALLOWED_RATIO * p99(alone), ALLOWED_MS):
                failed.append(name)
    print()
    assert not failed, f"the quiet tenant waits too long beside: {', '.join(failed)}"
    if arguments.record and not arguments.only:
        record.write()


def as_tenant(server, token):
    """The same server for a client with another token."""
    other = load.Server.__new__(load.Server)
    other.__dict__.update(server.__dict__)
    other.headers = {**server.headers, "Authorization": f"Bearer {token}"}
    return other


def row(record, name, answers, latencies, alone):
    times = [statistics.median(latencies), p99(latencies), p99(latencies) / p99(alone)]
    cells = [name, answers, str(len(latencies)), *(f"{time:.1f}" for time in times)]
    print(f"| {' | '.join(cells)} |", flush=True)
    record.add(*cells)


def p99(latencies):
    return sorted(latencies)[int(len(latencies) * 0.99)]


def prepare(scim, data):
    """A directory with two tenants beside the demo tenant: one of 10,000 users without a limit of requests, and a
    small one with the default limit. Returns a token of each."""
    shutil.rmtree(data, ignore_errors=True)
    run = lambda *words: subprocess.run([scim, *words, "--data", str(data)], check=True, capture_output=True, text=True).stdout
    run("generate", "--users", "10000", "--tenant", "noisy")
    run("generate", "--users", "1000", "--tenant", "limited")
    run("tenant", "set", "noisy", "--set", "passwords=hash", "--set", "requestsPerSecond=0")
    return [json.loads(run("token", "create", tenant, "--json"))["token"] for tenant in ("noisy", "limited")]


def fill(quiet):
    """Makes users of the quiet tenant; returns their names."""
    connection, names = quiet.connect(), [f"quiet.{number}" for number in range(200)]
    for name in names:
        status, _, text = quiet.send(connection, "POST", "/Users", new_user(name))
        assert status == 201, (status, text[:500])
    connection.close()
    return [f"{name}@example.com" for name in names]


def measure(quiet, names, seconds):
    """How long each of the quiet tenant's look-ups takes, in ms, one after the other."""
    connection, latencies, end = quiet.connect(), [], time.monotonic() + seconds
    while time.monotonic() < end:
        name = names[len(latencies) % len(names)]
        path = query("/Users", filter=f'userName eq "{name}"', excludedAttributes="groups")
        begun = time.perf_counter()
        status, _, text = quiet.send(connection, "GET", path)
        latencies.append((time.perf_counter() - begun) * 1000)
        assert status == 200 and json.loads(text)["totalResults"] == 1, (status, text[:500])
    connection.close()
    return latencies


def hashed(number):
    name = f"hashed.{time.time():.0f}.{number}"
    return ("POST", "/Users", json.dumps({**new_user(name), "password": f"tr0ub4dor-{number}"}))


def phones(count, prefix="+1-555-"):
    return [{"value": f"{prefix}{number}", "type": "work"} for number in range(count)]


def attacks(noise):
    """Name, number of connections, and requests of each kind of noise."""
    connection = noise.connect()

    def create(name, count):
        user = {"schemas": [CORE], "userName": f"{name}.{time.time():.0f}", "phoneNumbers": phones(count)}
        status, _, text = noise.send(connection, "POST", "/Users", user)
        return json.loads(text)["id"] if status == 201 else None

    # The largest of these lists that the service accepts.
    large = next(filter(None, (create(f"large.{count}", count) for count in (14_000, 10_000, 5_000, 1_000, 500))))
    small = create("small", 1)
    change = lambda operations: json.dumps({"schemas": [PATCH], "Operations": operations})
    add = lambda value: {"op": "add", "path": "phoneNumbers", "value": value}
    display = {"op": "replace", "path": "phoneNumbers.display", "value": "d" * 300_000}
    growth = change([add(phones(20_000)), display])
    adds = change([add([{"value": f"+2-{number}"}]) for number in range(1_000)])
    names = json.dumps({"schemas": [SEARCH], "attributes": [f"name{number}" for number in range(190_000)]})
    excluded = json.dumps({"schemas": [SEARCH], "excludedAttributes": [f"name{number}" for number in range(190_000)]})
    scan = query("/Users", filter='title co "zz" or nickName co "zz"', count=100, cursor="")

    def bulk(number):
        stamp = f"{time.time():.3f}.{number}"
        post = lambda n: {"method": "POST", "path": "/Users", "bulkId": f"{n}", "data": new_user(f"bulk.{stamp}.{n}")}
        return ("POST", "/Bulk", json.dumps({"schemas": [BULK], "Operations": [post(n) for n in range(300)]}))

    yield "PATCH that grows a value by 20,000 elements", 4, lambda _: ("PATCH", f"/Users/{small}", growth)
    yield "1,000 additions to a large list", 4, lambda _: ("PATCH", f"/Users/{large}", adds)
    yield "190,000 names in `attributes`", 4, lambda _: ("POST", "/Users/.search", names)
    yield "190,000 names in `excludedAttributes`", 4, lambda _: ("POST", "/Users/.search", excluded)
    yield "16 password hashes at once", 16, hashed
    yield "16 unindexed scans at once", 16, lambda _: ("GET", scan, None)
    yield "4 bulk requests of 300 operations", 4, bulk
    yield "64 connections with scans", 64, lambda _: ("GET", scan, None)


def floods(noise, limited):
    """Server, name, number of connections, and requests of each flood."""
    look_up = lambda number: ("GET", query("/Users", filter=f'userName eq "user.{number}@example.com"'), None)
    stamp = f"{time.time():.0f}"
    create = lambda number: ("POST", "/Users", json.dumps(new_user(f"flood.{stamp}.{number}")))
    for server, limit in ((noise, "no limit"), (limited, "50 a second")):
        yield server, f"flood of look-ups, {limit}", 64, look_up
        yield server, f"flood of creations, {limit}", 64, create
    # A token of another stack has the right form and a wrong check.
    forged = lambda number: f"Bearer scim_tenant-{number % 5000}_1_{number:064x}_{number:016x}"
    stranger = lambda number: (*look_up(number), {**noise.headers, "Authorization": forged(number)})
    yield noise, "flood of 5,000 unknown tenants", 64, stranger


def send(noise, connection, method, path, text, headers=None):
    """One request of the noisy tenant; returns its status, or the name of what went wrong."""
    try:
        connection.request(method, noise.prefix + path, text, headers or noise.headers)
        answer = connection.getresponse()
        answer.read()
        return str(answer.status)
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        return type(error).__name__


def play(noise, requests, threads):
    """Sends requests over several connections; returns how many were answered with 201."""
    position, lock, created = iter(requests), threading.Lock(), []

    def work():
        connection = noise.connect()
        while True:
            with lock:
                request = next(position, None)
            if request is None:
                return connection.close()
            created.append(send(noise, connection, *request) == "201")

    workers = [threading.Thread(target=work) for _ in range(threads)]
    [worker.start() for worker in workers]
    [worker.join() for worker in workers]
    return sum(created)


@contextlib.contextmanager
def beside(noise, requests, threads):
    """Noise from a process of its own while the body runs; yields the list of its answers."""
    answers, (ours, theirs) = [], multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=make_noise, args=(noise, requests, threads, theirs))
    process.start()
    try:
        yield answers
    finally:
        ours.send("stop")
        answers += ours.recv()
        process.join()


def make_noise(noise, requests, threads, pipe):
    answers, stop = [], threading.Event()

    def work(number):
        connection = noise.connect()
        while not stop.is_set():
            answers.append(send(noise, connection, *requests(number)))
            number += threads
        connection.close()

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    [worker.start() for worker in workers]
    pipe.recv()
    stop.set()
    [worker.join() for worker in workers]
    pipe.send(answers)


def tally(answers):
    return ", ".join(f"{answers.count(one)} × {one}" for one in sorted(set(answers)))


if __name__ == "__main__":
    main()
