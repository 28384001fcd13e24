"""What a SaaS backend does for a customer who switches provisioning on: backend.py TENANT
It asks the function ADMIN_FUNCTION with the AWS SDK. With AWS_ENDPOINT_URL_LAMBDA that is `scim serve`. Run twice,
it finds the tenant and makes another token."""
import json, os, sys, urllib.request, uuid
import boto3

tenant = sys.argv[1]
functions = boto3.client("lambda")

def ask(op, **arguments):
    request = {"op": op, "actor": "examples/backend", "requestId": str(uuid.uuid4()), **arguments}
    # The SDK repeats a call without an answer, with the same `requestId`. So nothing is done twice.
    answer = functions.invoke(FunctionName=os.environ["ADMIN_FUNCTION"], Payload=json.dumps(request))
    payload = json.load(answer["Payload"])
    if "FunctionError" in answer or "error" in payload:
        raise RuntimeError(f"{op}: {payload}")
    return payload["ok"]

def scim(token, method, path, body=None):
    request = urllib.request.Request(f"{url}{path}", json.dumps(body).encode() if body else None, method=method)
    request.add_header("Authorization", f"Bearer {token}")
    request.add_header("Content-Type", "application/scim+json")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read() or "null")

# 1. The customer clicks "Enable provisioning". Show URL and token once: the token cannot be read again.
created = ask("tenant.create", tenant=tenant)
url = os.environ.get("SCIM_URL") or created["urls"]["tenantScim2"]
issued = ask("credential.create", tenant=tenant, label="from the settings page")
print("tenant", tenant, "existed" if created["existed"] else "created")
print("url", url)
print("token", issued["token"])

# 2. The identity provider uses them. This is what it sends for a user and for their last day.
user = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": f"ada-{uuid.uuid4()}@example.com"}
user = scim(issued["token"], "POST", "/Users", user)
scim(issued["token"], "DELETE", f"/Users/{user['id']}")
print("provisioned", user["userName"])

# 3. The settings page: does it work, and with which token?
shown = ask("tenant.show", tenant=tenant)
used = {each["id"]: each["lastUsed"] for each in shown["credentials"]}
print("status", json.dumps({"users": shown["users"], "lastRequest": shown["lastRequest"], "lastUsed": used[issued["id"]]}))

# 4. "New token": the old one works for 24 more hours, so that the customer can change it.
rotated = ask("credential.rotate", tenant=tenant, id=issued["id"])
scim(rotated["token"], "GET", "/Users?count=1")
print("rotated", issued["id"], "to", rotated["id"], "previous until", rotated["previousUntil"])

# 5. The customer leaves. Everything goes in seven days, unless `tenant.restore` brings it back before.
deleted = ask("tenant.delete", tenant=tenant)
print("deleted, purged at", deleted["purgeAt"])
restored = ask("tenant.restore", tenant=tenant)
print("restored", restored["state"])
