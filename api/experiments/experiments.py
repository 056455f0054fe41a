"""Routes of experiments: start, follow, stop."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Annotated

import msgspec
from litestar import Controller, Response, get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.response import ServerSentEvent, ServerSentEventMessage
from sqlalchemy import Connection

from api.access.guard import who_still
from api.access.limits import hold_open
from api.access.long_polls import once_ended
from api.access.rights import needs
from api.backend import Backend
from api.experiments.schemas import (
    CurvesView,
    Experiments,
    ExperimentView,
    NewExperiment,
    SpaceView,
    TrialsView,
)
from api.http.commands import CommandResult, Named, envelope, named, respond
from api.http.live import either, message
from api.http.parameters import AsOf, AtLeast, Cursor, HttpRequest, Limit, Served, Wait, position_in
from api.http.schemas import Kind
from api.known_trainers import listing_trainers
from application.experiments.experiments import Plan, start_experiment, stop_experiment
from application.training.trainers import TrainerChoice
from domain.access.roles import Right
from domain.aggregates import EXPERIMENT
from domain.errors import Invalid, NotFound
from domain.experiments.experiment import MOST_AT_ONCE
from domain.experiments.presets import SIZES, concurrency_for
from domain.experiments.space import default_space
from projections.experiments.experiments import CONCLUDED, EXPERIMENTS
from projections.experiments.queries import (
    NUMBER,
    ExperimentRow,
    curves_of,
    find_experiment,
    list_experiments,
    list_trials,
)
from projections.training.metric_history import METRIC_HISTORY
from projections.training.models_library import MODELS_LIBRARY

READ = (EXPERIMENTS, MODELS_LIBRARY, METRIC_HISTORY)
AT_MOST_EVERY_SECONDS = 0.5


class ExperimentController(Controller):
    """Experiments: searches for the best training of a model."""

    tags = ("Experiments",)
    dependencies = named(EXPERIMENT)

    @post(
        "/views/{view_id:str}/experiments",
        summary="Start an experiment",
        opt=needs(Right.TRAIN, of="view_id"),
    )
    async def start_experiment(
        self,
        backend: Served,
        request: HttpRequest,
        view_id: FromPath[str],
        data: JSONBody[NewExperiment],
    ) -> Response[CommandResult]:
        """Search for the best training options of the view's current model.

        Each trial is a version, trained on the images as they are now.
        """
        concurrency = data.concurrency
        if concurrency is None:
            workers = await backend.queue_monitor.online()
            concurrency = min(concurrency_for(workers), MOST_AT_ONCE)
        return await asyncio.to_thread(_start, backend, request, view_id, data, concurrency)

    @get(
        "/views/{view_id:str}/experiments",
        summary="List experiments",
        sync_to_thread=True,
        opt=needs(Right.READ, of="view_id"),
    )
    def list_experiments(
        self,
        backend: Served,
        view_id: FromPath[str],
        cursor: Cursor = None,
        limit: Limit = 50,
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> Experiments:
        """A view's experiments, newest first."""
        before = position_in(cursor)
        with backend.reading_as_of(as_of, at_least, *READ) as (connection, position, at):
            items = list_experiments(
                connection, view_id, now(), before=before, limit=limit, as_of=at
            )
        following = str(items[-1].created_position) if len(items) == limit else None
        return Experiments(items, following, position)

    @get(
        "/forms/{kind:str}/space",
        summary="The default search space",
        sync_to_thread=False,
        opt=needs(Right.READ, anywhere=True),
    )
    def get_search_space(self, backend: Served, kind: FromPath[Kind]) -> SpaceView:
        """The options that an experiment in a view of the kind varies by default."""
        return SpaceView(default_space(kind, backend.weights.at_hand()))

    @get(
        "/experiments/{experiment_id:str}",
        summary="An experiment",
        opt=needs(Right.READ, of="experiment_id"),
    )
    async def get_experiment(
        self,
        backend: Served,
        request: HttpRequest,
        experiment_id: FromPath[str],
        wait: Wait = 0,
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> Response[ExperimentView]:
        """Its state, its trials counted, the best so far, and an estimate of the time left."""

        def read() -> ExperimentView:
            with backend.reading_as_of(as_of, at_least, *READ) as (connection, position, at):
                found = find_experiment(connection, experiment_id, now(), as_of=at)
            if found is None:
                raise NotFound("experiment not found")
            if at is not None:
                found = msgspec.structs.replace(found, seconds_left=None)
            return ExperimentView(found, position)

        view = await once_ended(
            backend,
            request,
            partial(asyncio.to_thread, read),
            lambda shown: shown.experiment.conclusion is not None,
            wait if as_of is None else 0.0,
            *READ,
        )
        return Response(view, headers={"ETag": f'"{view.experiment.revision}"'})

    @get(
        "/experiments/{experiment_id:str}/trials",
        summary="An experiment's trials",
        sync_to_thread=True,
        opt=needs(Right.READ, of="experiment_id"),
    )
    def list_trials(
        self,
        backend: Served,
        experiment_id: FromPath[str],
        status: FromQuery[str | None] = None,
        sort: Annotated[str, QueryParameter(description="number, best or status")] = NUMBER,
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> TrialsView:
        """All trials, with their options and the progress of their trainings; `status` is that of a
        version, or pruned."""
        with backend.reading_as_of(as_of, at_least, *READ) as (connection, position, at):
            _require(connection, experiment_id, at)
            items = list_trials(connection, experiment_id, status=status, sort=sort, as_of=at)
        return TrialsView(items, position)

    @get(
        "/experiments/{experiment_id:str}/curves",
        summary="The curves of all trials",
        sync_to_thread=True,
        opt=needs(Right.READ, of="experiment_id"),
    )
    def get_experiment_curves(
        self,
        backend: Served,
        experiment_id: FromPath[str],
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> CurvesView:
        with backend.reading_as_of(as_of, at_least, *READ) as (connection, position, at):
            _require(connection, experiment_id, at)
            return CurvesView(curves_of(connection, experiment_id, as_of=at), position)

    @post(
        "/experiments/{experiment_id:str}/stop",
        summary="Stop an experiment",
        status_code=200,
        sync_to_thread=True,
        opt=needs(Right.TRAIN, of="experiment_id"),
    )
    def stop_experiment(self, experiment: Named) -> Response[CommandResult]:
        """Propose no more trials: queued trials are cancelled, running ones end after their
        epoch."""
        return experiment.carry_out(lambda session: stop_experiment(session, experiment.id))

    @get(
        "/experiments/{experiment_id:str}/events",
        summary="Follow an experiment live",
        media_type="text/event-stream",
        opt=needs(Right.READ, of="experiment_id"),
    )
    async def follow_experiment(
        self, backend: Served, request: HttpRequest, experiment_id: FromPath[str]
    ) -> ServerSentEvent:
        """Events `experiment` (its whole state, after each change of it or of a trial) and `end`.

        It also ends once the caller may no longer read it.
        """
        hold_open(request)
        await asyncio.to_thread(_wait_until_shown, backend, experiment_id)
        stream = EXPERIMENT.stream(experiment_id)
        project = await asyncio.to_thread(backend.scopes.project_of, stream)

        await backend.feed.begin(0, "Last-Event-ID")

        async def may_read() -> bool:
            caller = await who_still(request)
            return caller is not None and caller.grants.may(Right.READ, project)

        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        return ServerSentEvent(_events(backend, experiment_id, may_read), headers=headers)


def _start(
    backend: Backend, request: HttpRequest, view_id: str, data: NewExperiment, concurrency: int
) -> Response[CommandResult]:
    size = SIZES[data.preset]
    own = data.trainer
    if data.settings and own is None:
        raise Invalid("settings are those of a trainer; name one", field="settings")
    plan = Plan(
        name=data.name,
        budget=size.trials if data.budget is None else data.budget,
        concurrency=concurrency,
        seed=data.seed,
        pruning=data.pruning,
        epochs=size.epochs,
        base=data.options if own else {"epochs": size.epochs, **data.options},
        space=data.space,
        trainer=None if own is None else TrainerChoice(own, data.settings),
        varied=data.varied,
    )
    with listing_trainers(backend):
        outcome = backend.trainings.handle(
            envelope(request, data),
            lambda session: start_experiment(session, view_id, plan, backend.weights),
            more=concurrency,
        )
    return respond(outcome, 201)


def now() -> datetime:
    return datetime.now(UTC)


def _require(connection: Connection, experiment_id: str, as_of: int | None) -> None:
    if find_experiment(connection, experiment_id, now(), as_of=as_of) is None:
        raise NotFound("experiment not found")


def _wait_until_shown(backend: Backend, experiment_id: str) -> None:
    """The log has it, but the read model may not have it yet. Raises `NotFound`."""
    if _look(backend, experiment_id)[0] is None:
        with backend.reading(backend.store.head(), *READ) as (connection, _):
            _require(connection, experiment_id, None)


def _look(backend: Backend, experiment_id: str) -> tuple[ExperimentRow | None, int]:
    with backend.reading(None, *READ) as (connection, position):
        return find_experiment(connection, experiment_id, now()), position


async def _events(
    backend: Backend, experiment_id: str, may_read: Callable[[], Awaitable[bool]]
) -> AsyncIterator[ServerSentEventMessage]:
    shown: bytes | None = None
    beat = backend.feed.beat
    with backend.news.listening(*READ) as changed:
        while True:
            changed.clear()
            if beat.is_set():
                beat = backend.feed.beat
                if not await may_read():
                    return
                yield ServerSentEventMessage(comment="still here", data=None)
            experiment, position = await asyncio.to_thread(_look, backend, experiment_id)
            assert experiment is not None
            await backend.feed.passed(position)
            if beat.is_set():
                continue
            # The estimate alone is no news.
            state = msgspec.json.encode(msgspec.structs.replace(experiment, seconds_left=None))
            if state != shown:
                yield message("experiment", experiment, position)
                shown = state
            if experiment.state == CONCLUDED:
                yield message("end", experiment.state, position)
                return
            await either(changed, beat, seconds=None)
            await asyncio.sleep(AT_MOST_EVERY_SECONDS)
