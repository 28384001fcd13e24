#!/usr/bin/env python3
"""Checks, between `sam build` and `sam deploy`, that the binaries fit the functions they go into.

    check_architecture.py [--parameter-overrides Architecture=arm64] [--config-env NAME]

`sam build` chooses the processor before `sam deploy` asks for it, and on an arm64 machine it builds
for arm64 unless told otherwise. A binary for another processor deploys without complaint and fails
at its first request. Needs Python 3.11 or later, and nothing else.
"""

import argparse
import pathlib
import re
import struct
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILT = ROOT / ".aws-sam" / "build"
# e_machine of an ELF header.
MACHINES = {62: "x86_64", 183: "arm64"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parameter-overrides", nargs="*", default=[], help="what `sam deploy` is given")
    parser.add_argument("--config-env", default="default", help="the part of samconfig.toml that is used")
    options = parser.parse_args()
    wanted = deployed_architecture(options.parameter_overrides, options.config_env)
    binaries = sorted(BUILT.glob("*/bootstrap"))
    if not binaries:
        sys.exit(f"nothing is built: run sam build --parameter-overrides Architecture={wanted}")
    wrong = [(path.parent.name, machine(path)) for path in binaries if machine(path) != wanted]
    for function, built in wrong:
        print(f"{function}: the binary is for {built}, the function will be {wanted}")
    if wrong:
        print(f"run sam build --parameter-overrides Architecture={wanted}, or deploy with the other architecture")
        if any(built == "arm64" for _, built in wrong):
            print("on an arm64 machine sam builds for arm64 only: deploy with Architecture=arm64")
        sys.exit(1)
    print(f"{len(binaries)} functions: built for {wanted}, as they will be deployed")


def deployed_architecture(arguments, environment):
    """The parameter as `sam deploy` will have it: its arguments, samconfig.toml, the template's default."""
    with open(ROOT / "samconfig.toml", "rb") as file:
        config = tomllib.load(file).get(environment, {})
    sections = (config.get(name, {}).get("parameters", {}) for name in ("deploy", "global"))
    for overrides in (arguments, *(section.get("parameter_overrides", []) for section in sections)):
        text = overrides if isinstance(overrides, str) else " ".join(overrides)
        # `sam deploy --guided` writes the value in quotation marks.
        found = re.search(r'\bArchitecture="?(\w+)', text)
        if found:
            return found[1]
    template = (ROOT / "template.yaml").read_text()
    return re.search(r"^  Architecture:\n(?:    .*\n)*?    Default: (\S+)$", template, re.MULTILINE)[1]


def machine(path):
    """The processor that a binary is for."""
    with open(path, "rb") as file:
        head = file.read(20)
    if len(head) < 20 or head[:4] != b"\x7fELF":
        return "no processor of Lambda's"
    return MACHINES.get(struct.unpack_from("<H", head, 18)[0], "no processor of Lambda's")


if __name__ == "__main__":
    main()
