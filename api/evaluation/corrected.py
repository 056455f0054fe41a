"""How the images moved whose labels were corrected between the datasets of two versions."""

import msgspec

from adapters.evaluation.gallery import CORRECT, Evaluator, ImageResult
from api.evaluation.evaluated import EvaluatedVersion
from domain.dataset.items import image_id_of
from projections.dataset.erasures import ERASURES, erased_among
from projections.flip_book.suspects import SUSPECTS, corrected_between

RIGHT, FIXED, BROKEN, WRONG = "right", "fixed", "broken", "wrong"


class CorrectedImage(msgspec.Struct, frozen=True):
    """A corrected image in both versions, each by its own ground truth.

    `change` is right (correct in both), fixed (in the second alone), broken (in the first alone),
    or wrong.
    """

    image_id: str
    change: str
    first: ImageResult
    second: ImageResult


class CorrectedCounts(msgspec.Struct, frozen=True):
    """The number of corrected images; of the `shared` ones, in both predictions, by change."""

    corrected: int
    shared: int
    right: int
    fixed: int
    broken: int
    wrong: int


class CorrectedView(msgspec.Struct, frozen=True):
    """A page of the corrected images; pass `next` as `cursor` for the next page."""

    counts: CorrectedCounts
    items: list[CorrectedImage]
    next: str | None
    position: int


def corrected_images(first: EvaluatedVersion, second: EvaluatedVersion) -> list[str]:
    """The images corrected between the datasets of two versions of a view, in either order.

    Erased ones are left out.
    """
    if first.version.view_id != second.version.view_id:
        return []
    earlier, later = sorted((first.version.log_position, second.version.log_position))
    with first.backend.reading(None, SUSPECTS, ERASURES) as (connection, _):
        images = corrected_between(connection, first.version.view_id, earlier, later)
        erased = erased_among(connection, images)
    return [image for image in images if image not in erased]


def corrected_view(
    first: EvaluatedVersion, second: EvaluatedVersion, *, cursor: int | None, limit: int
) -> CorrectedView:
    """How the corrected images moved; those that both versions were evaluated on."""
    corrected = corrected_images(first, second)
    moved = _moved(first, second, corrected)
    changes = [image.change for image in moved]
    counts = CorrectedCounts(
        len(corrected),
        len(moved),
        *(changes.count(change) for change in (RIGHT, FIXED, BROKEN, WRONG)),
    )
    start = cursor or 0
    following = str(start + limit) if len(moved) > start + limit else None
    return CorrectedView(counts, moved[start : start + limit], following, first.position)


def _moved(
    first: EvaluatedVersion, second: EvaluatedVersion, corrected: list[str]
) -> list[CorrectedImage]:
    if not corrected:
        return []
    places = [_places(each, corrected) for each in (first, second)]
    evaluators = [
        Evaluator(each.decided, each.thresholds, None, each.crops) for each in (first, second)
    ]
    moved = []
    for image in places[0]:
        if image in places[1]:
            before, after = (
                evaluator.evaluate(own[image], 0)
                for evaluator, own in zip(evaluators, places, strict=True)
            )
            moved.append(CorrectedImage(image, _change(before, after), before, after))
    return moved


def _change(before: ImageResult, after: ImageResult) -> str:
    was, now = before.outcome == CORRECT, after.outcome == CORRECT
    if was:
        return RIGHT if now else BROKEN
    return FIXED if now else WRONG


def _places(evaluated: EvaluatedVersion, images: list[str]) -> dict[str, int]:
    """The index of each item of these images in a version's predictions, in the images' order."""
    order = {image: place for place, image in enumerate(images)}
    ids = evaluated.predictions.images.ids
    found = [(key, place) for place, key in enumerate(ids) if image_id_of(key) in order]
    return dict(sorted(found, key=lambda each: order[image_id_of(each[0])]))
