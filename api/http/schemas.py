"""Types that requests and responses of several resources share."""

from typing import Annotated, Generic, Literal, TypeVar

import msgspec
from litestar.params import KwargDefinition
from msgspec import Meta

Item = TypeVar("Item")

Name = Annotated[str, Meta(description="1 to 200 printable characters", examples=["Digits"])]
Kind = Literal["classification", "tagging", "detection"]
Split = Literal["train", "validation"]
"""Those that a version is measured on."""
AnySplit = Literal["train", "validation", "test"]
Order = Literal["oldest", "newest"]


class Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request body; an unknown field is an error."""


class NewName(Strict, frozen=True, kw_only=True):
    name: Name


class Listing(msgspec.Struct, Generic[Item], frozen=True):
    """A page of a list. Pass `next` as `cursor` for the next page; None at the end."""

    items: list[Item]
    next: str | None
    position: int


def published_as(name: str) -> KwargDefinition:
    """The published name of a list's schema, which would otherwise contain the rows' module."""
    return KwargDefinition(schema_component_key=f"Listing_projections.{name}_")
