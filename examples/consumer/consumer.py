"""Copies a SCIM directory to SQLite and follows its feed: consumer.py URL TOKEN FILE [SECONDS]
URL has no /scim/v2; SECONDS is the wait at the end of the feed (5). Started again, it goes on where it was."""
import http.client, json, re, sqlite3, sys, time, urllib.parse, urllib.request
(URL, TOKEN, FILE, SECONDS), ENDPOINTS = (sys.argv[1:] + ["5"])[:4], {"user": "Users", "group": "Groups"}
LEFT_OUT = "groups,members"  # They change without the resource. The pairs have them.
db = sqlite3.connect(FILE, isolation_level=None)
# No foreign keys: a pair may come before its group or its member. It counts while both exist.
db.executescript("""CREATE TABLE IF NOT EXISTS resources (id TEXT PRIMARY KEY, kind TEXT, version INTEGER, body TEXT);
CREATE TABLE IF NOT EXISTS pairs (group_id TEXT, member_id TEXT, PRIMARY KEY (group_id, member_id));
CREATE TABLE IF NOT EXISTS position (one INTEGER PRIMARY KEY CHECK (one = 1), text TEXT);""")
def get(path, gone=None, **query):  # None if the answer has the status `gone`.
    request = urllib.request.Request(f"{URL}{path}?{urllib.parse.urlencode(query)}")
    request.add_header("Authorization", f"Bearer {TOKEN}")
    while True:
        try:
            return json.load(urllib.request.urlopen(request, timeout=60))
        except (OSError, http.client.HTTPException) as error:
            status = getattr(error, "code", 503)  # Without a code there was no connection, or no whole answer.
            if status == gone: return None
            if status != 429 and status < 500: sys.exit(f"{path}: {error} {error.read().decode()}")
            print(f"{path}: {error}", file=sys.stderr)
            time.sleep(float(getattr(error, "headers", {}).get("Retry-After") or SECONDS))

def listed(path, gone=None):
    page = {"nextCursor": ""}
    while "nextCursor" in page:
        page = get(path, gone, cursor=page["nextCursor"], count=1000, excludedAttributes=LEFT_OUT) or {}
        yield from page.get("Resources", [])

def put(kind, body):
    version = int(re.search(r"\d+", body["meta"]["version"])[0])
    db.execute("REPLACE INTO resources VALUES (?, ?, ?, ?)", (body["id"], kind, version, json.dumps(body)))

def list_all():
    position = get("/events", after="now")["next"]  # First, so what changes meanwhile follows behind it.
    found = [(kind, body) for kind in ENDPOINTS for body in listed(f"/scim/v2/{ENDPOINTS[kind]}")]
    pairs = [(group["id"], member["value"]) for kind, group in found if kind == "group"
             for member in listed(f"/scim/v2/Groups/{group['id']}/members", gone=404)]
    db.executescript("BEGIN; DELETE FROM resources; DELETE FROM pairs")
    for kind, body in found: put(kind, body)
    db.executemany("REPLACE INTO pairs VALUES (?, ?)", pairs)
    commit(position)

def apply(event):
    kind, _, verb = event["type"].partition(".")
    if kind not in ENDPOINTS: return
    id, version, changes = event["resource"]["id"], event["resource"].get("version"), event.get("changes", {})
    if verb == "member.added":
        db.execute("REPLACE INTO pairs VALUES (?, ?)", (id, event["member"]["id"]))
    elif verb == "member.removed":
        db.execute("DELETE FROM pairs WHERE (group_id, member_id) = (?, ?)", (id, event["member"]["id"]))
    elif verb == "deleted":
        db.execute("DELETE FROM resources WHERE id = ?", (id,))
        db.execute("DELETE FROM pairs WHERE ? IN (group_id, member_id)", (id,))
    else:
        row = db.execute("SELECT version, body FROM resources WHERE id = ?", (id,)).fetchone()
        if row and row[0] >= version: return
        body = (json.loads(row[1]) if row else {"id": id}) | {"meta": {"version": str(version)}}
        for name, change in changes.items():
            urn, _, attribute = name.rpartition(":")  # Attributes of extensions have their schema in front.
            (body.setdefault(urn, {}) if urn else body)[attribute] = change.get("after")
        if event.get("truncated") or {} in changes.values() or not (row or verb == "created"):  # It lacks values.
            body = get(f"/scim/v2/{ENDPOINTS[kind]}/{id}", gone=404, excludedAttributes=LEFT_OUT)
        if body: put(kind, body)

def commit(position):  # Together with the changes before it, so a restart repeats and misses nothing.
    db.execute("REPLACE INTO position VALUES (1, ?)", (position,))
    db.execute("COMMIT")

def is_behind_a_gap(event): return event["type"] == "feed.gap" or event.get("detail") == {"complete": False}

def position(): return db.execute("SELECT text FROM position").fetchone()

while __name__ == "__main__":  # webhook.py takes the events otherwise.
    answer = position() and get("/events", gone=410, after=position()[0], limit=1000)
    if not answer or any(is_behind_a_gap(event) for event in answer["events"]):
        list_all()  # There is no position, or it leads nowhere any more, or changes are missing.
    else:
        db.execute("BEGIN")
        for event in answer["events"]: apply(event)
        commit(answer["next"])
        if not answer["behind"] or "held" in answer: time.sleep(float(SECONDS))
