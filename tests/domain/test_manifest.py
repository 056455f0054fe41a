import hashlib
import json
import random
from datetime import UTC, datetime

import pytest

from domain import manifest
from domain.event import Event, Metadata, Recorded
from domain.image import (
    Annotation,
    ImageAdded,
    ImageAnnotated,
    ImageRemoved,
    ImageSplitAssigned,
)
from domain.manifest import Dataset, ManifestCounts
from domain.messages import ManifestLine
from domain.view import DETECTION, TAGGING

META = Metadata("e", datetime(2026, 1, 1, tzinfo=UTC), "me", "c", "k")


def added(image: str, project: str = "p") -> tuple[str, Event]:
    return image, ImageAdded(project, f"sha-{image}", 8, 8, f"{image}.png", {})


def said(image: str, *concepts: str, view: str = "v", nothing: bool = False) -> tuple[str, Event]:
    annotations = tuple(Annotation(concept) for concept in concepts)
    return image, ImageAnnotated(view, annotations, nothing)


def folded(*history: tuple[str, Event], project: str = "p") -> Dataset:
    dataset, revisions = Dataset(project), dict[str, int]()
    for position, (image, event) in enumerate(history, start=1):
        revisions[image] = revisions.get(image, 0) + 1
        dataset.apply(Recorded(f"image-{image}", revisions[image], event, META, position))
    return dataset


def lines(*history: tuple[str, Event], concepts: str = "ab") -> list[ManifestLine]:
    return folded(*history).manifest("v", "classification", concepts)


A = ManifestLine("1", "sha-1", "train", ("a",))
B = ManifestLine("2", "sha-2", "train", ("b",))
BOTH = (added("2"), said("2", "b"), added("1"), said("1", "a"))


def test_a_manifest_is_sorted_by_image() -> None:
    assert lines(*BOTH) == [A, B]


def test_the_order_of_unrelated_events_does_not_matter() -> None:
    images = [
        [added(str(n)), said(str(n), "a"), (str(n), ImageSplitAssigned("validation"))]
        for n in range(9)
    ]
    in_order = [event for image in images for event in image]
    shuffled, left, choose = [], [list(image) for image in images], random.Random(1)
    while left := [image for image in left if image]:
        shuffled.append(choose.choice(left).pop(0))
    assert shuffled != in_order
    assert manifest.digest(lines(*shuffled)) == manifest.digest(lines(*in_order))


@pytest.mark.parametrize(
    "more",
    [
        (added("3"),),
        (added("3"), said("3", "a", view="w")),
        (added("3"), said("3")),
        (added("3"), said("3", "a", "b")),
        (added("3"), said("3", "c")),
        (added("3"), said("3", nothing=True)),
        (added("3"), said("3", "a"), said("3")),
        (added("3"), said("3", "a"), ("3", ImageRemoved())),
        (added("3"), said("3", "a"), ("3", ImageRemoved()), added("3")),
        (added("3", "q"), said("3", "a")),
        (said("3", "a"),),
    ],
)
def test_an_image_without_exactly_one_of_the_concepts_does_not_train(
    more: tuple[tuple[str, Event], ...],
) -> None:
    assert lines(*BOTH, *more) == [A, B]


def test_an_image_has_the_split_and_annotation_it_had_last() -> None:
    history = (*BOTH, ("1", ImageSplitAssigned("validation")), said("1", "b"))
    assert lines(*history) == [ManifestLine("1", "sha-1", "validation", ("b",)), B]


def test_an_image_knows_its_revision() -> None:
    images = folded(*BOTH, ("1", ImageSplitAssigned("validation")), ("2", ImageRemoved())).images()
    assert {key: found.revision for key, found in images.items()} == {"1": 3}


@pytest.mark.parametrize("kind", [TAGGING, DETECTION])
def test_other_kinds_are_not_pretended_to_work(kind: str) -> None:
    with pytest.raises(NotImplementedError, match=kind):
        folded(*BOTH).manifest("v", kind, "ab")


def test_counts_are_by_split_and_by_training_concept() -> None:
    validates = ManifestLine("3", "sha-3", "validation", ("a",))
    assert manifest.counts([B, validates, A]) == ManifestCounts(2, 1, {"a": 1, "b": 1})
    assert manifest.counts([]) == ManifestCounts(0, 0, {})


def test_the_bytes_are_canonical_json_lines() -> None:
    data = manifest.canonical_bytes([A, ManifestLine("ä", "sha", "train", ("b",))])
    assert data == (
        b'{"blob":"sha-1","concepts":["a"],"image":"1","split":"train"}\n'
        b'{"blob":"sha","concepts":["b"],"image":"\xc3\xa4","split":"train"}\n'
    )
    for line in data.splitlines():
        canonical = json.dumps(
            json.loads(line), sort_keys=True, separators=(",", ":"), ensure_ascii=False
        )
        assert canonical.encode() == line


def test_the_digest_is_that_of_the_bytes() -> None:
    assert manifest.digest([A, B]) == hashlib.sha256(manifest.canonical_bytes([A, B])).hexdigest()
    assert manifest.digest([A]) != manifest.digest([A, B])
