import msgspec
import pytest

from domain.errors import Conflict, Invalid, NotFound
from domain.event import Event
from domain.library import view as views
from domain.library.view import (
    AddConcepts,
    ArchiveView,
    ChangeConditions,
    ChildViewAdded,
    ConceptAdded,
    ConceptRemoved,
    ConceptRenamed,
    ConditionsChanged,
    CreateView,
    ModelRegistered,
    NewConcept,
    RemoveConcept,
    RenameConcept,
    RenameView,
    RestoreView,
    View,
    ViewArchived,
    ViewCreated,
    ViewRenamed,
    ViewRestored,
)
from tests.domain.story import Story

CREATED = ViewCreated("p", "pets", "classification")
CAT, DOG = ConceptAdded("c1", "cat"), ConceptAdded("c2", "dog")


given = Story(views.evolve, views.decide).given


def add(**labels: str) -> AddConcepts:
    return AddConcepts(tuple(NewConcept(key, label) for key, label in labels.items()))


@pytest.mark.parametrize("kind", ["classification", "tagging", "detection"])
def test_a_view_asks_one_kind_of_question(kind: str) -> None:
    given().when(CreateView("p", " pets ", kind)).then(ViewCreated("p", "pets", kind))


def test_an_unknown_kind_is_refused() -> None:
    given().when(CreateView("p", "pets", "segmentation")).then(Invalid, field="kind")


def test_a_nameless_view_is_refused() -> None:
    given().when(CreateView("p", "", "tagging")).then(Invalid, field="name")


def test_a_view_is_renamed() -> None:
    given(CREATED).when(RenameView(" Which? ")).then(ViewRenamed("Which?"))
    given(CREATED, ViewRenamed("Which?")).when(RenameView("Which?")).then()
    given(CREATED).when(RenameView(" ")).then(Invalid, field="name")


def test_a_view_is_archived_and_restored_once() -> None:
    given(CREATED).when(ArchiveView()).then(ViewArchived())
    given(CREATED, ViewArchived()).when(ArchiveView()).then()
    given(CREATED, ViewArchived()).when(RestoreView()).then(ViewRestored())
    given(CREATED, ViewArchived(), ViewRestored()).when(RestoreView()).then()


@pytest.mark.parametrize(
    "command",
    [add(c2="dog"), RenameConcept("c1", "lion"), RemoveConcept("c1"), RenameView("other")],
)
def test_an_archived_view_changes_only_after_it_is_restored(command: object) -> None:
    archived = given(CREATED, CAT, ViewArchived())
    archived.when(command).then(Conflict, field="view_id", says="view 'pets' is archived")
    restored = given(CREATED, CAT, ViewArchived(), ViewRestored())
    restored.when(RemoveConcept("c1")).then(ConceptRemoved("c1"))


def test_concepts_join_together() -> None:
    given(CREATED).when(add(c1="cat", c2=" dog ")).then(CAT, DOG)


def test_a_label_is_used_once() -> None:
    given(CREATED, CAT).when(add(c2="cat")).then(Conflict, field="label")
    twice = given(CREATED).when(add(c1="cat", c2="cat "))
    twice.then(Conflict, field="labels", says="the label 'cat' is given twice")


def test_no_concept_is_no_command() -> None:
    given(CREATED).when(add()).then(Invalid, field="labels")


def test_an_empty_label_is_refused() -> None:
    given(CREATED).when(add(c1=" ")).then(Invalid, field="label")


def test_a_removed_concept_comes_back_under_its_id() -> None:
    given(CREATED, CAT, ConceptRemoved("c1")).when(add(c9="cat")).then(CAT)


def test_a_removed_concept_comes_back_once() -> None:
    given(CREATED, CAT, ConceptRemoved("c1"), CAT, ConceptRenamed("c1", "lion")).when(
        add(c9="cat")
    ).then(ConceptAdded("c9", "cat"))


def test_a_concept_is_renamed() -> None:
    given(CREATED, CAT).when(RenameConcept("c1", "lion")).then(ConceptRenamed("c1", "lion"))


def test_renaming_to_the_present_label_is_no_event() -> None:
    given(CREATED, CAT).when(RenameConcept("c1", " cat")).then()


def test_a_concept_takes_no_label_in_use() -> None:
    given(CREATED, CAT, DOG).when(RenameConcept("c1", "dog")).then(Conflict, field="label")


def test_a_concept_takes_no_empty_label() -> None:
    given(CREATED, CAT).when(RenameConcept("c1", "")).then(Invalid, field="label")


def test_a_concept_leaves() -> None:
    given(CREATED, CAT).when(RemoveConcept("c1")).then(ConceptRemoved("c1"))


@pytest.mark.parametrize("command", [RenameConcept("c1", "lion"), RemoveConcept("c1")])
@pytest.mark.parametrize("history", [(), (CAT, ConceptRemoved("c1"))])
def test_a_concept_that_is_not_there_takes_no_command(
    command: object, history: tuple[Event, ...]
) -> None:
    given(CREATED, *history).when(command).then(NotFound, field="concept_id")


def test_a_view_that_is_not_there_takes_no_command() -> None:
    given().when(RemoveConcept("c1")).then(NotFound)


