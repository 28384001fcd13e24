"""The services of a stack beside its table, at an endpoint that takes any credentials: queues, an event bus and
secrets. Queues and the stack secret are named like the resources of template.yaml."""

import json
import os

import boto3

STACK = "play"
BUS = "EventBus"
STACK_SECRET = "StackSecret"


class Services:
    """A client for each service. `endpoint` is that of an emulator, which is reached without a recorder."""

    def __init__(self, endpoint):
        def client(name):
            return boto3.client(
                name, endpoint_url=endpoint, aws_access_key_id="test", aws_secret_access_key="test",
                region_name=os.environ["AWS_REGION"],
            )

        self.queues, self.events, self.secrets = client("sqs"), client("events"), client("secretsmanager")
        names = ("FinishQueue", "DeliverQueue", "SetAsideQueue", "OnBus")
        self.urls = {name: self.queues.create_queue(QueueName=name)["QueueUrl"] for name in names}
        self.secrets.create_secret(Name=STACK_SECRET, SecretString="0123456789abcdef" * 4)
        self.events.create_event_bus(Name=BUS)
        self.events.put_rule(Name="all", EventBusName=BUS, EventPattern=json.dumps({"source": [f"scim.{STACK}"]}))
        arn = self.queues.get_queue_attributes(QueueUrl=self.urls["OnBus"], AttributeNames=["QueueArn"])
        target = {"Id": "queue", "Arn": arn["Attributes"]["QueueArn"]}
        self.events.put_targets(Rule="all", EventBusName=BUS, Targets=[target])

    def environment(self, endpoint):
        """The variables of a function that reaches these services at `endpoint`."""
        return {
            "AWS_ENDPOINT_URL_SQS": endpoint,
            "AWS_ENDPOINT_URL_EVENTBRIDGE": endpoint,
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": endpoint,
            "SCIM_STACK": STACK,
            "SCIM_STACK_SECRET": STACK_SECRET,
            "SCIM_EVENT_BUS": BUS,
            "SCIM_FINISH_QUEUE": self.urls["FinishQueue"],
            "SCIM_DELIVER_QUEUE": self.urls["DeliverQueue"],
            "SCIM_SET_ASIDE_QUEUE": self.urls["SetAsideQueue"],
        }

    def delayed(self, queue):
        """The number of messages that a queue still keeps back."""
        name = "ApproximateNumberOfMessagesDelayed"
        attributes = self.queues.get_queue_attributes(QueueUrl=self.urls[queue], AttributeNames=[name])
        return int(attributes["Attributes"][name])

    def receive(self, queue, wait_seconds=0):
        """The bodies of the messages of a queue, in the order in which they come."""
        bodies, url = [], self.urls[queue]
        while messages := self.queues.receive_message(
            QueueUrl=url, WaitTimeSeconds=wait_seconds, MaxNumberOfMessages=10
        ).get("Messages"):
            for message in messages:
                self.queues.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                bodies.append(json.loads(message["Body"]))
            wait_seconds = 0
        return bodies
