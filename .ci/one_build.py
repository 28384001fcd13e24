"""Checks that `cargo test` compiles nothing again that `cargo scim` has compiled, without building either.

Cargo compiles a crate once for each set of features that is asked of it. So each crate of the command
has to be in the tests with the same features. What only the tests have does not matter.
"""

import subprocess
import sys

# The features of each crate, in the edges that a build follows.
TREE = ["cargo", "tree", "--locked", "--prefix", "none", "--no-dedupe", "--format", "{p}|{f}"]


def crates(*arguments):
    """The crates of a build, each with the sets of features that it is compiled with.

    A crate may be compiled twice: for the program, and for the compiler's own use in macros and build scripts.
    """
    output = subprocess.run([*TREE, *arguments], check=True, capture_output=True, text=True).stdout
    found = {}
    for line in filter(None, output.splitlines()):
        crate, _, features = line.removesuffix(" (*)").partition("|")
        found.setdefault(crate, set()).add(features)
    return found


command = crates("--edges", "normal,build", "--features", "cli")
tests = crates("--edges", "normal,build,dev")
problems = [
    f"{crate}: the command has the features [{features}], the tests have {sorted(tests.get(crate, ()))}"
    for crate, sets in sorted(command.items())
    for features in sorted(sets - tests.get(crate, set()))
]
if problems:
    print("`cargo test` would compile these crates again, and what is built on them. Cargo.toml, [features], cli:")
    print("\n".join(problems))
print(f"one build: {len(command) - len(problems)} of {len(command)} crates of the command are the same in the tests")
sys.exit(1 if problems or not command else 0)
