"""slack-scim: a real SCIM 1.1 client. SCIM_URL is the server's SCIM 1.1 base URL here."""

import uuid

from checklist import Checklist, server
from slack_scim import SCIMClient

CORE = "urn:scim:schemas:core:1.0"

url, token = server()
client = SCIMClient(token=token, base_url=url)
tag = uuid.uuid4().hex[:8]
emails = [{"value": f"{tag}@example.com", "type": "work", "primary": True}]
checks = Checklist("slack-scim11")


def user_named(given_name):
    name = {"givenName": given_name, "familyName": "Sample"}
    return {"schemas": [CORE], "userName": tag, "name": name, "emails": emails}


def check_user():
    """Creates, reads, finds and changes a user; returns its id, or None when it could not be created."""
    user = checks.step("create user", lambda: client.create_user(user_named("First")), lambda user: user.id)
    id = user and user.id
    checks.step("read user", lambda: client.read_user(id), lambda user: user.user_name == tag)
    checks.step(
        "search users",
        lambda: client.search_users(filter=f'userName Eq "{tag}"', count=5),
        lambda found: found.total_results == 1,
    )
    checks.step(
        "patch user",
        lambda: client.patch_user(id, {"schemas": [CORE], "title": "T"}),
        lambda user: user.title == "T",
    )
    checks.step(
        "update user",
        lambda: client.update_user(id, user_named("Second")),
        lambda user: user.name.given_name == "Second",
    )
    return id


def check_group(user_id):
    group = checks.step(
        "create group",
        lambda: client.create_group({"schemas": [CORE], "displayName": f"g{tag}", "members": [{"value": user_id}]}),
        lambda group: group.id,
    )
    id = group and group.id
    checks.step("read group", lambda: client.read_group(id), lambda group: len(group.members) == 1)
    checks.step(
        "search groups",
        lambda: client.search_groups(filter=f'displayName Eq "g{tag}"', count=5),
        lambda found: found.total_results == 1,
    )
    checks.step("patch group", lambda: client.patch_group(id, {"schemas": [CORE], "displayName": f"h{tag}"}))
    checks.step("delete group", lambda: client.delete_group(id))


checks.step(
    "service provider configs",
    client.get_service_provider_configs,
    lambda configs: configs.patch is not None,
)
user_id = check_user()
check_group(user_id)
checks.step("delete user", lambda: client.delete_user(user_id))
checks.finish()
