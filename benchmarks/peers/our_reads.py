"""`python -m benchmarks.peers.our_reads URL KEY VERSION PROJECT IMAGES CALLS`: the milliseconds in
which the Python package makes DataFrames of a server's metrics, images and versions, as JSON.

VERSION has the metrics; PROJECT has the versions, and IMAGES is the project of the images.
"""

import json
import sys
import time
from collections.abc import Callable

from stemma_client import Stemma

ENOUGH = 3000.0
"""Milliseconds of calls after which no further one is made."""


def main(url: str, key: str, version_id: str, project_id: str, images_id: str, calls: int) -> None:
    """Each call is made once before it counts: connections, imports, caches."""
    with Stemma(url, key) as s:
        run, project, others = s.version(version_id), s.project(project_id), s.project(images_id)
        ways: dict[str, Callable[[], object]] = {
            "metrics": lambda: s.metrics([run], "batch_loss").to_pandas(),
            "images": lambda: others.image_table().to_pandas(),
            "versions": lambda: project.versions().to_pandas(),
        }
        print(json.dumps({name: milliseconds(way, calls) for name, way in ways.items()}))


def milliseconds(way: Callable[[], object], calls: int) -> dict[str, object]:
    """The milliseconds of each call, and the rows of the DataFrame; fewer calls of what is slow."""
    times: list[float] = []
    frame = way()
    while len(times) < calls and sum(times) < ENOUGH:
        began = time.perf_counter()
        frame = way()
        times.append((time.perf_counter() - began) * 1000)
    return {"rows": len(frame), "times": times}  # type: ignore[arg-type]


if __name__ == "__main__":
    _, address, api_key, version, project, images, calls = sys.argv
    main(address, api_key, version, project, images, int(calls))
