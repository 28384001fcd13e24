"""Checks that template.yaml lets the function touch its own resources only.

No statement may name every resource or every action, and no managed policy may be attached: those
of AWS name every resource. A wildcard at the end of an ARN of this stack is fine.
"""

import sys

from samcli.yamlhelper import yaml_parse

with open("template.yaml") as file:
    resources = yaml_parse(file.read())["Resources"]

problems = []
for name, resource in resources.items():
    properties = resource.get("Properties", {})
    if resource["Type"] == "AWS::Serverless::Function" and "Role" not in properties:
        problems.append(f"{name}: without a Role of its own SAM attaches a managed policy")
    if properties.get("ManagedPolicyArns"):
        problems.append(f"{name}: attaches managed policies")
    for policy in properties.get("Policies", []):
        for statement in policy["PolicyDocument"]["Statement"]:
            for part in ("Action", "Resource"):
                values = statement[part] if isinstance(statement[part], list) else [statement[part]]
                if any(isinstance(value, str) and "*" in value for value in values):
                    problems.append(f"{name}, policy {policy['PolicyName']}: {part} {values} has a wildcard")

print("\n".join(problems) or "least privilege: every statement names its own resources")
sys.exit(1 if problems else 0)
