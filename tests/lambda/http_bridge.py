#!/usr/bin/env python3
"""Gives a Lambda binary an HTTP address on loopback, in the place of API Gateway.

    http_bridge.py --bootstrap PATH [--format http-api|rest-api] [--stage NAME] [--log FILE]
    http_bridge.py --invoke URL …

Every HTTP request becomes an event, one at a time, as the emulator takes them. `--bootstrap` starts
the binary under the Runtime Interface Emulator with this process's environment; `--invoke` uses an
invocations endpoint that is there already, such as that of `cargo lambda watch`. When ready it
prints one line, {"baseUrl": …, "initMs": …}; SIGTERM ends it and what it started.
"""

import argparse
import contextlib
import json
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import emulator
import gateway_events

NOT_PASSED_ON = {"content-length", "connection", "transfer-encoding", "date", "server"}
MAX_EVENT_BYTES = 6 * 1024 * 1024


class Bridge:
    """Turns requests into invocations and answers into responses."""

    def __init__(self, invocations_url, format, stage):
        self.url, self.format, self.stage = invocations_url, format, stage
        self.one_at_a_time = threading.Lock()

    def answer(self, request):
        event = json.dumps(gateway_events.event(request, self.format, self.stage)).encode()
        if len(event) > MAX_EVENT_BYTES:
            return gateway_events.Response(413, [], b'{"message":"Request Too Long"}')
        with self.one_at_a_time:
            raw = emulator.invoke(self.url, event)
        try:
            answer = json.loads(raw)
        except ValueError:
            answer = None
        response = gateway_events.response(answer, self.format)
        if response.status == 502:
            print(f"{request.method} {request.target[:200]}: {raw[:500]!r}", file=sys.stderr)
        return response


def handler(bridge):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_ANY(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = [(name, value) for name, value in self.headers.items() if name.lower() != "host"]
            headers.append(("Host", gateway_events.DOMAIN))
            response = bridge.answer(gateway_events.Request(self.command, self.path, headers, body))
            self.send_response(response.status)
            for name, value in response.headers:
                if name.lower() not in NOT_PASSED_ON:
                    self.send_header(name, value)
            if response.status not in (204, 304):
                self.send_header("Content-Length", str(len(response.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(response.body)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_ANY

        def log_message(self, *_):
            pass

    return Handler


def main():
    options = parse_options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with contextlib.ExitStack() as started:
        running = None
        port = emulator.free_ports(1)[0]
        own_url = f"http://127.0.0.1:{port}"
        if options.bootstrap:
            if options.own_url:
                os.environ["SCIM_PUBLIC_URL"] = own_url
            log = started.enter_context(open(options.log, "wb")) if options.log else sys.stderr.buffer
            running = emulator.Emulator(options.bootstrap, log)
            started.callback(running.stop)
        bridge = Bridge(running.url if running else options.invoke, options.format, options.stage)
        warm_up(bridge)
        server = ThreadingHTTPServer(("127.0.0.1", port), handler(bridge))
        print(json.dumps({"baseUrl": f"{own_url}/scim/v2", "initMs": running and running.init_ms}), flush=True)
        server.serve_forever()


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    host = parser.add_mutually_exclusive_group(required=True)
    host.add_argument("--bootstrap", metavar="PATH", help="the Lambda binary to run under the emulator")
    host.add_argument("--invoke", metavar="URL", help="an invocations endpoint that is there already")
    parser.add_argument("--format", choices=gateway_events.FORMATS, default="http-api")
    parser.add_argument("--own-url", action="store_true", help="tell the function that it is reached at this address")
    parser.add_argument("--stage", help="stage of the API; default: $default for an HTTP API, prod for a REST API")
    parser.add_argument("--log", metavar="FILE", help="where the emulator and the function log; default: stderr")
    options = parser.parse_args()
    options.stage = options.stage or ("$default" if options.format == "http-api" else "prod")
    return options


def warm_up(bridge):
    """Starts the function with one request that needs no credential, and fails if it cannot start."""
    response = bridge.answer(gateway_events.Request("GET", "/scim/v2/ServiceProviderConfig", [], b""))
    if response.status >= 500:
        sys.exit(f"the function did not start: {response.status} {response.body[:500]!r}")


if __name__ == "__main__":
    main()
