#!/usr/bin/env python3
"""Writes the measured tables of docs/performance.md, and draws them, from the figures in benches/figures/.

    python3 benches/plots.py           writes the tables and docs/figures/*.svg
    python3 benches/plots.py --check   fails if they are not what it would write

A script of this folder records its run there with `--record`; `bounds.csv` has the rows that
`cargo bench -p scim-protocol --bench bounds` prints.
"""

import argparse
import itertools
import pathlib
import sys

from record import read
from svg import MARGIN, ROW, WIDTH, Axis, Plot

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "performance.md"
PICTURES = ROOT / "docs" / "figures"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    page = PAGE.read_text()
    for table in TABLES:
        page = with_table(page, *table())
    files = {PAGE: page, **{PICTURES / f"{name}.svg": str(draw()) for name, draw in PLOTS.items()}}
    if not arguments.check:
        PICTURES.mkdir(exist_ok=True)
        for path, text in files.items():
            path.write_text(text)
        return
    stale = [path for path, text in files.items() if not path.exists() or path.read_text() != text]
    stale += set(PICTURES.glob("*")) - set(files)
    shown = ", ".join(str(path.relative_to(ROOT)) for path in sorted(stale))
    print(f"not what benches/plots.py writes: {shown}" if stale else f"plots: {len(files)} files are as recorded")
    sys.exit(1 if stale else 0)


# --- tables ------------------------------------------------------------------


def with_table(page, head, rows):
    """The page with these rows in the table that has this head."""
    line = lambda cells: f"| {' | '.join(cells)} |"
    before, found, after = page.partition(line(head) + "\n")
    if not found:
        sys.exit(f"{PAGE.name} has no table with the head {line(head)}")
    rest = after.splitlines(keepends=True)
    rest = itertools.dropwhile(lambda row: row.startswith("|"), rest)
    lines = ["|" + "---|" * len(head), *map(line, rows)]
    return before + found + "".join(f"{row}\n" for row in lines) + "".join(rest)


def thousands(number):
    return f"{int(number):,}"


def by_operation(rows):
    """Rows of several sizes, gathered by operation, in the order in which operations first appear."""
    gathered = {}
    for row in rows:
        gathered.setdefault(row["operation"], []).append(row)
    return gathered


def service_table():
    operations = by_operation(read("service"))
    sizes = [thousands(row["users"]) for row in next(iter(operations.values()))]
    groups = ["service", "table", "p50 / p99 ms"]
    head = ["operation", "calls", "RRU", "WRU", *(f"{group}, {size}" for group in groups for size in sizes)]
    rows = []
    for operation, row in operations.items():
        costs = [row[0][column] for column in ("calls", "rru", "wru")]
        times = [[of["service_ms"] for of in row], [of["table_ms"] for of in row]]
        waits = [f"{of['p50_ms']} / {of['p99_ms']}" for of in row]
        rows.append([operation, *costs, *times[0], *times[1], *waits])
    return head, rows


def creations_table():
    before = {row["begin"]: row["ratio"] for row in read("creations-before")}
    span = lambda row: f"{thousands(row['begin'])} to {thousands(row['end'])}"
    rows = [[span(row), row["ratio"], before.get(row["begin"], "")] for row in read("creations")]
    return ["creations", "table's CPU / service's", "the same before"], rows


def fairness_table():
    head = ["noise of the other tenant", "answers of the noisy tenant", "quiet requests", "p50 ms", "p99 ms", "ratio of p99"]
    return head, [list(row.values()) for row in read("fairness")]


def peers_table():
    head = ["operation", "users", "scim serve", "scim2-server", "ratio", "scimmy", "ratio"]
    rows = []
    for operation, of in by_operation(read("peers")).items():
        for row in sorted(of, key=lambda row: int(row["users"])):
            times = [row["scim_serve"]]
            for peer in ("scim2_server", "scimmy"):
                ratio = row[f"{peer}_ratio"]
                times += [row[peer] or "–", f"{ratio}×" if ratio else "–"]
            rows.append([operation, thousands(row["users"]), *times])
    return head, rows


def bounds_table():
    return ["request", "outcome", "ms"], [list(row.values()) for row in read("bounds")]


