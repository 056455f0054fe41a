"""Drawing a project's validation or test set: at random, or stratified by a view's concepts."""

import heapq
import random
from collections import Counter, defaultdict
from collections.abc import Mapping

import msgspec

from domain.dataset.image import Image
from domain.errors import Invalid

Strata = Mapping[str, frozenset[str]]
"""By image id, what the image holds; an image belongs to the stratum of each."""

UNANNOTATED, WITHOUT_CONCEPT = "unannotated", "without concept"
"""Strata beside the ids of concepts, which are UUIDs."""


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


def draw_set(command: DrawSplit, images: Strata) -> frozenset[str]:
    """The ids drawn from images: a pure function of the command and what each image holds.

    Raises `Invalid` where the size asks for no image, or leaves none to train on, or the seed is
    out of range.
    """
    count = _count(command, len(images))
    chance = random.Random(command.seed)
    ids = sorted(images)
    if command.stratify_by is None:
        return frozenset(chance.sample(ids, count))
    chance.shuffle(ids)
    return _stratified({image_id: images[image_id] for image_id in ids}, count)


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
            f"{size} of {images} images is no image; add images or ask for more",
            field="size",
        )
    if count >= images:
        raise Invalid(
            f"{count} of {images} images would leave none to train on; ask for fewer",
            field="size",
        )
    return count


def _stratified(images: Strata, count: int) -> frozenset[str]:
    """Iterative stratification for two subsets (Sechidis, Tsoumakas and Vlahavas 2011).

    The rarest stratum is dealt out first, each of its images to the subset that lacks most of it.
    Images are taken in the order given; the subset has exactly `count` of them.
    """
    total = Counter(stratum for held in images.values() for stratum in held)
    members: dict[str, list[str]] = defaultdict(list)
    for image_id, held in images.items():
        for stratum in held:
            members[stratum].append(image_id)
    # In whole numbers, so that ties are exact: `len(images)` stands for one image.
    lacking = {stratum: count * number for stratum, number in total.items()}
    left, drawn, dealt = dict(total), set[str](), set[str]()
    rarest = [(number, stratum) for stratum, number in left.items()]
    heapq.heapify(rarest)
    while rarest:
        number, stratum = heapq.heappop(rarest)
        if number != left[stratum]:
            if left[stratum]:
                heapq.heappush(rarest, (left[stratum], stratum))
            continue
        for image_id in members[stratum]:
            if image_id in dealt:
                continue
            places = count - len(drawn)
            others = len(images) - len(dealt) - places
            surplus = 2 * lacking[stratum] - left[stratum] * len(images)
            chosen = places > 0 and (others == 0 or (surplus, places) > (0, others))
            dealt.add(image_id)
            if chosen:
                drawn.add(image_id)
            for each in images[image_id]:
                left[each] -= 1
                lacking[each] -= chosen * len(images)
    return frozenset(drawn)
