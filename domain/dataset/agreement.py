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
    """On how many things (images, crops or matched boxes) both said the concept, or one of them.

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
    is null where it is not defined: without anything that both annotated, or where both said the
    same one thing throughout.
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
    matched = [_things(kind, pair, crops) for pair in pairs]
    boxes = _boxes(pairs) if kind == DETECTION else None
    per_concept = [_of_concept(concept, matched) for concept in concepts]
    if kind == TAGGING:
        defined = [each.kappa for each in per_concept if each.kappa is not None]
        kappa = sum(defined) / len(defined) if defined else None
    else:
        kappa = cohen_kappa(pair for things in matched for pair in things)
    equal = sum(is_equal(kind, pair) for pair in pairs)
    return Agreement(len(pairs), equal, kappa, per_concept, boxes)


def is_equal(kind: str, pair: TwoAnnotations) -> bool:
    """Whether an image is annotated alike; boxes of a detection view are the same by their IoU."""
    if kind != DETECTION:
        return _by_thing(pair.first) == _by_thing(pair.second)
    matches = match_boxes(pair)
    alike = all(first.concept_id == second.concept_id for first, second, _ in matches)
    return alike and len(matches) == len(pair.first) == len(pair.second)


def cohen_kappa(labels: Iterable[tuple[Hashable, Hashable]]) -> float | None:
    """Cohen's kappa of what two said of the same things (Cohen 1960), None if it is undefined."""
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


Things = list[tuple[frozenset[str], frozenset[str]]]
"""The concepts that each of both said of the things of an image that both spoke about."""


def _things(kind: str, pair: TwoAnnotations, crops: bool) -> Things:
    if kind == DETECTION:
        return [
            (frozenset({first.concept_id}), frozenset({second.concept_id}))
            for first, second, _ in match_boxes(pair)
        ]
    first, second = _by_thing(pair.first), _by_thing(pair.second)
    if kind == CLASSIFICATION:
        return [(first[thing], second[thing]) for thing in first if thing in second]
    # A crop that only one of them named holds no concept for the other.
    things = first.keys() | second.keys() if crops else {None}
    none = frozenset[str]()
    return [(first.get(thing, none), second.get(thing, none)) for thing in things]


def _by_thing(annotations: Iterable[Annotation]) -> dict[Box | None, frozenset[str]]:
    """The concepts of the image, or of each of its crops."""
    found: dict[Box | None, frozenset[str]] = {}
    for each in annotations:
        found[each.box] = found.get(each.box, frozenset()) | {each.concept_id}
    return found


def _of_concept(concept: str, matched: Iterable[Things]) -> ConceptAgreement:
    labels = [
        (concept in first, concept in second) for things in matched for first, second in things
    ]
    said = Counter(labels)
    return ConceptAgreement(
        concept, said[True, True], said[True, False], said[False, True], cohen_kappa(labels)
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
