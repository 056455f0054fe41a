"""The route of refusals: requests that were denied, and why."""

import msgspec
from litestar import Controller, get
from litestar.params import FromQuery

from adapters.access.refusals import RefusalRow, list_refusals
from api.access.rights import needs
from api.http.parameters import Cursor, Limit, Served, position_in
from application.log.store import END
from domain.access.roles import Right


class RefusalsView(msgspec.Struct, frozen=True):
    """A page of refusals, newest first; `account` is empty where nobody was signed in."""

    items: list[RefusalRow]
    next: str | None


class RefusalController(Controller):
    """Refusals."""

    tags = ("Audit",)

    @get("/refusals", summary="List refusals", sync_to_thread=True, opt=needs(Right.AUDIT))
    def list_refusals(
        self,
        backend: Served,
        account: FromQuery[str | None] = None,
        cursor: Cursor = None,
        limit: Limit = 100,
    ) -> RefusalsView:
        """Requests refused for a missing key or right, counted by the minute and kept for 30
        days."""
        before = position_in(cursor)
        with backend.engine.connect() as connection:
            items = list_refusals(
                connection, before=END if before is None else before, limit=limit, account=account
            )
        return RefusalsView(items, str(items[-1].refusal_id) if len(items) == limit else None)
