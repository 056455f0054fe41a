"""Routes of trainers: training code of users' own."""

from typing import Annotated

import msgspec
from litestar import Controller, Response, get, post, put
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta

from api.access.rights import needs
from api.http.commands import CommandResult, Named, carry_out, named
from api.http.parameters import AtLeast, HttpRequest, Served
from api.http.schemas import Strict
from application.training.trainers import register_trainer
from domain.access.roles import Right
from domain.aggregates import TRAINER
from domain.errors import NotFound
from domain.trainers.form import Setting
from domain.trainers.trainer import OPAQUE, ChangeForm, RegisterTrainer, RetireTrainer
from projections.training.trainers import TRAINERS, TrainerRow, find_trainer, list_trainers

Kinds = Annotated[tuple[str, ...], Meta(examples=[["classification"]])]
Settings = Annotated[
    tuple[Setting, ...],
    Meta(examples=[[{"control": "number", "key": "epochs", "default": 8, "whole": True}]]),
]


class TrainerForm(Strict, frozen=True, kw_only=True):
    """The kinds of views that a trainer trains, and the settings that it takes. `predicts` is
    true if its workers predict other images by its checkpoints: its code has `@train.predictor`."""

    kinds: Kinds
    settings: Settings = ()
    predicts: bool = False


class NewTrainer(TrainerForm, frozen=True, kw_only=True):
    """A trainer to register. `format` of its checkpoints is safetensors, onnx or opaque."""

    name: Annotated[str, Meta(examples=["acme/logreg"])]
    format: Annotated[str, Meta(examples=[OPAQUE])] = OPAQUE


class Trainers(msgspec.Struct, frozen=True):
    """All trainers, by name."""

    items: list[TrainerRow]
    position: int


class TrainerView(msgspec.Struct, frozen=True):
    trainer: TrainerRow
    position: int


class TrainerController(Controller):
    """Trainers."""

    tags = ("Trainers",)
    dependencies = named(TRAINER)

    @post(
        "/trainers",
        summary="Register a trainer",
        sync_to_thread=True,
        opt=needs(Right.ADMINISTER),
    )
    def register_trainer(
        self, backend: Served, request: HttpRequest, data: JSONBody[NewTrainer]
    ) -> Response[CommandResult]:
        """Everyone with the right to train can use it. Its workers take jobs from its own queue,
        which `GET /trainers` lists."""
        command = RegisterTrainer(data.name, data.kinds, data.settings, data.format, data.predicts)
        return carry_out(
            backend,
            request,
            data,
            lambda session: register_trainer(session, command),
            status_code=201,
        )

    @get(
        "/trainers",
        summary="List trainers",
        sync_to_thread=True,
        opt=needs(Right.READ, anywhere=True),
    )
    def list_trainers(
        self, backend: Served, retired: FromQuery[bool] = False, at_least: AtLeast = None
    ) -> Trainers:
        """With their forms and queues; retired ones only on request."""
        with backend.reading(at_least, TRAINERS) as (connection, position):
            return Trainers(list_trainers(connection, retired=retired), position)

    @get(
        "/trainers/{trainer_id:str}",
        summary="A trainer",
        sync_to_thread=True,
        opt=needs(Right.READ, anywhere=True),
    )
    def get_trainer(
        self, backend: Served, trainer_id: FromPath[str], at_least: AtLeast = None
    ) -> TrainerView:
        with backend.reading(at_least, TRAINERS) as (connection, position):
            trainer = find_trainer(connection, trainer_id)
        if trainer is None:
            raise NotFound("trainer not found")
        return TrainerView(trainer, position)

    @put(
        "/trainers/{trainer_id:str}/form",
        summary="Change a trainer's form",
        sync_to_thread=True,
        opt=needs(Right.ADMINISTER),
    )
    def set_trainer_form(
        self, trainer: Named, data: JSONBody[TrainerForm]
    ) -> Response[CommandResult]:
        """Versions that exist keep the settings that they were created with."""
        return trainer.change(ChangeForm(data.kinds, data.settings, data.predicts), data)

    @post(
        "/trainers/{trainer_id:str}/retire",
        summary="Retire a trainer",
        status_code=200,
        sync_to_thread=True,
        opt=needs(Right.ADMINISTER),
    )
    def retire_trainer(self, trainer: Named) -> Response[CommandResult]:
        """It trains no new versions. A queued version is still trained if a worker of the trainer
        runs; otherwise cancel it."""
        return trainer.change(RetireTrainer())
