"""What template.yaml says about functions and roles."""

from samcli.yamlhelper import yaml_parse

with open("template.yaml") as file:
    resources = yaml_parse(file.read())["Resources"]


def listed(value):
    """A list as it is, and a single value as a list of one."""
    return value if isinstance(value, list) else [value]


def resource_of(value):
    """The name of the resource that a value refers to, or None."""
    if not isinstance(value, dict):
        return None
    return value.get("Ref") or value.get("Fn::GetAtt", [None])[0]


def policies(role):
    """The policies of a role: its own, and those that are attached to it."""
    yield from resources[role].get("Properties", {}).get("Policies", [])
    for resource in resources.values():
        if resource["Type"] == "AWS::IAM::RolePolicy" and resource_of(resource["Properties"]["RoleName"]) == role:
            yield resource["Properties"]


def statements(role):
    """Every statement of a role."""
    for policy in policies(role):
        yield from policy["PolicyDocument"]["Statement"]


def functions():
    """Every function, by its name."""
    return {name: it for name, it in resources.items() if it["Type"] == "AWS::Serverless::Function"}
