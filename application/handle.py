"""How a command is carried out: load, decide, save; and decide again if someone was first."""

import logging
import random
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Generic

import msgspec
import uuid_utils

from application.log.recorder import CommandRow, NoAdditions
from application.log.store import AppendRefused, Store
from application.log.turns import Turn
from domain.aggregates import Aggregate, State
from domain.errors import Contention, KeyReused, Refusal, Stale
from domain.event import Event, Metadata, Recorded

TRIES, TRYING_SECONDS = 4, 10.0
"""The least number of tries of a command whose streams others keep changing, and the seconds in
which it is tried again."""
FIRST_PAUSE, LONGEST_PAUSE = 0.01, 0.3

log = logging.getLogger(__name__)


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, and under which ids.

    `expected_revision` is that of the stream the command is about: if it has moved on, the
    command is refused instead of decided again. `fingerprint` tells the request from another one
    that is sent under the same command id by mistake. `fresh` says that the command id was made for
    this request, so that no other one can have it.
    """

    actor: str
    command_id: str
    correlation_id: str
    causation_id: str | None = None
    expected_revision: int | None = None
    fingerprint: str = ""
    fresh: bool = False


class Outcome(msgspec.Struct, frozen=True):
    """What a command did: the entity it was about, that one's revision, the log's position.

    `counts` says how often it did what, where a command says so.
    """

    id: str
    revision: int
    position: int
    ids: tuple[str, ...] = ()
    counts: dict[str, int] = {}


class Session:
    """One try at a command: the streams it has read, and the events it has decided on.

    All are read as they were at `position`, so that a decision never rests on half of a change.
    """

    def __init__(self, store: Store, request: Request, turn: Turn | None = None) -> None:
        self.store = store
        self.request = request
        self._turn = turn
        self._position: int | None = None
        self._states: dict[str, Any] = {}
        self._revisions: dict[str, int] = {}
        self._read_revisions: dict[str, int] = {}
        self._events: list[Recorded] = []
        self._ids_given = 0
        self._no_additions: NoAdditions | None = None

    @property
    def position(self) -> int:
        """The position of the log that all is read at: its end when the first thing was read."""
        if self._position is None:
            self._position = self.store.head()
        return self._position

    def new_id(self) -> str:
        """A fresh id that is the same in every try at this command."""
        self._ids_given += 1
        return made_id(self.request.command_id, self._ids_given)

    def get(self, aggregate: Aggregate[State], entity_id: str) -> State | None:
        """An aggregate's state, with this command's own events, or None if it has no events."""
        return self.get_many(aggregate, [entity_id])[entity_id]

    def get_many(
        self, aggregate: Aggregate[State], entity_ids: Iterable[str]
    ) -> dict[str, State | None]:
        """Several of a kind in one query, by id."""
        names = {entity_id: aggregate.stream(entity_id) for entity_id in entity_ids}
        missing = [name for name in names.values() if name not in self._states]
        if missing:
            for name, events in self._read(missing).items():
                state = aggregate.fold(recorded.event for recorded in events)
                self.remember(name, state, events[-1].originator_version if events else 0)
        return {entity_id: self._states[name] for entity_id, name in names.items()}

    def _read(self, names: Sequence[str]) -> dict[str, list[Recorded]]:
        if self._position is not None:
            return self.store.streams(names, upto=self._position)
        if self._turn is not None:
            self._turn.take(names)
        self._position, events = self.store.streams_and_head(names)
        return events

    @property
    def read_streams(self) -> list[str]:
        """The streams with events that were read."""
        return [name for name, revision in self._read_revisions.items() if revision]

    def begin(self, aggregate: Aggregate[State]) -> str:
        """A fresh id, of an aggregate that has no events yet."""
        entity_id = self.new_id()
        self.remember(aggregate.stream(entity_id), None, 0)
        return entity_id

    def remember(self, stream: str, state: Any, revision: int) -> None:
        """Take a state that was read in another way as read at this revision."""
        self._states[stream] = state
        self._revisions[stream] = self._read_revisions[stream] = revision

    def record(self, aggregate: Aggregate[State], entity_id: str, events: Sequence[Event]) -> None:
        """Decide that these happened to an aggregate, which is read if it was not yet."""
        self.get(aggregate, entity_id)
        stream = aggregate.stream(entity_id)
        for event in events:
            self._revisions[stream] += 1
            self._states[stream] = aggregate.evolve(self._states[stream], event)
            self._events.append(Recorded(stream, self._revisions[stream], event, self._metadata()))

    def decide(
        self, aggregate: Aggregate[State], entity_id: str, command: object
    ) -> "Decided[State]":
        """Let an aggregate decide on a command, and record what it decides."""
        state = self.get(aggregate, entity_id)
        self.record(aggregate, entity_id, aggregate.decide(command, state))
        return Decided(aggregate, entity_id)

    def change(
        self, aggregate: Aggregate[State], entity_id: str, command: object
    ) -> "Decided[State]":
        """The same, at the revision that the caller expects."""
        self.get(aggregate, entity_id)
        self.check_revision(aggregate, entity_id)
        return self.decide(aggregate, entity_id, command)

    def check_revision(self, aggregate: Aggregate[State], entity_id: str) -> None:
        """Refuse with `Stale` if the caller decided on another revision than the one read."""
        expected = self.request.expected_revision
        actual = self._read_revisions[aggregate.stream(entity_id)]
        if expected is not None and expected != actual:
            raise Stale(
                f"you changed revision {expected}, but the current revision is {actual}: load it"
                " again"
            )

    def rest_on_images(self, project_id: str, since: int | None = None) -> None:
        """Refuse to save if others added images to a project since a position, by default the one
        that this session reads at."""
        at = self.position if since is None else since
        if self._no_additions is not None:
            at = min(at, self._no_additions.since)
        self._no_additions = NoAdditions(project_id, at)

    def save(self, decided: "Decided[Any]") -> Outcome:
        """Append what was decided. Raises `AppendRefused` if what was read has changed."""
        stream = decided.aggregate.stream(decided.entity_id)
        revision = self._revisions.get(stream, 0)
        result = Outcome(decided.entity_id, revision, 0, decided.ids, decided.counts)
        written = {recorded.originator_id for recorded in self._events}
        position = self.store.append(
            self._events,
            command=CommandRow(
                self.request.command_id, self.request.fingerprint, msgspec.json.encode(result)
            ),
            unchanged={
                name: revision
                for name, revision in self._read_revisions.items()
                if name not in written
            },
            no_additions=self._no_additions,
        )
        return msgspec.structs.replace(result, position=position or self.store.head())

    def _metadata(self) -> Metadata:
        return new_metadata(
            self.request.actor,
            self.request.command_id,
            self.request.correlation_id,
            self.request.causation_id,
        )


def command_id_of(account_id: str, key: str) -> str:
    """The command id of an account's own key.

    Keys of two accounts never meet, nor a key and an id that a service makes, such as `freeze:…`.
    """
    return f"key:{account_id}:{key}"


def made_id(command_id: str, number: int = 1) -> str:
    """The id of what a command makes, of the first thing or a later one."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{command_id}/{number}"))


