"""Outputs of new concepts train at their own rate, the others as if they trained alone."""

from typing import Any

import msgspec
import pytest
import torch

from adapters.blobs.blobs import BlobStore
from adapters.settings import Settings
from domain.training.messages import (
    AnyReport,
    BatchMetrics,
    CheckpointSaved,
    InitialWeights,
    Started,
    TrainJob,
)
from domain.training.options import resolve_options
from gpu_worker.new_concepts import NewConcepts
from gpu_worker.recipe import build_optimizer, build_scheduler
from tests.gpu_worker.at_hand import train_version
from tests.gpu_worker.samples import COLOURS, coloured_job, figures, final_weights, of_type

BASE, OWN = 1e-3, 1e-1
OPTIMIZERS = ["momentum", "rmsprop", "adam", "nadam", "radam"]


def options_of(optimizer: str, own: float | None = OWN) -> Any:
    chosen = {"optimizer": optimizer, "initial_learning_rate": BASE, "start_from": "earlier"}
    options = resolve_options("classification", chosen | {"weight_decay": 0.01})
    return msgspec.structs.replace(options, new_concept_learning_rate=own)


def steps(optimizer: Any, scheduler: Any, around: Any, weights: list[torch.Tensor]) -> None:
    """Some steps on a loss that is the same for each weight, however they are laid out."""
    for number in range(5):
        optimizer.zero_grad()
        losses = [(weight - number).square().flatten() for weight in weights]
        torch.autograd.backward(torch.cat(losses).sum())
        with around():
            optimizer.step()
        scheduler.step()


@pytest.mark.parametrize("own", [OWN, 1e-4])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_each_row_moves_at_its_own_rate(optimizer: str, own: float) -> None:
    """As separate tensors with rates of their own do."""
    options = options_of(optimizer, own)
    torch.manual_seed(1)
    model = torch.nn.Linear(4, 3)
    rows = model.weight.detach().clone()
    initial = InitialWeights("sha", "earlier", ("a", "c"))
    head = {"weight": 1, "bias": 1}
    new = NewConcepts(model, "classification", head, options, initial, ["a", "b", "c"])
    trained = build_optimizer(options, new.parameter_groups())
    steps(trained, build_scheduler(options, trained, 5), new.stepping, [model.weight])
    for row, rate in enumerate((BASE, own, BASE)):
        alone = torch.nn.Parameter(rows[row].clone())
        single = build_optimizer(options, [{"params": [alone], "lr": rate}])
        steps(single, build_scheduler(options, single, 5), torch.enable_grad, [alone])
        torch.testing.assert_close(model.weight[row], alone, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("concepts", "own", "groups"),
    [(("a", "c"), OWN, 1), (("a", "b"), None, 1), (("a", "b"), OWN, 2)],
)
def test_without_new_concepts_there_is_one_rate(
    concepts: tuple[str, ...], own: float | None, groups: int
) -> None:
    model = torch.nn.Linear(4, 2)
    initial = InitialWeights("sha", "earlier", ("a", "c"))
    head = {"weight": 1, "bias": 1}
    options = options_of("nadam", own)
    new = NewConcepts(model, "classification", head, options, initial, concepts)
    assert len(build_optimizer(options, new.parameter_groups()).param_groups) == groups


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, nats_url=None)


@pytest.fixture
def nats_url() -> str:
    return ""


class Killed(BaseException):
    """Stands for a process that is gone."""


def test_a_training_with_a_new_concept_resumes_without_changing_a_bit(
    settings: Settings, blobs: BlobStore
) -> None:
    said: list[AnyReport] = []
    train_version(coloured_job(blobs, epochs=1.0), 1, settings, blobs, said.append)
    start = of_type(CheckpointSaved, said)[-1].checkpoint
    initial = InitialWeights(start, "v1", ("red", "blue", "gone"))

    def job(version: str) -> TrainJob:
        options: dict[str, Any] = {
            "initial_learning_rate": 1e-5,
            "new_concept_learning_rate": 1e-2,
        }
        made = coloured_job(blobs, version_id=version, start_from="v1", **options)
        return msgspec.structs.replace(made, initial_weights=initial)

    whole: list[AnyReport] = []
    train_version(job("whole"), 1, settings, blobs, whole.append)
    often = msgspec.structs.replace(settings, checkpoint_seconds=0.0)
    parts: list[AnyReport] = []

    def say(report: AnyReport) -> None:
        if isinstance(report, BatchMetrics) and report.first_iteration >= 3 and len(begun) == 1:
            raise Killed
        parts.append(report)
        begun[:] = of_type(Started, parts)

    begun: list[Started] = []
    with pytest.raises(Killed):
        train_version(job("parts"), 1, often, blobs, say)
    train_version(job("parts"), 2, often, blobs, say)
    assert [body.resumed_from for body in of_type(Started, parts)] == [0, 3]
    assert figures(parts) == figures(whole)
    assert final_weights(parts) == final_weights(whole)
    assert set(COLOURS) - set(initial.concepts or ()) == {"green"}
