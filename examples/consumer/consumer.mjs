// Copies a SCIM directory to SQLite and follows its feed: node consumer.mjs URL TOKEN FILE (Node.js 24)
// URL has no /scim/v2. Whatever ends it, it goes on where it was when it is started again.
import { DatabaseSync } from "node:sqlite";
const [url, token, file, endpoints] = [...process.argv.slice(2), { user: "Users", group: "Groups" }];
const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const db = new DatabaseSync(file, { timeout: 5000 });
const sql = (text, ...values) => db.prepare(text).all(...values);
// No foreign keys: a pair may come before its group or its member. It counts while both exist.
db.exec(`CREATE TABLE IF NOT EXISTS resources (id TEXT PRIMARY KEY, kind TEXT, version INTEGER, body TEXT);
CREATE TABLE IF NOT EXISTS pairs (group_id TEXT, member_id TEXT, PRIMARY KEY (group_id, member_id));
CREATE TABLE IF NOT EXISTS position (one INTEGER PRIMARY KEY CHECK (one = 1), text TEXT)`);

async function get(path, query = {}) {
  for (;;) {
    const headers = { Authorization: `Bearer ${token}` };
    const answer = await fetch(`${url}${path}?${new URLSearchParams(query)}`, { headers });
    if (answer.ok) return answer.json();
    if ([404, 410].includes(answer.status)) return; // There is nothing, or nothing any more.
    if (![429, 503].includes(answer.status)) throw new Error(`${path}: ${await answer.text()}`);
    await sleep(2000);
  }
}
async function* listed(path) {
  for (let cursor = ""; cursor !== undefined; ) {
    const page = await get(path, { cursor, count: 1000, excludedAttributes: "groups,members" });
    yield* page?.Resources ?? [];
    cursor = page?.nextCursor;
  }
}
function put(kind, body) {
  const version = Number(body.meta.version.match(/\d+/)[0]);
  sql("REPLACE INTO resources VALUES (?, ?, ?, ?)", body.id, kind, version, JSON.stringify(body));
}
async function listAll() {
  const { next } = await get("/events", { after: "now" }); // First, so what changes meanwhile follows behind it.
  const [found, pairs] = [{ user: [], group: [] }, []];
  for (const kind in found) for await (const body of listed(`/scim/v2/${endpoints[kind]}`)) found[kind].push(body);
  for (const { id } of found.group)
    for await (const { value } of listed(`/scim/v2/Groups/${id}/members`)) pairs.push([id, value]);
  db.exec("BEGIN; DELETE FROM resources; DELETE FROM pairs");
  for (const kind in found) for (const body of found[kind]) put(kind, body);
  for (const pair of pairs) sql("REPLACE INTO pairs VALUES (?, ?)", ...pair);
  commit(next);
}
async function apply({ type, resource: { id, version } = {}, member, changes = {}, truncated }) {
  const [kind, verb] = type.split(/\.(.*)/);
  if (!(kind in endpoints)) return;
  if (verb === "member.added") sql("REPLACE INTO pairs VALUES (?, ?)", id, member.id);
  else if (verb === "member.removed") sql("DELETE FROM pairs WHERE (group_id, member_id) = (?, ?)", id, member.id);
  else if (verb === "deleted") {
    sql("DELETE FROM resources WHERE id = ?", id);
    sql("DELETE FROM pairs WHERE ? IN (group_id, member_id)", id);
  } else {
    const [row] = sql("SELECT version, body FROM resources WHERE id = ?", id);
    if (row?.version >= version) return;
    let body = { id, ...JSON.parse(row?.body ?? "{}"), meta: { version: String(version) } };
    for (const name in changes) {
      const [, urn, attribute] = name.match(/^(?:(.*):)?(.*)$/); // Attributes of extensions have their schema in front.
      (urn ? (body[urn] ??= {}) : body)[attribute] = changes[name].after;
    }
    const isEmpty = Object.values(changes).some((change) => Object.keys(change).length === 0);
    if (truncated || isEmpty || !(row || verb === "created")) body = await get(`/scim/v2/${endpoints[kind]}/${id}`);
    if (body) put(kind, body);
  }
}
function commit(position) { // Together with the changes before it, so a restart repeats and misses nothing.
  sql("REPLACE INTO position VALUES (1, ?)", position);
  db.exec("COMMIT");
}
for (;;) {
  const [row] = sql("SELECT text FROM position");
  const answer = row && (await get("/events", { after: row.text, limit: 1000 }));
  // There may be no position, or it leads nowhere any more, or changes are missing.
  if (!answer || answer.events.some(({ type }) => type === "feed.gap")) { await listAll(); continue; }
  db.exec("BEGIN");
  for (const event of answer.events) await apply(event);
  commit(answer.next);
  if (answer.events.length === 0) await sleep(200);
}
