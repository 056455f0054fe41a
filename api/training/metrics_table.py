"""Metrics of versions as an Arrow table, in the long form."""

from collections.abc import Sequence
from typing import Any

from projections.training.metric_history import Series


def metrics_table(found: Sequence[tuple[str, Series]]) -> Any:
    """A row for each value of a version's metric."""
    import pyarrow as pa

    lengths = [len(each.values) for _, each in found]
    columns = {
        "version_id": _repeated([version_id for version_id, _ in found], lengths),
        "metric": _repeated([each.metric for _, each in found], lengths),
        "iteration": pa.array([one for _, each in found for one in each.iterations], pa.int64()),
        "value": pa.array([one for _, each in found for one in each.values], pa.float64()),
    }
    return pa.table(columns)


def _repeated(texts: Sequence[str], lengths: Sequence[int]) -> Any:
    """Each text as often as its length says, as places in a dictionary of the different ones."""
    import numpy as np
    import pyarrow as pa

    places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    repeated = np.repeat(np.array([places[text] for text in texts], np.int32), lengths)
    return pa.DictionaryArray.from_arrays(pa.array(repeated), pa.array(list(places), pa.string()))
