"""Keeps the tables of consumer.py by a webhook: webhook.py URL TOKEN FILE (pip install standardwebhooks)
The environment has the WEBHOOK_SECRET, the TENANT, and the PORT to listen on (8080). Started again, it goes on."""
import os, re, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
import consumer
from consumer import db
WEBHOOK, TENANT = Webhook(os.environ["WEBHOOK_SECRET"]), os.environ["TENANT"]
REMEMBERED = 1_000  # How many events are known when they come again.
db.execute("CREATE TABLE IF NOT EXISTS seen (seq INTEGER PRIMARY KEY, id TEXT)")

def take(event):
    """Applies an event that has not come yet. True if the directory has to be listed again."""
    seq, id = event["seq"], event["id"]
    seen = db.execute("SELECT id FROM seen WHERE seq >= ? ORDER BY seq", (seq,)).fetchone()
    if seen == (id,) or event["type"] == "webhook.test": return False
    consumer.apply(event)
    db.execute("DELETE FROM seen WHERE seq >= ? OR seq < ?", (seq, seq - REMEMBERED))
    db.execute("INSERT INTO seen VALUES (?, ?)", (seq, id))
    # Another event had this number or a higher one: the feed has begun anew, and some of what is kept may be wrong.
    return seen is not None or consumer.is_behind_a_gap(event)

class Receiver(BaseHTTPRequestHandler):
    timeout = 10  # Seconds without a byte.

    def do_POST(self):
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"\d{1,7}", length): return self.answer(413)  # A message has little more than 1 MB.
        try:  # The signature is of the bytes as they come, not of the JSON in them.
            message = WEBHOOK.verify(self.rfile.read(int(length)), self.headers)
        except (WebhookVerificationError, ValueError):
            return self.answer(401)
        if message["type"] != "scim.events" or message["data"]["tenant"] != TENANT: return self.answer(204)
        with db:
            db.execute("BEGIN")
            has_to_list = any([take(event) for event in message["data"]["events"]])
            if has_to_list: db.execute("DELETE FROM position")  # So it lists if it is started again from here on.
        self.answer(204)  # Not before the changes are kept, because the message does not come again.
        if has_to_list: consumer.list_all()  # Meanwhile nothing is answered, and messages come again later.

    def answer(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_): pass

class Server(HTTPServer):  # One request at a time: the events of a message come after those of the message before.
    def handle_error(self, *_):
        if not isinstance(sys.exc_info()[1], OSError): raise  # Not the connection: a supervisor starts it again.

if not consumer.position(): consumer.list_all()
Server(("127.0.0.1", int(os.environ.get("PORT", 8080))), Receiver).serve_forever()