def body_memory_table():
    head = ["request", "objects", "body, bytes", "status", "MB before", "MB at most"]
    cells = lambda row: [row["request"], thousands(row["objects"]), thousands(row["body_bytes"])]
    rest = lambda row: [row["status"], row["mb_before"], row["mb_at_most"]]
    return head, [cells(row) + rest(row) for row in read("body_memory")]


def feed_table():
    return ["the feed of one tenant", "figure"], [[row["what"], thousands(row["figure"])] for row in read("feed")]


def webhooks_table():
    return ["webhooks of one tenant", "figure"], [[row["what"], thousands(row["figure"])] for row in read("webhooks")]


def move_table():
    head = ["users", "command", "seconds", "users a second", "MB resident"]
    rate = lambda row: thousands(round(int(row["users"]) / float(row["seconds"])))
    cells = lambda row: [thousands(row["users"]), row["command"], row["seconds"], rate(row), row["megabytes"]]
    return head, [cells(row) for row in read("move")]


def deletion_table():
    head = ["users of the deleted tenant", "seconds to the end", "seconds of CPU", "MB before", "MB at most"]
    cells = lambda row: [thousands(row["users"]), row["seconds"], row["cpu_seconds"], row["mb_before"], row["mb_at_most"]]
    return head, [cells(row) for row in read("deletion")]


TABLES = [
    move_table,
    deletion_table,
    feed_table,
    webhooks_table,
    service_table,
    creations_table,
    fairness_table,
    peers_table,
    bounds_table,
    body_memory_table,
]


# --- pictures ----------------------------------------------------------------


def plain(text):
    """A cell of a table as text without Markdown."""
    return text.replace("`", "")


def service_plot():
    operations = by_operation(read("service"))
    sizes = [thousands(row["users"]) for row in next(iter(operations.values()))]
    plot = Plot(
        "CPU time of a request, by the size of the directory",
        f"From top to bottom, the bars of an operation are for {', '.join(sizes)} users.",
    )
    plot.keys(MARGIN, ("a", None, "service: HTTP, credentials, our code, the SDK"), ("b", None, "embedded table"))
    axis = Axis(220, WIDTH - 30, [0, 1, 2, 3, 4, 5, 6, 7])
    thin, gap = 5, 10
    plot.columns(axis, len(operations) * (len(sizes) * thin + gap), "ms")
    for operation, rows in operations.items():
        plot.text(axis.left - 10, plot.y + gap / 2 + len(rows) * thin / 2 + 4, plain(operation), anchor="end")
        for number, row in enumerate(rows):
            y = plot.y + gap / 2 + number * thin
            service, table = float(row["service_ms"]), float(row["table_ms"])
            plot.rectangle(axis.left, y, axis.at(service) - axis.left, thin - 1, "a")
            plot.rectangle(axis.at(service), y, axis.at(service + table) - axis.at(service), thin - 1, "b")
        plot.y += len(rows) * thin + gap
    return plot


def creations_plot():
    plot = Plot(
        "CPU time of the table beside the service's, while 100,000 users are created",
        "A flat line: a creation costs the same however many came before it.",
    )
    across = Axis(60, WIDTH - 90, [0, 20_000, 40_000, 60_000, 80_000, 100_000])
    top, height = plot.y + 8, 220
    up = Axis(top + height, top, [0, 0.5, 1.0, 1.5, 2.0])
    for tick in up.ticks:
        plot.line(across.left, up.at(tick), across.right, up.at(tick), "grid")
        plot.text(across.left - 10, up.at(tick) + 4, f"{tick:g}×", "small", "end")
    for tick in across.ticks:
        plot.text(across.at(tick), top + height + 18, f"{tick:,}", "small", "middle")
    plot.text((across.left + across.right) / 2, top + height + 38, "users created so far", "small", "middle")
    for name, style, shape, meaning in [("creations", "a", "dot", "now"), ("creations-before", "c", "square", "before")]:
        rows = read(name)
        middles = [(int(row["begin"]) + int(row["end"])) / 2 for row in rows]
        points = [(across.at(x), up.at(float(row["ratio"]))) for x, row in zip(middles, rows)]
        plot.path(points, style)
        for x, y in points:
            plot.mark(x, y, style, shape)
        plot.text(points[-1][0] + 12, points[-1][1] + 4, meaning)
    plot.y = top + height + 44
    return plot


