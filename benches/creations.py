#!/usr/bin/env python3
"""Creates many users in one run of `scim serve` and prints whether a creation's cost grows.

    cargo build --release --features cli --bin scim
    python3 benches/creations.py

The table is in a new directory below --data. Each row is one part of the run. CPU times are per
creation, as multiples of those of the first part. Other work on the machine raises both at the same
time, so compare the ratio of the table's cost to the service's. `--record` keeps that for `plots.py`.
"""

import argparse
import pathlib
import tempfile

from load import measure, new_user
from record import Record
from service import serve


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scim", default="target/release/scim")
    parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path("target"))
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--parts", type=int, default=10)
    parser.add_argument("--record", action="store_true", help="keep the figures of this run")
    arguments = parser.parse_args()
    record = Record("creations", "begin", "end", "ratio")
    part = arguments.users // arguments.parts
    with tempfile.TemporaryDirectory(dir=arguments.data) as folder:
        with serve(arguments.scim, pathlib.Path(folder)) as (server, _):
            print("| creations | service CPU | table CPU | table / service | MB resident |")
            print("|---|---|---|---|---|")
            first = None
            for number in range(arguments.parts):
                begin, end = number * part, (number + 1) * part
                users = [("POST", "/Users", new_user(f"user.{n}")) for n in range(begin, end)]
                result = measure(server, users, seconds=3_600)
                first = first or result
                ratio = f"{result.table_ms / result.service_ms:.2f}"
                record.add(begin, end, ratio)
                print(
                    f"| {begin:,} to {end:,} | {result.service_ms / first.service_ms:.2f} "
                    f"| {result.table_ms / first.table_ms:.2f} | {ratio} | {server.resident_mb():.0f} |",
                    flush=True,
                )
    if arguments.record:
        record.write()


if __name__ == "__main__":
    main()
