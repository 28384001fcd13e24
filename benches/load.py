"""Sends requests to a SCIM server over several connections, and measures what each kind of them costs.

CPU time is the server's own, read from /proc, so that this client and other work on the machine do
not show in it. Latencies include this client.
"""

import http.client
import json
import os
import pathlib
import re
import statistics
import threading
import time
import urllib.parse

CONNECTIONS = 8
TIMING = re.compile(r"calls=(\d+) rru=([0-9.]+) wru=([0-9.]+)")

CORE = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


class Server:
    """Where requests go, which process answers them, and the secrets of its webhooks by their URLs."""

    def __init__(self, base_url, token, pid, secrets=None):
        url = urllib.parse.urlsplit(base_url)
        self.host, self.prefix, self.pid = url.netloc, url.path.rstrip("/"), pid
        self.secrets = secrets or {}
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/scim+json"}

    def connect(self):
        return http.client.HTTPConnection(self.host, timeout=300)

    def send(self, connection, method, path, body=None):
        """One request; its answer's status, headers and text.

        A server with a short queue of connections resets those that do not fit; they are made again.
        """
        text = None if body is None else json.dumps(body)
        while True:
            try:
                connection.request(method, self.prefix + path, text, self.headers)
                answer = connection.getresponse()
                return answer.status, answer.headers, answer.read()
            except ConnectionResetError:
                connection.close()
                time.sleep(0.02)

    def ask(self, path):
        """The JSON at a path."""
        connection = self.connect()
        status, _, text = self.send(connection, "GET", path)
        connection.close()
        assert status == 200, (path, status, text[:500])
        return json.loads(text)

    def cpu_ns(self):
        """CPU time so far: the service's, and that of threads called `table`.

        Without such threads it is the time of the process, which includes threads that have ended.
        """
        service = table = 0
        for task in pathlib.Path(f"/proc/{self.pid}/task").iterdir():
            try:
                name = (task / "comm").read_text().strip()
                spent = int((task / "schedstat").read_text().split()[0])
            except OSError:
                continue  # The thread has ended.
            if name == "table":
                table += spent
            else:
                service += spent
        if not table:
            fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
            service = (int(fields[11]) + int(fields[12])) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
        return service, table

    def resident_mb(self):
        """Resident memory in MB."""
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


class Result:
    """What one kind of request costs on average, and how long its answers take."""

    def __init__(self, latencies, timings, cpu):
        self.count = len(latencies)
        self.p50 = statistics.median(latencies) * 1000
        self.p99 = sorted(latencies)[int(len(latencies) * 0.99)] * 1000
        self.service_ms, self.table_ms = (spent / self.count / 1e6 for spent in cpu)
        columns = list(zip(*timings)) or [(), (), ()]
        self.calls, self.reads, self.writes = (statistics.fmean(column) if column else None for column in columns)


def measure(server, requests, seconds=10):
    """Sends requests, given as (method, path, body), until all are sent or time is up."""
    requests = list(requests)
    warm, requests = requests[: len(requests) // 20], requests[len(requests) // 20 :]
    _send_all(server, warm, seconds)
    before = server.cpu_ns()
    latencies, timings = _send_all(server, requests, seconds)
    after = server.cpu_ns()
    return Result(latencies, timings, [b - a for a, b in zip(before, after)])


def _send_all(server, requests, seconds):
    latencies, timings, failures = [], [], []
    position, lock, end = iter(requests), threading.Lock(), time.monotonic() + seconds

    def work():
        connection = server.connect()
        while time.monotonic() < end and not failures:
            with lock:
                request = next(position, None)
            if request is None:
                break
            begun = time.perf_counter()
            status, headers, text = server.send(connection, *request)
            latencies.append(time.perf_counter() - begun)
            if status >= 300:
                failures.append((request[:2], status, text[:500]))
            timing = TIMING.search(headers.get("Server-Timing", ""))
            if timing:
                timings.append(tuple(map(float, timing.groups())))
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[0]
    return latencies, timings


def new_user(name):
    """A user as identity providers send it."""
    return {
        "schemas": [CORE, ENTERPRISE],
        "externalId": f"ext-{name}",
        "userName": f"{name}@example.com",
        "name": {"givenName": "Grace", "familyName": "Moreau"},
        "displayName": "Grace Moreau",
        "title": "Service Manager",
        "active": True,
        "emails": [{"value": f"{name}@example.com", "type": "work", "primary": True}],
        "phoneNumbers": [{"value": "+1-555-010-0000", "type": "work"}],
        ENTERPRISE: {"employeeNumber": name, "costCenter": "4130", "department": "Operations"},
    }


def patch(operation):
    """A PATCH body of one operation."""
    return {"schemas": [PATCH], "Operations": [operation]}


def query(path, **parameters):
    """A path with a query."""
    return f"{path}?{urllib.parse.urlencode(parameters)}"
