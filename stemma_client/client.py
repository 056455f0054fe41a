"""The client: projects, versions and all else that a server has."""

from __future__ import annotations

import time
import uuid
import warnings
from collections.abc import Iterator, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, TypeVar

from stemma_client._generated import answers, operations
from stemma_client.access import Keys, Members
from stemma_client.audit import Audit
from stemma_client.errors import NotFound, StemmaError
from stemma_client.experiments import Experiment
from stemma_client.imports import Import
from stemma_client.metrics import Metrics, metrics_in, requests_for
from stemma_client.models import Model
from stemma_client.over_http import follow
from stemma_client.projects import Project, Projects
from stemma_client.received import Received
from stemma_client.requests import Request
from stemma_client.settings import find_server, server_at
from stemma_client.tables import Rows
from stemma_client.trainers import Trainers
from stemma_client.transport import Session, Transport
from stemma_client.versions import Version
from stemma_client.views import View
from stemma_client.waiting import wait_for
from stemma_client.webhooks import Webhooks

T = TypeVar("T")


class Stemma:
    """A client of a server.

    The server and the key are the arguments, else STEMMA_API_URL and STEMMA_API_KEY, else those of
    a `stemma up` whose data folder is this folder's or a parent's. A request that fails temporarily
    is retried for `patience` seconds; a command still has one effect. All requests have one
    correlation id.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout: float = 60.0,
        patience: float = 120.0,
        correlation_id: str | None = None,
    ) -> None:
        session = Session(
            find_server(url, key),
            correlation_id=correlation_id or str(uuid.uuid4()),
            timeout=timeout,
            patience=patience,
        )
        self.transport = Transport(session)

    @classmethod
    def _of(cls, transport: Transport) -> Stemma:
        made = cls.__new__(cls)
        made.transport = transport
        return made

    @property
    def url(self) -> str:
        """The address of the server."""
        return self.transport.session.server.url

    @property
    def correlation_id(self) -> str:
        """The correlation id of all requests of this client."""
        return self.transport.session.correlation_id

    @property
    def position(self) -> int:
        """The position of this client's newest write in the log; 0 before the first."""
        return self.transport.session.position

    def send(
        self,
        request: Request[T],
        *,
        key: str | None = None,
        if_match: int | None = None,
        patience: float | None = None,
    ) -> T:
        """The answer to any request of `stemma_client.operations`.

        `key` is the Idempotency-Key of a command. With `patience` it tries no longer than so many
        seconds. Raises `ApiError`, `Unreachable`, `NotStemma`.
        """
        return self.transport.send(request, key=key, if_match=if_match, patience=patience)

    def pages(self, request: Request[T]) -> Iterator[T]:
        """Every page of a list."""
        return self.transport.pages(request)

    @property
    def projects(self) -> Projects:
        """The projects."""
        return Projects(self)

    def project(self, project_id: str) -> Project:
        """The project with this id."""
        return Project(self, self.send(operations.get_project(project_id)).project)

    def view(self, view_id: str) -> View:
        """The view with this id."""
        return View(self, self.send(operations.get_view(view_id)).view)

    def model(self, model_id: str) -> Model:
        """The model with this id."""
        return Model(self, self.send(operations.get_model(model_id)).model)

    def version(self, version_id: str) -> Version:
        """The version with this id."""
        return Version(self, self.send(operations.get_version(version_id)).version)

    def experiment(self, experiment_id: str) -> Experiment:
        """The experiment with this id."""
        return Experiment(self, self.send(operations.get_experiment(experiment_id)).experiment)

    def import_(self, import_id: str) -> Import:
        """The import with this id."""
        return Import(self, import_id)

    def wait(
        self,
        runs: Sequence[Version],
        *,
        timeout: float | None = None,
        bar: bool | None = None,
    ) -> Iterator[Version]:
        """Each version once it has ended, the first to end first.

        Raises `TrainingFailed` in the place of one that has no weights, and `WaitTimeout`. An
        interrupt leaves the trainings running.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        pending = list(runs)
        while pending:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            ended = wait_for(pending, timeout=left, bar=bar)
            pending.remove(ended)
            ended.require_weights()
            yield ended

    def metrics(self, runs: Sequence[Version], *names: str) -> Metrics:
        """All values of the metrics of versions: of all metrics, or of those named."""
        names_of = {run.id: run.name for run in runs}
        return metrics_in(
            (self.transport.send(each) for each in requests_for(list(names_of), names)), names_of
        )

    def at(self, moment: str | int | datetime) -> Stemma:
        """This client in the past, read only: at a time, or at a position of the log."""
        if isinstance(moment, datetime):
            if moment.tzinfo is None:
                raise StemmaError(f"{moment} has no time zone: add one, as in datetime.now(UTC)")
            moment = moment.isoformat()
        return Stemma._of(self.transport.at(str(moment)))

    def history(self) -> Rows[answers.Line]:
        """All events that this client has caused, whichever service recorded them. Needs the right
        to audit."""
        try:
            caused = self.send(operations.get_correlation(self.correlation_id, limit=1000))
        except NotFound:
            return Rows([])
        if caused.shown < caused.events:
            warnings.warn(
                f"these are the first {caused.shown:,} of {caused.events:,} events; `audit.trail`"
                " lists all",
                stacklevel=2,
            )
        return Rows(node.line for node in caused.nodes if node.line is not None)

    def events(
        self, *, after: int = 0, names: Sequence[str] = (), subjects: Sequence[str] = ()
    ) -> Iterator[Received]:
        """All events after a position, each once and in order, also those to come.

        `names` are names of events, or all of a kind, such as `version.*`. It continues after lost
        connections while the patience of the client lasts. Raises `Gap`.
        """
        return follow(self.transport, after, names, subjects)

    @property
    def members(self) -> Members:
        """The accounts and their roles."""
        return Members(self)

    @property
    def keys(self) -> Keys:
        """The keys of the API."""
        return Keys(self)

    @property
    def trainers(self) -> Trainers:
        """The registered trainers."""
        return Trainers(self)

    @property
    def webhooks(self) -> Webhooks:
        """The webhooks."""
        return Webhooks(self)

    @property
    def audit(self) -> Audit:
        """The trail and the checkpoints of the log."""
        return Audit(self)

    def whoami(self) -> answers.WhoAmI:
        """The account of the key, and its roles."""
        return self.send(operations.whoami())

    def about(self) -> answers.About:
        """The versions of the server and of its API."""
        return self.send(operations.get_about())

    def status(self) -> answers.Status:
        """The positions of the log and of what is shown of it."""
        return self.send(operations.get_status())

    def workers(self) -> answers.WorkersView:
        """The workers, and the versions that wait for one."""
        return self.send(operations.list_workers())

    def close(self) -> None:
        """Close all connections."""
        self.transport.close()

    def __reduce__(self) -> tuple[Any, ...]:
        """Without the key and the position: another process takes its key from its own variables or
        data folder."""
        session = self.transport.session
        known = (session.timeout, session.patience, session.correlation_id, session.as_of)
        return _of_pickle, (self.url, *known)

    def __copy__(self) -> Stemma:
        """Itself: connections are shared."""
        return self

    def __deepcopy__(self, _memo: object) -> Stemma:
        """Itself, also of a version that is copied."""
        return self

    def __enter__(self) -> Stemma:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        moment = self.transport.session.as_of
        return f"Stemma({self.url!r}{f', at {moment}' if moment else ''})"


def _of_pickle(
    url: str, timeout: float, patience: float, correlation_id: str, as_of: str | None
) -> Stemma:
    session = Session(
        server_at(url),
        correlation_id=correlation_id,
        timeout=timeout,
        patience=patience,
        as_of=as_of,
    )
    return Stemma._of(Transport(session))
