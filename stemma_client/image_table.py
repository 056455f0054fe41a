"""Images of a project as columns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from stemma_client import arrow
from stemma_client._generated import answers
from stemma_client.errors import Invalid
from stemma_client.requests import Request, as_arrow, following
from stemma_client.tables import Table

if TYPE_CHECKING:
    from stemma_client.transport import Transport

LARGE_PAGE = 10_000
"""Images in one answer of a server."""

FIRST = ("image_id", "file_name", "split", "width", "height")
"""The columns that stand first; the others are in the order of their names."""


def image_table(transport: Transport, request: Request[answers.ImageRowListing]) -> Table:
    """All pages of a list of images as one table."""
    if not arrow.is_installed():
        return _of_rows(row for page in transport.pages(request) for row in page.items)
    tables, cursor = [], None
    page = as_arrow(request, limit=LARGE_PAGE)
    while True:
        try:
            content = transport.send(page, cursor=cursor)
        except Invalid as error:
            if error.fields != {"limit"} or page.query == request.query:
                raise
            page = as_arrow(request)  # of an older server, whose tables are smaller
            continue
        table = arrow.read(content)
        if table is None:  # an older server
            return _of_rows(row for page in transport.pages(request) for row in page.items)
        tables.append(table)
        cursor = following(arrow.next_of(table), cursor)
        if cursor is None:
            whole = arrow.joined(tables)
            return Table(whole.select(_ordered(whole.column_names)))


def _of_rows(rows: Iterable[answers.ImageRow]) -> Table:
    found = list(rows)
    names = _ordered(answers.ImageRow.__struct_fields__)
    return Table({name: [_plain(getattr(row, name)) for row in found] for name in names})


def _ordered(names: Iterable[str]) -> list[str]:
    return [*FIRST, *sorted(set(names) - {*FIRST})]


def _plain(value: Any) -> Any:
    """Structs as dictionaries of all their fields."""
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, msgspec.Struct):
        return {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
    return None if value is msgspec.UNSET else value
