"""scim2-tester: create, read, replace and delete every discovered resource type, PATCH every attribute."""

import httpx2
from checklist import Checklist, server
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import check_server

PASSED = {"SUCCESS", "COMPLIANT"}

url, token = server()
checks = Checklist("scim2-tester")
with httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=30) as client:
    for result in check_server(SyncSCIMClient(client)):
        data = result.data if isinstance(result.data, dict) else {}
        name = " ".join(filter(None, (result.resource_type, result.title, data.get("urn"))))
        if result.status.name == "SKIPPED":
            checks.skip(name, result.reason)
        elif result.status.name in PASSED:
            checks.record(name)
        else:
            checks.record(name, f"{result.status.name}: {result.reason}")
checks.finish()
