"""Trainers: their names, their forms, and what a version may be created with."""

import msgspec
import pytest

from domain.errors import Conflict, Invalid, NotFound
from domain.trainers import trainer as trainers
from domain.trainers.form import Choice, Flag, Number, Setting, Text, resolve_settings
from domain.trainers.trainer import (
    ChangeForm,
    RegisterTrainer,
    RetireTrainer,
    Trainer,
    TrainerFormChanged,
    TrainerRegistered,
    TrainerRetired,
    queue_of,
    require_usable,
)
from tests.domain.story import Story

given = Story(trainers.evolve, trainers.decide).given

EPOCHS = Number("epochs", 8, least=1, most=100, whole=True)
FORM: tuple[Setting, ...] = (
    EPOCHS,
    Number("penalty", 0.01),
    Choice("solver", "sgd", ("sgd", "adam")),
    Flag("balanced", default=False),
    Text("note", ""),
)
KINDS = ("classification", "tagging")
REGISTERED = TrainerRegistered("acme/logreg", KINDS, FORM, "opaque")


def register(name: str = "acme/logreg", form: tuple[Setting, ...] = FORM) -> RegisterTrainer:
    return RegisterTrainer(name, KINDS, form, "opaque")


def test_a_trainer_is_registered_once() -> None:
    given().when(register()).then(REGISTERED)
    given(REGISTERED).when(register()).then(Conflict, field="name")
    given(REGISTERED, TrainerRetired()).when(register()).then(
        Conflict, field="name", says="already exists, retired"
    )


@pytest.mark.parametrize(
    "name",
    ["logreg", "acme/", "/x", "Acme/x", "a--b/c", "a/b/c", "a/-b", "a b/c", "a/b" * 40, "a.b/c"],
)
def test_a_name_has_an_owner(name: str) -> None:
    given().when(register(name)).then(Invalid, field="name")


def test_queues_of_two_names_differ() -> None:
    assert queue_of("a-b/c") != queue_of("a/b-c")


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ((EPOCHS, EPOCHS), "settings.epochs"),
        ((Number("epochs", 0, least=1),), "settings.epochs"),
        ((Number("epochs", 1.5, whole=True),), "settings.epochs"),
        ((Number("epochs", float("nan")),), "settings.epochs"),
        ((Choice("solver", "x", ("y",)),), "settings.solver"),
        ((Text("note", "a\0b"),), "settings.note"),
        ((Flag("f", default=False, label="a\0"),), "settings.f.label"),
    ],
)
def test_a_form_whose_defaults_do_not_fit_is_refused(form: tuple[Setting, ...], field: str) -> None:
    given().when(register(form=form)).then(Invalid, field=field)
    given(REGISTERED).when(ChangeForm(KINDS, form)).then(Invalid, field=field)


def test_kinds_and_formats_are_known_ones() -> None:
    given().when(RegisterTrainer("a/b", (), (), "opaque")).then(Invalid, field="kinds")
    given().when(RegisterTrainer("a/b", ("dreams",), (), "opaque")).then(Invalid, field="kinds")
    given().when(RegisterTrainer("a/b", KINDS * 2, (), "opaque")).then(Invalid, field="kinds")
    given().when(RegisterTrainer("a/b", KINDS, (), "pickle")).then(Invalid, field="format")


def test_a_form_is_changed_until_the_trainer_is_retired() -> None:
    given(REGISTERED).when(ChangeForm(KINDS, ())).then(TrainerFormChanged(KINDS, ()))
    given(REGISTERED).when(ChangeForm(KINDS, FORM)).then()
    given(REGISTERED, TrainerRetired()).when(ChangeForm(KINDS, ())).then(Conflict)
    given(REGISTERED).when(RetireTrainer()).then(TrainerRetired())
    given(REGISTERED, TrainerRetired()).when(RetireTrainer()).then()
    given().when(RetireTrainer()).then(NotFound)


def test_what_is_left_out_has_its_default() -> None:
    assert resolve_settings(FORM, {"epochs": 3.0, "solver": "adam"}) == {
        "epochs": 3,
        "penalty": 0.01,
        "solver": "adam",
        "balanced": False,
        "note": "",
    }
    assert isinstance(resolve_settings(FORM, {"epochs": 3.0})["epochs"], int)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("epochs", 0),
        ("epochs", 101),
        ("epochs", 1.5),
        ("epochs", "3"),
        ("epochs", True),
        ("epochs", None),
        ("penalty", float("inf")),
        ("solver", "lbfgs"),
        ("balanced", 1),
        ("note", 5),
        ("unknown", 1),
    ],
)
def test_a_setting_that_does_not_fit_is_refused_by_name(key: str, value: object) -> None:
    with pytest.raises(Invalid) as refused:
        resolve_settings(FORM, {key: value})
    assert refused.value.field == key
    assert key in refused.value.detail


def test_a_choice_of_numbers_takes_a_number() -> None:
    form = (Choice("side", "8", ("8", "16")),)
    assert resolve_settings(form, {"side": 16}) == {"side": "16"}
    with pytest.raises(Invalid, match="side is 9; it must be one of: 8, 16"):
        resolve_settings(form, {"side": 9})


def test_a_trainer_trains_its_kinds_until_it_is_retired() -> None:
    trainer = Trainer("acme/logreg", ("tagging",), (), "opaque")
    assert require_usable(trainer, "tagging") is trainer
    with pytest.raises(Conflict, match="the view is a detection"):
        require_usable(trainer, "detection")
    with pytest.raises(Conflict, match="retired"):
        require_usable(trainers.evolve(trainer, TrainerRetired()), "tagging")
    with pytest.raises(NotFound):
        require_usable(None, "tagging")


def test_that_a_trainer_predicts_is_registered_and_changed_with_its_form() -> None:
    registered = TrainerRegistered("acme/logreg", KINDS, FORM, "opaque", predicts=True)
    given().when(msgspec.structs.replace(register(), predicts=True)).then(registered)
    change = ChangeForm(KINDS, FORM, predicts=True)
    given(REGISTERED).when(change).then(TrainerFormChanged(KINDS, FORM, predicts=True))
    given(registered).when(change).then()
    given(registered).when(ChangeForm(KINDS, FORM)).then(TrainerFormChanged(KINDS, FORM))
    before, after = given(REGISTERED).state, given(registered).state
    assert before is not None
    assert after is not None
    assert after.form == before.form
