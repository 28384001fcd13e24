"""Checks that template.yaml lets the functions touch their own resources only, and that only one can be called from
outside.

No statement may name every resource or every action, and no managed policy may be attached: those
of AWS name every resource. A wildcard at the end of an ARN of this stack is fine.

Only the function that answers HTTP may have a route or a URL. The one for operators may have no event source but a
schedule: its other callers are those whom IAM lets invoke it.
"""

import sys

from template import functions, listed, policies, resources

problems = []
for name, function in functions().items():
    if "Role" not in function["Properties"]:
        problems.append(f"{name}: without a Role of its own SAM attaches a managed policy")
for name, function in functions().items():
    properties = function["Properties"]
    kinds = {event["Type"] for event in properties.get("Events", {}).values()}
    if properties["Handler"] != "http" and (kinds & {"Api", "HttpApi"} or "FunctionUrlConfig" in properties):
        problems.append(f"{name}: can be called from outside")
    if properties["Handler"] == "admin" and kinds - {"Schedule"}:
        problems.append(f"{name}: has event sources")
for name, resource in resources.items():
    if resource["Type"] == "AWS::Lambda::Permission":
        problems.append(f"{name}: lets others invoke a function")
    if resource.get("Properties", {}).get("ManagedPolicyArns"):
        problems.append(f"{name}: attaches managed policies")
    for policy in policies(name):
        for statement in policy["PolicyDocument"]["Statement"]:
            for part in ("Action", "Resource"):
                values = listed(statement[part])
                if any(isinstance(value, str) and "*" in value for value in values):
                    problems.append(f"{name}, policy {policy['PolicyName']}: {part} {values} has a wildcard")

print("\n".join(problems) or "least privilege: every statement names its own resources, and one function can be called from outside")
sys.exit(1 if problems else 0)
