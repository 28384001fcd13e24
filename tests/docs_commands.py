#!/usr/bin/env python3
"""Runs every command of the pages beside README.md and of docs/ as it is printed.

    docs_commands.py --scim PATH --bootstrap PATH

Commands are the lines of `console` blocks, and spans of code that begin with the name of a program.
They run in one shell session, in a copy of the project without what was built. Commands that need AWS reach stand-ins on
loopback: the embedded table (`--scim` is the built command) and moto's Secrets Manager. Commands that
would change the machine or deploy run with `--help`. Commands of other steps of `.ci/run` are only looked up there.
A command to which no rule below applies is a failure. Needs Python packages `boto3` and `moto`,
and `sam` and `cargo-lambda` on the PATH; `--bootstrap` is the built Lambda binary.
"""

import argparse
import json
import os
import pathlib
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import boto3

ROOT = pathlib.Path(__file__).resolve().parents[1]
PROGRAMS = r"(?:[A-Z_]+=\S+ )*(?:cargo|sam|pip|rustup|python3?|export|curl|bash)"
ALIAS = "run --features cli --bin scim --"
START_SECONDS = 60
COMMAND_SECONDS = 120
TABLE, STACK = "my-table-name", "my-stack"

# How commands are run: as printed, as a server in the background, beside the server that was started before, with
# --help, or by another step. For .ci/run itself it is enough that it has the groups.
RUN, SERVER, BESIDE, HELP, STEP, GROUP = "run", "server", "beside", "help", "step", "group"
RULES = [
    (r"cargo scim (serve|table)( .+)?", SERVER),
    (r"cargo lambda watch .+", SERVER),
    # It follows the feed without end.
    (r"cargo scim events tail .+", HELP),
    (r"cargo scim play .+", BESIDE),
    # It sends to the URL of the example, where there is nothing.
    (r"cargo scim webhook test .+", HELP),
    (r"cargo scim .+", RUN),
    (r"cargo lambda invoke .+", RUN),
    (r"export .+", RUN),
    (r"python3 scripts/\S+", RUN),
    (r"sam build( .+)?", RUN),
    (r"sam deploy( .+)?", HELP),
    (r"rustup target add .+", HELP),
    (r"pip install .+", HELP),
    (r"cargo bench .+", HELP),
    (r"(UPDATE=1 )?cargo test( .+)?", STEP),
    (r"bash \.ci/run( .+)?", GROUP),
]
# The commands that create what `ID` stands for in the commands after them, and those that list it.
CREATING = {"cargo scim token create": ["token", "list"], "cargo scim webhook add": ["webhook", "list"]}
BADGE = "urn:example:params:scim:schemas:Badge"

# Comes before the real `cargo` on the PATH. The binaries exist already, so nothing is compiled again.
CARGO = """#!{python}
import os, sys
arguments = sys.argv[1:]
if arguments[:1] == ["scim"]:
    os.execv({scim!r}, ["scim", *arguments[1:]])
if arguments[:2] == ["lambda", "build"]:
    import pathlib, shutil
    built = pathlib.Path("target/lambda") / arguments[arguments.index("--bin") + 1] / "bootstrap"
    built.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy({bootstrap!r}, built)
elif arguments[:1] == ["lambda"]:
    # The real `cargo` sets this variable to its own path.
    os.environ["CARGO"] = {shim!r}
    os.execvp("cargo-lambda", ["cargo-lambda", *arguments])
elif arguments[:1] == ["run"]:
    # `cargo lambda watch` starts a function like this.
    assert "scim-lambda" in arguments, arguments
    os.execv({bootstrap!r}, ["bootstrap"])
else:
    os.execv({cargo!r}, [{cargo!r}, *arguments])
"""


