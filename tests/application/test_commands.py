"""Commands on several streams, as users send them; the decisions have their tests in the domain."""

import itertools
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from application import views
from application.dataset import projects
from application.experiments.experiments import Plan, start_experiment
from application.handle import Session, handle
from application.log.store import Store
from application.training import versions
from domain.aggregates import IMAGE, MODEL, VERSION, VIEW, Aggregate
from domain.dataset.image import (
    SPLITS,
    AddImage,
    AnnotateImage,
    Annotation,
    AssignSplit,
    RemoveImage,
)
from domain.dataset.project import TestSetDrawn, ValidationSplitDrawn
from domain.dataset.splits import DrawSplit
from domain.errors import Conflict, Invalid, NotFound, Refusal, Stale
from domain.library.model import (
    ArchiveModel,
    ConceptSetAmended,
    Model,
    RenameModel,
    VersionNumbered,
)
from domain.library.view import (
    ArchiveView,
    ConceptAdded,
    ConceptRemoved,
    RemoveConcept,
    RestoreView,
)
from domain.training.messages import InitialWeights
from domain.training.version import ArchiveVersion, RenameVersion, RetryVersion, VersionCreated
from tests.application.scenes import OPTIONS, Scene, at_once, do, insist, request, trainable


def state(store: Store, aggregate: Aggregate[Any], entity_id: str) -> Any:
    return Session(store, request()).get(aggregate, entity_id)


def model_of(scene: Scene) -> Model:
    found: Model = state(scene.store, MODEL, scene.model())
    return found


def test_a_view_needs_a_project(store: Store) -> None:
    with pytest.raises(NotFound):
        do(store, lambda s: views.create_view(s, "nowhere", "which", "classification"))


def test_what_is_not_done_in_an_archived_view_is_refused_by_its_name(store: Store) -> None:
    scene = trainable(store)
    version = scene.train()
    model, (image, *_) = scene.model(), scene.images
    do(store, lambda s: s.change(VIEW, scene.view, ArchiveView()))
    annotation = AnnotateImage(scene.view, (Annotation(scene.concepts[1]),))
    plan = Plan(budget=2, concurrency=1, base={"epochs": 1})
    refused: list[Callable[[Session], object]] = [
        lambda s: views.add_concepts(s, scene.view, ["two"]),
        lambda s: views.fork_model(s, model, scene.concepts[:1], "fewer"),
        lambda s: projects.annotate_images(s, [(image, annotation)]),
        lambda s: versions.train_view(s, scene.view, None, OPTIONS),
        lambda s: versions.create_version(s, model, None, OPTIONS),
        lambda s: versions.retry_version(s, version),
        lambda s: start_experiment(s, scene.view, plan),
    ]
    for command in refused:
        with pytest.raises(Conflict, match="view 'which' is archived; restore it first"):
            command(Session(store, request()))
    do(store, lambda s: s.change(VIEW, scene.view, RestoreView()))
    scene.annotate((image, scene.concepts[1]))
    assert scene.train()


def test_concepts_come_back_with_their_ids_in_the_order_given(store: Store) -> None:
    scene = Scene(store)
    do(store, lambda s: views.change_concepts(s, scene.view, RemoveConcept(scene.concepts[1])))
    ids = scene.add_concepts("two", " one ")
    assert ids[1] == scene.concepts[1]
    assert state(store, VIEW, scene.view).concepts[ids[0]] == "two"


def test_many_who_add_different_concepts_at_once_are_all_served(store: Store) -> None:
    scene = Scene(store)
    labels = [f"concept {number}" for number in range(24)]

    def add(label: str) -> Callable[[], str]:
        return lambda: do(store, lambda s: views.add_concepts(s, scene.view, [label])).id

    at_once([add(label) for label in labels])
    assert {*labels} < {*state(store, VIEW, scene.view).concepts.values()}


def test_concepts_are_added_all_or_none(store: Store) -> None:
    scene = Scene(store)
    before = store.head()
    with pytest.raises(Conflict):
        scene.add_concepts("two", "one")
    assert store.head() == before


def test_a_concept_change_on_an_older_revision_is_refused(store: Store) -> None:
    scene = Scene(store)
    revision = store.streams([VIEW.stream(scene.view)])[VIEW.stream(scene.view)][-1]
    stale = request(expected=revision.originator_version - 1)
    with pytest.raises(Stale):
        handle(store, stale, lambda s: views.add_concepts(s, scene.view, ["two"]))


