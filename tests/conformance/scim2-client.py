"""scim2-client: a strict client that validates status, media type and schema of every answer."""

import uuid

import httpx2
from checklist import Checklist, server
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_models import Error, PatchOp, PatchOperation, SearchRequest

USER_URN = "urn:ietf:params:scim:schemas:core:2.0:User"

url, token = server()
http = httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=30)
client = SyncSCIMClient(http)
tag = uuid.uuid4().hex[:8]
ours = f'userName sw "{tag}"'
checks = Checklist("scim2-client")


def main():
    checks.step("discover", client.discover)
    User, Group = client.get_resource_model("User"), client.get_resource_model("Group")
    if User is None:
        checks.finish()
    users = [create_user(User, number) for number in range(5)]
    check_errors(User)
    check_reads(User, users)
    check_filters(User)
    check_lists(User, users)
    check_patches(User, users[0])
    if Group is None:
        checks.record("group", "the server has no Group resource type")
    else:
        check_group(User, Group, users)
    check_replace(User, users[3])
    for number, user in enumerate(users):
        checks.step(f"delete user {number}", lambda: client.delete(User, user.id))
    checks.step(
        "deleted user is gone",
        lambda: client.query(User, users[0].id, raise_scim_errors=False),
        is_error(404),
    )
    checks.finish()


def create_user(User, number):
    address = f"{tag}-{number}@example.com"
    user = User.model_validate(
        {
            "schemas": [USER_URN],
            "userName": address,
            "name": {"givenName": f"G{number}", "familyName": f"F{9 - number}"},
            "emails": [
                {"value": address, "type": "work", "primary": True},
                {"value": f"h{number}@home.example", "type": "home"},
            ],
            "active": number % 2 == 0,
        }
    )
    return checks.step(
        f"create user {number}", lambda: client.create(user), lambda created: created.id and created.meta.location
    )


def check_errors(User):
    duplicate = User.model_validate({"userName": f"{tag}-0@example.com"})
    checks.step(
        "duplicate is 409 uniqueness",
        lambda: client.create(duplicate, raise_scim_errors=False),
        is_error(409, "uniqueness"),
    )
    checks.step(
        "missing is 404", lambda: client.query(User, f"none-{tag}", raise_scim_errors=False), is_error(404)
    )
    checks.step(
        "broken filter is 400 invalidFilter",
        lambda: http.get("/Users", params={"filter": "userName eq"}),
        lambda answer: answer.status_code == 400 and answer.json().get("scimType") == "invalidFilter",
    )


def check_reads(User, users):
    id = users[0] and users[0].id
    checks.step("get", lambda: client.query(User, id), lambda user: user.user_name == users[0].user_name)
    checks.step("version", lambda: client.query(User, users[4].id), lambda user: user.meta.version)
    checks.step(
        "attributes",
        lambda: client.query(User, id, query_parameters=SearchRequest(attributes=["userName"])),
        lambda user: user.user_name and user.id and not user.emails,
    )
    checks.step(
        "excludedAttributes",
        lambda: client.query(User, id, query_parameters=SearchRequest(excluded_attributes=["emails"])),
        lambda user: user.user_name and not user.emails,
    )


def check_filters(User):
    """Each filter with the number of our five users that it selects."""
    counts = {
        f'userName eq "{tag}-1@example.com"': 1,
        f'userName eq "{tag.upper()}-1@EXAMPLE.COM"': 1,
        f'{USER_URN}:userName eq "{tag}-1@example.com"': 1,
        ours: 5,
        f"{ours} and active eq true": 3,
        f"{ours} and not (active eq true)": 2,
        f'userName co "{tag}-" and (name.givenName eq "G1" or name.givenName eq "G2")': 2,
        f'emails[type eq "work" and value eq "{tag}-3@example.com"]': 1,
        f'emails.value ew "@home.example" and {ours}': 5,
        f"{ours} and title pr": 0,
        f'{ours} and meta.lastModified gt "2020-01-01T00:00:00Z"': 5,
        f'{ours} and name.givenName ne "G1"': 4,
    }
    for expression, count in counts.items():
        checks.step(
            "filter " + expression.replace(tag, "TAG").replace(tag.upper(), "TAG"),
            lambda: found(User, filter=expression),
            lambda answer: answer.total_results == count,
        )


def check_lists(User, users):
    checks.step(
        "sort ascending",
        lambda: found(User, filter=ours, sort_by="name.familyName", sort_order="ascending"),
        lambda answer: [user.name.family_name for user in answer.resources] == ["F5", "F6", "F7", "F8", "F9"],
    )
    checks.step(
        "sort descending",
        lambda: found(User, filter=ours, sort_by="userName", sort_order="descending"),
        lambda answer: [user.id for user in answer.resources] == [user.id for user in reversed(users)],
    )
    checks.step(
        "second page",
        lambda: found(User, filter=ours, start_index=3, count=2),
        lambda page: (page.total_results, len(page.resources), page.start_index, page.items_per_page) == (5, 2, 3, 2),
    )
    checks.step(
        "count 0",
        lambda: found(User, filter=ours, count=0),
        lambda answer: answer.total_results == 5 and not answer.resources,
    )
    checks.step(".search", lambda: client.search(SearchRequest(filter=ours)), lambda answer: answer.total_results == 5)


def check_patches(User, user):
    id = user and user.id
    checks.step(
        "patch replace",
        lambda: patched(User, id, op="replace", path="displayName", value="New"),
        lambda user: user.display_name == "New",
    )
    checks.step(
        "patch value path",
        lambda: patched(User, id, op="replace", path='emails[type eq "home"].value', value="x@home.example"),
        lambda user: any(email.value == "x@home.example" and email.type == "home" for email in user.emails),
    )
    checks.step(
        "patch remove",
        lambda: patched(User, id, op="remove", path='emails[type eq "home"]'),
        lambda user: len(user.emails) == 1,
    )


def check_group(User, Group, users):
    first, second, third = (user and user.id for user in users[:3])
    group = checks.step(
        "create group",
        lambda: client.create(Group.model_validate({"displayName": f"g{tag}", "members": [{"value": first}]})),
        lambda group: len(group.members) == 1,
    )
    id = group and group.id
    checks.step(
        "add members",
        lambda: patched(Group, id, op="add", path="members", value=[{"value": second}, {"value": third}]),
        lambda group: len(group.members) == 3,
    )
    checks.step(
        "remove member",
        lambda: patched(Group, id, op="remove", path=f'members[value eq "{second}"]'),
        lambda group: len(group.members) == 2,
    )
    checks.step(
        "groups of a user",
        lambda: client.query(User, first),
        lambda user: user.groups and user.groups[0].value == id,
    )
    checks.step("delete group", lambda: client.delete(Group, id))


def check_replace(User, user):
    checks.step(
        "put",
        lambda: client.replace(User.model_validate({**user.model_dump(), "displayName": "Put"})),
        lambda user: user.display_name == "Put",
    )


def found(User, **parameters):
    return client.query(User, query_parameters=SearchRequest(**parameters))


def patched(Model, id, **operation):
    """Sends one PATCH operation and reads the resource again."""
    client.modify(Model, id, PatchOp[Model](operations=[PatchOperation(**operation)]))
    return client.query(Model, id)


def is_error(status, scim_type=None):
    return lambda answer: isinstance(answer, Error) and (answer.status, answer.scim_type) == (status, scim_type)


main()
