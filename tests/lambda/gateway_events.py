"""Translates between HTTP and the two event shapes in which API Gateway calls a function."""

import base64
import time
import urllib.parse
import uuid
from dataclasses import dataclass

DOMAIN = "abc123defg.execute-api.eu-west-1.amazonaws.com"
FORMATS = ("http-api", "rest-api")
TEXT_TYPES = ("application/json", "text/")


@dataclass
class Request:
    """One HTTP request: `target` is path and query as sent, `headers` a list of pairs."""

    method: str
    target: str
    headers: list
    body: bytes


@dataclass
class Response:
    """One HTTP response."""

    status: int
    headers: list
    body: bytes


def event(request, format, stage):
    """Builds the event that API Gateway would send; an HTTP API's stage may be `$default`."""
    return http_api_event(request, stage) if format == "http-api" else rest_api_event(request, stage)


def http_api_event(request, stage):
    """Payload format 2.0: the path arrives decoded and with its stage, the query as it was sent."""
    path, _, query = request.target.partition("?")
    # A decoded question mark ends the path, as in the gateway itself.
    raw_path = ("" if stage == "$default" else f"/{stage}") + decoded(path).partition("?")[0]
    http = {"method": request.method, "path": raw_path, "protocol": "HTTP/1.1", **client(request)}
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": raw_path,
        "rawQueryString": query,
        "headers": {name: ",".join(values) for name, values in grouped(lowered(request.headers)).items()},
        "queryStringParameters": {name: ",".join(values) for name, values in parameters(query).items()} or None,
        "requestContext": {
            **context(stage), "http": http, "routeKey": "$default",
            "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime()), "timeEpoch": int(time.time() * 1000),
        },
        **payload(request),
    }


def rest_api_event(request, stage):
    """Payload format 1.0: the path arrives as it was sent and without its stage, the query decoded."""
    path, _, query = request.target.partition("?")
    queries, headers = parameters(query), grouped(request.headers)
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": request.method,
        "headers": {name: values[-1] for name, values in headers.items()},
        "multiValueHeaders": headers,
        "queryStringParameters": {name: values[-1] for name, values in queries.items()} or None,
        "multiValueQueryStringParameters": queries or None,
        "pathParameters": {"proxy": path[1:]},
        "requestContext": {
            **context(stage), "httpMethod": request.method, "identity": client(request), "path": f"/{stage}{path}",
            "protocol": "HTTP/1.1", "resourcePath": "/{proxy+}", "requestTimeEpoch": int(time.time() * 1000),
        },
        **payload(request),
    }


def response(answer, format):
    """Reads the function's answer. One that is not an HTTP answer becomes the gateway's 502.

    A REST API without binary media types passes base64 on as it is.
    """
    if not isinstance(answer, dict) or "statusCode" not in answer:
        return Response(502, [("Content-Type", "application/json")], b'{"message":"Internal Server Error"}')
    headers = {name: [value] for name, value in (answer.get("headers") or {}).items()}
    headers.update(answer.get("multiValueHeaders") or {})
    body = answer.get("body") or ""
    return Response(
        answer["statusCode"],
        [(name, value) for name, values in headers.items() for value in values],
        base64.b64decode(body) if answer.get("isBase64Encoded") and format == "http-api" else body.encode(),
    )


def context(stage):
    return {
        "accountId": "123456789012",
        "apiId": DOMAIN.partition(".")[0],
        "domainName": DOMAIN,
        "domainPrefix": DOMAIN.partition(".")[0],
        "requestId": str(uuid.uuid4()),
        "stage": stage,
    }


def client(request):
    agent = dict(lowered(request.headers)).get("user-agent")
    return {"sourceIp": "203.0.113.10", "userAgent": agent}


def payload(request):
    """The body as text if the gateway treats it as text, in base64 otherwise."""
    if not request.body:
        return {"isBase64Encoded": False}
    content_type = dict(lowered(request.headers)).get("content-type", "")
    if content_type.startswith(TEXT_TYPES):
        try:
            return {"body": request.body.decode(), "isBase64Encoded": False}
        except UnicodeDecodeError:
            pass
    return {"body": base64.b64encode(request.body).decode(), "isBase64Encoded": True}


def parameters(query):
    return grouped(urllib.parse.parse_qsl(query, keep_blank_values=True))


def decoded(path):
    return urllib.parse.unquote(path, errors="replace")


def lowered(headers):
    return [(name.lower(), value) for name, value in headers]


def grouped(pairs):
    values = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return values
