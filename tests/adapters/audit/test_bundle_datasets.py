"""The verifier's own rules of what a version trains on agree with the domain's."""

import io
import zipfile
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.audit import verify_bundle as verifier
from application.log.mapper import EventMapper
from application.log.sealing import new_key
from domain.dataset import image as image_module
from domain.dataset.annotation import DoubtedLabel
from domain.dataset.image import (
    PRECISION,
    SPLITS,
    Annotation,
    Box,
    Image,
    ImageAdded,
    ImageAnnotated,
    ImageErased,
    ImageRemoved,
    ImageReviewed,
    ImageReviewWithdrawn,
    ImageSplitAssigned,
    SuspectUpheld,
)
from domain.dataset.items import Parent
from domain.event import Event
from domain.library.view import DETECTION, KINDS, ConditionsChanged, ViewCreated
from domain.training.manifest import PlacedImage, canonical_line, counts, digest, manifest
from domain.training.messages import ConceptLabel, ManifestLine
from domain.training.predictions import VersionTestEvaluationRequested
from domain.training.version import DatasetFrozen
from tests.application.scenes import recorded
from tests.domain.training.test_items import ADDED, folded, histories, lines_of
from tests.domain.training.test_items import CONCEPTS as CONCEPTS_OF_ITEMS
from tests.domain.training.version_samples import CREATED, OPTIONS

IMAGES, VIEWS, CONCEPTS = ("image-a", "image-b", "image-c", "image-d"), ("v", "w"), ("k", "l", "m")

BOX = Box(0.1, 0.1, 0.5, 0.5)

sides = st.one_of(
    st.sampled_from([0.0, 1.0, 1e-9, 1.2e-7, 0.00001, 0.1]),
    st.floats(0, 1).map(lambda side: round(side, PRECISION)),
)
boxes = st.builds(Box, sides, sides, sides, sides)


def annotated(boxed: bool) -> st.SearchStrategy[Event]:
    annotations = st.lists(
        st.builds(Annotation, st.sampled_from(CONCEPTS), boxes if boxed else st.none()), max_size=3
    )
    return st.builds(ImageAnnotated, st.sampled_from(VIEWS), annotations.map(tuple), st.booleans())


def happenings(boxed: bool) -> st.SearchStrategy[list[tuple[str, Event]]]:
    """What happens to images, in order; some come back, some are of another project."""
    added = st.builds(
        ImageAdded,
        st.sampled_from(["p", "p", "q"]),
        st.sampled_from(["ab" * 32, "cd" * 32]),
        st.just(8),
        st.just(8),
        st.just("a.png"),
        st.just({}),
    )
    split = st.sampled_from(SPLITS).map(ImageSplitAssigned)
    gone = st.sampled_from([ImageRemoved(), ImageErased("ab" * 32, "asked for")])
    review = st.builds(ImageReviewed, st.sampled_from(VIEWS), st.integers(2, 6))
    withdrawn = st.sampled_from(VIEWS).map(ImageReviewWithdrawn)
    said = annotated(boxed), annotated(boxed)
    decided = st.sampled_from(VIEWS).map(lambda v: SuspectUpheld(v, "x", DoubtedLabel("k")))
    event = st.one_of(added, added, *said, split, gone, review, review, withdrawn, decided)
    return st.lists(st.tuples(st.sampled_from(IMAGES), event), max_size=30).map(from_the_first)


def from_the_first(happened: list[tuple[str, Event]]) -> list[tuple[str, Event]]:
    """What happened to each image since it was added: a stream begins with that."""
    begun: set[str] = set()
    kept = []
    for stream, event in happened:
        if isinstance(event, ImageAdded):
            begun.add(stream)
        if stream in begun:
            kept.append((stream, event))
    return kept


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from(KINDS), st.booleans(), st.booleans())
def test_both_find_the_same_manifest(
    data: st.DataObject, kind: str, negatives: bool, reviewed: bool
) -> None:
    happened = data.draw(happenings(kind == DETECTION))
    looked_at = data.draw(st.integers(0, len(happened)))
    concepts = data.draw(st.sets(st.sampled_from(CONCEPTS), min_size=1))
    labels = tuple(ConceptLabel(key, key) for key in sorted(concepts))
    created = msgspec.structs.replace(
        CREATED,
        kind=kind,
        concepts=labels,
        log_position=looked_at,
        view_id="v",
        negative_validation=negatives,
        options=msgspec.structs.replace(OPTIONS, reviewed_only=reviewed),
    )
    images = placed(happened[:looked_at])
    lines, tests = (
        list(
            manifest(
                images,
                "v",
                kind,
                frozenset(concepts),
                negative_validation=negatives,
                reviewed_only=reviewed,
                tests=tested,
            )
        )
        for tested in (False, True)
    )
    total = counts(lines)
    frozen = DatasetFrozen(digest(lines), total.train, total.validation, {}, None)
    content = b"".join(map(canonical_line, lines))
    [said] = checked([*happened, ("version-x", created), ("version-x", frozen)], content)
    assert f"the {len(lines)} images of version-x follow" in said
    requested = request_of(tests, looked_at)
    content = b"".join(map(canonical_line, tests))
    [said] = checked([*happened, ("version-x", created), ("version-x", requested)], content)
    assert f"the {len(tests)} test images of version-x follow" in said


