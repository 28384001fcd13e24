#!/usr/bin/env python3
"""Checks or refreshes the files of the interactive documentation that are not written here.

    docs_files.py check             the files are those that layer/docs/swagger-ui.json names
    docs_files.py check --registry  and those of the npm package of that version
    docs_files.py refresh VERSION   takes the files of another version of the package, and names them

`--registry` and `refresh` need npm; NPM is the command if it is not `npm`. The npm client compares the package
with the registry's own hash.
"""

import argparse
import gzip
import hashlib
import json
import os
import pathlib
import shlex
import subprocess
import sys
import tarfile
import tempfile

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "layer" / "docs"
NAMES = FOLDER / "swagger-ui.json"
PACKAGE = "swagger-ui-dist"
COMPRESSED = ("swagger-ui-bundle.js", "swagger-ui.css")
PLAIN = ("LICENSE", "NOTICE", "swagger-ui-bundle.js.LICENSE.txt")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check").add_argument("--registry", action="store_true", help="compare with the npm package")
    commands.add_parser("refresh").add_argument("version", help=f"a version of {PACKAGE}")
    options = parser.parse_args()
    if options.command == "refresh":
        refresh(options.version)
    named = json.loads(NAMES.read_text())
    problems = differences(named["files"], ours())
    if options.command == "check" and options.registry:
        problems += differences(named["files"], hashes(published(named["version"])))
    sys.exit("\n".join(problems) or print(f"{named['package']} {named['version']}: {len(named['files'])} files"))


def refresh(version):
    """Writes the files of a version, and their hashes."""
    files = published(version)
    for name, content in files.items():
        # Without a time stamp, so that the same content has the same bytes.
        path, stored = (f"{name}.gz", gzip.compress(content, 9, mtime=0)) if name in COMPRESSED else (name, content)
        (FOLDER / path).write_bytes(stored)
    NAMES.write_text(json.dumps({"package": PACKAGE, "version": version, "files": hashes(files)}, indent=2) + "\n")


def published(version):
    """The files of the package."""
    with tempfile.TemporaryDirectory() as folder:
        npm = shlex.split(os.environ.get("NPM", "npm"))
        subprocess.run([*npm, "pack", "--silent", f"{PACKAGE}@{version}"], cwd=folder, check=True, stdout=subprocess.PIPE)
        with tarfile.open(next(pathlib.Path(folder).glob("*.tgz"))) as archive:
            return {name: archive.extractfile(f"package/{name}").read() for name in (*COMPRESSED, *PLAIN)}


def ours():
    """The hashes of the files here."""
    files = {name: gzip.decompress((FOLDER / f"{name}.gz").read_bytes()) for name in COMPRESSED}
    return hashes(files | {name: (FOLDER / name).read_bytes() for name in PLAIN})


def hashes(files):
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


def differences(named, found):
    return [f"{name}: {NAMES.name} names {named.get(name)}, found {found.get(name)}" for name in {*named, *found}
            if named.get(name) != found.get(name)]


if __name__ == "__main__":
    main()
