// What a SaaS backend does for a customer who switches provisioning on: node backend.mjs TENANT
// It asks the function ADMIN_FUNCTION with the AWS SDK. With AWS_ENDPOINT_URL_LAMBDA that is `scim serve`. Run twice,
// it finds the tenant and makes another token.
import { randomUUID } from "node:crypto";
import { InvokeCommand, LambdaClient } from "@aws-sdk/client-lambda";

const tenant = process.argv[2];
const functions = new LambdaClient();

async function ask(op, parameters) {
  const request = { op, actor: "examples/backend", requestId: randomUUID(), ...parameters };
  // The SDK repeats a call without an answer, with the same `requestId`. So nothing is done twice.
  const { FunctionError, Payload } = await functions.send(
    new InvokeCommand({ FunctionName: process.env.ADMIN_FUNCTION, Payload: JSON.stringify(request) }),
  );
  const answer = JSON.parse(Buffer.from(Payload).toString());
  if (FunctionError || answer.error) throw new Error(`${op}: ${JSON.stringify(answer)}`);
  return answer.ok;
}

async function scim(token, method, path, body) {
  const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/scim+json" };
  const answer = await fetch(url + path, { method, headers, body: body && JSON.stringify(body) });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
  return text ? JSON.parse(text) : undefined;
}

// 1. The customer clicks "Enable provisioning". Show URL and token once: the token cannot be read again.
const created = await ask("tenant.create", { tenant });
const url = process.env.SCIM_URL || created.urls.tenantScim2;
const issued = await ask("credential.create", { tenant, label: "from the settings page" });
console.log("tenant", tenant, created.existed ? "existed" : "created");
console.log("url", url);
console.log("token", issued.token);

// 2. The identity provider uses them. This is what it sends for a user and for their last day.
const user = await scim(issued.token, "POST", "/Users", {
  schemas: ["urn:ietf:params:scim:schemas:core:2.0:User"],
  userName: `ada-${randomUUID()}@example.com`,
});
await scim(issued.token, "DELETE", `/Users/${user.id}`);
console.log("provisioned", user.userName);

// 3. The settings page: does it work, and with which token?
const { users, lastRequest, credentials } = await ask("tenant.show", { tenant });
const { lastUsed } = credentials.find(({ id }) => id === issued.id);
console.log("status", JSON.stringify({ users, lastRequest, lastUsed }));

// 4. "New token": the old one works for 24 more hours, so that the customer can change it.
const rotated = await ask("credential.rotate", { tenant, id: issued.id });
await scim(rotated.token, "GET", "/Users?count=1");
console.log("rotated", issued.id, "to", rotated.id, "previous until", rotated.previousUntil);

// 5. The customer leaves. Everything goes in seven days, unless `tenant.restore` brings it back before.
const deleted = await ask("tenant.delete", { tenant });
console.log("deleted, purged at", deleted.purgeAt);
const restored = await ask("tenant.restore", { tenant });
console.log("restored", restored.state);
