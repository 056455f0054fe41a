"""What breaks clients is found at its place; what they can live with is not."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from api.contract.compatibility import find_breaking_changes

Json = dict[str, Any]

DOCUMENT: Json = {
    "paths": {
        "/cats": {
            "post": {
                "operationId": "add_cat",
                "parameters": [
                    {"in": "query", "name": "sort", "schema": {"enum": ["name", "age"]}},
                    {"in": "query", "name": "limit", "schema": {"type": "integer", "maximum": 500}},
                ],
                "requestBody": {
                    "content": {
                        "application/json": {
                            "schema": {
                                "type": "object",
                                "properties": {
                                    "name": {"type": "string"},
                                    "age": {"oneOf": [{"type": "number"}, {"type": "null"}]},
                                },
                                "required": ["name"],
                            }
                        }
                    }
                },
                "responses": {
                    "201": {
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/Cat"}}
                        }
                    },
                    "404": {},
                },
            }
        }
    },
    "components": {
        "schemas": {
            "Cat": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "state": {"type": "string", "enum": ["awake", "asleep"]},
                    "kittens": {"type": "array", "items": {"$ref": "#/components/schemas/Cat"}},
                },
                "required": ["name", "kittens"],
            }
        }
    },
}


def changes(change: Callable[[Json, Json, Json], object]) -> list[str]:
    after = copy.deepcopy(DOCUMENT)
    operation = after["paths"]["/cats"]["post"]
    change(after, operation, after["components"]["schemas"]["Cat"])
    return list(find_breaking_changes(DOCUMENT, after))


def body(operation: Json) -> Json:
    schema: Json = operation["requestBody"]["content"]["application/json"]["schema"]
    return schema


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (lambda d, *_: d["paths"].clear(), "POST /cats is gone"),
        (
            lambda _, o, __: o.update(operationId="add"),
            "POST /cats: operationId was add_cat, is add",
        ),
        (lambda _, o, __: o["parameters"].pop(0), "query parameter `sort` is gone"),
        (
            lambda _, o, __: o["parameters"].append(
                {"in": "query", "name": "new", "required": True, "schema": {}}
            ),
            "query parameter `new` is new and required",
        ),
        (
            lambda _, o, __: o["parameters"][1].update(required=True),
            "query parameter `limit` is newly required",
        ),
        (
            lambda _, o, __: o["parameters"][0]["schema"].update(enum=["name"]),
            "query parameter `sort` no longer takes 'age'",
        ),
        (
            lambda _, o, __: o["parameters"][1]["schema"].update(maximum=100),
            "query parameter `limit`: maximum was 500 and is 100",
        ),
        (
            lambda _, o, __: o["parameters"][1]["schema"].update(minimum=1),
            "query parameter `limit`: minimum was absent and is 1",
        ),
        (
            lambda _, o, __: body(o)["properties"]["name"].update(enum=["Tom"]),
            "the body.name now takes only 'Tom'",
        ),
        (
            lambda _, o, __: o["parameters"][1]["schema"].update(type="string"),
            "query parameter `limit` may no longer be integer",
        ),
        (
            lambda _, o, __: body(o)["required"].append("age"),
            "the body.age is newly required",
        ),
        (
            lambda _, o, __: body(o)["properties"].pop("age"),
            "the body.age is gone",
        ),
        (
            lambda _, o, __: body(o)["properties"]["age"]["oneOf"].pop(),
            "the body.age may no longer be null",
        ),
        (lambda _, o, __: o["responses"].pop("201"), "status 201 is gone"),
        (
            lambda _, __, cat: cat["properties"].pop("state"),
            "201 application/json.state is gone",
        ),
        (
            lambda _, __, cat: cat["required"].remove("name"),
            "201 application/json.name may now be absent",
        ),
        (
            lambda _, __, cat: cat["properties"]["name"].update(type=["string", "null"]),
            "201 application/json.name may now be null",
        ),
        (
            lambda _, __, cat: cat["properties"]["kittens"].update(items={"type": "string"}),
            "201 application/json.kittens[] may now be string",
        ),
    ],
)
def test_what_breaks_a_client_is_found(change: Callable[..., object], finding: str) -> None:
    found = changes(change)
    assert len([each for each in found if each.endswith(finding)]) == 1, found


@pytest.mark.parametrize(
    "change",
    [
        lambda *_: None,
        lambda d, o, _: d["paths"].update({"/dogs": {"get": o}}),
        lambda _, o, __: o["parameters"].append({"in": "query", "name": "new", "schema": {}}),
        lambda _, o, __: o["parameters"][0]["schema"]["enum"].append("size"),
        lambda _, o, __: o["parameters"][1]["schema"].update(type=["integer", "string"]),
        lambda _, o, __: body(o)["properties"].update(new={"type": "string"}),
        lambda _, o, __: body(o)["required"].clear(),
        lambda _, o, __: o["responses"].pop("404"),
        lambda _, __, cat: cat["properties"].update(new={"type": "string"}),
        lambda _, __, cat: cat["properties"]["state"]["enum"].append("purring"),
        lambda _, __, cat: cat["required"].append("state"),
    ],
)
def test_what_clients_can_live_with_is_not(change: Callable[..., object]) -> None:
    assert changes(change) == []
