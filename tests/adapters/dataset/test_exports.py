"""Exports: what comes out goes in again as it was, now or as of any position."""

import io
import random
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters.dataset.exports import ExportRequest, export
from application.dataset.imports import add_missing_concepts, views_of
from application.dataset.projects import add_images, annotate_images
from application.dataset.suspects import decide_suspects
from application.log.store import Store
from application.views import change_concepts, create_view
from domain.aggregates import IMAGE
from domain.dataset.annotation import DoubtedLabel
from domain.dataset.image import (
    TRAIN,
    VALIDATION,
    AddImage,
    AnnotateImage,
    Annotation,
    AssignSplit,
    Box,
    RemoveImage,
)
from domain.dataset.imports import ImportCompleted, ImportCounts, ImportRules
from domain.dataset.suspects import UNSURE, UPHELD, DecideSuspect
from domain.errors import Invalid, NotFound
from domain.library.view import CLASSIFICATION, DETECTION, TAGGING, RemoveConcept, RenameConcept
from tests.adapters.dataset.importing import Importer, png
from tests.servers import Database

LABELS = "cat", "dog, small", "Vögel \N{BIRD}"
SIZE = 97, 61
Answers = dict[str, Any]


@pytest.fixture
def importer(store: Store, migrated: Database, tmp_path: Path) -> Importer:
    return Importer(store, tmp_path / "blobs", migrated.app_url)


class Made:
    """A project of random images, annotated at random in a view of each kind."""

    def __init__(self, importer: Importer, seed: int, images: int = 12) -> None:
        self.importer = importer
        self.choose = random.Random(seed)
        self.views = {kind: self._view(kind) for kind in (CLASSIFICATION, TAGGING, DETECTION)}
        additions = [
            AddImage(
                importer.project,
                importer.blobs.put(png(number, SIZE)),
                *SIZE,
                f"{number % 9}.png",  # some are the same
                {"camera": self.choose.choice(["left", 'the "right", one'])},
            )
            for number in range(images)
        ]
        self.do("add", lambda s: add_images(s, importer.project, additions))
        self.images = list(importer.images())
        for number, image in enumerate(self.images):
            split = self.choose.choice([TRAIN, VALIDATION])
            self.do(
                f"split {number}", lambda s, i=image, to=split: s.change(IMAGE, i, AssignSplit(to))
            )
        said = [
            (image, AnnotateImage(view, *self._said(kind)))
            for image in self.images
            for kind, view in self.views.items()
        ]
        self.do("annotate", lambda s: annotate_images(s, said))

    def do(self, name: str, decide: Callable[..., Any]) -> str:
        return self.importer.do(name, decide)

    def concepts(self, kind: str) -> dict[str, str]:
        """The ids of a view's concepts by label."""
        view = views_of(self.importer.store, self.importer.project)[self.views[kind]]
        return {label: key for key, label in view.concepts.items()}

    def _view(self, kind: str) -> str:
        view = self.do(kind, lambda s: create_view(s, self.importer.project, kind, kind))
        self.do(f"{kind} concepts", lambda s: add_missing_concepts(s, view, LABELS))
        return view

    def _said(self, kind: str) -> tuple[tuple[Annotation, ...], bool]:
        concepts = list(self.concepts(kind).values())
        if kind == CLASSIFICATION:
            return (Annotation(self.choose.choice(concepts)),), False
        count = self.choose.randint(0, 3)
        if kind == TAGGING:
            said = tuple(Annotation(one) for one in self.choose.sample(concepts, count))
        else:
            said = tuple(
                Annotation(self.choose.choice(concepts), self._box()) for _ in range(count)
            )
        return said, not said

    def _box(self) -> Box:
        x, y = self.choose.random() * 0.9, self.choose.random() * 0.9
        return Box(x, y, (1 - x) * self.choose.random() + 1e-6, (1 - y) * self.choose.random() / 2)


def taken_out(importer: Importer, form: str, **asked: Any) -> bytes:
    request = ExportRequest(
        importer.project, form, asked.pop("position", importer.store.head()), **asked
    )
    file = io.BytesIO()
    export(importer.store, importer.blobs, request, file)
    return file.getvalue()


