"""Checks the dependencies that `cargo metadata` lists against the licences, bans and sources of deny.toml.

deny.toml is written for cargo-deny, which the hosted workflow runs; this reads the part of it that needs no
database of advisories, so that a checkout can be checked without compiling a tool. A part of deny.toml that
it does not know is an error, so that no part is believed to be checked although it is not.
"""

import json
import re
import subprocess
import sys
import tomllib

# The keys of deny.toml that are read here. `None`: the whole table is cargo-deny's.
KNOWN = {
    "graph": {"all-features"},
    "licenses": {"allow"},
    "bans": {"multiple-versions", "wildcards", "allow-wildcard-paths", "deny"},
    "sources": {"unknown-registry", "unknown-git", "allow-registry"},
    "advisories": None,
}
METADATA = ["cargo", "metadata", "--locked", "--format-version", "1", "--all-features"]


def allows(expression, allowed):
    """Whether an SPDX expression can be met by allowed licences alone.

    The grammar is that of SPDX, annex D, with the `/` of old manifests for `OR`. AND binds more tightly.
    """
    words = re.findall(r"[()]|[^\s()]+", expression.replace("/", " OR "))

    def either():
        met = both()
        while words[:1] == ["OR"]:
            words.pop(0)
            # Both sides have to be read, whatever the first one says.
            met = both() or met
        return met

    def both():
        met = single()
        while words[:1] == ["AND"]:
            words.pop(0)
            met = single() and met
        return met

    def single():
        word = words.pop(0) if words else ""
        if word == "(":
            met = either()
            if not words or words.pop(0) != ")":
                raise ValueError(f"no end of brackets in {expression!r}")
            return met
        if word in ("", ")", "AND", "OR", "WITH"):
            raise ValueError(f"no licence where one is expected in {expression!r}")
        if words[:1] == ["WITH"]:
            word = " ".join([word, words.pop(0), words.pop(0)])
        return word in allowed

    met = either()
    if words:
        raise ValueError(f"{words[0]!r} after the end of {expression!r}")
    return met


def check_expressions():
    """Checks the reader itself with a few expressions, because a wrong reader would let licences pass."""
    cases = [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("MIT/Apache-2.0", True),
        ("GPL-2.0-only OR MIT", True),
        ("MIT AND GPL-2.0-only", False),
        ("MIT OR ISC AND GPL-2.0-only", True),
        ("(MIT OR ISC) AND GPL-2.0-only", False),
        ("Apache-2.0 WITH LLVM-exception", False),
        ("Apache-2.0 WITH LLVM-exception OR MIT", True),
    ]
    for expression, expected in cases:
        assert allows(expression, {"MIT", "ISC", "Apache-2.0"}) is expected, expression
    for expression in ["", "MIT OR", "(MIT", "MIT ISC"]:
        try:
            allows(expression, {"MIT"})
        except ValueError:
            continue
        raise AssertionError(f"{expression!r} was read")


def unknown_parts(rules):
    for table, keys in rules.items():
        if table not in KNOWN:
            yield f"deny.toml: [{table}] is not checked here"
        elif KNOWN[table] is not None:
            yield from (f"deny.toml: [{table}] {key} is not checked here" for key in set(keys) - KNOWN[table])
    expected = {"multiple-versions": "allow", "wildcards": "deny", "allow-wildcard-paths": True}
    for key, value in expected.items():
        if rules["bans"].get(key) != value:
            yield f"deny.toml: [bans] {key} is expected to be {value!r}"
    for key in ("unknown-registry", "unknown-git"):
        if rules["sources"].get(key) != "deny":
            yield f"deny.toml: [sources] {key} is expected to be 'deny'"


def problems_of(package, rules):
    source = package["source"]
    if package["license"] is None:
        yield "names no licence"
    else:
        try:
            if not allows(package["license"], set(rules["licenses"]["allow"])):
                yield f"has the licence {package['license']}"
        except ValueError as error:
            yield str(error)
    for ban in rules["bans"]["deny"]:
        if ban["crate"] == package["name"]:
            yield f"is banned: {ban['reason']}"
    if source is not None:
        registries = {f"registry+{address}" for address in rules["sources"]["allow-registry"]}
        if source not in registries:
            yield f"comes from {source}"
        return
    # Only our own manifests can be changed here.
    for dependency in package["dependencies"]:
        if dependency["req"] == "*" and dependency["path"] is None:
            yield f"takes any version of {dependency['name']}"


def main():
    check_expressions()
    with open("deny.toml", "rb") as file:
        rules = tomllib.load(file)
    output = subprocess.run(METADATA, check=True, capture_output=True, text=True).stdout
    packages = json.loads(output)["packages"]
    problems = list(unknown_parts(rules))
    for package in packages:
        problems += [f"{package['name']} {package['version']} {problem}" for problem in problems_of(package, rules)]
    met = {name for name in rules["licenses"]["allow"] if any(name in (p["license"] or "") for p in packages)}
    problems += [f"deny.toml: no dependency has {name}" for name in sorted(set(rules["licenses"]["allow"]) - met)]
    print("\n".join(problems) or f"licences: {len(packages)} crates are as deny.toml allows")
    sys.exit(1 if problems or not packages else 0)


if __name__ == "__main__":
    main()
