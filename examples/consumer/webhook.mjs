// Keeps the tables of consumer.mjs by a webhook: node webhook.mjs URL TOKEN FILE (npm install; Node.js 24.2)
// The environment has the WEBHOOK_SECRET, the TENANT, and the PORT to listen on (8080). Started again, it goes on.
import { createServer } from "node:http";
import { Webhook } from "standardwebhooks";
import { apply, db, isBehindAGap, listAll, position, sql } from "./consumer.mjs";
const { WEBHOOK_SECRET, TENANT, PORT = "8080" } = process.env;
const webhook = new Webhook(WEBHOOK_SECRET);
const largest = 9_999_999; // Bytes. A message has little more than 1 MB.
const remembered = 1_000; // How many events are known when they come again.
db.exec("CREATE TABLE IF NOT EXISTS seen (seq INTEGER PRIMARY KEY, id TEXT)");
async function take(event) { // Applies an event that has not come yet. True if the directory has to be listed again.
  const { seq, id, type } = event;
  const [seen] = sql("SELECT id FROM seen WHERE seq >= ? ORDER BY seq LIMIT 1", seq);
  if (seen?.id === id || type === "webhook.test") return false;
  await apply(event);
  sql("DELETE FROM seen WHERE seq >= ? OR seq < ?", seq, seq - remembered);
  sql("INSERT INTO seen VALUES (?, ?)", seq, id);
  // Another event had this number or a higher one: the feed has begun anew, and some of what is kept may be wrong.
  return seen !== undefined || isBehindAGap(event);
}
async function takeAll(events) {
  let hasToList = false;
  db.exec("BEGIN");
  for (const event of events) hasToList = (await take(event)) || hasToList;
  if (hasToList) sql("DELETE FROM position"); // So it lists if it is started again from here on.
  db.exec("COMMIT");
  return hasToList;
}
async function bodyOf(request) { // Nothing if it is too long, or if the connection breaks.
  const chunks = [];
  let length = 0;
  try {
    for await (const chunk of request) {
      length += chunk.length;
      if (length > largest) return;
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString();
  } catch {}
}
const fail = (error) => { console.error(error); process.exit(1); }; // A supervisor starts it again.
let turn = (position() ? Promise.resolve() : listAll()).catch(fail);
async function receive(request, response) {
  const answer = (status) => response.writeHead(status).end();
  const body = await bodyOf(request);
  if (body === undefined) return answer(413);
  let message;
  try {
    message = webhook.verify(body, request.headers); // The signature is of the body as it comes, not of its JSON.
  } catch {
    return answer(401);
  }
  if (message.type !== "scim.events" || message.data.tenant !== TENANT) return answer(204);
  // One message at a time: its events come after those of the message before.
  turn = turn.then(async () => {
    const hasToList = await takeAll(message.data.events);
    answer(204); // Not before the changes are kept, because the message does not come again.
    if (hasToList) await listAll(); // Meanwhile nothing is answered, and messages come again later.
  }).catch(fail);
}
createServer(receive).listen(Number(PORT), "127.0.0.1");