def answers(importer: Importer, project: str, names: tuple[str, ...]) -> Answers:
    """What is said of each image, by its bytes and the concepts' labels."""
    views = {
        key: view for key, view in views_of(importer.store, project).items() if view.name in names
    }
    return {
        image.blob: (
            image.split,
            {
                views[key].name: (
                    sorted(
                        (views[key].concepts[one.concept_id], str(one.box))
                        for one in said.annotations
                    ),
                    said.without_concept,
                )
                for key, said in image.annotations.items()
                if key in views
            },
        )
        for image in importer.images(project).values()
    }


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        ("studio", None),
        ("csv", CLASSIFICATION),
        ("csv", TAGGING),
        ("csv", DETECTION),
        ("coco", DETECTION),
        ("voc", DETECTION),
        ("yolo", DETECTION),
    ],
)
@pytest.mark.parametrize("seed", range(2))
def test_what_is_taken_out_comes_in_as_it_was(
    importer: Importer, tmp_path: Path, form: str, kind: str | None, seed: int
) -> None:
    made = Made(importer, seed)
    views = (made.views[kind],) if kind else ()
    archive = tmp_path / f"{kind or 'all'}.zip"
    archive.write_bytes(taken_out(importer, form, view_ids=views, with_images=True))
    again = Importer(importer.store, tmp_path / "blobs", importer.database_url, "Again")
    rules = ImportRules(kind=kind)  # a CSV leaves it open
    ending = again.take(archive, view=kind, rules=rules)
    assert isinstance(ending, ImportCompleted), ending
    names = (kind,) if kind else (CLASSIFICATION, TAGGING, DETECTION)
    assert answers(again, again.project, names) == answers(importer, importer.project, names)
    into_itself = importer.take(archive, view=kind)
    assert isinstance(into_itself, ImportCompleted)
    changed = msgspec.structs.replace(into_itself.counts, notes=0)
    assert changed == ImportCounts(images=len(made.images))


def test_metadata_come_along_in_studio_lines(importer: Importer, tmp_path: Path) -> None:
    Made(importer, 3)
    archive = tmp_path / "all.zip"
    archive.write_bytes(taken_out(importer, "studio", with_images=True))
    again = Importer(importer.store, tmp_path / "blobs", importer.database_url, "Again")
    again.take(archive)

    def metadata(project: str) -> dict[str, dict[str, str]]:
        return {image.blob: image.added.metadata for image in importer.images(project).values()}

    assert metadata(again.project) == metadata(importer.project)


def test_decisions_about_suspects_are_in_studio_lines(importer: Importer, tmp_path: Path) -> None:
    made = Made(importer, 3)
    boxes = [
        (image, annotated.annotations[0])
        for image, state in importer.images().items()
        if (annotated := state.annotations[made.views[DETECTION]]).annotations
    ]
    tags = made.views[TAGGING]
    untagged = next(
        (image, key)
        for image, state in importer.images().items()
        for key in made.concepts(TAGGING).values()
        if key not in {each.concept_id for each in state.annotations[tags].annotations}
    )
    (image, boxed), (absent, concept) = boxes[0], untagged
    label_of = {
        key: label for kind in (DETECTION, TAGGING) for label, key in made.concepts(kind).items()
    }
    decided = [
        (image, made.views[DETECTION], DoubtedLabel(boxed.concept_id, True, boxed.box), UPHELD),
        (absent, tags, DoubtedLabel(concept, False), UNSURE),
    ]
    for key, view_id, label, decision in decided:
        commands = [(key, DecideSuspect(view_id, "v1", label, decision))]
        made.do(decision, lambda s, v=view_id, c=commands: decide_suspects(s, v, c))
    data = taken_out(importer, "studio", with_images=True)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        lines = archive.read("annotations.jsonl").splitlines()[1:]
    written = [each for line in lines for each in msgspec.json.decode(line).get("decisions", ())]
    for each in written:
        each.pop("region", None)
    assert sorted(written, key=lambda each: str(each["decision"])) == [
        {
            "view": TAGGING,
            "concepts": [{"name": label_of[concept], "bool": False}],
            "decision": "unsure",
            "version": "v1",
        },
        {
            "view": DETECTION,
            "concepts": [{"name": label_of[boxed.concept_id]}],
            "decision": "upheld",
            "version": "v1",
        },
    ]
    archive_file = tmp_path / "all.zip"
    archive_file.write_bytes(data)
    again = Importer(importer.store, tmp_path / "blobs", importer.database_url, "Again")
    assert isinstance(again.take(archive_file), ImportCompleted)


