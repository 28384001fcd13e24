// Copies a SCIM directory to SQLite and follows its feed: node consumer.mjs URL TOKEN FILE [SECONDS] (Node.js 24.2)
// URL has no /scim/v2; SECONDS is the wait at the end of the feed (5). Started again, it goes on where it was.
import { DatabaseSync } from "node:sqlite";
const [url, token, file, seconds = "5"] = process.argv.slice(2);
const endpoints = { user: "Users", group: "Groups" };
const excludedAttributes = "groups,members"; // They change without the resource. The pairs have them.
const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
export const db = new DatabaseSync(file, { timeout: 5000 });
export const sql = (text, ...values) => db.prepare(text).all(...values);
// No foreign keys: a pair may come before its group or its member. It counts while both exist.
db.exec(`CREATE TABLE IF NOT EXISTS resources (id TEXT PRIMARY KEY, kind TEXT, version INTEGER, body TEXT);
CREATE TABLE IF NOT EXISTS pairs (group_id TEXT, member_id TEXT, PRIMARY KEY (group_id, member_id));
CREATE TABLE IF NOT EXISTS position (one INTEGER PRIMARY KEY CHECK (one = 1), text TEXT)`);
async function get(path, query, gone) { // Nothing if the answer has the status `gone`.
  for (;;) {
    const how = { headers: { Authorization: `Bearer ${token}` }, signal: AbortSignal.timeout(60_000) };
    const whole = fetch(`${url}${path}?${new URLSearchParams(query)}`, how).then(async (a) => [a, await a.text()]);
    // Without a connection or a whole answer, it is as if the service were not available.
    const [answer, text] = await whole.catch((error) => [new Response("", { status: 503 }), `${error} ${error.cause}`]);
    if (answer.ok) return JSON.parse(text);
    if (answer.status === gone) return;
    if (answer.status !== 429 && answer.status < 500) throw new Error(`${path}: ${answer.status} ${text}`);
    console.error(`${path}: ${text}`);
    await sleep(Number(answer.headers.get("retry-after")) || seconds);
  }
}
async function* listed(path, gone) {
  for (let page = { nextCursor: "" }; page?.nextCursor !== undefined; yield* page?.Resources ?? [])
    page = await get(path, { cursor: page.nextCursor, count: 1000, excludedAttributes }, gone);
}
const put = (kind, body, version = body.meta.version.match(/\d+/)[0]) =>
  sql("REPLACE INTO resources VALUES (?, ?, ?, ?)", body.id, kind, Number(version), JSON.stringify(body));
export async function listAll() {
  const { next } = await get("/events", { after: "now" }); // First, so what changes meanwhile follows behind it.
  const [found, pairs] = [{ user: [], group: [] }, []];
  for (const kind in found) for await (const body of listed(`/scim/v2/${endpoints[kind]}`)) found[kind].push(body);
  for (const { id } of found.group)
    for await (const { value } of listed(`/scim/v2/Groups/${id}/members`, 404)) pairs.push([id, value]);
  db.exec("BEGIN; DELETE FROM resources; DELETE FROM pairs");
  for (const kind in found) for (const body of found[kind]) put(kind, body);
  for (const pair of pairs) sql("REPLACE INTO pairs VALUES (?, ?)", ...pair);
  commit(next);
}
export async function apply({ type, resource: { id, version } = {}, member, changes = {}, truncated }) {
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
    const isShort = truncated || Object.values(changes).some((change) => Object.keys(change).length === 0);
    const path = `/scim/v2/${endpoints[kind]}/${id}`;
    if (isShort || !(row || verb === "created")) body = await get(path, { excludedAttributes }, 404);
    if (body) put(kind, body);
  }
}
function commit(position) { // Together with the changes before it, so a restart repeats and misses nothing.
  sql("REPLACE INTO position VALUES (1, ?)", position);
  db.exec("COMMIT");
}
export const isBehindAGap = ({ type, detail }) => type === "feed.gap" || detail?.complete === false;
export const position = () => sql("SELECT text FROM position")[0];
while (import.meta.main) { // webhook.mjs takes the events otherwise.
  const row = position();
  const answer = row && (await get("/events", { after: row.text, limit: 1000 }, 410));
  if (!answer || answer.events.some(isBehindAGap)) { await listAll(); continue; }
  db.exec("BEGIN");
  for (const event of answer.events) await apply(event);
  commit(answer.next);
  if (answer.behind === 0 || answer.held) await sleep(seconds);
}
