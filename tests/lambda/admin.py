"""What `play_worker.py` asks of the function `admin`. Every request and every answer is held against
docs/admin.schema.json, with no member beyond it."""

import json
import pathlib
import re
import urllib.parse
from unittest import mock

import jsonschema
from services import STACK

DOCS = pathlib.Path(__file__).parents[2] / "docs"
TENANT = "acme"
URL = "https://hooks.invalid/scim?key=s3cret"
# Of the program in docs/admin.md.
SAMPLE_URL = "https://app.example.com/scim-events"


class Operator:
    """A program that invokes the function. `secrets` has those that it was shown, `problems` what was wrong."""

    def __init__(self, stage):
        self.stage = stage
        self.schema = closed(json.loads((DOCS / "admin.schema.json").read_text()))
        self.asked, self.secrets, self.problems = set(), set(), []

    def ask(self, op, **arguments):
        """What `ok` has in the answer to a request that must succeed."""
        request = {"op": op, "actor": "play", **arguments}
        self.check_form(op, request)
        answer = self.invoke(request)
        self.asked.add(op)
        ok = answer["ok"]
        self.check_form(f"{op}.ok", ok)
        self.secrets |= {ok["secret"]} if "secret" in ok else set()
        return ok

    def invoke(self, payload):
        answer = json.loads(self.stage.play("admin", payload))
        self.check_form(None, answer)
        return answer

    def check_form(self, name, value):
        schema = {"$ref": f"#/$defs/{name}", "$defs": self.schema["$defs"]} if name else self.schema
        for error in jsonschema.Draft202012Validator(schema).iter_errors(value):
            self.problems.append(f"{name}: {error.message}")

    def expect(self, what, found, wanted):
        if found != wanted:
            self.problems.append(f"{what}: found {found!r}")

    def operations(self):
        return {name for name in self.schema["$defs"] if f"{name}.ok" in self.schema["$defs"]}


