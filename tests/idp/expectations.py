"""Compares an answer with what a case's step expects of it. No network here.

An expectation is a subset: a JSON object matches when every member it names is there and matches,
an array when each of its elements is matched by some element of the answer, `[]` only by an empty
array, `{"$any": …}` by anything and `{"$type": "integer"}` by any value of that type.
"""

import fnmatch
import json

TYPES = {
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "boolean": lambda value: isinstance(value, bool),
}


def problems(step, answer):
    """Lists what is wrong with `answer`; an unexpected status hides everything else."""
    wanted = step["expect_status"]
    wanted = wanted if isinstance(wanted, list) else [wanted]
    if answer.status not in wanted:
        return [f"status {answer.status}, want {wanted}: {json.dumps(answer.body)[:200]}"]
    return [
        *_subset_problems(step, answer),
        *_absent_problems(step, answer.body),
        *_count_problems(step, answer.body),
        *_null_problems(step, answer.body),
        *_header_problems(step, answer.headers),
    ]


def at(document, path):
    """Finds the value at a `/`-separated path, or None.

    Member names may themselves hold `/` and `.` (schema URNs do), so the longest name that fits wins.
    """
    if path in ("", "/"):
        return document
    rest = path[1:]
    if isinstance(document, list):
        index, _, below = rest.partition("/")
        inside = index.isdigit() and int(index) < len(document)
        return at(document[int(index)], "/" + below if below else "") if inside else None
    if isinstance(document, dict):
        for name in sorted(document, key=len, reverse=True):
            if rest == name:
                return document[name]
            if rest.startswith(name + "/"):
                return at(document[name], rest[len(name):])
    return None


def _subset_problems(step, answer):
    expected = step.get("expect_json_subset")
    return [] if expected is None or answer.status == 204 else _mismatches(expected, answer.body, "")


def _absent_problems(step, body):
    found = {path: at(body, path) for path in step.get("expect_absent", [])}
    return [
        f"{path} should be absent, got {value!r}"[:150]
        for path, value in found.items()
        if value not in (None, [], {})
    ]


def _count_problems(step, body):
    lengths = {path: len(at(body, path) or []) for path in step.get("expect_count", {})}
    return [
        f"{path} has {lengths[path]}, want {count}"
        for path, count in step.get("expect_count", {}).items()
        if lengths[path] != count
    ]


def _null_problems(step, body):
    found = []
    for path in step.get("expect_not_null", []):
        parent, _, name = path.rpartition("/")
        holder = at(body, parent) or {}
        if name in holder and holder[name] is None:
            found.append(f"{path} is null")
    return found


def _header_problems(step, headers):
    return [
        f"header {name}={headers.get(name)!r}, want {pattern}"
        for name, pattern in step.get("expect_headers", {}).items()
        if headers.get(name) is None or not fnmatch.fnmatch(headers[name], pattern)
    ]


def _mismatches(expected, actual, path):
    if isinstance(expected, dict):
        return _object_mismatches(expected, actual, path)
    if isinstance(expected, list):
        return _array_mismatches(expected, actual, path)
    same = type(expected) is type(actual) and expected == actual
    return [] if same else [f"{path}: want {expected!r}, got {actual!r}"]


def _object_mismatches(expected, actual, path):
    if "$any" in expected:
        return []
    if "$type" in expected:
        fits = TYPES[expected["$type"]](actual)
        return [] if fits else [f"{path}: want {expected['$type']}, got {actual!r}"]
    if not isinstance(actual, dict):
        return [f"{path}: want object, got {str(actual)[:80]!r}"]
    found = []
    for name, value in expected.items():
        if name in actual:
            found += _mismatches(value, actual[name], f"{path}/{name}")
        else:
            found.append(f"{path}/{name}: missing")
    return found


def _array_mismatches(expected, actual, path):
    if not isinstance(actual, list):
        return [f"{path}: want array, got {str(actual)[:80]!r}"]
    if not expected and actual:
        return [f"{path}: want empty"]
    return [
        f"{path}: no element like {json.dumps(element)[:120]}"
        for element in expected
        if all(_mismatches(element, candidate, path) for candidate in actual)
    ]
