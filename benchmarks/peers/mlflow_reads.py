"""`python -P mlflow_reads.py URL EXPERIMENT RUN IMAGES CALLS`, with MLflow's Python.

The milliseconds in which its client makes DataFrames of metrics, of a table of images and of runs,
as JSON.

It logs the table first, with so many IMAGES. It imports nothing of Stemma's.
"""

import json
import sys
import time
import uuid
from collections.abc import Callable
from typing import Any

ENOUGH = 3000.0
"""Milliseconds of calls after which no further one is made."""


def main(url: str, experiment_id: str, run_id: str, images: int, calls: int) -> None:
    """Each call is made once before it counts: connections, imports, caches."""
    import mlflow
    import pandas

    mlflow.set_tracking_uri(url)
    client = mlflow.MlflowClient()
    name = f"images-{uuid.uuid4()}.json"  # MLflow would append rows to an existing table
    client.log_table(run_id, pandas.DataFrame(table(images)), name)

    def metrics() -> Any:
        history = client.get_metric_history(run_id, "loss")
        rows = [(one.key, one.step, one.value, one.timestamp) for one in history]
        return pandas.DataFrame(rows, columns=["metric", "iteration", "value", "timestamp"])

    def runs() -> Any:
        return mlflow.search_runs([experiment_id], max_results=50_000)

    ways: dict[str, Callable[[], Any]] = {
        "metrics": metrics,
        "images": lambda: client.load_table(experiment_id, name, [run_id]),
        "versions": runs,
    }
    print(json.dumps({name: milliseconds(way, calls) for name, way in ways.items()}))


def table(images: int) -> dict[str, list[Any]]:
    """Columns as Stemma has them of an image."""
    numbers = range(images)
    return {
        "image_id": [f"{number:032x}" for number in numbers],
        "file_name": [f"image-{number}.png" for number in numbers],
        "split": ["train"] * images,
        "width": [640] * images,
        "height": [480] * images,
        "blob": [f"{number:064x}" for number in numbers],
        "metadata": [{"camera": "north"}] * images,
        "revision": [1] * images,
        "changed_by": ["user:ada"] * images,
    }


def milliseconds(way: Callable[[], Any], calls: int) -> dict[str, object]:
    """The milliseconds of each call, and the rows of the DataFrame; fewer calls of what is slow."""
    times: list[float] = []
    frame = way()
    while len(times) < calls and sum(times) < ENOUGH:
        began = time.perf_counter()
        frame = way()
        times.append((time.perf_counter() - began) * 1000)
    return {"rows": len(frame), "times": times}


if __name__ == "__main__":
    _, address, experiment, run, count, repetitions = sys.argv
    main(address, experiment, run, int(count), int(repetitions))
