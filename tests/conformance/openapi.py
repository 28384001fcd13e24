"""Describes the SCIM endpoints as OpenAPI 3.1, for a fuzzer to draw requests from.

Paths, filters and ids are drawn from real ones and from arbitrary text, because arbitrary text alone
would be refused early and would never reach most of the code.
"""

MESSAGES = "urn:ietf:params:scim:api:messages:2.0"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
PATHS = [
    "userName", "active", "name", "name.givenName", "emails", 'emails[type eq "work"]',
    'emails[type eq "work"].value', 'emails[not (type eq "work") and value pr].primary', "members",
    'members[value eq "1"]', "displayName", "externalId", "id", "meta.created", f"{ENTERPRISE}:manager.value",
    f"{ENTERPRISE}:department", ENTERPRISE, "emails[", "noSuch", "schemas", "password",
]
FILTERS = [
    'userName eq "a"', 'userName sw "a" or externalId eq "b"', 'not (active eq true) and emails[type eq "work"]',
    'id eq "1"', 'emails.value co "@"', 'meta.lastModified gt "2020-01-01T00:00:00Z"', "title pr", "userName eq 1",
    'members.value eq "1"', f'{ENTERPRISE}:department ne null', "active gt true", "((userName pr))", 'userName eq "',
]
ANY_ANSWER = {"responses": {"default": {"description": "any"}}}


def description(ids):
    """Builds the document; `ids[(endpoint, method)]` is a resource for that operation to work on."""
    paths = {f"/{name}": {"get": dict(ANY_ANSWER)} for name in ("ServiceProviderConfig", "Schemas", "ResourceTypes", "Me")}
    for endpoint, schema in (("Users", user()), ("Groups", group())):
        paths[f"/{endpoint}"] = {"get": {"parameters": list_query(), **ANY_ANSWER}, "post": with_body(schema)}
        paths[f"/{endpoint}/.search"] = {"post": with_body(search_request())}
        paths[f"/{endpoint}/{{id}}"] = {
            method: {**operation, "parameters": [id_parameter(ids.get((endpoint, method)))]}
            for method, operation in single_resource(schema).items()
        }
    paths["/.search"] = {"post": with_body(search_request())}
    paths["/Bulk"] = {"post": with_body(bulk_request())}
    return {"openapi": "3.1.0", "info": {"title": "SCIM", "version": "2.0"}, "paths": paths}


def single_resource(schema):
    return {"get": ANY_ANSWER, "put": with_body(schema), "patch": with_body(patch_request()), "delete": ANY_ANSWER}


def user():
    email = record(
        {"value": text(), "type": text(enum=["work", "home", "other"]), "primary": {"type": "boolean"}}, ["value"]
    )
    return record(
        {
            "schemas": {"const": ["urn:ietf:params:scim:schemas:core:2.0:User"]},
            "userName": text(minLength=1, maxLength=40),
            "displayName": text(),
            "externalId": text(),
            "active": {"type": "boolean"},
            "name": record({"givenName": text(), "familyName": text()}),
            "emails": {"type": "array", "maxItems": 4, "items": email},
        },
        ["schemas", "userName"],
    )


def group():
    return record(
        {
            "schemas": {"const": ["urn:ietf:params:scim:schemas:core:2.0:Group"]},
            "displayName": text(minLength=1),
            "members": {"type": "array", "items": record({"value": text()})},
        },
        ["schemas", "displayName"],
    )


def patch_request():
    operation = record(
        {
            "op": text(enum=["add", "replace", "remove", "Add", "Replace", "Remove"]),
            "path": one_of(PATHS),
            "value": {},
        },
        ["op"],
    )
    operations = {"type": "array", "minItems": 1, "maxItems": 5, "items": operation}
    return record({"schemas": {"const": [f"{MESSAGES}:PatchOp"]}, "Operations": operations}, ["schemas", "Operations"])


def bulk_request():
    operation = record(
        {
            "method": text(enum=["POST", "PUT", "PATCH", "DELETE"]),
            "path": one_of(["/Users", "/Groups", "/Users/bulkId:1"]),
            "bulkId": text(),
            "data": {"type": "object"},
        },
        ["method", "path"],
    )
    return record(
        {
            "schemas": {"const": [f"{MESSAGES}:BulkRequest"]},
            "failOnErrors": {"type": "integer"},
            "Operations": {"type": "array", "maxItems": 5, "items": operation},
        },
        ["schemas", "Operations"],
    )


def search_request():
    attributes = {"type": "array", "items": one_of(PATHS)}
    parameters = {**query_schemas(), "attributes": attributes, "excludedAttributes": attributes}
    return record({"schemas": {"const": [f"{MESSAGES}:SearchRequest"]}, **parameters}, ["schemas"])


def list_query():
    return [{"name": name, "in": "query", "schema": schema} for name, schema in query_schemas().items()]


def query_schemas():
    return {
        "filter": one_of(FILTERS),
        "startIndex": {"type": "integer"},
        "count": {"type": "integer"},
        "sortBy": one_of(PATHS),
        "sortOrder": text(enum=["ascending", "descending"]),
        "attributes": one_of(PATHS),
        "excludedAttributes": one_of(PATHS),
    }


def id_parameter(known):
    schema = one_of([known]) if known else text(minLength=1)
    return {"name": "id", "in": "path", "required": True, "schema": schema}


def with_body(schema):
    return {"requestBody": {"required": True, "content": {"application/scim+json": {"schema": schema}}}, **ANY_ANSWER}


def one_of(known):
    return {"anyOf": [text(enum=known), text(minLength=1)]}


def text(**rules):
    return {"type": "string", **rules}


def record(properties, required=()):
    return {"type": "object", "properties": properties, "required": list(required)}
