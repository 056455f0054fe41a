"""Answers in Arrow's stream format, where pyarrow is installed (the extra `arrow`)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow

CONTINUATION = b"\xff\xff\xff\xff"
"""The first bytes of a stream, by which an older server's JSON is told from it."""


@cache
def is_installed() -> bool:
    """Whether pyarrow is installed."""
    return find_spec("pyarrow") is not None


def read(content: bytes) -> pyarrow.Table | None:
    """The table of an answer; None if the server, which is older, sent JSON."""
    if not content.startswith(CONTINUATION):
        return None
    import pyarrow

    return pyarrow.ipc.open_stream(content).read_all()


def next_of(table: pyarrow.Table) -> str | None:
    """The cursor of the next page."""
    found: bytes | None = (table.schema.metadata or {}).get(b"next")
    return None if found is None else found.decode()


def joined(tables: Sequence[pyarrow.Table]) -> pyarrow.Table:
    """Several tables, one behind the other, without what is said of each."""
    import pyarrow

    bare = [table.replace_schema_metadata(None) for table in tables]
    return pyarrow.concat_tables(bare).unify_dictionaries().combine_chunks()


def decoded(table: pyarrow.Table) -> pyarrow.Table:
    """The same with texts in the place of dictionaries: grouped, these would have empty groups."""
    import pyarrow

    schema = pyarrow.schema(
        [
            field.with_type(field.type.value_type)
            if pyarrow.types.is_dictionary(field.type)
            else field
            for field in table.schema
        ]
    )
    return table.cast(schema)


def maps_in(table: pyarrow.Table) -> list[str]:
    """The names of columns of dictionaries whose keys differ."""
    import pyarrow

    return [field.name for field in table.schema if pyarrow.types.is_map(field.type)]


def with_names(table: pyarrow.Table, names: dict[str, str]) -> pyarrow.Table:
    """The same with a column `name` behind `version_id`."""
    import pyarrow

    if not len(table):
        return table.add_column(1, "name", pyarrow.array([], pyarrow.string()))
    ids: Any = table.column("version_id").combine_chunks()
    of_id = [names.get(one, "") for one in ids.dictionary.to_pylist()]
    named = pyarrow.DictionaryArray.from_arrays(ids.indices, pyarrow.array(of_id))
    return table.add_column(1, "name", named)
