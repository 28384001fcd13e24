"""Checks that template.yaml lets the function touch its own resources only.

No statement may name every resource or every action, and no managed policy may be attached: those
of AWS name every resource. A wildcard at the end of an ARN of this stack is fine.
"""

import sys

from template import functions, listed, policies, resources

problems = []
for name, function in functions().items():
    if "Role" not in function["Properties"]:
        problems.append(f"{name}: without a Role of its own SAM attaches a managed policy")
for name, resource in resources.items():
    if resource.get("Properties", {}).get("ManagedPolicyArns"):
        problems.append(f"{name}: attaches managed policies")
    for policy in policies(name):
        for statement in policy["PolicyDocument"]["Statement"]:
            for part in ("Action", "Resource"):
                values = listed(statement[part])
                if any(isinstance(value, str) and "*" in value for value in values):
                    problems.append(f"{name}, policy {policy['PolicyName']}: {part} {values} has a wildcard")

print("\n".join(problems) or "least privilege: every statement names its own resources")
sys.exit(1 if problems else 0)
