"""Serves moto, in place of services of AWS, on a free loopback port; prints {"endpoint": …} when ready."""

import json
import threading

from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
print(json.dumps({"endpoint": f"http://{host}:{port}"}), flush=True)
threading.Event().wait()
