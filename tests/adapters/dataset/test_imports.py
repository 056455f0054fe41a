"""Imports: all or nothing of a source, the same however often it is asked for or interrupted."""

import hashlib
import json
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters.dataset.imports.progress import ImportUnderWay, claimed
from adapters.dataset.imports.views import Views
from application.dataset.imports import add_missing_concepts, views_of
from application.dataset.projects import annotate_images
from application.log.store import Store
from application.views import change_concepts, create_view
from domain.aggregates import IMAGE, VIEW
from domain.dataset.image import VALIDATION, AnnotateImage, Annotation, RemoveImage
from domain.dataset.imports import (
    Ending,
    ImportChecked,
    ImportCompleted,
    ImportCounts,
    ImportFailed,
    ImportRefused,
    ImportRules,
)
from domain.library.view import ArchiveView, RemoveConcept
from tests.adapters.dataset.importing import LIMITS, Importer, png, write_files
from tests.servers import Database

NAMES = "cat", "dog"


@pytest.fixture
def importer(store: Store, migrated: Database, tmp_path: Path) -> Importer:
    return Importer(store, tmp_path / "blobs", migrated.app_url)


def classes(folder: Path, count: int = 6) -> Path:
    """Images of two classes in a folder each."""
    files = {f"{NAMES[number % 2]}/{number}.png": png(number) for number in range(count)}
    return write_files(folder, files)


def studio(folder: Path, count: int = 4) -> Path:
    """Two views over the same images, of which one validates."""
    views = [
        {"name": "animal", "type": "classification", "concepts": [{"name": "cat"}]},
        {"name": "where", "type": "detection", "concepts": [{"name": "head"}]},
    ]
    lines: list[object] = [{"name": "Pets", "splits": ["train", "validation"], "views": views}]
    for number in range(count):
        box = {"xmin": 0.1, "ymin": 0.2, "xmax": 0.1 + (number + 1) / 10, "ymax": 0.7}
        said = [
            {"concepts": [{"name": "cat"}]},
            {"concepts": [{"name": "head"}], "region": {"bbox": box}},
        ]
        lines.append(
            {
                "data": [{"file": f"images/{number}.png"}],
                "annotations": said,
                "splits": ["validation" if number == 0 else "train"],
                "metadata": {"camera": "left"},
            }
        )
    text = "\n".join(json.dumps(line) for line in lines)
    images = {f"images/{number}.png": png(number) for number in range(count)}
    return write_files(folder, images | {"pets.jsonl": text})


def completed(ending: Ending) -> ImportCounts:
    assert isinstance(ending, ImportCompleted), ending
    return ending.counts


def refused(ending: Ending) -> ImportRefused:
    assert isinstance(ending, ImportRefused), ending
    return ending


def labels(importer: Importer, view: str) -> dict[str, list[str]]:
    """What is said in a view, by the images' file names."""
    found = views_of(importer.store, importer.project)
    [(key, state)] = [(key, one) for key, one in found.items() if one.name == view]
    return {
        image.added.file_name: [
            state.concepts[one.concept_id] for one in image.annotations[key].annotations
        ]
        for image in importer.images().values()
        if key in image.annotations
    }


def test_a_folder_per_class_becomes_a_view_with_its_concepts(
    importer: Importer, tmp_path: Path
) -> None:
    ending = importer.take(classes(tmp_path / "pets"))
    assert completed(ending) == ImportCounts(images=6, added=6, annotated=6, views=1, concepts=2)
    assert labels(importer, "pets") == {f"{number}.png": [NAMES[number % 2]] for number in range(6)}
    for image in importer.images().values():
        assert importer.blobs.get(image.blob) == png(int(Path(image.added.file_name).stem))
        assert (image.added.width, image.added.height) == (8, 6)


def test_several_views_splits_and_metadata_come_in_at_once(
    importer: Importer, tmp_path: Path
) -> None:
    counts = completed(importer.take(studio(tmp_path / "source")))
    assert counts == ImportCounts(
        images=4, added=4, annotated=8, split_assigned=1, views=2, concepts=2
    )
    images = {image.added.file_name: image for image in importer.images().values()}
    assert images["0.png"].split == VALIDATION
    assert {image.added.metadata["camera"] for image in images.values()} == {"left"}
    [where] = [
        key for key, view in views_of(importer.store, importer.project).items()
        if view.name == "where"
    ]  # fmt: skip
    [said] = images["1.png"].annotations[where].annotations
    assert said.box is not None
    assert msgspec.structs.astuple(said.box) == (0.1, 0.2, 0.2, 0.5)