def test_a_trained_model_is_forked_and_its_set_reopened_later(store: Store) -> None:
    scene = trainable(store)
    first = scene.model()
    scene.train()
    [two] = scene.add_concepts("two")
    second = scene.model()
    assert state(store, MODEL, second).parent == first
    do(store, lambda s: views.change_concepts(s, scene.view, RemoveConcept(two)))
    assert scene.model() == first
    assert model_of(scene).concepts == tuple(sorted(scene.concepts))


def test_a_fork_of_the_users_keeps_the_current_model(store: Store) -> None:
    scene = Scene(store)
    current, fewer = scene.model(), scene.concepts[:1]
    forked = do(store, lambda s: views.fork_model(s, current, fewer, "fewer", "Zeros"))
    assert scene.model() == current
    assert state(store, MODEL, forked.id).concepts == fewer
    with pytest.raises(Conflict):
        do(store, lambda s: views.fork_model(s, current, fewer, "again"))


def test_models_are_renamed_and_archived(store: Store) -> None:
    scene = trainable(store)
    model = scene.model()
    do(store, lambda s: s.change(MODEL, model, RenameModel("Pets")))
    do(store, lambda s: s.change(MODEL, model, ArchiveModel()))
    assert (model_of(scene).name, model_of(scene).archived) == ("Pets", True)
    with pytest.raises(Conflict, match="archived"):
        scene.train()


def test_importing_images_twice_changes_nothing(store: Store) -> None:
    scene = Scene(store)
    addition = AddImage(scene.project, "sha", 8, 8, "a.png")
    first = do(store, lambda s: projects.add_images(s, scene.project, [addition, addition]))
    again = do(store, lambda s: projects.add_images(s, scene.project, [addition]))
    assert first.ids == again.ids * 2
    assert len(store.read(0, names=["image.added"])) == 1


def test_one_image_uploaded_at_once_by_many_is_added_once(store: Store) -> None:
    scene = Scene(store)
    addition = AddImage(scene.project, "sha", 8, 8, "a.png")

    def upload() -> tuple[str, ...]:
        return do(store, lambda s: projects.add_images(s, scene.project, [addition])).ids

    assert len(set(at_once([upload] * 4))) == 1
    assert len(store.read(0, names=["image.added"])) == 1


def test_images_are_annotated_all_or_none(store: Store) -> None:
    scene = Scene(store, images=2)
    before = store.head()
    with pytest.raises(Invalid) as refused:
        scene.annotate((scene.images[0], scene.concepts[1]), (scene.images[1], "nothing"))
    assert refused.value.__notes__ == ["annotations[1]"]
    assert store.head() == before


def test_no_annotation_is_no_command(store: Store) -> None:
    with pytest.raises(Invalid):
        do(store, lambda s: projects.annotate_images(s, []))


def test_an_image_is_moved_and_removed(store: Store) -> None:
    scene = Scene(store, images=1)
    do(store, lambda s: s.change(IMAGE, scene.images[0], AssignSplit("validation")))
    assert state(store, IMAGE, scene.images[0]).split == "validation"
    do(store, lambda s: s.change(IMAGE, scene.images[0], RemoveImage()))
    said = AnnotateImage(scene.view, (Annotation(scene.concepts[0]),))
    with pytest.raises(NotFound):
        do(store, lambda s: projects.annotate_images(s, [(scene.images[0], said)]))


def splits(scene: Scene, images: tuple[str, ...]) -> list[str]:
    found = Session(scene.store, request()).get_many(IMAGE, images)
    return [image.split for image in found.values() if image]


def test_a_split_is_drawn_from_the_images_there_are_and_drawn_again(store: Store) -> None:
    scene = Scene(store, images=10)
    do(store, lambda s: s.change(IMAGE, scene.images[0], RemoveImage()))
    scene.draw_split(0.5)
    assert sorted(splits(scene, scene.images[1:])) == ["train"] * 5 + ["validation"] * 4
    scene.draw_split(2, seed=1)
    assert sorted(splits(scene, scene.images[1:])) == ["train"] * 7 + ["validation"] * 2
    late = scene.add_images(3)
    assert splits(scene, late) == ["train"] * 3


