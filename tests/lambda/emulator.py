"""Runs a function's bootstrap under AWS's Lambda Runtime Interface Emulator, on loopback only.

The emulator comes with the SAM CLI, so this module is run by a Python that has `aws-sam-cli`.
"""

import importlib.util
import pathlib
import platform
import re
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

INIT = re.compile(r"INIT REPORT\(durationMs: ([0-9.]+)")
START_SECONDS = 10


class Emulator:
    """One running emulator; it starts the function at the first invocation."""

    def __init__(self, bootstrap, log, handler="http"):
        """Starts the emulator with this process's environment; what it and the function print goes to `log`."""
        self.init_ms = None
        self.printed = b""
        ports = free_ports(2)
        command = [
            executable(),
            "--runtime-interface-emulator-address", f"127.0.0.1:{ports[0]}",
            "--runtime-api-address", f"127.0.0.1:{ports[1]}",
            pathlib.Path(bootstrap).resolve(), handler,
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.url = f"http://127.0.0.1:{ports[0]}/2015-03-31/functions/function/invocations"
        self.follower = threading.Thread(target=self._follow, args=(log,), daemon=True)
        self.follower.start()
        wait_for_port(ports[0])

    def stop(self):
        """Ends the emulator, which ends the function."""
        self.process.terminate()
        self.process.wait(timeout=10)
        self.follower.join(timeout=10)

    def _follow(self, log):
        for line in self.process.stdout:
            log.write(line)
            log.flush()
            self.printed += line
            report = INIT.search(line.decode(errors="replace"))
            if report:
                self.init_ms = float(report[1])


def executable():
    """Finds the emulator for this machine inside the SAM CLI."""
    spec = importlib.util.find_spec("samcli")
    if spec is None:
        raise SystemExit("run this with a Python that has aws-sam-cli: the emulator is part of it")
    machine = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
    return pathlib.Path(spec.origin).parent / "local" / "rapid" / f"aws-lambda-rie-{machine}"


def invoke(url, event, timeout_seconds=35):
    """Sends one event to an invocations endpoint and returns the raw answer."""
    request = urllib.request.Request(url, data=event, method="POST", headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=timeout_seconds) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        return error.read()


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in sockets]
    for listener in sockets:
        listener.close()
    return ports


def wait_for_port(port):
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
