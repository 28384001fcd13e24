"""schemathesis: the service keeps what its own OpenAPI document says.

Requests are drawn from the document of the tenant, which has the tenant's own resource types, and follow its links
from a resource that was created to what can be done with it. No answer may have a status, a header or a body that
the document does not have, and no request may be answered with a 5xx or too late. A 501 is allowed, RFC 7644 §3.11
has it for /Me. FUZZ_EXAMPLES sets the requests per operation.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml

import httpx2
from checklist import Checklist, server

CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "unsupported_method", "ignored_auth", "use_after_free", "ensure_resource_availability",
)
CONFIG = '[checks.not_a_server_error]\nexpected-statuses = ["2xx", "3xx", "4xx", 501]\n'

base_url, token = server()
root = base_url.removesuffix("/scim/v2")


def described():
    """The document of the tenant."""
    answer = httpx2.get(f"{root}/openapi.json", headers={"Authorization": f"Bearer {token}"}, timeout=30)
    answer.raise_for_status()
    return answer


def run(folder, document):
    """Runs the fuzzer in `folder` and returns its JUnit report and its output."""
    (folder / "openapi.json").write_bytes(document.content)
    (folder / "schemathesis.toml").write_text(CONFIG)
    command = [
        str(pathlib.Path(sys.executable).with_name("schemathesis")),
        "--no-color", "--config-file", "schemathesis.toml", "run", "openapi.json",
        "--url", root, "--header", f"Authorization: Bearer {token}",
        "--checks", ",".join(CHECKS), "--phases", "examples,coverage,fuzzing,stateful",
        "--max-examples", os.environ.get("FUZZ_EXAMPLES", "40"),
        "--seed", "7", "--generation-database", "none", "--no-shrink",
        "--request-timeout", "20", "--continue-on-failure",
        "--report", "junit", "--report-junit-path", "report.xml",
    ]
    output = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
    return folder / "report.xml", output


checks = Checklist("schemathesis-fuzz")
document = described()
operations = [(path, method) for path, item in document.json()["paths"].items() for method in item]
own = os.environ.get("OWN_ENDPOINT")
if own:
    described = any(path.startswith(f"/scim/v2/{own}") for path, _ in operations)
    checks.record("the tenant's own type is described", None if described else f"there is no path of {own}")
with tempfile.TemporaryDirectory() as folder:
    report, output = run(pathlib.Path(folder), document)
    if not report.exists():
        sys.exit(output + "\nschemathesis wrote no report")
    for case in xml.parse(report).iter("testcase"):
        problems = [problem for problem in case if problem.tag in ("failure", "error")]
        checks.record(case.get("name"), problems[0].get("message") or problems[0].text if problems else None)
    print(next((line.strip() for line in output.splitlines() if " generated, " in line), ""))
if checks.failed:
    print(output)
checks.finish()
