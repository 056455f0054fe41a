"""Decisions told as stories: given these events, when this is asked, then that happens."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from domain.errors import Refusal
from domain.event import Event

State = TypeVar("State")
Evolve = Callable[[State | None, Event], State | None]


class Asked(Generic[State]):
    """A command put to a state; nothing is decided before `then`."""

    def __init__(self, decide: Callable[[], list[Event]]) -> None:
        self._decide = decide

    def then(
        self, *expected: Event | type[Refusal], field: str | None = None, says: str = ""
    ) -> None:
        """The events expected, in order (none at all: nothing happens), or one kind of refusal."""
        outcome = self._outcome()
        if isinstance(outcome, Refusal):
            assert (type(outcome),) == expected, outcome.detail
            assert outcome.field == field
            assert says in outcome.detail
        else:
            assert outcome == list(expected)

    def _outcome(self) -> list[Event] | Refusal:
        try:
            return self._decide()
        except Refusal as refusal:
            return refusal


class Given(Generic[State]):
    """The state that a history leads to."""

    def __init__(
        self,
        evolve: Evolve[State],
        decide: Callable[[Any, State | None], list[Event]],
        events: tuple[Event, ...],
    ) -> None:
        self.state: State | None = None
        for event in events:
            self.state = evolve(self.state, event)
        self._decide = decide

    def when(self, command: object) -> Asked[State]:
        return Asked(lambda: self._decide(command, self.state))


class Story(Generic[State]):
    """An aggregate's two functions, to begin stories about it with `given`."""

    def __init__(
        self, evolve: Evolve[State], decide: Callable[[Any, State | None], list[Event]]
    ) -> None:
        self._evolve = evolve
        self._decide = decide

    def given(self, *events: Event) -> Given[State]:
        return Given(self._evolve, self._decide, events)