def commands():
    """Every command with its place, in the order of the text."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    for file in [*pages, ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"]:
        block = None
        for number, line in enumerate(file.read_text().splitlines(), 1):
            place = f"{file.relative_to(ROOT)}:{number}"
            if line.startswith("```"):
                block = line[3:] if block is None else None
            elif block == "console":
                yield place, line
            elif block is None:
                for span in re.findall(r"`([^`]+)`", line):
                    if re.match(rf"{PROGRAMS} \S", span):
                        yield place, span


class Session:
    """A shell in a copy of the project, with programs that find stand-ins for AWS."""

    def __init__(self, folder, options):
        self.folder, self.options = pathlib.Path(folder), options
        self.servers, self.id = [], None
        self.page, self.deployment = None, {}
        self.last_served = None
        self.clone = self.folder / "clone"
        leave_out = shutil.ignore_patterns("target", ".git", ".aws-sam", ".scim")
        shutil.copytree(ROOT, self.clone, ignore=leave_out)
        (self.clone / "badge.json").write_text(json.dumps(badge_schema()))
        (self.clone / "user-with-badge.json").write_text(json.dumps(user_with_badge()))
        tools = self.folder / "tools"
        tools.mkdir()
        self.write_cargo(tools / "cargo")
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SCIM_"))},
            "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "SAM_CLI_TELEMETRY": "0",
        }

    def write_cargo(self, path):
        alias = re.search(r'^scim = "(.+)"$', (ROOT / ".cargo" / "config.toml").read_text(), re.MULTILINE)
        if not alias or alias[1] != ALIAS:
            sys.exit(f"cargo scim is no longer `cargo {ALIAS}`")
        scim, bootstrap = (str(path.resolve()) for path in (self.options.scim, self.options.bootstrap))
        cargo = shutil.which("cargo")
        path.write_text(CARGO.format(python=sys.executable, scim=scim, bootstrap=bootstrap, cargo=cargo, shim=str(path)))
        path.chmod(0o755)

    def prepare_aws(self):
        """Makes a deployment out of stand-ins: an embedded table, and its secret in moto."""
        table = self.start("scim table --data :memory: --listen 127.0.0.1:0 --json", [self.options.scim.resolve()])
        ready = json.loads(self.wait_for(table, r"\{.*\}"))
        secrets = self.start("secrets", [sys.executable, ROOT / ".ci" / "local_aws.py"])
        endpoint = json.loads(self.wait_for(secrets, r"\{.*\}"))["endpoint"]
        keys = {name: ready["env"][name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
        self.environment |= {
            **keys,
            "AWS_ENDPOINT_URL_DYNAMODB": ready["endpoint"],
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": endpoint,
        }
        client = dict(
            region_name="us-east-1",
            aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
        )
        boto3.client("dynamodb", endpoint_url=ready["endpoint"], **client).create_table(
            TableName=TABLE,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        )
        secret = "0123456789abcdef" * 4
        boto3.client("secretsmanager", endpoint_url=endpoint, **client).create_secret(
            Name=f"{STACK}/stack", SecretString=secret
        )

    # --- commands

    def open(self, page):
        """Begins a page. A page after README.md is read in a terminal in which the deployment of README.md is set."""
        if self.page is not None and page != self.page:
            self.environment = dict(self.deployment)
        self.page = page

    def play(self, command, how):
        if how == STEP:
            return None if is_in_steps(command) else "no step of .ci/run does this"
        if how == GROUP:
            return None if are_groups(command.split(" ")[2:]) else "no group of .ci/run"
        if how == SERVER:
            self.last_served = command
            return self.serve(command)
        if how == BESIDE:
            return self.beside(command)
        filled = " ".join(self.id if word == "ID" else word for word in command.split(" "))
        if how == HELP:
            filled += " --help"
        return self.shell(filled)

    def shell(self, command):
        """Runs a command. Variables that it exports are set for the commands after it."""
        script = f"set -eo pipefail; {command}\nstatus=$?; env -0 >{shlex.quote(str(self.folder / 'env'))}; exit $status"
        try:
            ended = subprocess.run(
                ["bash", "-c", script], cwd=self.clone, env=self.environment,
                capture_output=True, text=True, timeout=COMMAND_SECONDS,
            )
        except subprocess.TimeoutExpired:
            logs = "".join(self.log(server)[-300:] for server in self.servers)
            return f"did not end; the servers say: {logs}"
        if ended.returncode != 0:
            return f"ended with {ended.returncode}: {(ended.stdout + ended.stderr)[-600:]}"
        lines = (self.folder / "env").read_text().split("\0")
        exported = dict(line.split("=", 1) for line in lines if "=" in line)
        self.environment |= {name: value for name, value in exported.items() if name not in ("_", "SHLVL", "PWD")}
        if command.startswith("cargo scim tenant create"):
            self.deployment = dict(self.environment)
        for start, listing in CREATING.items():
            if command.startswith(start):
                # A token is made for a tenant, whose name follows.
                tenant = command.removeprefix(start).split()[:1] if listing[0] == "token" else []
                self.id = self.last_listed([*listing, *tenant])
        return self.unanswered(command, ended.stdout)

    def last_listed(self, listing):
        """The first column of the last row of a list. A row may have lines below it, which begin with a blank."""
        listed = subprocess.run(
            [self.options.scim.resolve(), *listing],
            cwd=self.clone, env=self.environment, capture_output=True, text=True, check=True,
        )
        rows = [line for line in listed.stdout.splitlines() if not line.startswith(" ")]
        return rows[-1].split()[0]

    @staticmethod
    def unanswered(command, printed):
        """The part that a printed answer lacks, or None."""
        if command.startswith("cargo lambda invoke") and json.loads(printed).get("statusCode") != 201:
            return f"the function answered {printed[:300]}"
        return None

    def serve(self, command):
        """Starts a server, waits until it is ready, and exports the variables that it prints."""
        server = self.start(command, ["bash", "-c", f"exec {command}"])
        if "lambda watch" in command:
            return self.wait_for_port(server, 9001)
        text = self.wait_for(server, r"Press Ctrl-C to stop")
        if text is None:
            return f"did not start: {self.log(server)[-600:]}"
        exports = dict(re.findall(r"export (\w+)='(.*)'", text))
        if exports:
            # The reader opens another terminal, in which nothing else is set.
            for name in ("SCIM_STACK", "SCIM_TABLE", "AWS_ENDPOINT_URL_SECRETS_MANAGER"):
                self.environment.pop(name, None)
            self.environment |= exports
            self.environment["TOKEN"] = re.search(r"Token\s+(\S+)", text)[1]
        else:
            self.stop(server)
        return None

    def beside(self, command):
        """Runs a command while the last server of the page runs, which the reader has left running."""
        server = self.start(self.last_served, ["bash", "-c", f"exec {self.last_served}"])
        try:
            if self.wait_for(server, r"Press Ctrl-C to stop") is None:
                return f"{self.last_served} did not start: {self.log(server)[-600:]}"
            return self.shell(command)
        finally:
            self.stop(server)

    # --- servers

    def start(self, name, command):
        arguments = name.split(" ")[1:] if name.startswith("scim ") else []
        log = open(self.folder / f"{len(self.servers)}.log", "w+b")
        process = subprocess.Popen(
            [*map(str, command), *arguments], cwd=self.clone, env=self.environment,
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )
        self.servers.append((process, log))
        return self.servers[-1]

    @staticmethod
    def log(server):
        return pathlib.Path(server[1].name).read_text(errors="replace")

    def wait_for(self, server, pattern):
        """The output of a server once it matches, or None if the server ends before."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if re.search(pattern, self.log(server)):
                return self.log(server)
            if server[0].poll() is not None:
                break
            time.sleep(0.05)
        return None

    def wait_for_port(self, server, port):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and server[0].poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return None
            except OSError:
                time.sleep(0.05)
        return f"did not listen: {self.log(server)[-600:]}"

    def stop(self, server):
        if server[0].poll() is None:
            os.killpg(server[0].pid, 15)
            server[0].wait(timeout=20)

    def close(self):
        for server in reversed(self.servers):
            self.stop(server)
            server[1].close()


