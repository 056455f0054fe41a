import random
from collections import Counter
from collections.abc import Iterator
from itertools import product

import pytest
from sqlalchemy import Connection, Engine

from domain.dataset.image import (
    SPLITS,
    Annotation,
    Box,
    Image,
    ImageAdded,
    ImageAnnotated,
    ImageRemoved,
    ImageSplitAssigned,
)
from projections.dataset import index_scans, inverted_index
from projections.dataset.dataset import DATASET
from projections.dataset.index_scans import ImageFilter, SplitCount
from projections.dataset.queries import (
    ConceptCount,
    DatasetCounts,
    ImageRow,
    ViewCounts,
    count_images,
    count_views,
    find_image,
    list_images,
)
from projections.engine.follow import Follower
from tests.projections.dataset.folded import Dataset
from tests.projections.engine.rebuilding import compare
from tests.projections.made_log import MadeLog, at

CAT, DOG = Annotation("cat"), Annotation("dog")
BOX = Annotation("cat", Box(0.1, 0.2, 0.3, 0.4))
OTHER_BOX = Annotation("cat", Box(0.5, 0.2, 0.3, 0.4))


def added(number: int, project: str = "p") -> ImageAdded:
    return ImageAdded(project, f"sha-{number}", 8, 6, f"{number}.png", {"camera": "left"})


LOG = MadeLog()
for number in range(1, 7):
    LOG.add(f"image-i{number}", added(number))
LOG.add("image-other", added(9, "q"), ImageAnnotated("u", (CAT,), False))
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
        "i1",
        "p",
        "sha-1",
        8,
        6,
        "1.png",
        {"camera": "left"},
        "validation",
        1,
        3,
        "test",
        at(10),
        [CAT],
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
        ({"without_concept": True}, ["i3"]),
        ({"without_concept": True, "split": "validation"}, []),
        ({"annotated": False, "split": "validation"}, []),
        ({"concept_id": "cat", "annotated": False}, []),
        ({"concept_id": "cat", "without_concept": True}, []),
    ],
)
def test_images_are_filtered(
    connection: Connection, wanted: dict[str, object], found: list[str]
) -> None:
    asked = ImageFilter(**({"view_id": "v"} | wanted))  # type: ignore[arg-type]
    assert ids(list_images(connection, "p", asked)) == found
    assert ids(list_images(connection, "p", asked, newest=True)) == found[::-1]
    assert ids(list_images(connection, "p", asked, as_of=LOG.events[-1].position)) == found


def test_images_are_counted_by_split_and_concept(connection: Connection) -> None:
    assert count_images(connection, "p") == DatasetCounts(5, 4, 1)
    assert count_images(connection, "nothing") == DatasetCounts(0, 0, 0)
    assert count_views(connection, "p", ["v", "w", "x"]) == {
        "v": ViewCounts(
            "v",
            annotated=SplitCount(2, 1),
            unannotated=SplitCount(2, 0),
            without_concept=SplitCount(1, 0),
            concepts=[ConceptCount("cat", 1, 1), ConceptCount("dog", 1, 0)],
        ),
        "w": ViewCounts(
            "w",
            annotated=SplitCount(1, 0),
            unannotated=SplitCount(3, 1),
            without_concept=SplitCount(),
            concepts=[ConceptCount("cat", 1, 0)],
        ),
        "x": ViewCounts("x", SplitCount(), SplitCount(4, 1), SplitCount(), []),
    }


def project_of(number: int) -> str:
    return "p" if number % 4 else "q"


def random_history(choose: random.Random, length: int) -> MadeLog:
    """Images that are added, annotated in two views, moved, removed and added again."""
    log, alive, known = MadeLog(), set[str](), 0
    while len(log.events) < length:
        if not alive or choose.random() < 0.3:
            number = choose.randint(1, known + 1)
            known = max(known, number)
            if f"i{number}" not in alive:
                log.add(f"image-i{number}", added(number, project_of(number)))
                alive.add(f"i{number}")
            continue
        image = choose.choice(sorted(alive))
        concepts = choose.sample([CAT, DOG, BOX, OTHER_BOX], choose.randint(0, 4))
        views = "vw" if project_of(int(image[1:])) == "p" else "u"
        view, nothing = choose.choice(views), not concepts and choose.random() < 0.5
        said = ImageAnnotated(view, tuple(concepts), nothing)
        moved = ImageSplitAssigned(choose.choice(["train", "validation"]))
        event = choose.choices([said, moved, ImageRemoved()], [6, 3, 1])[0]
        log.add(f"image-{image}", event)
        if event == ImageRemoved():
            alive.discard(image)
    return log


Told = dict[str, tuple[str, set[str], bool]]


