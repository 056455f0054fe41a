"""What a refusal of an unknown trainer lists: the trainers that are registered."""

from collections.abc import Iterator
from contextlib import contextmanager

from api.backend import Backend
from domain.errors import NotFound
from projections.training.trainers import TRAINERS, list_trainers

MOST_LISTED = 20
FIELD = "trainer"


@contextmanager
def listing_trainers(backend: Backend) -> Iterator[None]:
    """Add the names of registered trainers to a `NotFound` of the field `trainer`."""
    try:
        yield
    except NotFound as missing:
        if missing.field != FIELD:
            raise
        with backend.reading(None, TRAINERS) as (connection, _):
            names = [trainer.name for trainer in list_trainers(connection)]
        raise NotFound(f"{missing.detail}; {_listed(names)}", field=FIELD) from missing


def _listed(names: list[str]) -> str:
    if not names:
        return "none is registered: `stemma trainers register` registers one"
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return f"registered: {', '.join(names[:MOST_LISTED])}{more}"