def bars(plot, axis, rows, bound=None):
    """A row for each `(name, value, shown)`, and a line at a bound `(value, meaning)`."""
    for name, value, shown in rows:
        plot.text(axis.left - 10, plot.y + ROW / 2 + 4, plain(name), anchor="end")
        plot.rectangle(axis.left, plot.y + 4, max(axis.at(value) - axis.left, 1), ROW - 8, "a")
        plot.text(axis.at(value) + 6, plot.y + ROW / 2 + 4, shown, "small")
        plot.y += ROW
    if bound:
        value, meaning = bound
        plot.line(axis.at(value), plot.y - ROW * len(rows), axis.at(value), plot.y, "bound")
        plot.text(axis.at(value) - 6, plot.y - 6, meaning, "small bound-text", "end")


def fairness_plot():
    rows = read("fairness")
    plot = Plot("The p99 of a quiet tenant's requests, beside the noise of another tenant")
    axis = Axis(320, WIDTH - 40, [0, 20, 40, 60, 80, 100])
    plot.columns(axis, len(rows) * ROW, "ms, beside")
    shown = [(row["noise"], float(row["p99_ms"]), row["p99_ms"]) for row in rows]
    bars(plot, axis, shown, (100, "limit: 100 ms"))
    return plot


def peers_plot():
    rows = by_operation(read("peers"))
    rows = {operation: max(of, key=lambda row: int(row["users"])) for operation, of in rows.items()}
    plot = Plot(
        "CPU time of a request to three servers that hold 10,000 users",
        "Logarithmic: each line is ten times the one before it. The other two keep everything in memory.",
    )
    marks = {"scim_serve": ("a", "dot"), "scim2_server": ("c", "square"), "scimmy": ("d", "diamond")}
    names = {"scim_serve": "scim serve, table included", "scim2_server": "scim2-server", "scimmy": "scimmy"}
    plot.keys(MARGIN, *((*marks[server], names[server]) for server in marks))
    axis = Axis(200, WIDTH - 40, [0.1, 1, 10, 100, 1_000, 10_000], logarithmic=True)
    plot.columns(axis, len(rows) * ROW, "ms", lambda tick: f"{tick:,}")
    for operation, row in rows.items():
        middle = plot.y + ROW / 2
        plot.text(axis.left - 10, middle + 4, plain(operation), anchor="end")
        for server, (style, shape) in reversed(marks.items()):
            if row[server]:
                plot.mark(axis.at(float(row[server])), middle, style, shape)
        plot.y += ROW
    return plot


def bounds_plot():
    rows = read("bounds")
    plot = Plot("CPU time of the largest requests, until they are done or refused", "Beside a bar: milliseconds, and the status with which the request was refused.")
    axis = Axis(500, WIDTH - 40, [0, 500, 1_000])
    plot.columns(axis, len(rows) * ROW, "ms", lambda tick: f"{tick:,}")
    shown = [(row["request"], float(row["ms"]), f"{row['ms']}, {row['outcome']}") for row in rows]
    bars(plot, axis, shown, (1_000, "limit: a second"))
    return plot


def body_memory_plot():
    rows = read("body_memory")
    plot = Plot("The most memory that the process had resident, for one body of nothing but objects")
    plot.keys(MARGIN, ("b", None, "before the request"), ("a", None, "more, while it was answered"))
    axis = Axis(330, WIDTH - 40, [0, 50, 100, 150, 200])
    plot.columns(axis, len(rows) * ROW, "MB")
    for row in rows:
        name = f"{row['request']}, {thousands(row['objects'])} objects"
        before, most = float(row["mb_before"]), float(row["mb_at_most"])
        plot.text(axis.left - 10, plot.y + ROW / 2 + 4, name, anchor="end")
        plot.rectangle(axis.left, plot.y + 4, axis.at(before) - axis.left, ROW - 8, "b")
        plot.rectangle(axis.at(before), plot.y + 4, axis.at(most) - axis.at(before), ROW - 8, "a")
        plot.text(axis.at(most) + 6, plot.y + ROW / 2 + 4, f"{row['mb_at_most']}, {row['status']}", "small")
        plot.y += ROW
    return plot


PLOTS = {
    "service": service_plot,
    "creations": creations_plot,
    "fairness": fairness_plot,
    "peers": peers_plot,
    "bounds": bounds_plot,
    "body-memory": body_memory_plot,
}

if __name__ == "__main__":
    main()