@pytest.mark.parametrize("form", ["studio", "csv"])
def test_an_export_as_of_a_position_stays_what_it_was(importer: Importer, form: str) -> None:
    made = Made(importer, 4)
    asked: dict[str, Any] = {
        "position": importer.store.head(),
        "view_ids": (made.views[TAGGING],),
        "with_images": True,
    }
    then = taken_out(importer, form, **asked)
    concepts = made.concepts(TAGGING)
    view = made.views[TAGGING]
    made.do("remove", lambda s: s.change(IMAGE, made.images[0], RemoveImage()))
    said = [(made.images[1], AnnotateImage(view, (), True))]
    made.do("relabel", lambda s: annotate_images(s, said))
    made.do("rename", lambda s: change_concepts(s, view, RenameConcept(concepts["cat"], "lion")))
    blob = importer.blobs.put(png(99))
    more = [AddImage(importer.project, blob, 8, 6, "more.png")]
    made.do("more", lambda s: add_images(s, importer.project, more))
    assert taken_out(importer, form, **asked) == then
    assert taken_out(importer, form, **asked | {"position": importer.store.head()}) != then


def test_concepts_that_have_left_say_nothing_any_more(importer: Importer) -> None:
    made = Made(importer, 5)
    view = made.views[TAGGING]
    gone = RemoveConcept(made.concepts(TAGGING)["cat"])
    made.do("leave", lambda s: change_concepts(s, view, gone))
    data = taken_out(importer, "csv", view_ids=(view,))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert b",cat," not in archive.read("annotations.csv")


@pytest.mark.parametrize(
    ("form", "kinds", "error"),
    [
        ("coco", (CLASSIFICATION,), Invalid),
        ("coco", (), Invalid),
        ("folders", (CLASSIFICATION,), Invalid),
        ("excel", (CLASSIFICATION,), Invalid),
    ],
)
def test_what_a_format_cannot_hold_is_refused(
    importer: Importer, form: str, kinds: tuple[str, ...], error: type[Exception]
) -> None:
    made = Made(importer, 6, images=2)
    with pytest.raises(error):
        taken_out(importer, form, view_ids=tuple(made.views[kind] for kind in kinds))


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        ("studio", TAGGING),
        ("csv", CLASSIFICATION),
        *((form, DETECTION) for form in ("studio", "csv", "coco", "voc", "yolo")),
    ],
)
def test_chosen_concepts_are_exported_as_if_there_were_no_others(
    importer: Importer, tmp_path: Path, form: str, kind: str
) -> None:
    made = Made(importer, 5)
    view, cat = made.views[kind], made.concepts(kind)["cat"]
    archive = tmp_path / "export.zip"
    with archive.open("wb") as file:
        request = ExportRequest(
            importer.project, form, importer.store.head(), (view,), True, (cat,)
        )
        export(importer.store, importer.blobs, request, file)
    other = Importer(importer.store, tmp_path / "other", importer.database_url, "Cats")
    ending = other.take(archive, rules=ImportRules(format=form, kind=kind))
    assert isinstance(ending, ImportCompleted), ending
    (imported,) = views_of(importer.store, other.project).items()
    assert list(imported[1].concepts.values()) == ["cat"]

    def of_cats(owner: Importer, key: str, concept: str) -> dict[str, tuple[int, bool]]:
        """By blob: how many annotations an image has of the concept, and whether it has none."""
        found = {}
        for image in owner.images().values():
            said = image.annotations.get(key)
            cats = [one for one in (said.annotations if said else ()) if one.concept_id == concept]
            found[image.added.blob] = len(cats), not cats
        return found

    counted = of_cats(importer, view, cat)
    assert {empty for _, empty in counted.values()} == {True, False}
    (key,) = imported[1].concepts
    assert of_cats(other, imported[0], key) == counted
    for image in other.images().values():
        empty = counted[image.added.blob][1]
        if kind == CLASSIFICATION:
            assert (imported[0] in image.annotations) is not empty
        else:
            assert image.annotations[imported[0]].without_concept is empty


def test_chosen_concepts_are_of_one_view(importer: Importer) -> None:
    made = Made(importer, 6)
    view, cat = made.views[TAGGING], made.concepts(TAGGING)["cat"]
    for views, concept, refusal in (((), cat, Invalid), ((view,), "none", NotFound)):
        request = ExportRequest(
            importer.project, "studio", importer.store.head(), views, False, (concept,)
        )
        with pytest.raises(refusal, match="concept"):
            export(importer.store, importer.blobs, request, io.BytesIO())