def of_views(parents: Sequence[Parent], kind: str) -> list[tuple[str, Event]]:
    """Views that stand on each other; conditions are changed to what they are in the end."""
    chain = [("v", kind), *((parent.view_id, parent.kind) for parent in parents)]
    happened: list[tuple[str, Event]] = []
    for place, (view_id, of_kind) in reversed(list(enumerate(chain))):
        if place == len(parents):
            happened.append((f"view-{view_id}", ViewCreated("p", view_id, of_kind)))
            continue
        above = parents[place]
        child = ViewCreated("p", view_id, of_kind, above.view_id, (("z",),))
        happened += [
            (f"view-{view_id}", child),
            (f"view-{view_id}", ConditionsChanged(above.conditions)),
        ]
    return happened


@settings(max_examples=300, deadline=None)
@given(histories(), st.data())
def test_both_find_the_same_manifest_of_a_child(
    history: tuple[tuple[Parent, ...], str, list[Event]], data: st.DataObject
) -> None:
    """What happens after the version looked changes nothing."""
    parents, kind, events = history
    happened: list[tuple[str, Event]] = [*of_views(parents, kind), ("image-1", ADDED)]
    happened += [("image-1", event) for event in events]
    later = data.draw(histories().map(lambda drawn: drawn[2]))
    created = msgspec.structs.replace(
        CREATED,
        kind=kind,
        concepts=tuple(ConceptLabel(key, key) for key in CONCEPTS_OF_ITEMS),
        log_position=len(happened),
        view_id="v",
        negative_validation=True,
    )
    lines = lines_of(parents, kind, folded(events))
    total = counts(lines)
    frozen = DatasetFrozen(digest(lines), total.train, total.validation, {}, None)
    content = b"".join(map(canonical_line, lines))
    after: list[tuple[str, Event]] = [("image-1", event) for event in later]
    after += [("view-v", ConditionsChanged((("z",),)))] if parents else []
    ends: list[tuple[str, Event]] = [("version-x", created), ("version-x", frozen)]
    [said] = checked([*happened, *after, *ends], content)
    assert f"the {len(lines)} images of version-x follow" in said


def test_a_bundle_without_a_parent_is_rejected() -> None:
    child = ViewCreated("p", "v", "classification", "gone", (("a",),))
    created = msgspec.structs.replace(CREATED, log_position=1, view_id="v")
    frozen = DatasetFrozen(digest([]), 0, 0, {}, None)
    for parent in ("gone", "v"):
        view = msgspec.structs.replace(child, parent_id=parent)
        with pytest.raises(verifier.Rejected, match=f"{parent} is missing, or is its own ancestor"):
            checked([("view-v", view), ("version-x", created), ("version-x", frozen)], b"")


@pytest.mark.parametrize("kind", KINDS)
def test_the_test_set_is_left_out(kind: str) -> None:
    added = ImageAdded("p", "ab" * 32, 8, 8, "a.png", {})
    said = ImageAnnotated("v", (Annotation("k", BOX if kind == DETECTION else None),), False)
    happened: list[tuple[str, Event]] = [
        *(("image-a", event) for event in (added, said)),
        *(("image-b", event) for event in (added, said, ImageSplitAssigned("test"))),
        *(("image-c", event) for event in (added, said, ImageSplitAssigned("validation"))),
    ]
    created = msgspec.structs.replace(
        CREATED,
        kind=kind,
        concepts=(ConceptLabel("k", "k"),),
        log_position=len(happened),
        view_id="v",
        negative_validation=True,
    )
    k = frozenset("k")
    images = placed(happened)
    found = manifest(images, "v", kind, k, negative_validation=True, reviewed_only=False)
    lines = list(found)
    assert [line.image for line in lines] == ["a", "c"]
    frozen = DatasetFrozen(digest(lines), 1, 1, {}, None)
    content = b"".join(map(canonical_line, lines))
    [told] = checked([*happened, ("version-x", created), ("version-x", frozen)], content)
    assert "the 2 images of version-x follow" in told


