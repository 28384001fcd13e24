#!/usr/bin/env python3
"""Measures how long the purge of a large tenant takes in `scim serve`, and how much memory it needs.

    cargo build --release --features cli --bin scim
    python3 benches/deletion.py --users 20000

It loads a tenant of made-up users and a group of all of them, deletes it, and watches `scim serve` until its secret is
removed, with which everything else is gone but the state. Of the time some four minutes are waits: two until the purge
may begin, the rest until `scim serve` looks again. The time of the processor is that of the process from the beginning
of the purge on. `--record` keeps the figures for `plots.py`.
"""

import argparse
import os
import pathlib
import subprocess
import tempfile
import time

from record import Record

SCIM = pathlib.Path("target/release/scim")
TENANT = "large"
# The purge begins two minutes after the deletion.
QUIET_SECONDS = 100


def scim(data, *arguments):
    subprocess.run([SCIM, *arguments, "--data", data], check=True, capture_output=True, text=True)


def resident(process):
    """The memory of the process in MB."""
    lines = pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines()
    [line] = [line for line in lines if line.startswith("VmRSS:")]
    return int(line.split()[1]) / 1024


def cpu_seconds(process):
    """The time of the processor that the process has had."""
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def has_secret(data):
    names = [path for path in pathlib.Path(data).rglob("secrets*") if path.is_file()]
    return any(f"/tenants/{TENANT}" in path.read_text() for path in names)


def purge(users, folder):
    """The seconds from the deletion to the end, those of the processor, and the memory before and at most."""
    data = str(pathlib.Path(folder) / "data")
    scim(data, "generate", "--users", str(users), "--group-members", str(users), "--tenant", TENANT)
    scim(data, "tenant", "delete", TENANT, "--now", "--confirm", TENANT)
    deleted = time.monotonic()
    command = [SCIM, "serve", "--data", data, "--listen", "127.0.0.1:0"]
    serve = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while time.monotonic() - deleted < QUIET_SECONDS:
            time.sleep(1)
        before, used = resident(serve), cpu_seconds(serve)
        most = before
        while has_secret(data):
            most = max(most, resident(serve))
            time.sleep(0.2)
        return time.monotonic() - deleted, cpu_seconds(serve) - used, before, most
    finally:
        serve.terminate()
        serve.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, nargs="*", default=[20_000])
    parser.add_argument("--record", action="store_true", help="keep the figures of this run")
    arguments = parser.parse_args()
    record = Record("deletion", "users", "seconds", "cpu_seconds", "mb_before", "mb_at_most")
    print("| users | seconds to the end | seconds of CPU | MB before | MB at most |")
    print("|---|---|---|---|---|")
    for users in arguments.users:
        with tempfile.TemporaryDirectory() as folder:
            seconds, cpu, before, most = purge(users, folder)
        cells = [f"{seconds:.0f}", f"{cpu:.1f}", f"{before:.0f}", f"{most:.0f}"]
        record.add(users, *cells)
        print(f"| {users:,} | {' | '.join(cells)} |", flush=True)
    if arguments.record:
        record.write()


if __name__ == "__main__":
    main()