def test_the_current_model_is_the_one_of_the_whole_set() -> None:
    pair = ModelRegistered("m1", ("c1", "c2"))
    state = given(CREATED, CAT, DOG, pair).state
    assert state is not None
    assert state.current_model == "m1"


def test_an_explicit_fork_is_not_the_current_model() -> None:
    pair, one = ModelRegistered("m1", ("c1", "c2")), ModelRegistered("m2", ("c1",))
    state = given(CREATED, CAT, DOG, pair, one).state
    assert state is not None
    assert state.current_model == "m1"
    assert given(CREATED, CAT, DOG, pair, one, ConceptRemoved("c2")).state == View(
        "p", "pets", "classification", {"c1": "cat"}, {"c2": "dog"}, state.models, "m2"
    )


def test_an_amended_model_gives_its_former_set_up() -> None:
    state = given(
        CREATED, CAT, ModelRegistered("m1", ("c1",)), DOG, ModelRegistered("m1", ("c1", "c2"))
    ).state
    assert state is not None
    assert state.models == {frozenset({"c1", "c2"}): "m1"}


def test_events_before_the_first_leave_no_view() -> None:
    assert given(CAT).state is None


PARENT = View("p", "digits", "detection", {"c1": "four", "c2": "nine"})
TAGS = View("p", "seen", "tagging", {"c1": "four", "c2": "nine"})
CHILD = ViewCreated("p", "which", "classification", "v1", (("c1",),), True)


def child(kind: str = "classification", *groups: str, project: str = "p") -> CreateView:
    conditions = tuple(tuple(group.split()) for group in groups)
    return CreateView(project, "which", kind, "v1", conditions)


def test_a_child_of_a_detection_view_is_on_crops() -> None:
    assert views.create(child("classification", "c1"), PARENT) == [CHILD]
    (created,) = views.create(child("tagging", "c2", "c1", "c2 c2"), PARENT)
    assert created == ViewCreated("p", "which", "tagging", "v1", (("c1",), ("c2",)), True)
    on_crops = msgspec.structs.replace(TAGS, crops=True)
    (deeper,) = views.create(child("tagging", "c2 c1"), on_crops)
    assert deeper == ViewCreated("p", "which", "tagging", "v1", (("c1", "c2"),), True)


def test_a_child_of_another_view_is_on_images() -> None:
    (created,) = views.create(child("detection", "c2 c1"), TAGS)
    assert created == ViewCreated("p", "which", "detection", "v1", (("c1", "c2"),), False)


@pytest.mark.parametrize(
    ("command", "parent", "field"),
    [
        (child("classification"), PARENT, "conditions"),
        (child("classification", ""), PARENT, "conditions[0]"),
        (child("classification", "c1", "c3"), PARENT, "conditions[1]"),
        (child("classification", "c1 c2"), PARENT, "conditions[0]"),
        (child("detection", "c1"), PARENT, "kind"),
        (child("detection", "c1"), msgspec.structs.replace(TAGS, crops=True), "kind"),
        (child("classification", "c1", project="q"), PARENT, "parent_id"),
        (child("classification", "c1"), None, "parent_id"),
        (CreateView("p", "which", "tagging", None, (("c1",),)), None, "parent_id"),
    ],
)
def test_a_child_that_cannot_be_is_refused(
    command: CreateView, parent: View | None, field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        views.create(command, parent)
    assert refused.value.field == field


def test_a_child_of_an_archived_view_is_refused() -> None:
    with pytest.raises(Conflict) as refused:
        views.create(child("tagging", "c1"), msgspec.structs.replace(TAGS, archived=True))
    assert refused.value.field == "parent_id"


def test_conditions_are_changed() -> None:
    state = given(CHILD).state
    assert state is not None
    change = ChangeConditions((("c2",), ("c1",)))
    changed = ConditionsChanged((("c1",), ("c2",)))
    assert views.change_conditions(change, state, PARENT, []) == [changed]
    after = given(CHILD, changed).state
    assert after is not None
    assert after.conditions == (("c1",), ("c2",))
    assert views.change_conditions(change, after, PARENT, []) == []


def test_a_tagging_view_of_crops_keeps_the_conditions_above_it() -> None:
    state = given(CHILD).state
    assert state is not None
    tags = msgspec.structs.replace(state, kind="tagging", name="what")
    for view, below in ((tags, []), (state, [tags])):
        with pytest.raises(Conflict, match="'what' is a tagging view") as refused:
            views.change_conditions(ChangeConditions((("c2",),)), view, PARENT, below)
        assert refused.value.field == "conditions"


def test_a_concept_that_a_childs_condition_names_stays() -> None:
    state = given(CHILD).state
    assert state is not None
    views.refuse_named("c2", PARENT, {"v2": state})
    views.refuse_named("c1", PARENT, {"v2": msgspec.structs.replace(state, archived=True)})
    with pytest.raises(Conflict, match="view 'which' name 'four'") as refused:
        views.refuse_named("c1", PARENT, {"v2": state})
    assert refused.value.field == "concept_id"


def test_a_view_knows_its_children() -> None:
    state = given(CREATED, ChildViewAdded("v2"), ChildViewAdded("v3")).state
    assert state is not None
    assert state.children == ("v2", "v3")
