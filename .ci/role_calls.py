"""Compares what the functions of the worker called with what their roles in template.yaml allow.

    role_calls.py FILE

FILE is what `tests/lambda/play_worker.py` has written: for each handler the calls that it made, as permissions
with the name of a resource. A role must allow every call of its function. It must allow nothing else, apart from
what Lambda itself does with the role; of the table this is checked by `tests/suite/permissions.rs`, whose
functions meet more than the played ones do. The last line counts the roles.
"""

import fnmatch
import json
import sys

from template import functions, listed, resource_of, statements

STACK = "play"
# What Lambda does with the role of a function: for its log, and to read its event source.
LOG = {"logs:CreateLogStream", "logs:PutLogEvents"}
OF_SOURCE = {
    "SQS": {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"},
    "DynamoDB": {f"dynamodb:{action}" for action in ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams")},
}


def allowed(role):
    """The permissions of a role, each with a pattern of names of resources."""
    for statement in statements(role):
        for action in listed(statement["Action"]):
            for resource in listed(statement["Resource"]):
                yield action, pattern(resource)


def pattern(resource):
    if resource_of(resource):
        return resource_of(resource)
    if "Fn::If" in resource:
        # Both forms of the parameter name the one event bus.
        return resource_of(resource["Fn::If"][1])
    return resource["Fn::Sub"].replace("${AWS::StackName}", STACK).rpartition(":")[2]


def of_lambda(function):
    """What Lambda does with the function's role: permissions with names of resources, None for any."""
    yield from ((action, None) for action in LOG)
    for event in function["Properties"].get("Events", {}).values():
        source = event["Properties"]
        yield from ((action, None) for action in OF_SOURCE.get(event["Type"], ()))
        failed = source.get("DestinationConfig", {}).get("OnFailure", {})
        if failed:
            yield "sqs:SendMessage", resource_of(failed["Destination"])


def problems_of(function, calls):
    rights = set(allowed(resource_of(function["Properties"]["Role"])))
    matches = lambda right, call: right[0] == call[0] and fnmatch.fnmatchcase(call[1], right[1])
    for call in sorted(calls):
        if not any(matches(right, call) for right in rights):
            yield f"may not {call[0]} of {call[1]}, which it calls"
    known = list(of_lambda(function))
    for right in sorted(rights):
        is_of_lambda = any(right[0] == action and name in (None, right[1]) for action, name in known)
        is_of_table = right[0].startswith("dynamodb:")
        if not is_of_lambda and not is_of_table and not any(matches(right, call) for call in calls):
            yield f"may {right[0]} of {right[1]}, which it never calls"


def main():
    with open(sys.argv[1]) as file:
        recorded = json.load(file)
    workers = {it["Properties"]["Handler"]: it for it in functions().values() if it["Properties"]["Handler"] != "http"}
    failed = 0
    for handler, function in workers.items():
        calls = {tuple(call) for call in recorded.get(handler, [])}
        problems = list(problems_of(function, calls)) if calls else ["was not played"]
        failed += bool(problems)
        for problem in problems:
            print(f"FAIL the function of {handler} {problem}")
    print(f"role-calls: {len(workers) - failed} passed, {failed} failed, 0 skipped")
    sys.exit(1 if failed else 0)


main()
