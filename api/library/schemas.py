"""Request and response bodies of views and models."""

from typing import Annotated

import msgspec
from msgspec import Meta

from api.http.schemas import Kind, Listing, Name, Strict, published_as
from projections.dataset.catalog import ViewRow
from projections.dataset.queries import ConceptCount, ViewCounts
from projections.training.library_queries import LibraryRow, ModelRow

GroupsOfConcepts = Annotated[
    list[list[str]],
    Meta(
        description="Groups of concept ids of the parent: an item is in the view if it has all"
        " concepts of any of the groups",
        max_length=1_000,
    ),
]


class NewView(Strict, frozen=True, kw_only=True):
    """A view of the project's images; with `parent_id`, of the parent's images that meet the
    conditions, or, for a detection parent, of a crop for each box."""

    name: Name
    kind: Kind
    parent_id: str | None = None
    conditions: GroupsOfConcepts = msgspec.field(default_factory=list)


class NewConditions(Strict, frozen=True, kw_only=True):
    conditions: GroupsOfConcepts


class NewConcepts(Strict, frozen=True, kw_only=True):
    labels: Annotated[list[str], Meta(min_length=1, max_length=10_000, examples=[["cat", "dog"]])]


class NewLabel(Strict, frozen=True, kw_only=True):
    label: Annotated[str, Meta(examples=["cat"])]


class NewFork(Strict, frozen=True, kw_only=True):
    concepts: Annotated[list[str], Meta(description="concept ids", min_length=1)]
    why: Annotated[str, Meta(examples=["without the rare breeds"])]
    name: str | None = None


class ViewView(msgspec.Struct, frozen=True):
    """A view; `counts` are the images with each concept, `images` all counts of the view."""

    view: ViewRow
    counts: list[ConceptCount]
    images: ViewCounts
    position: int


class Views(msgspec.Struct, frozen=True):
    items: list[ViewRow]
    position: int


class ModelView(msgspec.Struct, frozen=True):
    model: ModelRow
    position: int


Library = Annotated[Listing[LibraryRow], published_as("library_queries.LibraryRow")]
