"""databricks-sdk: the SCIM client of the Databricks workspace API.

It sends bodies without `schemas`, pages until it gets an empty page, and wants its own fixed path.
"""

import uuid

import prefix_proxy
from checklist import Checklist, server
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import NotFound
from databricks.sdk.service import iam

PATCH_OP = [iam.PatchSchema.URN_IETF_PARAMS_SCIM_API_MESSAGES_2_0_PATCH_OP]

url, token = server()
client = WorkspaceClient(host=prefix_proxy.start(url, "/api/2.0/preview/scim/v2"), token=token)
users = getattr(client, "users_v2", None) or client.users
groups = getattr(client, "groups_v2", None) or client.groups
tag = uuid.uuid4().hex[:8]
user_name = f"{tag}@example.com"
checks = Checklist("databricks-sdk")


def patched(api, id, op, **operation):
    """Sends one PATCH operation and reads the resource again."""
    api.patch(id, operations=[iam.Patch(op=op, **operation)], schemas=PATCH_OP)
    return api.get(id)


def updated(id, **attributes):
    users.update(id, **attributes)
    return users.get(id)


def is_gone(id):
    try:
        users.get(id)
    except NotFound:
        return True
    return False


def check_user():
    """The life of a user up to its deletion; returns its id, or None when it could not be created."""
    user = checks.step(
        "create user",
        lambda: users.create(
            user_name=user_name,
            display_name="A B",
            active=True,
            name=iam.Name(given_name="A", family_name="B"),
            emails=[iam.ComplexValue(value=user_name, type="work", primary=True)],
        ),
        lambda user: user.id,
    )
    id = user and user.id
    checks.step("get user", lambda: users.get(id), lambda user: user.user_name == user_name)
    by_name, by_prefix = f'userName eq "{user_name}"', f'userName sw "{tag}"'
    checks.step("list users", lambda: list(users.list(filter=by_name)), lambda found: len(found) == 1)
    checks.step(
        "list attributes",
        lambda: list(users.list(attributes="id,userName", filter=by_prefix)),
        lambda found: len(found) == 1,
    )
    checks.step(
        "sort",
        lambda: list(users.list(sort_by="userName", sort_order=iam.ListSortOrder.DESCENDING)),
        lambda found: len(found) >= 1,
    )
    checks.step(
        "patch user",
        lambda: patched(users, id, iam.PatchOp.REPLACE, path="displayName", value="C D"),
        lambda user: user.display_name == "C D",
    )
    checks.step(
        "patch without path",
        lambda: patched(users, id, iam.PatchOp.REPLACE, value={"active": False}),
        lambda user: not user.active,
    )
    checks.step(
        "put user",
        lambda: updated(id, user_name=user_name, display_name="E F", active=True),
        lambda user: user.display_name == "E F",
    )
    return id


def check_group(user_id):
    group = checks.step(
        "create group",
        lambda: groups.create(display_name=f"g{tag}", members=[iam.ComplexValue(value=user_id)]),
        lambda group: group.id,
    )
    id = group and group.id
    checks.step("get group", lambda: groups.get(id), lambda group: len(group.members) == 1)
    by_name = f'displayName eq "g{tag}"'
    checks.step("list groups", lambda: list(groups.list(filter=by_name)), lambda found: len(found) == 1)
    checks.step(
        "remove member",
        lambda: patched(groups, id, iam.PatchOp.REMOVE, path=f'members[value eq "{user_id}"]'),
        lambda group: not group.members,
    )
    checks.step(
        "add member",
        lambda: patched(groups, id, iam.PatchOp.ADD, value={"members": [{"value": user_id}]}),
        lambda group: len(group.members) == 1,
    )
    checks.step("delete group", lambda: groups.delete(id))


user_id = check_user()
check_group(user_id)
checks.step("delete user", lambda: users.delete(user_id))
checks.step("deleted user is gone", lambda: is_gone(user_id), lambda gone: gone)
checks.finish()
