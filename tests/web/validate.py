"""Checks the OpenAPI documents of a running service with two public validators.

    validate.py ROOT_URL TOKEN

The documents are that for everyone and that of the token's tenant. The validators are openapi-spec-validator, and
@apidevtools/swagger-parser in `validate.cjs`, for which NODE and NODE_PATH say where node and its packages are.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent


def fetch(root, headers, path):
    request = urllib.request.Request(f"{root}/openapi.json", headers=headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        path.write_bytes(answer.read())
    return path


def main():
    root, token = sys.argv[1:]
    passed = failed = 0
    validators = (
        [pathlib.Path(sys.executable).with_name("openapi-spec-validator")],
        [os.environ.get("NODE", "node"), HERE / "validate.cjs"],
    )
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        documents = (
            fetch(root, {}, folder / "everyone.json"),
            fetch(root, {"Authorization": f"Bearer {token}"}, folder / "tenant.json"),
        )
        for validator in validators:
            for document in documents:
                valid = subprocess.run([*validator, document]).returncode == 0
                passed, failed = passed + valid, failed + (not valid)
    print(f"openapi-documents: {passed} passed, {failed} failed, 0 skipped")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
