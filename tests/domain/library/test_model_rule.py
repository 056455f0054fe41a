"""The model rule, decision by decision; `test_model_rule_machine` tries all orders of them."""

import pytest

from domain.errors import Conflict, Invalid, Refusal
from domain.library.model import ConceptSetAmended, Model, ModelCreated, ModelForked, ModelReopened
from domain.library.model_rule import ForkModel, ModelChange, decide_model_change, fork
from domain.library.view import ModelRegistered, View

AB = frozenset({"a", "b"})


def view(*concepts: str, current: str | None = None, **models: str) -> View:
    """A view of concepts labelled in capitals; `models` maps ids to concepts, a letter each."""
    return View(
        "p",
        "pets",
        "classification",
        {key: key.upper() for key in concepts},
        models={frozenset(letters): key for key, letters in models.items()},
        current_model=current,
    )


def model(concepts: str, *, versions: int = 0, archived: bool = False) -> Model:
    return Model("v", "Model 1", tuple(concepts), versions=versions, archived=archived)


def test_the_first_concepts_create_the_first_model() -> None:
    assert decide_model_change("v", view(), view("b", "a"), None, "m1") == ModelChange(
        "m1", [ModelCreated("v", "Model 1", ("a", "b"))], [ModelRegistered("m1", ("a", "b"))]
    )


def test_a_change_amends_a_model_without_versions() -> None:
    before, after = view("a", current="m1", m1="a"), view("a", "b", current="m1", m1="a")
    assert decide_model_change("v", before, after, model("a"), "m2") == ModelChange(
        "m1", [ConceptSetAmended(("a", "b"))], [ModelRegistered("m1", ("a", "b"))]
    )


def test_a_change_forks_a_model_with_versions_and_says_why() -> None:
    before, after = (
        view("a", "b", current="m1", m1="ab"),
        view("b", "c", "d", current="m1", m1="ab"),
    )
    forked = ModelForked("v", "Model 2", "m1", ("b", "c", "d"), "added 'C', 'D' and removed 'A'")
    assert decide_model_change("v", before, after, model("ab", versions=1), "m2") == ModelChange(
        "m2", [forked], [ModelRegistered("m2", ("b", "c", "d"))]
    )


def test_an_archived_model_is_not_amended_but_forked() -> None:
    before, after = view("a", current="m1", m1="a"), view("a", "b", current="m1", m1="a")
    change = decide_model_change("v", before, after, model("a", archived=True), "m2")
    assert change is not None
    assert change.model_events == [ModelForked("v", "Model 2", "m1", ("a", "b"), "added 'B'")]


def test_coming_back_to_a_known_set_reopens_its_model() -> None:
    before = view("a", "b", current="m2", m1="a", m2="ab")
    after = view("a", current="m2", m1="a", m2="ab")
    expected = ModelChange("m1", [ModelReopened()], [])
    assert decide_model_change("v", before, after, model("ab", versions=1), "m3") == expected


@pytest.mark.parametrize("archived", [False, True])
def test_coming_back_from_nothing_changes_only_an_archived_model(archived: bool) -> None:
    before, after = view(current="m1", m1="a"), view("a", current="m1", m1="a")
    change = decide_model_change("v", before, after, model("a", archived=archived), "m2")
    assert change == (ModelChange("m1", [ModelReopened()], []) if archived else None)


def test_a_view_without_concepts_changes_no_model() -> None:
    before, after = view("a", current="m1", m1="a"), view(current="m1", m1="a")
    assert decide_model_change("v", before, after, model("a"), "m2") is None


def test_a_rename_changes_no_model() -> None:
    before = view("a", current="m1", m1="a")
    after = View("p", "pets", "classification", {"a": "lion"}, models=before.models)
    assert decide_model_change("v", before, after, model("a", versions=1), "m2") is None


def test_a_user_forks_choosing_the_concepts() -> None:
    parent = model("ab", versions=1)
    command = ForkModel("m1", ("b",), " fewer ")
    assert fork(command, view("a", "b", m1="ab"), parent, "m2") == ModelChange(
        "m2",
        [ModelForked("v", "Model 2", "m1", ("b",), "fewer")],
        [ModelRegistered("m2", ("b",))],
    )


def test_a_fork_may_keep_a_concept_that_only_its_parent_has() -> None:
    command = ForkModel("m1", ("a", "b", "b"), "as it was", "Old pets")
    change = fork(command, view("b", m1="ac"), model("ac"), "m2")
    assert change.view_events == [ModelRegistered("m2", ("a", "b"))]


@pytest.mark.parametrize(
    ("command", "error", "field"),
    [
        (ForkModel("m1", (), "why"), Invalid, "concepts"),
        (ForkModel("m1", ("z",), "why"), Invalid, "concepts"),
        (ForkModel("m1", ("b", "a"), "why"), Conflict, None),
        (ForkModel("m1", ("a",), " "), Invalid, "why"),
        (ForkModel("m1", ("a",), "why", " "), Invalid, "name"),
    ],
)
def test_a_fork_of_no_use_is_refused(
    command: ForkModel, error: type[Refusal], field: str | None
) -> None:
    with pytest.raises(error) as refused:
        fork(command, view("a", "b", m1="ab"), model("ab"), "m2")
    assert refused.value.field == field
