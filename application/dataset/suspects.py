"""Commands about suspects."""

from collections.abc import Sequence

from application.handle import Decided, Session
from domain.aggregates import IMAGE, VIEW
from domain.dataset.image import Image
from domain.dataset.suspects import (
    CorrectSuspect,
    DecideSuspect,
    TakeSuggestion,
    correct_suspect,
    decide_suspect,
    take_suggestion,
)
from domain.errors import Invalid
from domain.event import Event
from domain.library.view import View
from domain.library.view import require as require_view

SuspectCommand = DecideSuspect | TakeSuggestion | CorrectSuspect


def decide_suspects(
    session: Session, view_id: str, commands: Sequence[tuple[str, SuspectCommand]]
) -> Decided[Image]:
    """Decide about labels of several images at once: all of them, or none if one is refused."""
    if not commands:
        raise Invalid("give at least one suspect", field="items")
    view = require_view(session.get(VIEW, view_id))
    session.get_many(IMAGE, [image_id for image_id, _ in commands])
    first = commands[0][0]
    session.check_revision(IMAGE, first)
    for index, (image_id, command) in enumerate(commands):
        try:
            events = _decide(command, session.get(IMAGE, image_id), view)
        except Exception as error:
            error.add_note(f"items[{index}]")
            raise
        session.record(IMAGE, image_id, events)
    return Decided(IMAGE, first)


def _decide(command: SuspectCommand, image: Image | None, view: View) -> list[Event]:
    match command:
        case DecideSuspect():
            return decide_suspect(command, image, view)
        case TakeSuggestion():
            return take_suggestion(command, image, view)
        case CorrectSuspect():
            return correct_suspect(command, image, view)