def test_a_review_is_of_the_last_annotation() -> None:
    added = ImageAdded("p", "ab" * 32, 8, 8, "a.png", {})
    said = ImageAnnotated("v", (Annotation("k"),), False)
    first, second = ImageReviewed("v", 2), ImageReviewed("v", 3)
    happened: list[tuple[str, Event]] = [
        *(("image-a", event) for event in (added, said, said, second)),
        *(("image-b", event) for event in (added, said, first, said)),
        *(("image-c", event) for event in (added, said, first, ImageReviewWithdrawn("v"))),
        *(("image-d", event) for event in (added, said, first)),
    ]
    created = msgspec.structs.replace(
        CREATED,
        concepts=(ConceptLabel("k", "k"),),
        log_position=len(happened),
        view_id="v",
        options=msgspec.structs.replace(OPTIONS, reviewed_only=True),
    )
    images = placed(happened)
    k = frozenset("k")
    found = manifest(images, "v", CREATED.kind, k, negative_validation=False, reviewed_only=True)
    lines = list(found)
    assert [line.image for line in lines] == ["a", "d"]
    frozen = DatasetFrozen(digest(lines), 2, 0, {}, None)
    content = b"".join(map(canonical_line, lines))
    [told] = checked([*happened, ("version-x", created), ("version-x", frozen)], content)
    assert "the 2 images of version-x follow" in told


def request_of(lines: Sequence[ManifestLine], log_position: int) -> VersionTestEvaluationRequested:
    """A request of an evaluation on these test images."""
    return VersionTestEvaluationRequested(
        "v", 1, "why", "cd" * 32, digest(lines), len(lines), log_position, 0, 0
    )


def test_test_images_that_do_not_follow_from_the_log_are_refused() -> None:
    added = ImageAdded("p", "ab" * 32, 8, 8, "a.png", {})
    said = ImageAnnotated("v", (Annotation("k"),), False)
    happened: list[tuple[str, Event]] = [
        *(("image-a", event) for event in (added, said, ImageSplitAssigned("test"))),
        *(("image-b", event) for event in (added, said)),
    ]
    created = msgspec.structs.replace(
        CREATED, concepts=(ConceptLabel("k", "k"),), log_position=len(happened), view_id="v"
    )
    rules: dict[str, Any] = {"negative_validation": False, "reviewed_only": False}
    images = placed(happened)
    of_training = list(manifest(images, "v", CREATED.kind, frozenset("k"), **rules))
    content = b"".join(map(canonical_line, of_training))
    version = [("version-x", created), ("version-x", request_of(of_training, len(happened)))]
    with pytest.raises(verifier.Rejected, match="from the events follows"):
        checked([*happened, *version], content)
    ahead = [("version-x", created), ("version-x", request_of([], len(happened) + 2))]
    with pytest.raises(verifier.Rejected, match=r"event 7 .* depends on later events"):
        checked([*happened, *ahead, ("image-b", said)], b"", frozen=-2)


def test_a_version_does_not_look_ahead() -> None:
    created = msgspec.structs.replace(CREATED, log_position=1)
    frozen = DatasetFrozen(digest([]), 0, 0, {}, None)
    with pytest.raises(verifier.Rejected, match=r"event 1 .* depends on later events"):
        checked([("version-x", created), ("version-x", frozen)], b"")


def placed(happened: Sequence[tuple[str, Event]]) -> list[PlacedImage]:
    """The project's images after what happened, by the domain's rules."""
    states: dict[str, Image | None] = {}
    for stream, event in happened:
        states[stream] = image_module.evolve(states.get(stream), event)
    return [
        PlacedImage(stream.removeprefix("image-"), state, 0)
        for stream, state in sorted(states.items())
        if state is not None and not state.removed and state.project_id == "p"
    ]


def checked(happened: Sequence[tuple[str, Event]], content: bytes, frozen: int = -1) -> list[str]:
    """What the verifier says of a log of these events, of which two at `frozen` are a version's."""
    mapper, log, revisions, key = EventMapper(), [], dict[str, int](), new_key()
    for position, (stream, event) in enumerate(happened, 1):
        revisions[stream] = revisions.get(stream, 0) + 1
        stored = mapper.to_stored_event(recorded(stream, revisions[stream], event), key)
        place = position, stream, revisions[stream], stored.topic
        log.append(verifier.Event(*place, stored.state))
    created, dataset = log[frozen - 1], log[frozen]
    lines = [one._asdict() | {"state": one.state.decode()} for one in log]
    with zipfile.ZipFile(io.BytesIO(), "w") as archive:
        archive.writestr("log.jsonl", b"".join(msgspec.json.encode(one) + b"\n" for one in lines))
        member = f"manifests/{dataset.data()['manifest']}.jsonl"
        archive.writestr(member, content)
        return list(verifier.check_datasets(archive, {created.stream: created}, [dataset]))
