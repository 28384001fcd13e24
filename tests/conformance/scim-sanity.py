"""scim-sanity: a life-cycle probe of discovery, users, groups, search and errors."""

import json
import pathlib
import subprocess
import sys

from checklist import Checklist, server

url, token = server()
probe = subprocess.run(
    [
        pathlib.Path(sys.executable).with_name("scim-sanity"),
        "probe", url, "--token", token, "--i-accept-side-effects", "--json-output",
    ],
    stdout=subprocess.PIPE,
    text=True,
    timeout=300,
)
checks = Checklist("scim-sanity")
for result in json.loads(probe.stdout)["results"]:
    name, message = result["name"], result.get("message", "")
    if result["status"] == "skip":
        checks.skip(name, message)
    elif result["status"] == "warn":
        print("WARN", name, "|", message)
    else:
        checks.record(name, None if result["status"] == "pass" else message or result["status"])
checks.finish()
