"""schemathesis: no request to any endpoint is answered with a 5xx or too late.

A 501 is allowed, RFC 7644 §3.11 has it for /Me. FUZZ_EXAMPLES sets the requests per operation.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import uuid
import xml.etree.ElementTree as xml

import httpx2
import openapi
from checklist import Checklist, server

MEDIA_TYPE = "application/scim+json"
CONFIG = '[checks.not_a_server_error]\nexpected-statuses = ["2xx", "3xx", "4xx", 501]\n'

url, token = server()


def created_ids():
    """Creates one resource for each operation on a single resource, where the server has the endpoint."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": MEDIA_TYPE}
    ids = {}
    with httpx2.Client(base_url=url, headers=headers, timeout=30) as client:
        for endpoint, name in (("Users", "userName"), ("Groups", "displayName")):
            for method in ("get", "put", "patch", "delete"):
                answer = client.post(f"/{endpoint}", json={name: f"fuzz-{uuid.uuid4().hex}"})
                if answer.status_code == 201:
                    ids[endpoint, method] = answer.json()["id"]
    return ids


def run(folder):
    """Runs the fuzzer in `folder` and returns its JUnit report and its output."""
    (folder / "openapi.json").write_text(json.dumps(openapi.description(created_ids())))
    (folder / "schemathesis.toml").write_text(CONFIG)
    command = [
        str(pathlib.Path(sys.executable).with_name("schemathesis")),
        "--no-color", "--config-file", "schemathesis.toml", "run", "openapi.json",
        "--url", url, "--header", f"Authorization: Bearer {token}",
        "--checks", "not_a_server_error", "--phases", "examples,coverage,fuzzing",
        "--max-examples", os.environ.get("FUZZ_EXAMPLES", "40"),
        "--seed", "7", "--generation-database", "none", "--no-shrink",
        "--request-timeout", "20", "--continue-on-failure",
        "--report", "junit", "--report-junit-path", "report.xml",
    ]
    output = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
    return folder / "report.xml", output


checks = Checklist("schemathesis-fuzz")
with tempfile.TemporaryDirectory() as folder:
    report, output = run(pathlib.Path(folder))
    if not report.exists():
        sys.exit(output + "\nschemathesis wrote no report")
    for case in xml.parse(report).iter("testcase"):
        problems = [problem for problem in case if problem.tag in ("failure", "error")]
        checks.record(case.get("name"), problems[0].get("message") or problems[0].text if problems else None)
    print(next((line.strip() for line in output.splitlines() if " generated, " in line), ""))
if checks.failed:
    print(output)
checks.finish()
