"""Conditions of a child view: by which concepts it chooses items of its parent view.

They are in disjunctive normal form: an item meets them if it has all concepts of any of the groups.
"""

from collections.abc import Collection, Iterable, Mapping

import msgspec

from domain.errors import Invalid

Conditions = tuple[tuple[str, ...], ...]
"""Groups of concept ids of the parent."""


def meets(concepts: Collection[str], conditions: Conditions) -> bool:
    """Whether an item with these concepts meets the conditions."""
    return any(all(concept in concepts for concept in group) for group in conditions)


def canonical(conditions: Iterable[Iterable[str]]) -> Conditions:
    """The same conditions, each concept and each group once, in order."""
    return tuple(sorted({tuple(sorted(set(group))) for group in conditions}))


class ParentConcepts(msgspec.Struct, frozen=True):
    """What conditions may name: a view's concepts, and whether its items have one each."""

    view_name: str
    concepts: Mapping[str, str]
    one_each: bool


def check(conditions: Iterable[Iterable[str]], parent: ParentConcepts) -> Conditions:
    """The conditions in canonical form. Raises `Invalid` naming the group that is wrong."""
    groups = [tuple(group) for group in conditions]
    if not groups:
        raise Invalid(
            f"give at least one condition: name concepts of view {parent.view_name!r}",
            field="conditions",
        )
    for number, group in enumerate(groups):
        field = f"conditions[{number}]"
        if not group:
            raise Invalid("a group has no concept; remove it", field=field)
        for concept_id in group:
            if concept_id not in parent.concepts:
                raise Invalid(
                    f"view {parent.view_name!r} has no concept {concept_id!r}", field=field
                )
        if parent.one_each and len(set(group)) > 1:
            raise Invalid(
                f"items of view {parent.view_name!r} have one concept each; put each concept into"
                " its own group",
                field=field,
            )
    return canonical(groups)
