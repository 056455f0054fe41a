"""Columns of Python's values as a DataFrame of Polars, whose types follow from all of the values.

Polars itself infers them from the first ones: it leaves out the keys of dictionaries that come
later, and refuses what does not fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars


def frame_of(columns: Mapping[str, Sequence[Any]]) -> polars.DataFrame:
    """The columns; dictionaries become structs with the keys of all of them."""
    import polars

    return polars.DataFrame(
        [polars.Series(name, list(values), _type_of(values)) for name, values in columns.items()]
    )


def _type_of(values: Iterable[Any]) -> Any:
    """The type that holds all values; None, which leaves it to Polars, for other values than those
    of JSON. Values without a common type, such as defaults of options, stay Python's."""
    import polars

    there = [value for value in values if value is not None]
    kinds = set(map(type, there))
    if not kinds:
        return polars.Null
    if kinds <= {dict}:
        keys = dict.fromkeys(key for value in there for key in value)
        return polars.Struct({key: _type_of(value.get(key) for value in there) for key in keys})
    if kinds <= {list, tuple}:
        return polars.List(_type_of(one for value in there for one in value))
    if kinds == {int, float}:
        return polars.Float64
    if len(kinds) > 1:
        return polars.Object
    simple = {str: polars.String, bool: polars.Boolean, int: polars.Int64, float: polars.Float64}
    return simple.get(kinds.pop())
