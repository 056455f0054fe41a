"""Drawing a project's validation or test set: at random, or stratified by a view's concepts, and
by whole groups of images that belong together."""

import heapq
import random
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from domain.dataset.image import Image
from domain.errors import Invalid

Strata = Mapping[str, frozenset[str]]
"""By image id, what the image holds; an image belongs to the stratum of each."""

UNANNOTATED, WITHOUT_CONCEPT = "unannotated", "without concept"
"""Strata beside the ids of concepts, which are UUIDs."""


class Unit(NamedTuple):
    """Images that are drawn together, and what they hold, each stratum once for each image."""

    images: tuple[str, ...]
    strata: tuple[str, ...]


class DrawSplit(msgspec.Struct, frozen=True):
    """`size` above 1 is a count of images, in (0, 1) a share of them.

    `stratify_by` is a view: each of its concepts gets about the same share of images.
    """

    size: float
    seed: int
    stratify_by: str | None = None


def strata_of(image: Image, view_id: str | None) -> frozenset[str]:
    """What the image holds in the view; nothing if there is no view to stratify by."""
    if view_id is None:
        return frozenset()
    annotated = image.annotations.get(view_id)
    if annotated is None or not (annotated.annotations or annotated.without_concept):
        return frozenset({UNANNOTATED})
    return frozenset(each.concept_id for each in annotated.annotations) or frozenset(
        {WITHOUT_CONCEPT}
    )


def draw_set(
    command: DrawSplit, images: Strata, groups: Mapping[str, str] | None = None
) -> frozenset[str]:
    """The ids drawn from images: a pure function of the command and what each image holds.

    `groups` has a value by image id; images of the same value are drawn together, and an image
    without one is a group of its own. Raises `Invalid` where the size asks for no image, or leaves
    none to train on, or the seed is out of range.
    """
    count = _count(command, len(images))
    chance = random.Random(command.seed)
    ids = sorted(images)
    if groups:
        return _by_groups(chance, {image_id: images[image_id] for image_id in ids}, count, groups)
    if command.stratify_by is None:
        return frozenset(chance.sample(ids, count))
    chance.shuffle(ids)
    single = [Unit((image_id,), tuple(images[image_id])) for image_id in ids]
    return _ids(_stratified(single, count))


def _by_groups(
    chance: random.Random, images: Strata, count: int, groups: Mapping[str, str]
) -> frozenset[str]:
    """Whole groups of so nearly `count` images that neither one group more or less nor an exchange
    of two would bring it nearer."""
    members: dict[tuple[bool, str], list[str]] = defaultdict(list)
    for image_id in images:
        value = groups.get(image_id)
        members[value is not None, image_id if value is None else value].append(image_id)
    units = [
        # Without a view all are of one stratum, which the same rule then shares out.
        Unit(
            tuple(ids),
            tuple(each for image_id in ids for each in images[image_id] or {UNANNOTATED}),
        )
        for ids in members.values()
    ]
    chance.shuffle(units)
    drawn = _nearest(units, _stratified(units, count), count)
    if not drawn or len(drawn) == len(units):
        sizes = sorted(len(unit.images) for unit in units)
        raise Invalid(
            f"{len(units)} groups of {sizes[0]} to {sizes[-1]} images cannot be split into"
            f" {count} and {len(images) - count} images; choose another size",
            field="size",
        )
    return _ids(drawn)


def _nearest(units: Sequence[Unit], drawn: Iterable[Unit], count: int) -> list[Unit]:
    """Move units across until no single one, and no exchange of two, brings the size nearer."""
    within = set(drawn)
    while True:
        excess = sum(len(unit.images) for unit in within) - count
        inside = [unit for unit in units if unit in within]
        outside = [unit for unit in units if unit not in within]
        moving = _moves(inside if excess > 0 else outside, abs(excess))
        moving = moving or _exchange(inside, outside, excess)
        if not moving:
            return inside
        within ^= moving


def _moves(side: list[Unit], missing: int) -> set[Unit]:
    """The units of a side, the largest first, that together come as near to `missing` images."""
    moving, passed = set[Unit](), None
    for unit in sorted(side, key=lambda unit: -len(unit.images)):
        if len(unit.images) <= missing:
            moving.add(unit)
            missing -= len(unit.images)
        else:
            passed = unit
    if passed is not None and len(passed.images) < 2 * missing:
        moving.add(passed)
    return moving


def _exchange(inside: list[Unit], outside: list[Unit], excess: int) -> set[Unit]:
    """The two units whose exchange brings the size nearest; empty if none brings it nearer."""
    ins = {len(unit.images): unit for unit in reversed(inside)}
    outs = {len(unit.images): unit for unit in reversed(outside)}
    sizes = sorted(outs)
    best, moving = abs(excess), set[Unit]()
    for size in sorted(ins):
        place = bisect_left(sizes, size - excess)
        for other in sizes[max(0, place - 1) : place + 1]:
            if abs(excess + other - size) < best:
                best, moving = abs(excess + other - size), {ins[size], outs[other]}
    return moving


def _ids(units: Iterable[Unit]) -> frozenset[str]:
    return frozenset(image_id for unit in units for image_id in unit.images)


def _count(command: DrawSplit, images: int) -> int:
    size = command.size
    if not 0 < size < float("inf") or size == 1 or (size > 1 and size != int(size)):
        raise Invalid(
            f"size is {size}; give a share between 0 and 1, or a whole number of images above 1",
            field="size",
        )
    if not 0 <= command.seed <= 2**53:
        raise Invalid(f"seed is {command.seed}; it must be from 0 to 2^53", field="seed")
    count = round(size * images) if size < 1 else int(size)
    if count < 1:
        raise Invalid(
            f"{size} of {images} images is less than one image; add images or choose a larger size",
            field="size",
        )
    if count >= images:
        raise Invalid(
            f"{count} of {images} images would leave none to train on; choose a smaller size",
            field="size",
        )
    return count


def _stratified(units: Sequence[Unit], count: int) -> list[Unit]:
    """Iterative stratification for two subsets (Sechidis, Tsoumakas and Vlahavas 2011).

    The rarest stratum is dealt out first, each of its units to the subset that lacks most of it, if
    it has room. Units are taken in the order given. The subset has exactly `count` images where
    every unit is one image; otherwise it misses `count` by at most half of the largest unit.
    """
    held = [Counter(unit.strata) for unit in units]
    images = sum(len(unit.images) for unit in units)
    total = Counter[str]()
    members: dict[str, list[int]] = defaultdict(list)
    for number, strata in enumerate(held):
        total.update(strata)
        for stratum in strata:
            members[stratum].append(number)
    # In whole numbers, so that ties are exact: `images` stands for one image.
    lacking = {stratum: count * number for stratum, number in total.items()}
    left, drawn, dealt = dict(total), list[Unit](), set[int]()
    places, others = count, images - count
    rarest = [(number, stratum) for stratum, number in left.items()]
    heapq.heapify(rarest)
    while rarest:
        number, stratum = heapq.heappop(rarest)
        if number != left[stratum]:
            if left[stratum]:
                heapq.heappush(rarest, (left[stratum], stratum))
            continue
        for unit in members[stratum]:
            if unit in dealt:
                continue
            size = len(units[unit].images)
            surplus = 2 * lacking[stratum] - left[stratum] * images
            if size <= min(places, others):
                chosen = (surplus, places) > (0, others)
            else:
                chosen = places > others
            dealt.add(unit)
            if chosen:
                drawn.append(units[unit])
                places -= size
            else:
                others -= size
            for each, times in held[unit].items():
                left[each] -= times
                lacking[each] -= chosen * times * images
    return drawn