def test_a_split_is_stratified_by_a_view_of_the_project(store: Store) -> None:
    scene = Scene(store, images=20)
    cats, dogs = scene.images[:4], scene.images[4:]
    scene.annotate(
        *((image_id, scene.concepts[0]) for image_id in cats),
        *((image_id, scene.concepts[1]) for image_id in dogs),
    )
    command = DrawSplit(0.5, 3, scene.view)
    do(store, lambda s: projects.draw_validation_split(s, scene.project, command))
    assert Counter(splits(scene, cats)) == {"train": 2, "validation": 2}
    assert Counter(splits(scene, dogs)) == {"train": 8, "validation": 8}
    (drawn,) = [
        recorded.event
        for recorded in store.read(after=0, limit=1000)
        if isinstance(recorded.event, ValidationSplitDrawn)
    ]
    assert drawn.stratified_by == scene.view
    foreign = DrawSplit(0.5, 3, Scene(store).view)
    with pytest.raises(Invalid) as refused:
        do(store, lambda s: projects.draw_validation_split(s, scene.project, foreign))
    assert refused.value.field == "stratify_by"


def test_a_test_set_is_drawn_beside_the_validation_set(store: Store) -> None:
    scene = Scene(store, images=20)
    scene.draw_split(0.25)
    before = by_split(scene)
    do(store, lambda s: projects.draw_test_set(s, scene.project, DrawSplit(0.2, 1)))
    drawn = by_split(scene)
    assert drawn["validation"] == before["validation"]
    assert len(drawn["test"]) == 3
    do(store, lambda s: projects.draw_test_set(s, scene.project, DrawSplit(4, 2)))
    again = by_split(scene)
    assert again["validation"] == before["validation"]
    assert len(again["test"]) == 4
    assert again["test"] != drawn["test"]
    scene.draw_split(0.5, seed=9)
    after = by_split(scene)
    assert after["test"] == again["test"]
    assert len(after["validation"]) == 8
    (first, _) = [
        recorded.event
        for recorded in store.read(after=0, limit=1000)
        if isinstance(recorded.event, TestSetDrawn)
    ]
    assert (first.images, first.test_images) == (15, 3)


def by_split(scene: Scene) -> dict[str, set[str]]:
    found = Session(scene.store, request()).get_many(IMAGE, scene.images)
    return {
        split: {key for key, image in found.items() if image and image.split == split}
        for split in SPLITS
    }


def test_a_split_is_drawn_in_a_project_that_is_there(store: Store) -> None:
    with pytest.raises(NotFound):
        do(store, lambda s: projects.draw_validation_split(s, "no", DrawSplit(2, 1)))


def test_a_split_beside_other_changes_counts_every_image_once(store: Store) -> None:
    scene = Scene(store, images=12)

    def remove() -> None:
        for image in scene.images[:4]:
            insist(store, lambda s, image=image: s.change(IMAGE, image, RemoveImage()))  # type: ignore[misc]

    def draw() -> None:
        for seed in range(4):
            scene.draw_split(0.5, seed)

    at_once([draw, remove])
    scene.draw_split(2, seed=9)
    assert sorted(splits(scene, scene.images[4:])) == ["train"] * 6 + ["validation"] * 2


def test_versions_are_created_numbered_and_frozen_at_a_position(store: Store) -> None:
    scene = trainable(store)
    position = store.head()
    first, second = scene.train(), scene.train("Second")
    created = state(store, VERSION, first).created
    assert (created.number, created.name, created.log_position) == (1, "Version 1", position)
    assert {one.concept_id: one.label for one in created.concepts} == dict(
        zip(scene.concepts, ["zero", "one"], strict=True)
    )
    assert state(store, VERSION, second).created.number == 2
    assert state(store, VERSION, second).name == "Second"


def test_a_model_of_a_removed_concept_is_trained_under_its_label(store: Store) -> None:
    scene = trainable(store)
    model = scene.model()
    scene.train()
    do(store, lambda s: views.change_concepts(s, scene.view, RemoveConcept(scene.concepts[1])))
    again = do(store, lambda s: versions.create_version(s, model, None, OPTIONS)).id
    assert {one.label for one in state(store, VERSION, again).created.concepts} == {"zero", "one"}


@pytest.mark.parametrize(
    ("options", "field"),
    [({"epochs": 0}, "epochs"), ({"architecture": "vgg"}, "architecture")],
)
def test_wrong_options_are_refused_before_anything_happens(
    store: Store, options: dict[str, object], field: str
) -> None:
    scene = trainable(store)
    before = store.head()
    with pytest.raises(Invalid) as refused:
        scene.train(options=options)
    assert refused.value.field == field
    assert store.head() == before


