import random
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine

from domain.image import (
    Annotation,
    Box,
    ImageAdded,
    ImageAnnotated,
    ImageRemoved,
    ImageSplitAssigned,
)
from projections.dataset import (
    DATASET,
    ConceptCount,
    DatasetCounts,
    ImageRow,
    count_concepts,
    count_images,
    find_image,
    list_images,
)
from tests.projections.folded import Dataset
from tests.projections.made_log import MadeLog

CAT, DOG = Annotation("cat"), Annotation("dog")
BOX = Annotation("cat", Box(0.1, 0.2, 0.3, 0.4))


def added(number: int, project: str = "p") -> ImageAdded:
    return ImageAdded(project, f"sha-{number}", 8, 6, f"{number}.png", {"camera": "left"})


LOG = MadeLog()
for number in range(1, 7):
    LOG.add(f"image-i{number}", added(number))
LOG.add("image-other", added(9, "q"), ImageAnnotated("v", (CAT,), False))
LOG.add("image-i1", ImageAnnotated("v", (CAT,), False), ImageSplitAssigned("validation"))
LOG.add("image-i2", ImageAnnotated("v", (CAT, DOG), False), ImageAnnotated("w", (BOX,), False))
LOG.add("image-i3", ImageAnnotated("v", (), True))
LOG.add("image-i4", ImageAnnotated("v", (DOG,), False), ImageAnnotated("v", (), False))
LOG.add("image-i5", ImageAnnotated("v", (CAT,), False), ImageRemoved())


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    LOG.follow(engine, [DATASET])
    with engine.connect() as opened:
        yield opened


def ids(rows: list[ImageRow]) -> list[str]:
    return [row.image_id for row in rows]


def test_images_are_listed_in_the_order_they_were_added(connection: Connection) -> None:
    first = list_images(connection, "p", limit=3)
    assert ids(first) == ["i1", "i2", "i3"]
    assert ids(list_images(connection, "p", after=first[-1].added_position)) == ["i4", "i6"]


def test_an_image_has_all_that_was_said_of_it(connection: Connection) -> None:
    row = find_image(connection, "i1", view_id="v")
    assert row == ImageRow(
        "i1", "p", "sha-1", 8, 6, "1.png", {"camera": "left"}, "validation", 1, 3, [CAT]
    )
    boxed = find_image(connection, "i2", view_id="w")
    assert boxed is not None
    assert boxed.annotations == [BOX]
    without = find_image(connection, "i3", view_id="v")
    assert without is not None
    assert (without.annotations, without.without_concept) == ([], True)


@pytest.mark.parametrize("image_id", ["i5", "nothing"])
def test_an_image_that_is_not_there_is_not_found(connection: Connection, image_id: str) -> None:
    assert find_image(connection, image_id) is None


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"split": "train"}, ["i2", "i3", "i4", "i6"]),
        ({"split": "validation"}, ["i1"]),
        ({"concept_id": "cat"}, ["i1", "i2"]),
        ({"concept_id": "dog"}, ["i2"]),
        ({"annotated": True}, ["i1", "i2", "i3"]),
        ({"annotated": False}, ["i4", "i6"]),
        ({"concept_id": "cat", "split": "train"}, ["i2"]),
        ({"concept_id": "cat", "view_id": "w"}, ["i2"]),
        ({"concept_id": "bird"}, []),
    ],
)
def test_images_are_filtered(
    connection: Connection, wanted: dict[str, object], found: list[str]
) -> None:
    wanted = {"view_id": "v"} | wanted
    assert ids(list_images(connection, "p", **wanted)) == found  # type: ignore[arg-type]


def test_images_are_counted_by_split_and_concept(connection: Connection) -> None:
    assert count_images(connection, "p") == DatasetCounts(5, 4, 1)
    assert count_images(connection, "nothing") == DatasetCounts(0, 0, 0)
    counts = sorted(count_concepts(connection, "v"), key=lambda count: count.concept_id)
    assert counts == [ConceptCount("cat", 2, 1), ConceptCount("dog", 1, 0)]


def random_history(choose: random.Random, length: int) -> MadeLog:
    """Images that are added, annotated in two views, moved, removed and added again."""
    log, alive, known = MadeLog(), set[str](), 0
    while len(log.events) < length:
        if not alive or choose.random() < 0.3:
            number = choose.randint(1, known + 1)
            known = max(known, number)
            if f"i{number}" not in alive:
                log.add(f"image-i{number}", added(number, "p" if number % 4 else "q"))
                alive.add(f"i{number}")
            continue
        image = choose.choice(sorted(alive))
        concepts = choose.sample([CAT, DOG], choose.randint(0, 2))
        view, nothing = choose.choice("vw"), not concepts and choose.random() < 0.5
        said = ImageAnnotated(view, tuple(concepts), nothing)
        moved = ImageSplitAssigned(choose.choice(["train", "validation"]))
        event = choose.choices([said, moved, ImageRemoved()], [6, 3, 1])[0]
        log.add(f"image-{image}", event)
        if event == ImageRemoved():
            alive.discard(image)
    return log


def told_of(dataset: Dataset, view: str) -> dict[str, tuple[str, set[str], bool]]:
    """Each image's split and annotations in a view, as the fold of the log has them."""
    told = {}
    for image_id, found in dataset.images().items():
        said = found.state.annotations.get(view, ImageAnnotated(view, (), False))
        concepts = {annotation.concept_id for annotation in said.annotations}
        told[image_id] = found.state.split, concepts, said.without_concept
    return told


@pytest.mark.parametrize("seed", range(4))
def test_the_dataset_as_of_any_position_is_the_log_folded_up_to_there(
    engine: Engine, seed: int
) -> None:
    log = random_history(random.Random(seed), 60)
    log.follow(engine, [DATASET])
    dataset = Dataset("p")
    with engine.connect() as connection:
        assert list_images(connection, "p", as_of=0) == []
        for recorded in log.events:
            dataset.apply(recorded)
            for view in ("v", "w"):
                rows = list_images(connection, "p", view_id=view, as_of=recorded.position)
                assert {
                    row.image_id: (
                        row.split,
                        {annotation.concept_id for annotation in row.annotations},
                        row.without_concept,
                    )
                    for row in rows
                } == told_of(dataset, view)
        now = {image_id: found.revision for image_id, found in dataset.images().items()}
        assert {row.image_id: row.revision for row in list_images(connection, "p")} == now


def test_filters_hold_as_of_a_past_position_too(connection: Connection) -> None:
    before = LOG.events[-3].position
    assert ids(list_images(connection, "p", view_id="v", concept_id="dog", as_of=before)) == ["i2"]
    annotated = list_images(connection, "p", view_id="v", annotated=True, as_of=before + 1)
    assert ids(annotated) == ["i1", "i2", "i3", "i5"]
    assert ids(list_images(connection, "p", split="validation", as_of=1)) == []
