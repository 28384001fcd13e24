"""Checks that no event source of template.yaml loses a record in silence or holds up its stream for ever.

Each reader of a stream gives a record up after a stated age, keeps its place in a queue that its
role may write to, and an alarm watches that queue.
"""

import sys

from samcli.yamlhelper import yaml_parse

LONGEST_AGE_SECONDS = 6 * 3600

with open("template.yaml") as file:
    resources = yaml_parse(file.read())["Resources"]


def is_arn_of(value, queue):
    return value == {"Fn::GetAtt": [queue, "Arn"]}


def queue_of(source):
    """The name of the queue for records that failed, or None."""
    failed = source.get("DestinationConfig", {}).get("OnFailure", {})
    attribute = failed.get("Destination", {}).get("Fn::GetAtt", [None])
    return attribute[0] if failed.get("Type") == "SQS" else None


def may_send(role, queue):
    statements = [
        statement
        for policy in role["Properties"]["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
    ]
    return any(
        statement["Action"] == "sqs:SendMessage" and is_arn_of(statement["Resource"], queue) for statement in statements
    )


def watches(alarm, queue):
    properties = alarm["Properties"]
    dimensions = [{"Name": "QueueName", "Value": {"Fn::GetAtt": [queue, "QueueName"]}}]
    return (
        alarm["Type"] == "AWS::CloudWatch::Alarm"
        and (properties["Namespace"], properties["MetricName"]) == ("AWS/SQS", "ApproximateNumberOfMessagesVisible")
        and properties["Dimensions"] == dimensions
        and (properties["ComparisonOperator"], properties["Threshold"]) == ("GreaterThanThreshold", 0)
    )


def problems_of(function, source):
    age = source.get("MaximumRecordAgeInSeconds")
    if not age or age > LONGEST_AGE_SECONDS:
        yield f"tries a record for {age or 'a day'}"
    queue = queue_of(source)
    if resources.get(queue, {}).get("Type") != "AWS::SQS::Queue":
        yield "keeps records that failed nowhere"
        return
    if not may_send(resources[function["Properties"]["Role"]["Fn::GetAtt"][0]], queue):
        yield f"may not send to {queue}"
    if not any(watches(resource, queue) for resource in resources.values()):
        yield f"has no alarm on {queue}"


problems, sources = [], 0
for name, resource in resources.items():
    for event, definition in resource.get("Properties", {}).get("Events", {}).items():
        if definition["Type"] == "DynamoDB":
            sources += 1
            problems += [f"{name}, event {event}: {text}" for text in problems_of(resource, definition["Properties"])]

print("\n".join(problems) or f"event sources: {sources} of {sources} end, keep and tell")
sys.exit(1 if problems or not sources else 0)
