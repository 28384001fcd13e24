"""Checks that docs/alarms.md says of each alarm of template.yaml what to do, and of no others."""

import re
import sys

from template import resources

with open("docs/alarms.md") as file:
    described = re.findall(r"^\| `(\w+)` \|", file.read(), re.MULTILINE)
alarms = [name for name, resource in resources.items() if resource["Type"] == "AWS::CloudWatch::Alarm"]
problems = [f"{name} is not in docs/alarms.md" for name in alarms if name not in described]
problems += [f"{name} is in docs/alarms.md and not in template.yaml" for name in described if name not in alarms]
print("\n".join(problems) or f"alarms: what to do is said of all {len(alarms)}")
sys.exit(1 if problems or not alarms else 0)
