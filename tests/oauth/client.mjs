// Gets access tokens with openid-client and provisions a user with each of them.
//
//   client.mjs ISSUER CLIENTS_JSON
//
// CLIENTS_JSON lists clients: {"method":"client_secret_basic","id":…,"secret":…} or
// {"method":"private_key_jwt","id":…,"jwk":…,"alg":…}. Prints {"passed":N}.

import { readFileSync } from "node:fs";
import { webcrypto } from "node:crypto";
import * as oauth from "openid-client";

const [issuer, file] = process.argv.slice(2);
const USER = "urn:ietf:params:scim:schemas:core:2.0:User";
const IMPORT = {
  RS256: { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" },
  ES256: { name: "ECDSA", namedCurve: "P-256" },
  EdDSA: { name: "Ed25519" },
};
let passed = 0;

function check(holds, text) {
  if (!holds) throw new Error(text);
  passed += 1;
}

async function authentication(client) {
  if (client.method === "client_secret_basic") return oauth.ClientSecretBasic(client.secret);
  if (client.method === "client_secret_post") return oauth.ClientSecretPost(client.secret);
  const { alg, ...jwk } = client.jwk;
  const key = await webcrypto.subtle.importKey("jwk", jwk, IMPORT[client.alg], false, ["sign"]);
  return oauth.PrivateKeyJwt({ key, kid: jwk.kid });
}

for (const client of JSON.parse(readFileSync(file, "utf8"))) {
  const label = `${client.method} ${client.alg ?? ""}`;
  const found = await oauth.discovery(
    new URL(issuer),
    client.id,
    undefined,
    await authentication(client),
    // The service under test has no TLS.
    { algorithm: "oauth2", execute: [oauth.allowInsecureRequests] },
  );
  const { scopes_supported: scopes } = found.serverMetadata();
  check(scopes.includes("users:create"), `${label}: the metadata has no scopes`);
  const tokens = await oauth.clientCredentialsGrant(found, { scope: "users:create users:read users:delete" });
  check(tokens.expires_in === 3600, `${label}: it expires in ${tokens.expires_in} seconds`);
  const send = (method, url, body) => {
    const headers = new Headers({ "content-type": "application/scim+json" });
    return oauth.fetchProtectedResource(found, tokens.access_token, new URL(url), method, body, headers);
  };
  const user = JSON.stringify({ schemas: [USER], userName: `node ${label}` });
  const created = await send("POST", `${issuer}/scim/v2/Users`, user);
  check(created.status === 201, `${label}: the user was not created`);
  const location = created.headers.get("location");
  check((await send("GET", location)).status === 200, `${label}: the user cannot be read`);
  check((await send("GET", `${issuer}/scim/v2/Groups`)).status === 403, `${label}: the scope is too wide`);
  check((await send("DELETE", location)).status === 204, `${label}: the user was not deleted`);
}

const [client] = JSON.parse(readFileSync(file, "utf8"));
const wrong = { ...client, method: "client_secret_post", secret: `${client.secret}0` };
const refused = await oauth.discovery(
  new URL(issuer),
  wrong.id,
  undefined,
  await authentication(wrong),
  { algorithm: "oauth2", execute: [oauth.allowInsecureRequests] },
);
try {
  await oauth.clientCredentialsGrant(refused);
  check(false, "a wrong secret got a token");
} catch (error) {
  check(error.error === "invalid_client", `a wrong secret: ${error.error ?? error}`);
}
console.log(JSON.stringify({ passed }));
