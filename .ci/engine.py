"""Serves ministack's DynamoDB on a free loopback port and prints {"endpoint": …} when ready."""

import json
import os
import signal
import socket
import subprocess
import sys
import time


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


# The end of this process must be the end of ministack too.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
port = free_port()
# Without BIND_HOST it would listen on every interface.
settings = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "SERVICES": "dynamodb", "LOG_LEVEL": "WARNING"}
engine = subprocess.Popen([sys.executable, "-m", "ministack"], env=os.environ | settings, stdout=sys.stderr)
try:
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        if engine.poll() is not None:
            sys.exit("ministack ended before it was ready")
        time.sleep(0.1)
    else:
        sys.exit("ministack was not ready after 30 seconds")
    print(json.dumps({"endpoint": f"http://127.0.0.1:{port}"}), flush=True)
    engine.wait()
finally:
    engine.terminate()