def test_an_unknown_view_is_refused(importer: Importer) -> None:
    with pytest.raises(NotFound, match="no view 'nowhere'"):
        taken_out(importer, "csv", view_ids=("nowhere",))


def test_names_in_two_normalisations_come_in_again(importer: Importer, tmp_path: Path) -> None:
    names = [unicodedata.normalize(form, "été.png") for form in ("NFC", "NFD")]
    additions = [
        AddImage(importer.project, importer.blobs.put(png(number, SIZE)), *SIZE, name, {})
        for number, name in enumerate(names)
    ]
    importer.do("add", lambda s: add_images(s, importer.project, additions))
    archive = tmp_path / "all.zip"
    archive.write_bytes(taken_out(importer, "studio", with_images=True))
    again = Importer(importer.store, tmp_path / "blobs", importer.database_url, "Again")
    ending = again.take(archive)
    assert isinstance(ending, ImportCompleted), ending
    assert ending.counts.added == 2


class Children:
    """Child views of a made project's detection: *letter*, and *mark* with complete images."""

    def __init__(self, made: Made) -> None:
        self.made = made
        store, project = made.importer.store, made.importer.project
        parent = made.views[DETECTION]
        conditions = tuple((key,) for key in made.concepts(DETECTION).values())
        self.views = {}
        for name, kind in (("letter", CLASSIFICATION), ("mark", TAGGING)):
            self.views[name] = made.do(
                name, lambda s, n=name, k=kind: create_view(s, project, n, k, parent, conditions)
            )
            made.do(
                f"{name} concepts",
                lambda s, n=name: add_missing_concepts(s, self.views[n], ("a", "b")),
            )
        known = {
            name: list(views_of(store, project)[key].concepts) for name, key in self.views.items()
        }
        said = []
        for image, state in made.importer.images().items():
            boxes = [each.box for each in state.annotations[parent].annotations]
            letters = tuple(Annotation(known["letter"][0], box) for box in boxes)
            said.append((image, AnnotateImage(self.views["letter"], letters[:2])))
            marks = tuple(Annotation(concept, box) for concept in known["mark"] for box in boxes)
            said.append((image, AnnotateImage(self.views["mark"], marks[:1], bool(boxes))))
        made.do("label", lambda s: annotate_images(s, said))


def test_child_views_come_in_as_they_were(importer: Importer, tmp_path: Path) -> None:
    made = Made(importer, 3)
    children = Children(made)
    # A box that is gone takes its labels with it, and what was said of the other crops.
    parent = made.views[DETECTION]
    changed = next(
        image
        for image, state in importer.images().items()
        if len(state.annotations[parent].annotations) > 1
    )
    fewer = importer.images()[changed].annotations[parent].annotations[1:]
    made.do("fewer", lambda s: annotate_images(s, [(changed, AnnotateImage(parent, fewer))]))
    archive = tmp_path / "all.zip"
    archive.write_bytes(taken_out(importer, "studio", with_images=True))
    again = Importer(importer.store, tmp_path / "blobs", importer.database_url, "Again")
    for _ in range(2):
        ended = again.take(archive)
        assert isinstance(ended, ImportCompleted), ended
    views = {view.name: (key, view) for key, view in views_of(again.store, again.project).items()}
    above, _ = views[DETECTION]
    for name in children.views:
        _, view = views[name]
        assert (view.parent_id, view.crops, len(view.conditions)) == (above, True, len(LABELS))
    names = (DETECTION, *children.views)
    before = answers(importer, importer.project, names)
    after = answers(importer, again.project, names)
    gone = importer.images()[changed].blob
    for key, (split, said) in before.items():
        boxes = {box for _, box in said[DETECTION][0]}
        expected = {DETECTION: said[DETECTION]}
        for name in children.views.keys() & said.keys():
            labels = [each for each in said[name][0] if each[1] in boxes]
            nothing = said[name][1] and key != gone
            if labels or nothing:
                expected[name] = labels, nothing
        assert after[key] == (split, expected)


@pytest.mark.parametrize("form", ["studio", "coco", "csv"])
def test_crops_are_taken_out_with_their_boxes_or_not_at_all(importer: Importer, form: str) -> None:
    children = Children(Made(importer, 4))
    alone = (children.views["letter"],)
    with pytest.raises(Invalid, match="are of crops") as refused:
        taken_out(importer, form, view_ids=alone)
    assert refused.value.field == "view_id"
