"""Refusals that the API has never heard of are answered as their bases are."""

from types import SimpleNamespace

import pytest
from litestar import Litestar, get
from litestar.datastructures import State
from litestar.testing import TestClient
from sqlalchemy import Engine

from adapters.access.refusals import Refusals
from api.http.problems import HANDLERS, MEDIA_TYPE
from domain.errors import Barred, Conflict, Refusal, TooMany, Unauthenticated


class Unlucky(Refusal):
    """Derives from nothing but the base of all refusals."""


class Overbooked(Conflict):
    """Derives from one that the API knows."""


class VeryOverbooked(Overbooked):
    """Derives from one that the API does not know."""


class TooManyGuests(TooMany):
    """Says when to come again."""


class NotOnTheList(Barred):
    """Is counted as all that is barred."""


class NameUnknown(Unauthenticated):
    """Says how to authenticate."""


@pytest.mark.parametrize(
    ("error", "status", "headers"),
    [
        (Unlucky("no", field="name"), 400, {}),
        (Overbooked("no", field="name"), 409, {}),
        (VeryOverbooked("no", field="name"), 409, {}),
        (TooManyGuests("no", retry_after=7), 429, {"Retry-After": "7"}),
        (NotOnTheList("no", field="name"), 403, {}),
        (NameUnknown("no"), 401, {"WWW-Authenticate": 'Bearer realm="Stemma"'}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_a_refusal_needs_no_code(
    engine: Engine, error: Refusal, status: int, headers: dict[str, str]
) -> None:
    @get("/", sync_to_thread=False)
    def refuse() -> None:
        raise error

    refusals = Refusals(engine)
    state = State({"backend": SimpleNamespace(refusals=refusals)})
    app = Litestar([refuse], exception_handlers=HANDLERS, state=state)
    app.on_shutdown.append(refusals.close)
    with TestClient(app) as client:
        answer = client.get("/")
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, MEDIA_TYPE)
    named = [{"field": "name", "detail": "no"}] if error.field else None
    assert (answer.json()["detail"], answer.json().get("errors")) == ("no", named)
    assert {name: answer.headers[name] for name in headers} == headers
