"""Counts what a suite checked, and closes with the one line that people and scripts read.

`gaps.txt` names checks that are known to fail because the service does not offer something. Such a
check is reported as a gap and counted as skipped, never as passed. If no check of a line of `gaps.txt`
fails any more, the suite fails, so that the list stays true.
"""

import os
import pathlib
import re
import sys

GAPS = pathlib.Path(__file__).with_name("gaps.txt")


class Checklist:
    """The checks of one suite, in the order in which they were made."""

    def __init__(self, suite):
        self.suite = suite
        self.gaps = _gaps_of(suite)
        self.missed = set()
        self.passed = self.failed = self.skipped = 0

    def step(self, name, action, expect=lambda answer: True):
        """Runs `action`, records whether `expect` holds for its answer, and returns the answer or None."""
        try:
            answer = action()
            holds = expect(answer)
        except Exception as error:  # whatever the client under test raises is the finding
            self.record(name, f"{type(error).__name__}: {error}")
            return None
        self.record(name, None if holds else f"got {answer!r}")
        return answer

    def record(self, name, problem=None):
        """Records a check; `problem` says why it failed, None that it passed."""
        if problem is None:
            self.passed += 1
            return
        gap = next((pattern for pattern in self.gaps if re.fullmatch(_expression(pattern), name)), None)
        if gap is None:
            self.failed += 1
        else:
            self.skipped += 1
            self.missed.add(gap)
        print("FAIL" if gap is None else "GAP", name, "|", " ".join(str(problem).split())[:300])

    def skip(self, name, reason):
        """Records a check that the suite itself chose not to make."""
        self.skipped += 1
        print("SKIP", name, "|", reason)

    def finish(self):
        """Prints the closing line and ends the process."""
        for gap in sorted(self.gaps - self.missed):
            self.failed += 1
            print("FAIL", f"{GAPS.name} names {gap!r}, under which nothing fails")
        if self.passed + self.failed + self.skipped == 0:
            self.failed = 1
            print("FAIL the suite made no check")
        print(f"{self.suite}: {self.passed} passed, {self.failed} failed, {self.skipped} skipped", flush=True)
        sys.exit(1 if self.failed else 0)


def server():
    """The base URL and the token of the server under test, from the environment."""
    try:
        return os.environ["SCIM_URL"].rstrip("/"), os.environ["SCIM_TOKEN"]
    except KeyError as missing:
        sys.exit(f"set {missing.args[0]}: the SCIM base URL in SCIM_URL, a bearer token in SCIM_TOKEN")


def _gaps_of(suite):
    lines = (line.partition("#")[0].strip() for line in GAPS.read_text().splitlines())
    pairs = (line.split(maxsplit=1) for line in lines if line)
    return {pattern for name, pattern in pairs if name == suite}


def _expression(pattern):
    return re.escape(pattern).replace(r"\*", ".*")
