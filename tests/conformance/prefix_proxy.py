"""A loopback proxy for clients whose SCIM path is fixed: {prefix}/X is forwarded to {target}/X."""

import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NOT_FORWARDED = {"host", "content-length", "connection", "accept-encoding", "transfer-encoding"}


def start(target, prefix):
    """Serves in the background on a free port and returns its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(target, prefix))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


def _handler(target, prefix):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
            if self.path.startswith(prefix):
                self.answer(*_forwarded(self.command, target + self.path[len(prefix):], self.headers, body))
            else:
                self.answer(404, {}, b"{}")

        def answer(self, status, headers, body):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = forward

        def log_message(self, *_):
            pass

    return Handler


def _forwarded(method, url, headers, body):
    request = urllib.request.Request(url, data=body, method=method, headers=_kept(headers))
    try:
        response = urllib.request.urlopen(request, timeout=30)
    except urllib.error.HTTPError as error:
        response = error
    with response:
        return response.status, _kept(response.headers), response.read()


def _kept(headers):
    return {name: value for name, value in headers.items() if name.lower() not in NOT_FORWARDED}
