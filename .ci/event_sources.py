"""Checks that no event source of template.yaml loses anything in silence or holds up what comes behind it.

A reader of the table's stream says which records of a batch it has not handled, tries them until the
stream forgets them and not for ever, and keeps their places in a queue that its role may write to. An
alarm watches the queue, and another one tells long before that the reader is late.

A reader of a queue says which messages it has not handled, the queue keeps a message away from others
longer than the function runs, and in the end moves it to a queue that an alarm watches.
"""

import sys

from samcli.yamlhelper import yaml_parse

LONGEST_AGE_SECONDS = 24 * 3600
LATEST_ALARM_MILLIS = 6 * 3600 * 1000
VISIBILITY_TIMES = 6

with open("template.yaml") as file:
    resources = yaml_parse(file.read())["Resources"]


def is_arn_of(value, resource):
    return value == {"Fn::GetAtt": [resource, "Arn"]}


def resource_of(value):
    """The name of the resource whose ARN a value is, or None."""
    return value.get("Fn::GetAtt", [None])[0] if isinstance(value, dict) else None


def may(function, action, queue):
    role = resources[resource_of(resources[function]["Properties"]["Role"])]
    statements = [
        statement
        for policy in role["Properties"]["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
    ]

    def allows(statement):
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        return action in actions and is_arn_of(statement["Resource"], queue)

    return any(map(allows, statements))


def alarms():
    return (resource["Properties"] for resource in resources.values() if resource["Type"] == "AWS::CloudWatch::Alarm")


def is_watched(queue):
    dimensions = [{"Name": "QueueName", "Value": {"Fn::GetAtt": [queue, "QueueName"]}}]
    return any(
        (alarm.get("Namespace"), alarm.get("MetricName")) == ("AWS/SQS", "ApproximateNumberOfMessagesVisible")
        and alarm["Dimensions"] == dimensions
        and (alarm["ComparisonOperator"], alarm["Threshold"]) == ("GreaterThanThreshold", 0)
        for alarm in alarms()
    )


def tells_when_late(function):
    dimensions = [{"Name": "FunctionName", "Value": {"Ref": function}}]
    return any(
        (alarm.get("Namespace"), alarm.get("MetricName")) == ("AWS/Lambda", "IteratorAge")
        and alarm["Dimensions"] == dimensions
        and alarm["ComparisonOperator"] == "GreaterThanThreshold"
        and alarm["Threshold"] <= LATEST_ALARM_MILLIS
        for alarm in alarms()
    )


def problems_of_stream(function, source):
    age = source.get("MaximumRecordAgeInSeconds")
    if not age or age > LONGEST_AGE_SECONDS:
        yield f"tries a record for {age or 'ever'}"
    if not tells_when_late(function):
        yield "has no alarm for being late"
    failed = source.get("DestinationConfig", {}).get("OnFailure", {})
    queue = resource_of(failed.get("Destination"))
    if failed.get("Type") != "SQS" or resources.get(queue, {}).get("Type") != "AWS::SQS::Queue":
        yield "keeps records that failed nowhere"
        return
    if not may(function, "sqs:SendMessage", queue):
        yield f"may not send to {queue}"
    if not is_watched(queue):
        yield f"has no alarm on {queue}"


def problems_of_queue(function, source):
    name = resource_of(source["Queue"])
    queue = resources[name]["Properties"]
    timeout = resources[function]["Properties"]["Timeout"]
    if queue.get("VisibilityTimeout", 30) < VISIBILITY_TIMES * timeout:
        yield f"runs too long for the time that {name} keeps a message away from others"
    for action in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes"):
        if not may(function, f"sqs:{action}", name):
            yield f"may not {action} of {name}"
    dead_letters = resource_of(queue.get("RedrivePolicy", {}).get("deadLetterTargetArn"))
    if not dead_letters:
        yield f"tries a message of {name} for ever"
    elif not is_watched(dead_letters):
        yield f"has no alarm on {dead_letters}"


def problems_of(function, kind, source):
    yield from {"DynamoDB": problems_of_stream, "SQS": problems_of_queue}[kind](function, source)
    if source.get("FunctionResponseTypes") != ["ReportBatchItemFailures"]:
        yield "does not say which part of a batch has failed"


problems, sources = [], 0
for name, resource in resources.items():
    for event, definition in resource.get("Properties", {}).get("Events", {}).items():
        if definition["Type"] in ("DynamoDB", "SQS"):
            sources += 1
            found = problems_of(name, definition["Type"], definition["Properties"])
            problems += [f"{name}, event {event}: {text}" for text in found]

print("\n".join(problems) or f"event sources: {sources} of {sources} end, keep and tell")
sys.exit(1 if problems or not sources else 0)
