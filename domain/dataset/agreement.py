"""How far people agree who annotated the same images, the second without seeing the annotations of
the first."""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence

import msgspec

from domain.dataset.annotation import SAME_PLACE, Annotation, Box
from domain.library.view import CLASSIFICATION, DETECTION, TAGGING


class TwoAnnotations(msgspec.Struct, frozen=True):
    """An image's annotations by two accounts. Without any, it is annotated *without concept*."""

    first: tuple[Annotation, ...]
    second: tuple[Annotation, ...]


class BoxAgreement(msgspec.Struct, frozen=True):
    """Boxes of a detection view. Those of one image are the same if their IoU is 0.5 or more, the
    nearest first, each at most once; their concepts do not matter.

    `f1` is the share of boxes that the other drew too: 2 matched / (all of both). `mean_iou` is
    over the matched ones.
    """

    matched: int
    first_only: int
    second_only: int
    f1: float | None
    mean_iou: float | None


class ConceptAgreement(msgspec.Struct, frozen=True):
    """The numbers of images, crops or matched boxes that both labelled with the concept, or only
    one of them.

    `kappa` is Cohen's, of having the concept or not.
    """

    concept_id: str
    both: int
    first_only: int
    second_only: int
    kappa: float | None


class Agreement(msgspec.Struct, frozen=True):
    """`equal` is the number of `images` that were annotated alike.

    `kappa` is Cohen's: 1 is complete agreement, 0 no more than chance. In a tagging view it is the
    mean over the concepts that have one; in detection it is about the concepts of matched boxes. It
    is null where it is not defined: without any item that both labelled, or where both used the
    same label throughout.
    """

    images: int
    equal: int
    kappa: float | None
    concepts: list[ConceptAgreement]
    boxes: BoxAgreement | None


def measure(
    kind: str, concepts: Sequence[str], pairs: Sequence[TwoAnnotations], *, crops: bool = False
) -> Agreement:
    """The agreement of pairs of annotations in a view of this kind."""
    items_by_image = [_items(kind, pair, crops) for pair in pairs]
    boxes = _boxes(pairs) if kind == DETECTION else None
    per_concept = [_of_concept(concept, items_by_image) for concept in concepts]
    if kind == TAGGING:
        defined = [each.kappa for each in per_concept if each.kappa is not None]
        kappa = sum(defined) / len(defined) if defined else None
    else:
        kappa = cohen_kappa(pair for items in items_by_image for pair in items)
    equal = sum(is_equal(kind, pair) for pair in pairs)
    return Agreement(len(pairs), equal, kappa, per_concept, boxes)


def is_equal(kind: str, pair: TwoAnnotations) -> bool:
    """Whether an image is annotated alike; boxes of a detection view are the same by their IoU."""
    if kind != DETECTION:
        return _by_item(pair.first) == _by_item(pair.second)
    matches = match_boxes(pair)
    alike = all(first.concept_id == second.concept_id for first, second, _ in matches)
    return alike and len(matches) == len(pair.first) == len(pair.second)


def cohen_kappa(labels: Iterable[tuple[Hashable, Hashable]]) -> float | None:
    """Cohen's kappa of two labels for each item (Cohen 1960), None if it is undefined."""
    counts = Counter(labels)
    total = counts.total()
    first, second = Counter[Hashable](), Counter[Hashable]()
    for (one, other), number in counts.items():
        first[one] += number
        second[other] += number
    by_chance = sum(first[label] * second[label] for label in first)
    if by_chance == total * total:
        return None
    agreed = sum(number for (one, other), number in counts.items() if one == other)
    return (agreed * total - by_chance) / (total * total - by_chance)


def match_boxes(pair: TwoAnnotations) -> list[tuple[Annotation, Annotation, float]]:
    """The boxes that are the same in both, with their IoU: the nearest first, each at most once."""
    near = sorted(
        (
            (first.box.overlap(second.box), number, other)
            for number, first in enumerate(pair.first)
            for other, second in enumerate(pair.second)
            if first.box is not None and second.box is not None
        ),
        key=lambda each: (-each[0], each[1], each[2]),
    )
    taken: set[int] = set()
    taken_too: set[int] = set()
    matches = []
    for iou, number, other in near:
        if iou < SAME_PLACE:
            break
        if number not in taken and other not in taken_too:
            taken.add(number)
            taken_too.add(other)
            matches.append((pair.first[number], pair.second[other], iou))
    return matches


Items = list[tuple[frozenset[str], frozenset[str]]]
"""Both sets of concepts of each item of an image (itself, a crop or a matched box) that both
labelled."""


def _items(kind: str, pair: TwoAnnotations, crops: bool) -> Items:
    if kind == DETECTION:
        return [
            (frozenset({first.concept_id}), frozenset({second.concept_id}))
            for first, second, _ in match_boxes(pair)
        ]
    first, second = _by_item(pair.first), _by_item(pair.second)
    if kind == CLASSIFICATION:
        return [(first[item], second[item]) for item in first if item in second]
    # A crop that only one of them labelled holds no concept for the other.
    items = first.keys() | second.keys() if crops else {None}
    none = frozenset[str]()
    return [(first.get(item, none), second.get(item, none)) for item in items]


def _by_item(annotations: Iterable[Annotation]) -> dict[Box | None, frozenset[str]]:
    """The concepts of the image, or of each of its crops."""
    found: dict[Box | None, frozenset[str]] = {}
    for each in annotations:
        found[each.box] = found.get(each.box, frozenset()) | {each.concept_id}
    return found


def _of_concept(concept: str, items_by_image: Iterable[Items]) -> ConceptAgreement:
    labels = [
        (concept in first, concept in second) for items in items_by_image for first, second in items
    ]
    counts = Counter(labels)
    return ConceptAgreement(
        concept, counts[True, True], counts[True, False], counts[False, True], cohen_kappa(labels)
    )


def _boxes(pairs: Iterable[TwoAnnotations]) -> BoxAgreement:
    matched, first_only, second_only, overlaps = 0, 0, 0, 0.0
    for pair in pairs:
        matches = match_boxes(pair)
        matched += len(matches)
        first_only += len(pair.first) - len(matches)
        second_only += len(pair.second) - len(matches)
        overlaps += sum(iou for _, _, iou in matches)
    drawn = 2 * matched + first_only + second_only
    return BoxAgreement(
        matched,
        first_only,
        second_only,
        2 * matched / drawn if drawn else None,
        overlaps / matched if matched else None,
    )