@pytest.mark.parametrize("ending", [".zip", ".tar", ".tar.gz"])
@pytest.mark.parametrize("wrapper", ["", "pets/"])
def test_an_archive_is_as_good_as_its_folder(
    importer: Importer, tmp_path: Path, ending: str, wrapper: str
) -> None:
    folder = studio(tmp_path / "source")
    archive = tmp_path / f"pets{ending}"
    files = [path for path in folder.rglob("*") if path.is_file()]
    if ending == ".zip":
        with zipfile.ZipFile(archive, "w") as zipped:
            for path in files:
                zipped.write(path, f"{wrapper}{path.relative_to(folder)}")
    else:
        with tarfile.open(archive, "w:gz" if ending.endswith("gz") else "w") as tar:
            for path in files:
                tar.add(path, f"{wrapper}{path.relative_to(folder)}")
    import_id = importer.ask(archive)
    assert completed(importer.run(import_id)).added == 4
    assert importer.blobs.list_scratch("imports/") == []
    assert not list((tmp_path / "blobs" / "staged").iterdir())


def test_classes_in_an_archive_are_not_taken_for_a_wrapper(
    importer: Importer, tmp_path: Path
) -> None:
    archive = tmp_path / "one.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("cat/1.png", png(1))
        zipped.writestr("cat/2.png", png(2))
    completed(importer.take(archive))
    assert labels(importer, "one") == {"1.png": ["cat"], "2.png": ["cat"]}


def test_importing_again_changes_nothing(importer: Importer, tmp_path: Path) -> None:
    source = studio(tmp_path / "source")
    completed(importer.take(source))
    images = importer.images()
    assert completed(importer.take(source)) == ImportCounts(images=4)
    assert importer.images() == images


def test_what_a_source_says_now_replaces_what_it_said(importer: Importer, tmp_path: Path) -> None:
    completed(importer.take(classes(tmp_path / "pets"), view="animal"))
    (tmp_path / "pets/cat/0.png").rename(tmp_path / "pets/dog/0.png")
    write_files(tmp_path / "pets", {"bird/9.png": png(9)})
    counts = completed(importer.take(tmp_path / "pets", view="animal"))
    assert counts == ImportCounts(images=7, added=1, annotated=1, reannotated=1, concepts=1)
    assert labels(importer, "animal")["0.png"] == ["dog"]


def test_one_bad_file_refuses_all_and_leaves_nothing(importer: Importer, tmp_path: Path) -> None:
    source = write_files(classes(tmp_path / "pets"), {"cat/bad.png": png(77)[:60]})
    before = importer.store.head()
    ending = refused(importer.take(source))
    assert [problem.where for problem in ending.first] == ["cat/bad.png"]
    assert "bad.png" in ending.first[0].reason
    assert importer.store.head() == before + 2  # that it was asked for, and that it was refused
    assert [blob.digest for blob in importer.blobs.list_blobs()] == [ending.report]
    assert not list((tmp_path / "blobs" / "staged").iterdir())


def test_good_lines_are_taken_if_bad_ones_may_be_passed_over(
    importer: Importer, tmp_path: Path
) -> None:
    source = write_files(classes(tmp_path / "pets"), {"cat/bad.png": b"GIF89a, or so it says"})
    ending = importer.take(source, rules=ImportRules(skip_bad=True))
    assert completed(ending).skipped == 1
    assert len(importer.images()) == 6
    assert isinstance(ending, ImportCompleted)
    assert ending.report is not None
    [line] = importer.blobs.get(ending.report).splitlines()
    assert json.loads(line)["where"] == "cat/bad.png"


def test_a_dry_run_foresees_what_would_happen(importer: Importer, tmp_path: Path) -> None:
    source = studio(tmp_path / "source")
    completed(importer.take(classes(tmp_path / "pets", 2), view="animal"))
    before, views = importer.images(), views_of(importer.store, importer.project)
    rehearsed = importer.take(source, rules=ImportRules(dry_run=True))
    assert isinstance(rehearsed, ImportChecked)
    assert (importer.images(), views_of(importer.store, importer.project)) == (before, views)
    # Of the four images two are there; the first is a cat already, the second a dog.
    assert rehearsed.counts == ImportCounts(
        images=4, added=2, annotated=6, reannotated=1, split_assigned=1, views=1, concepts=1
    )
    assert completed(importer.take(source)) == rehearsed.counts


