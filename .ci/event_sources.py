"""Checks the event sources of template.yaml: each must report failures, and must not block on one of them.

A function that reads the table's stream must report which records of a batch have failed, and retry them
for at most as long as the stream keeps records. After that, their positions must go to a queue that the
function's role may write to. An alarm must watch this queue, and another alarm must report much earlier
that the function is late.

A function that reads a queue must report which messages have failed. The queue must hide a message from
other readers for longer than the function runs, and move a message that keeps failing to a queue that an
alarm watches.
"""

import sys

from template import functions, listed, resource_of, resources, statements

LONGEST_AGE_SECONDS = 24 * 3600
LATEST_ALARM_MILLIS = 6 * 3600 * 1000
VISIBILITY_TIMES = 6


def may(function, action, queue):
    role = resource_of(resources[function]["Properties"]["Role"])
    return any(
        action in listed(statement["Action"]) and statement["Resource"] == {"Fn::GetAtt": [queue, "Arn"]}
        for statement in statements(role)
    )


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


def has_alarm_for_lateness(function):
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
        yield f"retries a record for {age or 'an unlimited time'}"
    if not has_alarm_for_lateness(function):
        yield "has no alarm for being late"
    failed = source.get("DestinationConfig", {}).get("OnFailure", {})
    queue = resource_of(failed.get("Destination"))
    if failed.get("Type") != "SQS" or resources.get(queue, {}).get("Type") != "AWS::SQS::Queue":
        yield "has no queue for records that failed"
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
        yield f"runs too long for the visibility timeout of {name}"
    for action in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes"):
        if not may(function, f"sqs:{action}", name):
            yield f"may not {action} of {name}"
    dead_letters = resource_of(queue.get("RedrivePolicy", {}).get("deadLetterTargetArn"))
    if not dead_letters:
        yield f"retries a message of {name} without end"
    elif not is_watched(dead_letters):
        yield f"has no alarm on {dead_letters}"


def problems_of(function, kind, source):
    yield from {"DynamoDB": problems_of_stream, "SQS": problems_of_queue}[kind](function, source)
    if source.get("FunctionResponseTypes") != ["ReportBatchItemFailures"]:
        yield "does not report which part of a batch has failed"


problems, sources = [], 0
for name, function in functions().items():
    for event, definition in function["Properties"].get("Events", {}).items():
        if definition["Type"] in ("DynamoDB", "SQS"):
            sources += 1
            found = problems_of(name, definition["Type"], definition["Properties"])
            problems += [f"{name}, event {event}: {text}" for text in found]

print("\n".join(problems) or f"event sources: {sources} of {sources} are right")
sys.exit(1 if problems or not sources else 0)