@pytest.mark.parametrize(("kind", "lacking"), [("tagging", "is annotated"), ("detection", "a box")])
def test_other_kinds_of_view_need_images_too(store: Store, kind: str, lacking: str) -> None:
    scene = Scene(store)
    view = do(store, lambda s: views.create_view(s, scene.project, "tags", kind)).id
    do(store, lambda s: views.add_concepts(s, view, ["a"]))
    with pytest.raises(Conflict, match=lacking):
        do(store, lambda s: versions.train_view(s, view, None, {}))


def test_weights_are_put_in_the_blob_store_before_the_version_names_them(store: Store) -> None:
    scene = trainable(store)

    class Weights:
        folder = Path("weights")

        def at_hand(self) -> frozenset[str]:
            return frozenset({"resnet18-f37072fd.pth"})

        def store(self, file: str) -> str:
            assert file in self.at_hand()
            return "ab" * 32

    made = do(store, lambda s: versions.train_view(s, scene.view, None, OPTIONS, Weights())).id
    version = state(store, VERSION, made)
    assert version.created.initial_weights == InitialWeights("ab" * 32, "imagenet")
    chosen = OPTIONS | {"pretrained": "imagenet"}
    with pytest.raises(Invalid, match="no pretrained weights") as refused:
        scene.train(options=chosen)
    assert refused.value.field == "pretrained"


def test_what_cannot_be_trained_is_refused_with_the_reason(store: Store) -> None:
    project = do(store, lambda s: projects.create_project(s, "Empty")).id
    view = do(store, lambda s: views.create_view(s, project, "which", "classification")).id
    reasons = []
    for label in ("a", "b", "c"):
        with pytest.raises(Refusal) as refused:
            do(store, lambda s: versions.train_view(s, view, None, OPTIONS))
        reasons.append(refused.value.detail.split(";")[0])
        do(store, lambda s, label=label: views.add_concepts(s, view, [label]))  # type: ignore[misc]
    assert reasons == [
        "view 'which' has no concepts yet",
        "the model has one concept, 'a'",
        "no image is annotated with a concept of this model",
    ]


def test_no_version_is_trained_on_a_set_that_is_amended_meanwhile(store: Store) -> None:
    """Whoever is first, training or concept change, the version has its model's frozen set."""
    scene = trainable(store)
    labels = (f"more {number}" for number in itertools.count())

    def change() -> None:
        for _ in range(6):
            scene.add_concepts(next(labels))

    def train() -> None:
        for _ in range(6):
            scene.train()

    at_once([change, train])
    sets: dict[str, tuple[str, ...]] = {}
    trained: set[str] = set()
    for recorded in store.read_all():
        match recorded.event:
            case ConceptSetAmended(concepts=concepts):
                assert recorded.entity_id not in trained
                sets[recorded.entity_id] = concepts
            case VersionNumbered():
                trained.add(recorded.entity_id)
            case VersionCreated() as created:
                model = state(store, MODEL, created.model_id)
                assert {one.concept_id for one in created.concepts} == set(model.concepts)
    assert trained


def test_concept_changes_at_once_leave_one_model_per_set(store: Store) -> None:
    scene = trainable(store)
    scene.train()

    def add_and_remove(name: str) -> None:
        for number in range(4):
            [concept] = scene.add_concepts(f"{name} {number % 2}")
            gone = RemoveConcept(concept)
            insist(store, lambda s, gone=gone: views.change_concepts(s, scene.view, gone))  # type: ignore[misc]

    at_once([lambda: add_and_remove("left"), lambda: add_and_remove("right")])
    view = state(store, VIEW, scene.view)
    found = Session(store, request()).get_many(MODEL, set(view.models.values()))
    assert len(found) == len(view.models)
    assert {frozenset(model.concepts) for model in found.values() if model} == set(view.models)
    assert set(view.concepts) == set(scene.concepts)
    changes = store.read_all(names=["view.concept_added", "view.concept_removed"])
    kinds = [type(one.event) for one in changes]
    assert (kinds.count(ConceptAdded), kinds.count(ConceptRemoved)) == (10, 8)


def test_a_version_is_renamed_retried_and_archived_only_when_it_may_be(store: Store) -> None:
    version = trainable(store).train()
    do(store, lambda s: s.change(VERSION, version, RenameVersion("Best")))
    assert state(store, VERSION, version).name == "Best"
    for refused in (RetryVersion(), ArchiveVersion()):
        with pytest.raises(Conflict, match="queued"):
            do(store, lambda s, refused=refused: s.change(VERSION, version, refused))  # type: ignore[misc]