def test_new_concepts_are_refused_where_they_are_not_wanted(
    importer: Importer, tmp_path: Path
) -> None:
    source, rules = classes(tmp_path / "pets"), ImportRules(new_concepts=False)
    assert "no view 'animal'" in refused(importer.take(source, view="animal", rules=rules)).reason
    view = importer.do("v", lambda s: create_view(s, importer.project, "animal", "classification"))
    importer.do("c", lambda s: add_missing_concepts(s, view, ["cat"]))
    ending = refused(importer.take(source, view="animal", rules=rules))
    assert (ending.problems, ending.first[0].where) == (3, "dog/1.png")
    assert "no concept 'dog'" in ending.first[0].reason
    importer.do("d", lambda s: add_missing_concepts(s, view, ["dog"]))
    assert completed(importer.take(source, view=view, rules=rules)).annotated == 6


def test_a_source_for_another_kind_of_view_is_refused(importer: Importer, tmp_path: Path) -> None:
    importer.do("v", lambda s: create_view(s, importer.project, "animal", "detection"))
    ending = refused(importer.take(classes(tmp_path / "pets"), view="animal"))
    assert "detection" in ending.reason


def test_views_of_one_name_are_told_apart_by_id(importer: Importer, tmp_path: Path) -> None:
    first, _ = (
        importer.do(name, lambda s: create_view(s, importer.project, "animal", "classification"))
        for name in ("v1", "v2")
    )
    source = classes(tmp_path / "pets")
    assert "give the id" in refused(importer.take(source, view="animal")).reason
    completed(importer.take(source, view=first))
    assert {key for image in importer.images().values() for key in image.annotations} == {first}


def test_the_same_bytes_twice_must_say_the_same(importer: Importer, tmp_path: Path) -> None:
    source = write_files(tmp_path / "a", {"cat/1.png": png(1), "cat/2.png": png(1)})
    assert completed(importer.take(source)) == ImportCounts(
        images=1, added=1, annotated=1, views=1, concepts=1, notes=1
    )
    source = write_files(tmp_path / "b", {"cat/1.png": png(1), "dog/2.png": png(1)})
    ending = refused(importer.take(source))
    assert ending.first[0].where == "dog/2.png"
    assert "other annotations" in ending.first[0].reason


def test_sizes_are_those_of_the_upright_image(importer: Importer, tmp_path: Path) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    table = "file,label,width,height,xmin,ymin,xmax,ymax\na.png,cat,{},{},1,2,3,4\n"
    lying = write_files(tmp_path / "b", {"a.png": png(1, exif=exif), "a.csv": table.format(8, 6)})
    ending = refused(importer.take(lying))
    assert ending.first[0].where == "a.csv:2"
    assert "6x8" in ending.first[0].reason
    write_files(lying, {"a.csv": table.format(6, 8)})
    completed(importer.take(lying))
    [image] = importer.images().values()
    assert (image.added.width, image.added.height) == (6, 8)


def test_a_removed_image_comes_back(importer: Importer, tmp_path: Path) -> None:
    source = classes(tmp_path / "pets", 2)
    completed(importer.take(source))
    gone, kept = importer.images()
    importer.do("remove", lambda session: session.change(IMAGE, gone, RemoveImage()))
    assert list(importer.images()) == [kept]
    counts = completed(importer.take(source))
    assert (counts.added, counts.annotated) == (1, 1)
    assert set(importer.images()) == {gone, kept}


