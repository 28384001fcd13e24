"""Generates a client from the OpenAPI document of a running service, and creates a user with it.

    generated_client.py ROOT_URL TOKEN

The generator is openapi-python-client. The client is used as a team would: by its functions and its models.
"""

import importlib
import pathlib
import subprocess
import sys
import tempfile
import urllib.request
import uuid

PACKAGE = "scim_client"


def generate(root, token, folder):
    """Writes the client for the tenant of the token into a package below `folder`."""
    document = folder / "openapi.json"
    request = urllib.request.Request(f"{root}/openapi.json", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        document.write_bytes(answer.read())
    config = folder / "config.yaml"
    config.write_text(f"package_name_override: {PACKAGE}\npost_hooks: []\n")
    generator = pathlib.Path(sys.executable).with_name("openapi-python-client")
    command = [
        generator, "generate", "--path", document, "--meta", "none", "--output-path", folder / PACKAGE,
        "--config", config, "--fail-on-warning",
    ]
    subprocess.run(command, check=True)


def use(root, token):
    """Creates, reads, changes, lists and deletes a user with the generated client."""
    api = f"{PACKAGE}.api.users"
    create, get, patch, listed, delete = (
        importlib.import_module(f"{api}.{name}") for name in ("create_user", "get_user", "patch_user", "list_users", "delete_user")
    )
    models = importlib.import_module(f"{PACKAGE}.models")
    client = importlib.import_module(PACKAGE).AuthenticatedClient(base_url=root, token=token, raise_on_unexpected_status=True)
    name = f"generated-{uuid.uuid4().hex}@example.com"
    user = models.UserRequest.from_dict(
        {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": name, "active": True}
    )
    created = create.sync(client=client, body=user)
    assert isinstance(created, models.User) and created.user_name == name, created
    assert get.sync(created.id, client=client).user_name == name
    change = models.PatchRequest.from_dict({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "replace", "path": "active", "value": False}],
    })
    assert patch.sync(created.id, client=client, body=change).active is False
    found = listed.sync(client=client, filter_=f'userName eq "{name}"')
    assert [one.id for one in found.resources] == [created.id], found
    taken = create.sync(client=client, body=user)
    assert isinstance(taken, models.Error) and taken.status == "409", taken
    assert delete.sync_detailed(created.id, client=client).status_code == 204


def main():
    root, token = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        generate(root, token, pathlib.Path(folder))
        sys.path.insert(0, folder)
        use(root, token)
    print("generated-client: 1 passed, 0 failed, 0 skipped")


if __name__ == "__main__":
    main()