def closed(schema, name=None):
    """The schema without room for further members. Callers have to ignore these, but this version writes none."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    # What a larger object takes over has to leave room for the members that are the larger one's own.
    parts = {key: part if key == "allOf" else closed(part, key) for key, part in schema.items()}
    is_object = schema.get("type") in ("object", ["object", "null"]) and "properties" in schema
    is_taken_over = name in ("webhook", "tenantEntry")
    is_whole = schema in ({"$ref": "#/$defs/webhook"}, {"$ref": "#/$defs/tenantEntry"})
    if (is_object and not is_taken_over and name != "switches") or is_whole:
        parts["unevaluatedProperties"] = False
    return parts


def works(stage):
    """What the function answers to the operations on webhooks. The tests of the suite ask for all others too."""
    operator = Operator(stage)
    ask, expect = operator.ask, operator.expect
    tenant = {"version": 1, "credentials": []}
    stage.services.secrets.create_secret(Name=f"{STACK}/tenants/{TENANT}", SecretString=json.dumps(tenant))

    add = {"url": URL, "tenant": TENANT, "types": ["user.*", "badge.created"], "from": "beginning", "requestId": "r-1"}
    added, repeated = ask("webhook.add", **add), ask("webhook.add", **add)
    id = added["id"]
    expect("the addition", (added["existed"], len(added["notes"])), (False, 1))
    expect("its repeat", (repeated["existed"], repeated["secret"]), (True, added["secret"]))

    listed = {webhook["id"]: webhook for webhook in ask("webhook.list")["webhooks"]}
    others = [webhook for webhook in listed.values() if webhook["url"] is None]
    expect("the list", (listed[id]["url"], len(others)), (URL, 1))
    expect("the new webhook", [it["state"] for it in ask("webhook.show", id=id)["deliveries"]], ["new"])
    # The one on this machine, which an earlier check has put into the table and delivered to.
    [failing] = [webhook for webhook in listed if webhook not in (id, others[0]["id"])]
    expect("a failure", ask("webhook.show", id=failing)["deliveries"][0]["lastFailure"]["attempts"], 1)

    [item] = [item for item in stage.items("S#B") if item["sk"]["S"] == failing]
    stage.put({**item, "state": {"S": "disabled"}, "at": {"N": "0"}, "reason": {"S": "It is gone"}})
    disabled = ask("webhook.show", id=failing, tenant=TENANT)["disabled"]
    expect("the disabled webhook", disabled, {"at": "1970-01-01T00:00:00.000Z", "reason": "It is gone"})
    expect("the resumed webhook", ask("webhook.resume", id=failing)["disabled"], None)

    expect("the sample", ask("webhook.test", id=id, tenant=TENANT)["accepted"], False)
    rotated = ask("webhook.rotate", id=id, requestId="r-2")
    again = ask("webhook.rotate", id=id, requestId="r-2")
    expect("the rotation", (rotated["previousUntil"] is None, again), (False, rotated))
    expect("one at once", ask("webhook.rotate", id=id, atOnce=True)["previousUntil"], None)
    expect("the secrets", len(operator.secrets), 3)

    expect("the removal", ask("webhook.remove", id=id), {"id": id, "existed": True})
    expect("its repeat", ask("webhook.remove", id=id), {"id": id, "existed": False})
    stored = stage.services.secrets.list_secrets(Filters=[{"Key": "name", "Values": [f"{STACK}/webhooks/{id}"]}])
    expect("the secret of what was removed", stored["SecretList"], [])
    asked = 13 + tenants(operator)
    expect("operations beyond the schema", operator.asked - operator.operations(), set())
    operator.problems += problems_of_log(stage.printed["admin"], operator.secrets, asked=asked)
    return operator.problems


def tenants(operator):
    """The operations of tenants and of the stack, with the schedule of the purge. Returns how many were asked for."""
    ask, expect = operator.ask, operator.expect
    new = {"tenant": "new", "switches": {"maxCount": 500}}
    expect("the creation", ask("tenant.create", **new)["existed"], False)
    expect("its repeat", ask("tenant.create", **new)["existed"], True)
    expect("the rules", ask("tenant.set", tenant="new", profile="strict")["profile"], "strict")
    expect("the suspension", ask("tenant.suspend", tenant="new", reason="unpaid")["state"], "suspended")
    expect("its end", ask("tenant.resume", tenant="new")["state"], "active")
    expect("the deletion", ask("tenant.delete", tenant="new", deleteAfterDays=1)["state"], "deleting")
    expect("the restored tenant", ask("tenant.restore", tenant="new")["changed"], True)
    listed = {entry["tenant"]: entry["state"] for entry in ask("tenant.list")["tenants"]}
    expect("the list of tenants", listed["new"], "active")
    operator.secrets.add(ask("credential.create", tenant="new", label="play")["token"])
    expect("the keys", len(ask("stack.rotateKey")["keys"]), 2)
    expect("the end of all", ask("stack.deleteTenants", stack=STACK)["done"], False)
    # Later checks need it.
    expect("one tenant restored", ask("tenant.restore", tenant=TENANT)["state"], "active")
    # Nothing is due yet: a purge begins two minutes after the deletion.
    expect("the schedule", purge(operator.stage), {"purged": 0})
    expect("the purge", is_purged(operator.stage, "new"), True)
    return 12


def purge(stage):
    return json.loads(stage.play("admin", {"schedule": "purge"}))


def is_purged(stage, tenant):
    """Calls the schedule as if the time had come for each step, until the secret of the tenant is gone."""
    secret = [{"Key": "name", "Values": [f"{STACK}/tenants/{tenant}"]}]
    for _ in range(6):
        make_due(stage, tenant)
        purge(stage)
        if not stage.services.secrets.list_secrets(Filters=secret)["SecretList"]:
            return True
    return False


def make_due(stage, tenant):
    """Puts the next step of a tenant's purge into the past: in the list of tenants, and in the line of purges."""
    [entry] = [item for item in stage.items("S#T") if item["sk"]["S"] == tenant]
    stage.put({**entry, "due": {"N": "1"}})
    [line] = [item for item in stage.items("S#X") if item["sk"]["S"].endswith(f"\x1f{tenant}")]
    stage.remove(line)
    stage.put({**line, "sk": {"S": f"{1:015}\x1f{tenant}"}})


