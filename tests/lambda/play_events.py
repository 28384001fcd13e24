#!/usr/bin/env python3
"""Plays the sample events of `events/` through the function: create, get, list, patch, delete.

The list is also played with what clients and gateways do to requests: raw characters in its query,
and headers that make no URL.

    SCIM_TOKEN=… play_events.py --bootstrap PATH [--log FILE]
    SCIM_TOKEN=… play_events.py --invoke URL

Each event's `{{token}}` and `{{id}}` are filled in first. The last line counts the answers.
"""

import argparse
import contextlib
import copy
import json
import os
import pathlib
import sys

import emulator
import gateway_events

EVENTS = pathlib.Path(__file__).parents[2] / "events"
STATUSES = {"create": 201, "get": 200, "list": 200, "patch": 200, "delete": 204}
RAW_FILTER = 'userName eq "casey@example.com" and not (title eq "<a b>")'
ODD_HEADERS = [("host", "a b"), ("host", "[::1"), ("x-forwarded-proto", "ht tp"), ("x-forwarded-proto", "")]


def main():
    options = parse_options()
    token = os.environ.get("SCIM_TOKEN") or sys.exit("set SCIM_TOKEN to a bearer token")
    passed = failed = 0

    def count(what, problem):
        nonlocal passed, failed
        passed, failed = passed + (not problem), failed + bool(problem)
        if problem:
            print(f"FAIL {what} | {problem}")

    with contextlib.ExitStack() as started:
        url = options.invoke
        if options.bootstrap:
            log = started.enter_context(open(options.log, "wb")) if options.log else sys.stderr.buffer
            running = emulator.Emulator(options.bootstrap, log)
            started.callback(running.stop)
            url = running.url
        for format in gateway_events.FORMATS:
            id = ""
            for name, wanted in STATUSES.items():
                event = read(EVENTS / f"{format}-{name}.json", token, id)
                for what, changed in [("", event), *(variants(event) if name == "list" else [])]:
                    answer = play(url, changed)
                    problem = complaint(name, wanted, answer)
                    count(f"{format}-{name} {what}", problem)
                    if name == "create" and not problem:
                        id = json.loads(answer.body)["id"]
    print(f"lambda-events: {passed} passed, {failed} failed, 0 skipped")
    sys.exit(1 if failed else 0)


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    host = parser.add_mutually_exclusive_group(required=True)
    host.add_argument("--bootstrap", metavar="PATH", help="the Lambda binary to run under the emulator")
    host.add_argument("--invoke", metavar="URL", help="an invocations endpoint that is there already")
    parser.add_argument("--log", metavar="FILE", help="where the emulator and the function log; default: stderr")
    return parser.parse_args()


def read(file, token, id):
    return json.loads(file.read_text().replace("{{token}}", token).replace("{{id}}", id))


def variants(event):
    """The same request with a raw filter, and with headers that make no URL."""
    raw = copy.deepcopy(event)
    if "rawQueryString" in raw:
        raw["rawQueryString"] = f"filter={RAW_FILTER}"
    else:
        raw["queryStringParameters"] = {"filter": RAW_FILTER}
        raw["multiValueQueryStringParameters"] = {"filter": [RAW_FILTER]}
    yield "raw query", raw
    for name, value in ODD_HEADERS:
        odd = copy.deepcopy(event)
        for headers, given in (("headers", value), ("multiValueHeaders", [value])):
            if headers in odd:
                odd[headers] = {known: old for known, old in odd[headers].items() if known.lower() != name}
                odd[headers][name] = given
        yield f"{name}: {value}", odd


def play(url, event):
    try:
        answer = json.loads(emulator.invoke(url, json.dumps(event).encode()))
    except ValueError:
        answer = None
    return gateway_events.response(answer, "http-api")


def complaint(name, wanted, answer):
    """Returns what is wrong with an answer, or None."""
    if answer.status != wanted:
        return f"status {answer.status}, want {wanted}: {answer.body[:200]!r}"
    if name == "list" and json.loads(answer.body).get("totalResults") != 1:
        return f"want one result: {answer.body[:200]!r}"
    return None


if __name__ == "__main__":
    main()