def told_of(present: dict[str, Image], view: str) -> Told:
    """Each image's split and annotations in a view, as the fold of the log has them."""
    told = {}
    for image_id, image in present.items():
        said = image.annotations.get(view, ImageAnnotated(view, (), False))
        concepts = {annotation.concept_id for annotation in said.annotations}
        told[image_id] = image.split, concepts, said.without_concept
    return told


def shown(rows: list[ImageRow]) -> Told:
    return {
        row.image_id: (
            row.split,
            {annotation.concept_id for annotation in row.annotations},
            row.without_concept,
        )
        for row in rows
    }


def folded(log: MadeLog, upto: int) -> dict[str, Image]:
    """The images of project p, in the order they were added."""
    dataset, added_at = Dataset("p"), {}
    for recorded in log.events[:upto]:
        dataset.apply(recorded)
        if isinstance(recorded.event, ImageAdded):
            added_at[recorded.entity_id] = recorded.position
    present = dataset.images()
    return {key: present[key].state for key in sorted(present, key=lambda key: added_at[key])}


@pytest.mark.parametrize("seed", range(4))
def test_the_dataset_as_of_any_position_is_the_log_folded_up_to_there(
    engine: Engine, seed: int
) -> None:
    log = random_history(random.Random(seed), 60)
    log.follow(engine, [DATASET])
    with engine.connect() as connection:
        assert list_images(connection, "p", as_of=0) == []
        for position, view in product(range(1, len(log.events) + 1), "vw"):
            asked = ImageFilter(view_id=view)
            rows = list_images(connection, "p", asked, as_of=position)
            assert shown(rows) == told_of(folded(log, position), view)


def test_filters_hold_as_of_a_past_position_too(connection: Connection) -> None:
    def found(as_of: int, **wanted: object) -> list[str]:
        asked = ImageFilter(view_id="v", **wanted)  # type: ignore[arg-type]
        return ids(list_images(connection, "p", asked, as_of=as_of))

    before = LOG.events[-3].position
    assert found(before, concept_id="dog") == ["i2"]
    assert found(before + 1, annotated=True) == ["i1", "i2", "i3", "i5"]
    assert found(1, split="validation") == []


EVERY_FILTER = [
    ImageFilter(view_id=view, split=split, **said)  # type: ignore[arg-type]
    for view, split, said in product(
        "vw",
        (None, "train", "validation"),
        (
            {},
            {"annotated": True},
            {"annotated": False},
            {"without_concept": True},
            {"concept_id": "cat"},
            {"concept_id": "dog"},
        ),
    )
]


def matches(wanted: ImageFilter, split: str, concepts: set[str], without_concept: bool) -> bool:
    return (
        wanted.split in {None, split}
        and wanted.concept_id in {None, *concepts}
        and wanted.annotated in {None, bool(concepts) or without_concept}
        and (without_concept or not wanted.without_concept)
    )


def paged(connection: Connection, wanted: ImageFilter, *, newest: bool) -> list[str]:
    seen: list[str] = []
    after = None
    while page := list_images(connection, "p", wanted, after=after, newest=newest, limit=3):
        seen += ids(page)
        after = page[-1].added_position
    return seen


@pytest.mark.parametrize("seed", range(6))
def test_every_filter_pages_through_and_counts_what_a_recount_finds(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    for module in (inverted_index, index_scans):
        monkeypatch.setattr(module, "BLOCK", 8)
    choose = random.Random(seed)
    log = random_history(choose, 120)
    # Two pages of the log, so that counts go on from what is committed.
    Follower(engine, log, [DATASET]).catch_up(upto=choose.randint(1, 119))
    log.follow(engine, [DATASET])
    present = folded(log, len(log.events))
    with engine.connect() as connection:
        for wanted in EVERY_FILTER:
            told = told_of(present, str(wanted.view_id))
            expected = [key for key, said in told.items() if matches(wanted, *said)]
            assert paged(connection, wanted, newest=False) == expected, wanted
            assert paged(connection, wanted, newest=True) == expected[::-1], wanted
        for view, found in count_views(connection, "p", ["v", "w"]).items():
            assert recounted(told_of(present, view)) == {
                "annotated": found.annotated,
                "unannotated": found.unannotated,
                "without": found.without_concept,
            } | {
                one.concept_id: SplitCount(one.train, one.validation, one.test)
                for one in found.concepts
            }
    assert compare(engine, log, DATASET) == []


def recounted(told: Told) -> dict[str, SplitCount]:
    counted = Counter[tuple[str, str]]()
    for split, concepts, without_concept in told.values():
        annotated = bool(concepts) or without_concept
        said = {"annotated" if annotated else "unannotated", *concepts}
        counted.update((mark, split) for mark in said | ({"without"} if without_concept else set()))
    names = {mark for mark, _ in counted} | {"annotated", "unannotated", "without"}
    return {mark: SplitCount(*(counted[mark, split] for split in SPLITS)) for mark in names}
