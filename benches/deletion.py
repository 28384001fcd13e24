#!/usr/bin/env python3
"""Measures how long the purge of a large tenant takes in `scim serve`, and how much memory it needs.

    cargo build --release --features cli --bin scim
    python3 benches/deletion.py --users 20000

It loads a tenant of made-up users and a group of all of them, deletes it, and watches `scim serve` until its secret is
removed, with which everything else is gone but the state. Of the time some four minutes are waits: two until the purge
may begin, the rest until `scim serve` looks again. The memory is what the process has at most beyond what it had
before the purge began.
"""

import argparse
import json
import pathlib
import subprocess
import tempfile
import time

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


def has_secret(data):
    names = [path for path in pathlib.Path(data).rglob("secrets*") if path.is_file()]
    return any(f"/tenants/{TENANT}" in path.read_text() for path in names)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--users", type=int, default=20_000)
    users = arguments.parse_args().users
    with tempfile.TemporaryDirectory() as folder:
        data = str(pathlib.Path(folder) / "data")
        scim(data, "generate", "--users", str(users), "--group-members", str(users), "--tenant", TENANT)
        scim(data, "tenant", "delete", TENANT, "--now", "--confirm", TENANT)
        deleted = time.monotonic()
        command = [SCIM, "serve", "--data", data, "--listen", "127.0.0.1:0"]
        serve = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            most = 0.0
            while time.monotonic() - deleted < QUIET_SECONDS:
                time.sleep(1)
            before = resident(serve)
            while has_secret(data):
                most = max(most, resident(serve))
                time.sleep(0.2)
            took = time.monotonic() - deleted
        finally:
            serve.terminate()
            serve.wait()
    print(json.dumps({"users": users, "seconds": round(took), "megabytes": round(max(most - before, 0.0), 1)}))


main()