def test_paths_outside_the_imports_folders_are_refused(importer: Importer, tmp_path: Path) -> None:
    source, elsewhere = classes(tmp_path / "pets"), tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "link").symlink_to(source)
    ending = refused(importer.run(importer.ask(source), roots=(elsewhere,)))
    assert "STEMMA_IMPORT_ROOTS" in ending.reason
    ending = refused(importer.run(importer.ask(elsewhere / "link"), roots=(elsewhere,)))
    assert "STEMMA_IMPORT_ROOTS" in ending.reason


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "no annotation format"),
        ({"notes.md": "hello"}, "no annotation format"),
        ({"a.csv": "file,label\n"}, "no image"),
        ({"a.csv": "file,label\n", "b.jsonl": '{"views": []}'}, "csv and studio"),
    ],
)
def test_what_is_no_source_is_refused(
    importer: Importer, tmp_path: Path, files: dict[str, str], says: str
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    assert says in refused(importer.take(write_files(source, files))).reason


def test_a_truncated_archive_is_refused(importer: Importer, tmp_path: Path) -> None:
    archive = tmp_path / "pets.zip"
    archive.write_bytes(b"PK\x03\x04 and no more")
    assert refused(importer.take(archive)).problems == 0


def test_an_import_that_has_ended_does_not_end_again(importer: Importer, tmp_path: Path) -> None:
    source = classes(tmp_path / "pets")
    import_id = importer.ask(source)
    first = importer.run(import_id)
    head = importer.store.head()
    assert importer.run(import_id) == first
    assert importer.store.head() == head


def test_an_import_interrupted_between_any_two_commits_goes_on(
    importer: Importer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it takes in and says at the end is that of an import that ran undisturbed."""
    monkeypatch.setattr("adapters.dataset.imports.run.BATCH", 2)
    source = studio(tmp_path / "source", 7)
    append, left, tries = Store.append, 0, 0

    class Killed(BaseException):
        pass

    def mortal(self: Store, *args: object, **kwargs: object) -> int:
        nonlocal left
        left -= 1
        if left == 0 and tries % 2:
            raise Killed
        position = append(self, *args, **kwargs)  # type: ignore[arg-type]
        if left == 0:
            raise Killed
        return position

    import_id = importer.ask(source)
    monkeypatch.setattr(Store, "append", mortal)
    ending = None
    while ending is None:
        tries += 1
        left = 2 if tries % 2 else 1  # either way one commit
        try:
            ending = importer.run(import_id)
        except Killed:
            continue
    assert tries > 8
    monkeypatch.setattr(Store, "append", append)
    undisturbed = Importer(importer.store, tmp_path / "blobs", importer.database_url, "Again")
    assert completed(ending) == completed(undisturbed.take(source))
    assert labels(importer, "animal") == labels(undisturbed, "animal")


@pytest.mark.parametrize("staged", [True, False])
def test_a_source_that_changes_while_it_is_taken_is_taken_as_it_was_checked_or_not_at_all(
    importer: Importer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, staged: bool
) -> None:
    source = classes(tmp_path / "pets")
    checked, make = importer.ask(source), Views.make

    def change(views: Views, *given: Any) -> dict[str, int]:
        write_files(source, {"cat/0.png": png(99)})
        return make(views, *given)

    monkeypatch.setattr(Views, "make", change)
    if not staged:  # as in a bucket, where files are sent once they are taken
        monkeypatch.setattr("adapters.dataset.imports.run._Run._staged_as", None)
    ending = importer.run(checked)
    if staged:
        completed(ending)
        digest = hashlib.sha256(png(0)).hexdigest()
        assert digest in {image.blob for image in importer.images().values()}
        assert importer.blobs.get(digest) == png(0)
    else:
        assert isinstance(ending, ImportFailed)
        assert "cat/0.png changed" in ending.reason


def test_a_source_that_changes_between_two_tries_breaks_the_import_off(
    importer: Importer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = classes(tmp_path / "pets")
    import_id = importer.ask(source)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("adapters.dataset.imports.run._add", killed)
        with pytest.raises(KeyboardInterrupt):
            importer.run(import_id)
    write_files(source, {"cat/0.png": png(99)})
    ending = importer.run(import_id)
    assert isinstance(ending, ImportFailed)
    assert "changed since" in ending.reason


def test_a_concept_that_leaves_meanwhile_breaks_the_import_off(
    importer: Importer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    completed(importer.take(classes(tmp_path / "few", 2), view="animal"))
    [(view, state)] = views_of(importer.store, importer.project).items()
    cat = next(key for key, label in state.concepts.items() if label == "cat")

    def meanwhile(*_: object) -> dict[str, int]:
        importer.do("leave", lambda session: change_concepts(session, view, RemoveConcept(cat)))
        return {}

    monkeypatch.setattr("adapters.dataset.imports.views.Views.make", meanwhile)
    ending = importer.take(classes(tmp_path / "pets"), view="animal")
    assert isinstance(ending, ImportFailed)
    assert "cat/2.png" in ending.reason or "cat/0.png" in ending.reason


def test_an_import_replaces_what_an_annotator_said_and_says_so(
    importer: Importer, tmp_path: Path
) -> None:
    completed(importer.take(classes(tmp_path / "pets", 2), view="animal"))
    [(view, state)] = views_of(importer.store, importer.project).items()
    dog = next(key for key, label in state.concepts.items() if label == "dog")
    said = [(key, AnnotateImage(view, (Annotation(dog),))) for key in importer.images()]
    importer.do("by hand", lambda session: annotate_images(session, said))
    counts = completed(importer.take(tmp_path / "pets", view="animal"))
    assert counts == ImportCounts(images=2, reannotated=1)


def test_an_import_is_carried_out_by_one_process_at_a_time(importer: Importer) -> None:
    with claimed(importer.database_url, "one"):
        with pytest.raises(ImportUnderWay), claimed(importer.database_url, "one"):
            pass
        with claimed(importer.database_url, "another"):
            pass
    with claimed(importer.database_url, "one"):
        pass


def bomb(width: int, height: int) -> bytes:
    """A PNG of some bytes that claims very many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + kind + data + checksum

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    pixels = zlib.compress(bytes(100_000))
    parts = chunk(b"IHDR", header), chunk(b"IDAT", pixels), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


HOSTILE: dict[str, tuple[bytes, str]] = {
    "bomb.png": (bomb(60_000, 60_000), "pixels"),
    "wide.png": (bomb(2**31 - 1, 1), "pixels"),
    "half.png": (png(1, (64, 64))[:600], "damaged or truncated"),
    "empty.png": (b"", "empty"),
    "text.png": (b"<script>alert(1)</script>", "not an image"),
    "drawing.png": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "not an image"),
    "large.png": (png(2) + bytes(LIMITS.max_bytes), "too large"),
    "page.jpg": (b"%PDF-1.7\n", "not an image"),
    "zipped.png": (b"PK\x03\x04" + bytes(40), "not an image"),
}


def test_hostile_files_are_refused_one_by_one_with_a_reason(
    importer: Importer, tmp_path: Path
) -> None:
    files = {name: content for name, (content, _) in HOSTILE.items()}
    secret = write_files(tmp_path / "elsewhere", {"secret.png": png(3)}) / "secret.png"
    paths = [*HOSTILE, "../elsewhere/secret.png", str(secret), "link.png", "C:\\secret.png"]
    rows = ["file,label", *(f"{path},cat" for path in paths), "good.png,cat", "good.png,\0"]
    source = write_files(
        tmp_path / "source", files | {"good.png": png(4), "a.csv": "\n".join(rows)}
    )
    (source / "link.png").symlink_to(secret)
    ending = refused(importer.take(source))
    reasons = {problem.where: problem.reason for problem in ending.first}
    for line, (name, (_, says)) in enumerate(HOSTILE.items(), start=2):
        assert says in reasons[f"a.csv:{line}"], name
    for line in range(2 + len(HOSTILE), 2 + len(paths)):
        assert f"a.csv:{line}" in reasons
    assert ending.problems >= len(paths)
    assert importer.images() == {}
    assert [blob.digest for blob in importer.blobs.list_blobs()] == [ending.report]


@pytest.mark.parametrize(
    "head",
    [
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;&x;&x;&x;&x;&x;&x;">]>',
        '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd">',
    ],
)
def test_xml_that_reaches_out_is_refused(importer: Importer, tmp_path: Path, head: str) -> None:
    text = f"{head}<annotation><filename>1.png</filename></annotation>"
    source = write_files(tmp_path, {"Annotations/1.xml": text, "JPEGImages/1.png": png(1)})
    assert "Annotations/1.xml: the XML has a DTD" in refused(importer.take(source)).reason
    ending = refused(importer.take(source, rules=ImportRules("voc")))
    assert ending.first[0].where.startswith("Annotations/1.xml")


def test_an_archived_view_is_not_imported_into(importer: Importer, tmp_path: Path) -> None:
    completed(importer.take(classes(tmp_path / "pets", 2), view="animal"))
    [(view, _)] = views_of(importer.store, importer.project).items()
    importer.do("archive", lambda session: session.change(VIEW, view, ArchiveView()))
    for named in ("animal", view):
        reason = refused(importer.take(tmp_path / "pets", view=named)).reason
        assert "view 'animal' is archived; restore it, or name another view" in reason
    # Without a name it is no longer the project's only view.
    completed(importer.take(tmp_path / "pets"))
    names = {state.name for state in views_of(importer.store, importer.project).values()}
    assert names == {"animal", "pets"}