def problems_of_log(printed, secrets, asked):
    """Whether each operation has its line in the log, and whether a secret is in it."""
    lines = [json.loads(line) for line in printed.splitlines() if line.startswith(b"{")]
    done = [line for line in lines if line.get("target") == "audit" and line["actor"] == "play"]
    if len(done) != asked:
        yield f"{len(done)} lines in the log"
    for hidden in [*secrets, "s3cret", "/scim?"]:
        if hidden.encode() in printed:
            yield f"{hidden} is in the log"


def refuses(stage):
    """Wrong requests, each with its error and never with an error of the function."""
    operator, before = Operator(stage), len(stage.printed["admin"])
    request = {"op": "webhook.list", "actor": "play"}
    wrong = {
        "no JSON": b'{"op":"webhook.list"',
        "nothing": b"",
        "no object": b"null",
        "no text": b'"\xff"',
        "too deep": b"[" * 10_000 + b"]" * 10_000,
        "too long": {**request, "actor": "a" * 40_000},
        "as long as Lambda lets through": {**request, "actor": "a" * 6_000_000},
        "without an actor": {"op": "webhook.list"},
        "an operation of no version": {**request, "op": "webhook.forget"},
        "a member of another version": {**request, "colour": "s3cret"},
        "a URL that leads into the network": {**request, "op": "webhook.add", "url": "https://169.254.169.254/"},
    }
    for what, payload in wrong.items():
        operator.expect(what, operator.invoke(payload).get("error", {}).get("code"), "invalid")
    unknown = {**request, "op": "webhook.show", "id": "0" * 16}
    operator.expect("no such webhook", operator.invoke(unknown)["error"]["code"], "unknown")
    no_tenant = {**request, "op": "webhook.add", "url": URL, "tenant": "nobody"}
    operator.expect("no such tenant", operator.invoke(no_tenant)["error"]["code"], "unknown")
    out_of_reach = json.loads(stage.play("admin", request, SCIM_TABLE="no-such-table"))
    operator.expect("no table", out_of_reach["error"]["code"] in ("later", "failed"), True)
    detail = operator.invoke(wrong["an operation of no version"])["error"]["detail"]
    operator.expect("the names in an error", set(detail.partition("it takes ")[2].split(", ")), operator.operations())
    operator.problems += problems_of_log(stage.printed["admin"][before:], [], asked=4)
    return operator.problems


def runs_as_printed(stage):
    """The first program of docs/admin.md, with the SDK. The emulator has the API of Lambda for one function."""
    program, *_ = re.findall(r"```python\n(.*?)```", (DOCS / "admin.md").read_text(), re.DOTALL)
    names = {"ADMIN_FUNCTION": "function"}
    with stage.running("admin") as url:
        origin = urllib.parse.urlsplit(url)
        with mock.patch.dict("os.environ", AWS_ENDPOINT_URL_LAMBDA=f"{origin.scheme}://{origin.netloc}"):
            exec(program, names)
        [webhook] = [it for it in names["ask"]("webhook.list")["webhooks"] if it["url"] == SAMPLE_URL]
        names["ask"]("webhook.remove", id=webhook["id"])
        try:
            names["ask"]("webhook.show", id=webhook["id"])
            return "what was removed is there"
        except RuntimeError as error:
            refused = str(error)
    is_right = names["secret"].startswith("whsec_") and refused.startswith("unknown: There is no webhook")
    return None if is_right else f"found {names['secret']!r}, {refused!r}"


CHECKS = {
    "what a program asks for is done, as the schema says": works,
    "a wrong request is answered, and is no error of the function": refuses,
    "the program of docs/admin.md does what it says": runs_as_printed,
}
