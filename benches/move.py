#!/usr/bin/env python3
"""Exports a large directory and imports it into another deployment, and prints time, memory and the size of the file.

    cargo build --release --features cli --bin scim
    python3 benches/move.py

Both deployments are on embedded tables in a new directory below --data. Resident memory is the largest that the
command had, the embedded table included. `--record` keeps the figures for `plots.py`.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from record import Record


class Run:
    """A command that has ended: how long it took, and how much memory it had at most."""

    def __init__(self, *command):
        before = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        said = process.stderr.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.seconds = time.monotonic() - before
        self.megabytes = usage.ru_maxrss / 1024
        if process.returncode != 0:
            sys.exit(f"{command} ended with {process.returncode}: {said}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scim", default="target/release/scim")
    parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path("target"))
    parser.add_argument("--users", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--record", action="store_true", help="keep the figures of this run")
    arguments = parser.parse_args()
    record = Record("move", "users", "command", "seconds", "megabytes")
    print("| users | command | seconds | users a second | MB resident |")
    print("|---|---|---|---|---|")
    for users in arguments.users:
        with tempfile.TemporaryDirectory(dir=arguments.data) as folder:
            folder = pathlib.Path(folder)
            source, target, file = folder / "source", folder / "target", folder / "acme.ndjson"
            scim = arguments.scim
            members = str(users)
            Run(scim, "generate", "--data", source, "--users", str(users), "--group-members", members, "--tenant", "acme")
            Run(scim, "tenant", "create", "acme", "--data", target)
            commands = {
                "export": ["export", "acme", file, "--data", source],
                "import": ["import", "acme", file, "--data", target],
                "import again": ["import", "acme", file, "--data", target],
            }
            for name, command in commands.items():
                run = Run(scim, *command)
                record.add(users, name, f"{run.seconds:.1f}", f"{run.megabytes:.0f}")
                rate = users / run.seconds
                print(f"| {users:,} | {name} | {run.seconds:.1f} | {rate:,.0f} | {run.megabytes:.0f} |", flush=True)
            print(f"The file of {users:,} users has {file.stat().st_size / 1e6:.1f} MB.", file=sys.stderr)
    if arguments.record:
        record.write()


if __name__ == "__main__":
    main()
