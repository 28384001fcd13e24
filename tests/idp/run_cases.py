#!/usr/bin/env python3
"""Plays what identity providers really send (`idp_cases.json`) against a live server.

    run_cases.py BASE_URL TOKEN [--v11 BASE_URL] [--ionic BASE_URL]
                 [--cases FILE] [--only TEXT] [--profile NAME]

BASE_URL is the SCIM 2.0 base, such as http://127.0.0.1:9000/scim/v2; those of SCIM 1.1 and of the
Ionic API, /scim/v1 and /v2/TENANT/scim there, are the same tenant's. Without `--profile` the cases of
the default profile run, with it those that name that profile. The last line counts the cases; the
exit code is 1 when one failed, 2 when none could be selected.
"""

import argparse
import collections
import concurrent.futures
import http.client
import itertools
import json
import pathlib
import re
import sys
import urllib.parse
import uuid
from dataclasses import dataclass
from typing import Any

import expectations

CASES = pathlib.Path(__file__).with_name("idp_cases.json")
MEDIA_TYPE = "application/scim+json"
TIMEOUT_SECONDS = 30


@dataclass
class Answer:
    """What came back: the body as JSON, or the first bytes of whatever it was instead."""

    status: int
    body: Any
    headers: Any


def main():
    options = parse_options()
    passed = failed = skipped = 0
    bases = {"v2": options.base, "v1.1": options.v11, "ionic": options.ionic}
    for case in select(json.loads(options.cases.read_text()), options):
        base = bases[case.get("base", "v2")]
        if not base:
            skipped += 1
            continue
        problem = outcome(case, base.rstrip("/"), options.token)
        if problem:
            failed += 1
            print("FAIL", case["id"], "|", problem)
        else:
            passed += 1
    print(f"idp-cases: {passed} passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed else 0)


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base", help="the SCIM 2.0 base URL")
    parser.add_argument("token", help="a bearer token of the tenant")
    parser.add_argument("--only", default="", metavar="TEXT", help="only cases whose id holds TEXT")
    parser.add_argument("--profile", metavar="NAME", help="the cases that name this tenant profile")
    parser.add_argument("--v11", metavar="BASE_URL", help="the SCIM 1.1 base URL; without it those cases are skipped")
    parser.add_argument("--ionic", metavar="BASE_URL", help="the Ionic base URL; without it those cases are skipped")
    parser.add_argument("--cases", metavar="FILE", type=pathlib.Path, default=CASES, help="other cases than those here")
    return parser.parse_args()


def select(cases, options):
    """Picks the cases to play. It is an error if there are none, or two with one id."""
    ids = collections.Counter(case["id"] for case in cases)
    twice = [id for id, count in ids.items() if count > 1]
    if twice:
        stop(f"there are several cases {', '.join(twice)}")
    cases = [case for case in cases if case.get("profile") == options.profile]
    cases = [case for case in cases if options.only in case["id"]]
    if not cases:
        stop("no case matches the options")
    return cases


def stop(message):
    print(f"run_cases.py: {message}", file=sys.stderr)
    sys.exit(2)


def outcome(case, base, token):
    """Plays one case and returns what went wrong, or None."""
    try:
        return play(case, base, token)
    except Exception as error:  # one case that breaks the runner must not hide the others
        return f"exception {error!r}"


def play(case, base, token):
    variables = {"rand": uuid.uuid4().hex[:10]}
    number = 0
    for together in simultaneous(case["steps"]):
        steps = [{**substitute(step, variables), "save": step.get("save", {})} for step in together]
        with concurrent.futures.ThreadPoolExecutor(len(steps)) as pool:
            answers = list(pool.map(lambda step: send(step, base, token, case.get("raw_path", False)), steps))
        for step, answer in zip(steps, answers):
            number += 1
            found = expectations.problems(step, answer)
            if found:
                return f"step {number} {step['method']} {step['path'][:90]}: " + "; ".join(found)[:330]
            for name, path in step["save"].items():
                variables[name] = expectations.at(answer.body, path)
    return None


def simultaneous(steps):
    """Groups neighbouring steps that carry the same `parallel` mark; each other step is a group of its own."""
    numbered = enumerate(steps)
    for _, group in itertools.groupby(numbered, key=lambda pair: pair[1].get("parallel") or ("alone", pair[0])):
        yield [step for _, step in group]


def substitute(value, variables):
    """Replaces every `{{name}}` in strings, also in member names."""
    if isinstance(value, str):
        return re.sub(r"\{\{(\w+)\}\}", lambda match: str(variables[match[1]]), value)
    if isinstance(value, list):
        return [substitute(element, variables) for element in value]
    if isinstance(value, dict):
        return {substitute(name, variables): substitute(member, variables) for name, member in value.items()}
    return value


def send(step, base, token, raw_path):
    """Sends one request, with the path as it is encoded here: nothing else looks at its characters."""
    body = json.dumps(step["body"]).encode() if "body" in step else None
    url = urllib.parse.urlsplit(base)
    secure = url.scheme == "https"
    connect = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = connect(url.hostname, url.port, timeout=TIMEOUT_SECONDS)
    try:
        path = url.path + encoded_path(step["path"], raw_path)
        connection.request(step["method"], path, body=body, headers=headers(step, token))
        response = connection.getresponse()
        return Answer(response.status, parsed(response.read()), response.headers)
    finally:
        connection.close()


def encoded_path(path, raw_path):
    """Percent-encodes a readable path; a case with `raw_path` wrote the encoding itself, or leaves out
    what a careless client leaves out, such as that of quotes."""
    if not raw_path:
        return urllib.parse.quote(path, safe="/?&=:,@'()*!$;~")
    return path if "%" in path else urllib.parse.quote(path, safe="/?&=%:,[]@'()*!$;~{}")


def headers(step, token):
    """The usual headers, replaced by those of the step; null removes a header."""
    usual = {"Authorization": f"Bearer {token}", "Accept": MEDIA_TYPE, "Content-Type": MEDIA_TYPE}
    merged = {**usual, **step.get("headers", {})}
    return {name: value for name, value in merged.items() if value is not None}


def parsed(body):
    try:
        return json.loads(body) if body else None
    except ValueError:
        return {"$notjson": body[:200].decode("utf-8", "replace")}


if __name__ == "__main__":
    main()