def test_file(target, module):
    """The file of a test target, or of a module of one."""
    if target == "suite":
        return ROOT / "tests" / target / f"{module or 'main'}.rs"
    return ROOT / "protocol" / "tests" / f"{target}.rs"


def is_in_steps(command):
    """Whether .ci/run runs the command, perhaps with more arguments, or for all tests and features together."""
    program = re.sub(r" (-p|--features) \S+", "", command.removeprefix("UPDATE=1 ").split(" --test ")[0])
    named = re.search(r"--test (\w+)(?: (\w+)::)?", command)
    exists = named is None or test_file(*named.groups()).exists()
    return exists and re.search(rf"^\s.*\b{program}\b", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)


def are_groups(names):
    groups = re.search(r"^readonly groups='(.+)'$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    return set(names) <= set(groups[1].split(" "))


def badge_schema():
    attribute = {"name": "number", "type": "string", "multiValued": False, "description": "On the badge",
                 "required": False, "caseExact": True, "mutability": "readWrite", "returned": "default",
                 "uniqueness": "none"}
    return {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"], "id": BADGE, "name": "Badge",
            "description": "Badges", "attributes": [attribute]}


def user_with_badge():
    # All that users have already, and one more.
    known = ("enterprise", "ionic")
    urns = [*(f"urn:ietf:params:scim:schemas:extension:{name}:2.0:User" for name in known), BADGE]
    extensions = [{"schema": urn, "required": False} for urn in urns]
    return {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"], "id": "User", "name": "User",
            "endpoint": "/Users", "description": "User", "schema": "urn:ietf:params:scim:schemas:core:2.0:User",
            "schemaExtensions": extensions}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scim", type=pathlib.Path, required=True, help="the built scim command")
    parser.add_argument("--bootstrap", type=pathlib.Path, required=True, help="the built Lambda binary")
    options = parser.parse_args()
    passed = failed = 0
    with tempfile.TemporaryDirectory() as folder:
        session = Session(folder, options)
        try:
            session.prepare_aws()
            for place, command in commands():
                session.open(place.split(":")[0])
                how = next((how for pattern, how in RULES if re.fullmatch(pattern, command)), None)
                problem = session.play(command, how) if how else "no rule says how to run it"
                passed, failed = passed + (not problem), failed + bool(problem)
                print(f"{'FAIL' if problem else 'ok  '} {place} | {command}" + (f" | {problem}" if problem else ""))
        finally:
            session.close()
    print(f"docs-commands: {passed} passed, {failed} failed, 0 skipped")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