def new_metadata(
    actor: str, command_id: str, correlation_id: str, causation_id: str | None
) -> Metadata:
    """An envelope for an event that happens now."""
    return Metadata(
        str(uuid_utils.uuid7()),
        datetime.now(UTC),
        actor,
        command_id,
        correlation_id,
        causation_id,
    )


class Decided(msgspec.Struct, Generic[State], frozen=True):
    """What a command function says it was about; `ids` are further entities it made or met."""

    aggregate: Aggregate[State]
    entity_id: str
    ids: tuple[str, ...] = ()
    counts: dict[str, int] = {}


def handle(store: Store, request: Request, decide: Callable[[Session], Decided[Any]]) -> Outcome:
    """Carry a command out once, whatever becomes of the connection or of other writers.

    A command id that has been carried out returns its first outcome. A conflict with another
    writer is decided again on the new state, for some seconds. Raises a `domain.errors.Refusal`.
    """
    until = time.monotonic() + TRYING_SECONDS
    attempt = 0
    contended: Sequence[str] = ()
    while attempt < TRIES or time.monotonic() < until:
        attempt += 1
        # An id that was just made can only be on record if an earlier try put it there.
        unused = attempt == 1 and request.fresh
        earlier = None if unused else store.find_command(request.command_id)
        if earlier is not None:
            return _repeat(store, earlier, request)
        with store.turns.taking() as turn:
            turn.take(contended, begin=True)
            session = Session(store, request, turn)
            try:
                return session.save(decide(session))
            except AppendRefused as refused:
                log.info("command %s, try %d: %s", request.command_id, attempt, refused)
            except Refusal:
                # It may be this very command, sent twice at once, that made it impossible.
                earlier = None if unused else store.find_command(request.command_id)
                if earlier is None:
                    raise
                return _repeat(store, earlier, request)
        if contended or not session.read_streams:
            # Two who keep meeting would otherwise go on meeting.
            time.sleep(random.uniform(0, min(FIRST_PAUSE * 2**attempt, LONGEST_PAUSE)))
        contended = session.read_streams
    earlier = store.find_command(request.command_id)
    if earlier is not None:
        return _repeat(store, earlier, request)
    raise Contention("others kept changing the same things; try again")


def _repeat(store: Store, earlier: CommandRow, request: Request) -> Outcome:
    if earlier.fingerprint != request.fingerprint:
        raise KeyReused(
            f"command id {request.command_id!r} was used for another request; use a fresh one",
            field="Idempotency-Key",
        )
    first = msgspec.json.decode(earlier.result, type=Outcome)
    return msgspec.structs.replace(first, position=store.head())
