"""Checks with a recorded `cargo` what `sam build` asks for, and that a wrong binary is found before a deploy.

The recorded `cargo` notes its arguments and writes a header of a binary for the processor that they
name, or for that of the machine it plays, as cargo-lambda does. Ends with a line of counts.
"""

import json
import os
import pathlib
import shutil
import stat
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
RECORDED = '''#!{python}
import json, os, pathlib, sys
arguments = sys.argv[1:]
if arguments[:2] != ["lambda", "build"]:
    os.execv({cargo!r}, [{cargo!r}, *arguments])
with open({log!r}, "a") as log:
    log.write(json.dumps(arguments) + "\\n")
machine = 183 if "--arm64" in arguments or os.environ["HOST_MACHINE"] == "arm64" else 62
binary = pathlib.Path("target/lambda") / arguments[arguments.index("--bin") + 1] / "bootstrap"
binary.parent.mkdir(parents=True, exist_ok=True)
binary.write_bytes(b"\\x7fELF" + bytes(14) + machine.to_bytes(2, "little"))
'''
ARM = ["--parameter-overrides", "Architecture=arm64"]


class Project:
    """A copy of the project without what was built."""

    def __init__(self, directory):
        self.root = pathlib.Path(directory) / "project"
        leave_out = shutil.ignore_patterns("target", ".git", ".aws-sam", ".scim", "fuzz", "docs")
        shutil.copytree(ROOT, self.root, ignore=leave_out)
        self.tools = pathlib.Path(directory) / "tools"
        self.tools.mkdir()
        self.log = pathlib.Path(directory) / "log"
        cargo = self.tools / "cargo"
        cargo.write_text(RECORDED.format(python=sys.executable, cargo=shutil.which("cargo"), log=str(self.log)))
        cargo.chmod(cargo.stat().st_mode | stat.S_IEXEC)

    def build(self, arguments, host):
        """Runs `sam build`; returns what it gave `cargo lambda build`."""
        self.log.write_text("")
        path = f"{self.tools}{os.pathsep}{os.environ['PATH']}"
        self.run(["sam", "build", *arguments], {"PATH": path, "HOST_MACHINE": host}, check=True)
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def check(self, arguments):
        command = [sys.executable, self.root / "scripts" / "check_architecture.py", *arguments]
        return self.run(command, {}, check=False)

    def run(self, command, environment, check):
        return subprocess.run(
            command, cwd=self.root, env={**os.environ, **environment}, check=check, capture_output=True, text=True
        )


# What a case does: arguments of `sam build`, the machine's processor, what is in samconfig.toml by then,
# arguments of the check; whether `cargo` is told arm64, and what the check says where it refuses.
CASES = [
    ("the default on x86_64", [], "x86_64", None, [], False, None),
    ("arm64 by an argument of both", ARM, "x86_64", None, ARM, True, None),
    ("arm64 deployed, x86_64 built", [], "x86_64", None, ARM, False, "binary is for x86_64, the function will be arm64"),
    ("arm64 built, x86_64 deployed", ARM, "x86_64", None, [], True, "binary is for arm64, the function will be x86_64"),
    ("the default on arm64", [], "arm64", None, [], False, "on an arm64 machine"),
    ("arm64 on arm64", ARM, "arm64", None, ARM, True, None),
    ("arm64 in samconfig.toml", [], "x86_64", "global", [], True, None),
    ("arm64 as the answer of sam deploy --guided", [], "x86_64", "deploy", [], False, "function will be arm64"),
]


def problem_of(project, case):
    _, build, host, section, check, is_arm, refusal = case
    config = project.root / "samconfig.toml"
    original = (ROOT / "samconfig.toml").read_text()
    if section == "global":
        changed = original.replace("Architecture=x86_64", "Architecture=arm64")
    elif section == "deploy":
        head = "[default.deploy.parameters]\n"
        changed = original.replace(head, head + 'parameter_overrides = "Architecture=\\"arm64\\" MemorySize=\\"512\\""\n')
    else:
        changed = original
    if (changed == original) != (section is None):
        return f"samconfig.toml has no place for {section}"
    config.write_text(changed)
    calls = project.build(build, host)
    if not calls or any(("--arm64" in call) != is_arm for call in calls):
        return f"cargo was called with {calls}"
    checked = project.check(check)
    if (checked.returncode == 0) != (refusal is None) or (refusal or "") not in checked.stdout:
        return f"the check ended with {checked.returncode}: {checked.stdout}{checked.stderr}"
    return None


def main():
    failed = 0
    with tempfile.TemporaryDirectory() as directory:
        project = Project(directory)
        for case in CASES:
            problem = problem_of(project, case)
            if problem:
                failed += 1
                print(f"FAIL {case[0]} | {problem}")
    print(f"architecture: {len(CASES) - failed} passed, {failed} failed, 0 skipped")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
