"""A loopback endpoint between a function and the services that it calls. It writes down every call.

A call is passed on as it came, to the endpoint of its service. EventBridge may be told to refuse entries, which
an emulator never does.
"""

import http.client
import http.server
import json
import re
import threading
import urllib.parse

# The service in the header of Signature Version 4.
SERVICE = re.compile(r"Credential=[^/]+/[^/]+/[^/]+/([a-z]+)/")
# The permissions that the parts of a transaction need.
PARTS = {"ConditionCheck": "ConditionCheckItem", "Delete": "DeleteItem", "Get": "GetItem", "Put": "PutItem",
         "Update": "UpdateItem"}


class Recorder:
    """The endpoint. `calls` has a pair for each kind of call since it was emptied: the permission that the call
    needs, such as `sqs:SendMessage`, and the name of the resource. `refuse`, if it is set, returns an error code
    for an entry that EventBridge is to refuse, or None."""

    def __init__(self, endpoints):
        """`endpoints` has a URL for each service, by its name in signatures."""
        self.endpoints = endpoints
        self.calls = set()
        self.refuse = None
        recorder = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, headers, answer = recorder.answer(self.path, dict(self.headers), body)
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, path, headers, body):
        sent = {name.lower(): value for name, value in headers.items()}
        service = SERVICE.search(sent["authorization"])[1]
        request, operation = json.loads(body), sent["x-amz-target"].rpartition(".")[2]
        self.calls |= set(permissions(service, operation, request))
        refused = {}
        if operation == "PutEvents" and self.refuse:
            codes = enumerate(map(self.refuse, request["Entries"]))
            refused = {place: code for place, code in codes if code}
            kept = [entry for place, entry in enumerate(request["Entries"]) if place not in refused]
            if not kept:
                return 200, [], results(refused, [])
            body = json.dumps({**request, "Entries": kept}).encode()
        status, headers, answer = forward(self.endpoints[service], path, sent, body)
        if refused and status == 200:
            answer = results(refused, json.loads(answer)["Entries"])
        return status, headers, answer

    def stop(self):
        self.server.shutdown()


def permissions(service, operation, request):
    """The permissions that a call needs, each with the name of a resource."""
    if service == "dynamodb":
        parts = [PARTS[kind] for part in request.get("TransactItems", []) for kind in part]
        return [(f"dynamodb:{action}", "Table") for action in parts or [operation]]
    if service == "sqs":
        return [(f"sqs:{operation.removesuffix('Batch')}", request["QueueUrl"].rpartition("/")[2])]
    if service == "events":
        return [(f"events:{operation}", entry["EventBusName"]) for entry in request["Entries"]]
    return [(f"{service}:{operation}", request.get("SecretId") or request["Name"])]


def forward(endpoint, path, headers, body):
    url = urllib.parse.urlsplit(endpoint)
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=30)
    try:
        own = {"host": url.netloc, "content-length": str(len(body))}
        connection.request("POST", path, body, {**headers, **own})
        answer = connection.getresponse()
        kept = [(name, value) for name, value in answer.getheaders() if name.lower() in ("content-type", "x-amz-crc32")]
        return answer.status, kept, answer.read()
    finally:
        connection.close()


def results(refused, accepted):
    """The answer of EventBridge in which entries at these places are refused and the others accepted."""
    places = range(len(refused) + len(accepted))
    accepted = iter(accepted)
    entries = [
        {"ErrorCode": refused[place], "ErrorMessage": "It passes."} if place in refused else next(accepted)
        for place in places
    ]
    return json.dumps({"FailedEntryCount": len(refused), "Entries": entries}).encode()
