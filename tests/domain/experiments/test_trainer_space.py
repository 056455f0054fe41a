from typing import Any

import msgspec
import pytest

from domain.errors import Conflict, Invalid
from domain.experiments.space import Choices, Interval
from domain.experiments.trainer_space import (
    Range,
    TrainerSearch,
    Varied,
    default_trial,
    default_varied,
    dimensions_of,
    fixed_of,
    search_of,
    use_of,
)
from domain.trainers.form import Choice, Flag, Number, Setting, Text
from domain.trainers.trainer import OPAQUE, Trainer, trainer_id

FORM: tuple[Setting, ...] = (
    Number("epochs", 8, whole=True, least=1, most=50),
    Number("seed", 0, whole=True, least=0, most=1000),
    Number("penalty", 0.01, "Penalty", least=0.0001, most=1),
    Number("momentum", 0.9, least=0, most=1),
    Number("depth", 3, whole=True, least=1, most=8),
    Number("rate", 0.1),
    Choice("solver", "saga", ("lbfgs", "saga")),
    Choice("loss", "log", ("log",)),
    Flag("balanced", default=False),
    Text("note", "none"),
)
TRAINER = Trainer("acme/logreg", ("classification",), FORM, OPAQUE)


def search(varied: Varied | None = None, epochs: int = 6, **shared: object) -> TrainerSearch:
    return search_of(TRAINER, shared, varied, epochs)


def test_the_form_gives_a_space() -> None:
    assert default_varied(FORM) == {
        "penalty": Range(0.0001, 1, log=True),
        "momentum": Range(0, 1),
        "depth": Range(1, 8),
        "solver": ("lbfgs", "saga"),
        "balanced": (False, True),
    }
    found = search(depth=2)
    assert found.varied.keys() == {"penalty", "momentum", "solver", "balanced"}
    assert found.trainer.settings["depth"] == 2
    assert found.trainer.trainer_id == trainer_id("acme/logreg")
    assert found.trainer.form == TRAINER.form
    assert found.labels == {"penalty": "Penalty"}


def test_what_is_varied_has_dimensions_and_one_value_is_none() -> None:
    varied: Varied = {
        "penalty": Range(0.001, 0.1, log=True),
        "depth": Range(2, 4),
        "rate": (1, 0.5),
        "solver": ("lbfgs",),
        "momentum": Range(0.5, 0.5),
    }
    found = search(varied)
    assert dimensions_of(found) == {
        "penalty": Interval(0.001, 0.1, log=True, whole=False),
        "depth": Interval(2, 4, log=False, whole=True),
        "rate": Choices((1.0, 0.5)),
    }
    assert fixed_of(found) == {"solver": "lbfgs", "momentum": 0.5}
    first = default_trial(found)
    # The form's defaults, and of those that are not in the space what is nearest or first.
    assert first == {
        "penalty": 0.01, "depth": 3, "rate": 1.0, "solver": "lbfgs", "momentum": 0.5,
    }  # fmt: skip
    assert isinstance(first["depth"], int)
    used = use_of(found, first)
    assert used.settings == {
        "epochs": 6, "seed": 0, "balanced": False, "loss": "log", "note": "none", **first,
    }  # fmt: skip


@pytest.mark.parametrize(("epochs", "length"), [(6, 6), (90, 50)])
def test_trials_are_as_long_as_given_or_as_the_form_allows(epochs: int, length: int) -> None:
    assert search(epochs=epochs).trainer.settings["epochs"] == length
    assert search(epochs=epochs).trainer.settings["epochs"] == length
    assert search_of(TRAINER, {"epochs": 3}, None, epochs).trainer.settings["epochs"] == 3


@pytest.mark.parametrize(
    ("varied", "field"),
    [
        ({}, "varied"),
        ({"width": (1, 2)}, "varied.width"),
        ({"epochs": (1, 2)}, "varied.epochs"),
        ({"seed": Range(0, 9)}, "varied.seed"),
        ({"penalty": Range(0.0, 1.0)}, "varied.penalty"),
        ({"penalty": Range(1.0, 0.001)}, "varied.penalty"),
        ({"penalty": (float("nan"),)}, "varied.penalty"),
        ({"momentum": Range(0, 1, log=True)}, "varied.momentum"),
        ({"rate": Range(0.1, float("inf"))}, "varied.rate"),
        ({"depth": Range(1.5, 3)}, "varied.depth"),
        ({"depth": (True, 2)}, "varied.depth"),
        ({"solver": ("saga", "adam")}, "varied.solver"),
        ({"solver": ("saga", "saga")}, "varied.solver"),
        ({"solver": Range(0, 1)}, "varied.solver"),
        ({"solver": ()}, "varied.solver"),
        ({"balanced": ("yes",)}, "varied.balanced"),
        ({"rate": tuple(range(1, 60))}, "varied.rate"),
    ],
)
def test_what_cannot_be_varied_is_refused_by_name(varied: Varied, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        search(varied)
    assert refused.value.field == field


def test_what_is_shared_is_checked_too() -> None:
    with pytest.raises(Invalid) as refused:
        search({"depth": (1, 2)}, depth=2)
    assert refused.value.field == "varied.depth"
    with pytest.raises(Invalid) as refused:
        search(depth=99)
    assert refused.value.field == "depth"


def test_a_form_without_epochs_is_refused() -> None:
    form: Any = tuple(setting for setting in FORM if setting.key != "epochs")
    with pytest.raises(Conflict, match="has no setting 'epochs' of whole numbers"):
        search_of(msgspec.structs.replace(TRAINER, settings=form), {}, None, 6)
