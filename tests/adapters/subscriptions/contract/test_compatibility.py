"""Within a version only optional fields are added: every other change is named."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from adapters.subscriptions.contract.compatibility import breaches
from adapters.subscriptions.contract.generate import Incompatible, generated
from adapters.subscriptions.contract.payloads import Schema, published

NAME = "version.created"
VERSION = max(version for name, version in published() if name == NAME)
FORM = NAME, VERSION
BEFORE = published()[FORM]
Change = Callable[[dict[str, Any]], object]


def after(change: Change) -> Schema:
    changed = deepcopy(BEFORE)
    change(changed)
    return changed


def concept(schema: Schema) -> Schema:
    found: Schema = schema["properties"]["concepts"]["items"]
    return found


def weights(schema: Schema) -> Schema:
    found: Schema = schema["properties"]["initial_weights"]["anyOf"][0]
    return found


def rename(schema: Schema) -> None:
    schema["properties"]["title"] = schema["properties"].pop("name")


BREAKING: dict[str, tuple[Change, str]] = {
    "a removed field": (
        lambda s: s["properties"].pop("model_id"),
        "field `model_id` is gone, or has another name",
    ),
    "a renamed field": (rename, "field `name` is gone, or has another name"),
    "a field of an item": (
        lambda s: concept(s)["properties"].pop("label"),
        "field `concepts[].label` is gone, or has another name",
    ),
    "another type": (
        lambda s: s["properties"]["number"].update(type="string"),
        "field `number`: `type` was 'integer' and is 'string'",
    ),
    "a narrower value": (
        lambda s: s["properties"]["number"].update(maximum=9),
        "field `number`: `maximum` was absent and is 9",
    ),
    "fewer alternatives": (
        lambda s: s["properties"]["initial_weights"]["anyOf"].pop(),
        "field `initial_weights`: `anyOf` was",
    ),
    "an optional field that is required": (
        lambda s: s["required"].append("initial_weights"),
        "field `initial_weights` was optional and is required",
    ),
    "the same inside": (
        lambda s: weights(s)["required"].append("concepts"),
        "field `initial_weights.concepts` was optional and is required",
    ),
    "a required field that is optional": (
        lambda s: s["required"].remove("kind"),
        "field `kind` was required and is optional",
    ),
    "a new field that is required": (
        lambda s: (
            s["properties"].update(colour={"type": "string"}),
            s["required"].append("colour"),
        ),
        "field `colour` is new and required",
    ),
    "another default": (
        lambda s: s["properties"]["initial_weights"].update(default={}),
        "field `initial_weights`: `default` was absent and is {}",
    ),
    "closed to new fields": (
        lambda s: s.update(additionalProperties=False),
        "the payload: `additionalProperties` was absent and is False",
    ),
}

ADDITIVE: dict[str, Change] = {
    "nothing": lambda _: None,
    "an optional field": lambda s: s["properties"].update(colour={"type": "string"}),
    "an optional field of an item": lambda s: concept(s)["properties"].update(
        hue={"type": "number"}
    ),
    "other words": lambda s: s.update(description="Said better.", examples=[]),
}


@pytest.mark.parametrize("breakage", BREAKING)
def test_what_readers_could_stumble_over_is_named(breakage: str) -> None:
    change, told = BREAKING[breakage]
    assert any(one.startswith(told) for one in breaches(BEFORE, after(change)))


@pytest.mark.parametrize("addition", ADDITIVE)
def test_an_addition_is_taken(addition: str) -> None:
    assert list(breaches(BEFORE, after(ADDITIVE[addition]))) == []


def test_a_schema_of_a_published_version_is_not_overwritten() -> None:
    """The published one has a field more than the code."""
    wider = after(lambda s: s["properties"].update(colour={"type": "string"}))
    with pytest.raises(Incompatible) as refused:
        generated({**published(), FORM: wider})
    assert str(refused.value) == (
        f"version.created, version {VERSION}: field `colour` is gone, or has another name:"
        " raise its schema_version"
    )


@pytest.mark.parametrize(
    ("form", "told"),
    [
        (
            ("view.painted", 1),
            "view.painted: the event was removed, but its version 1 is published",
        ),
        (
            (NAME, VERSION + 1),
            f"{NAME}: version {VERSION + 1} is published, but the code has only {VERSION}",
        ),
    ],
)
def test_a_published_form_does_not_go(form: tuple[str, int], told: str) -> None:
    with pytest.raises(Incompatible, match=told):
        generated({**published(), form: BEFORE})


def test_an_event_needs_its_golden_sample(tmp_path: Path) -> None:
    with pytest.raises(
        Incompatible, match=r"account\.closed, version 1: write its golden sample first"
    ):
        generated(published(), tmp_path)


def test_an_older_schema_is_not_lost() -> None:
    left = {form: schema for form, schema in published().items() if form != ("image.added", 1)}
    with pytest.raises(Incompatible, match=r"image.added: the schema of version 1 was removed"):
        generated(left)
