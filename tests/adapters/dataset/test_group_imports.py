"""Imports into a project whose images are grouped: they join their groups, and tear none."""

from pathlib import Path

import pytest

from adapters.dataset.imports import run
from application.dataset.groups import assign_split, set_group_key
from application.dataset.imports import take_images
from application.dataset.projects import draw_validation_split
from application.log.store import Store
from domain.dataset.image import AssignSplit
from domain.dataset.imports import (
    Ending,
    ImportChecked,
    ImportCompleted,
    ImportRefused,
    ImportRules,
)
from domain.dataset.splits import DrawSplit
from tests.adapters.dataset.importing import Importer, png, write_files
from tests.servers import Database


class Grouped(Importer):
    """A project that is grouped by `site`, and CSV files of images with their site and split."""

    def __init__(self, store: Store, folder: Path, database_url: str) -> None:
        super().__init__(store, folder / "blobs", database_url)
        self._folder = folder
        self._written = 0
        self.do("key", lambda session: set_group_key(session, self.project, "site"))

    def csv(self, *lines: str, **asked: object) -> Ending:
        """Import lines of number, site and split; the number makes the image."""
        self._written += 1
        rows = [line.split(",") for line in lines]
        text = "\n".join(["file,label,meta:site,split", *(
            f"{number}.png,cat,{site},{split}" for number, site, split in rows
        )])  # fmt: skip
        files = {f"{number}.png": png(int(number)) for number, *_ in rows}
        folder = self._folder / f"source {self._written}"
        source = write_files(folder, files | {"annotations.csv": text})
        return self.take(source, view="kinds", **asked)

    def splits(self) -> dict[str, list[str]]:
        """The splits of each site's images."""
        found: dict[str, list[str]] = {}
        for image in self.images().values():
            found.setdefault(image.added.metadata.get("site", ""), []).append(image.split)
        return {site: sorted(splits) for site, splits in found.items()}


@pytest.fixture
def importer(store: Store, migrated: Database, tmp_path: Path) -> Grouped:
    return Grouped(store, tmp_path, migrated.app_url)


def test_an_import_of_whole_groups_is_taken(importer: Grouped) -> None:
    ending = importer.csv("1,north,validation", "2,north,", "3,south,train", "4,south,train", "5,,")
    assert isinstance(ending, ImportCompleted), ending
    assert importer.splits() == {
        "north": ["validation"] * 2,
        "south": ["train"] * 2,
        "": ["train"],
    }


def test_images_join_the_split_of_their_group(
    importer: Grouped, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "BATCH", 1)
    importer.csv("1,north,test", "2,south,")
    assert isinstance(
        importer.csv("3,north,", "4,south,", "5,west,", "6,west,test"), ImportCompleted
    )
    assert importer.splits() == {
        "north": ["test"] * 2,
        "south": ["train"] * 2,
        "west": ["test"] * 2,
    }
    assert isinstance(importer.csv("3,north,", "4,south,", "6,west,test"), ImportCompleted)


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_source_that_tears_a_group_is_refused(importer: Grouped, dry_run: bool) -> None:
    lines = ("1,north,validation", "2,south,train", "3,north,train")
    ending = importer.csv(*lines, rules=ImportRules(dry_run=dry_run))
    assert isinstance(ending, ImportRefused)
    (problem,) = ending.first
    assert problem.where == "annotations.csv:4"
    assert problem.reason == (
        "its group, site 'north', is in the split 'validation' at annotations.csv:2, and this image"
        " in 'train'; give the whole group one split"
    )
    assert importer.images() == {}
    ending = importer.csv(*lines, rules=ImportRules(dry_run=dry_run, skip_bad=True))
    assert isinstance(ending, ImportChecked if dry_run else ImportCompleted)
    assert ending.counts.skipped == 1


def test_a_source_against_the_split_of_a_group_is_refused(importer: Grouped) -> None:
    importer.csv("1,north,validation", "2,south,train")
    ending = importer.csv("3,north,train")
    assert isinstance(ending, ImportRefused)
    assert ending.first[0].reason.startswith(
        "its group, site 'north', is in the split 'validation' of the project; assign an image of"
    )
    (north,) = [
        key for key, image in importer.images().items() if image.added.metadata["site"] == "north"
    ]
    importer.do(
        "move",
        lambda session: assign_split(
            session, north, AssignSplit("train"), lambda *_: ([north], session.position)
        ),
    )
    assert isinstance(importer.csv("3,north,train"), ImportCompleted)
    assert importer.splits() == {"north": ["train"] * 2, "south": ["train"]}


def test_a_draw_between_two_batches_takes_what_joins_along(
    importer: Grouped, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The groups are read again for each batch: what others moved meanwhile is heeded."""
    monkeypatch.setattr(run, "BATCH", 2)
    importer.csv(*(f"{n},{site}," for n, site in enumerate(["north", "south", "west", "east"])))
    taken = []

    def drawing(*arguments: object) -> object:
        taken.append(1)
        if len(taken) == 2:
            command = DrawSplit(0.5, 1)
            importer.do(
                "draw", lambda session: draw_validation_split(session, importer.project, command)
            )
        return take_images(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(run, "take_images", drawing)
    lines = [f"{n + 10},{site}," for n, site in enumerate(["north", "south", "west", "east"] * 2)]
    assert isinstance(importer.csv(*lines), ImportCompleted)
    splits = importer.splits()
    assert all(len(set(found)) == 1 for found in splits.values())
    assert {found[0] for found in splits.values()} == {"train", "validation"}


def test_frames_of_a_video_stay_together(store: Store, migrated: Database, tmp_path: Path) -> None:
    """The key that a video's import writes works as a group."""
    from tests.adapters.dataset.test_video import video

    importer = Importer(store, tmp_path / "blobs", migrated.app_url)
    importer.do("key", lambda session: set_group_key(session, importer.project, "video"))
    for name, fps in (("one.mp4", 5), ("two.mp4", 4), ("three.mp4", 6)):
        assert isinstance(
            importer.take(video(tmp_path / name, "libx264", 12, fps)), ImportCompleted
        )
    command = DrawSplit(0.3, 1)
    importer.do("draw", lambda session: draw_validation_split(session, importer.project, command))
    by_video: dict[str, set[str]] = {}
    for image in importer.images().values():
        by_video.setdefault(image.added.metadata["video"], set()).add(image.split)
    assert sorted(map(len, by_video.values())) == [1, 1, 1]
    assert {split for splits in by_video.values() for split in splits} == {"train", "validation"}
