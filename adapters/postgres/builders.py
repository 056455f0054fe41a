"""Read models built beside the live ones, in a process for each group of them."""

import os
import signal
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from contextlib import closing
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from threading import Thread
from typing import TypeVar

from sqlalchemy import Engine

from adapters.postgres.postgres import passing_engine
from application.log.store import Store
from projections.engine.bulk import EVERYTHING, reads_images
from projections.engine.read_model import ReadModel
from projections.engine.rebuild import Replayed, rebuild_within, replay_within
from projections.engine.scratch import create_beside, positions_in, scratch
from projections.registry import READ_MODELS

POLL_SECONDS = 0.2

Result = TypeVar("Result")
ReportProgress = Callable[[Sequence[tuple[str, int]], int], object]
"""Called repeatedly with each read model's position and the position to reach. An exception that it
raises cancels the work."""


def replay_all(
    url: str, read_models: Sequence[ReadModel], to: int | None, report: ReportProgress
) -> list[Replayed]:
    """Replay read models and compare them with the live ones, as `replay_within` does."""
    end = _head(url) if to is None else to
    return _each(url, read_models, partial(_replay, to=to), partial(_report, report, end))


def rebuild_all(url: str, read_models: Sequence[ReadModel], report: ReportProgress) -> list[int]:
    """Build read models and make them the live ones; return their positions."""
    return _each(url, read_models, _rebuild, partial(_report, report, _head(url)))


def _replay(url: str, schema: str, names: Sequence[str], *, to: int | None) -> list[Replayed]:
    with closing(Store(url, pool_size=2)) as store:
        return replay_within(passing_engine(url), store, _named(names), schema, to=to)


def _rebuild(url: str, schema: str, names: Sequence[str]) -> list[int]:
    with closing(Store(url, pool_size=2)) as store:
        return rebuild_within(passing_engine(url), store, _named(names), schema)


def _head(url: str) -> int:
    with closing(Store(url, pool_size=1)) as store:
        return store.head()


def _report(report: ReportProgress, end: int, engine: Engine, schema: str) -> None:
    report(positions_in(engine, schema), end)


def _named(names: Sequence[str]) -> list[ReadModel]:
    return [read_model for name in names for read_model in READ_MODELS if read_model.name == name]


def _groups(read_models: Sequence[ReadModel]) -> list[list[ReadModel]]:
    """Read models to be built together, in a process: they read much the same events.

    On two cores those of all events share the process of those of images, as a further process
    would read the log again.
    """
    groups: dict[tuple[bool, bool], list[ReadModel]] = defaultdict(list)
    for read_model in read_models:
        apart = read_model.names == EVERYTHING and (os.cpu_count() or 1) > 2
        groups[apart, reads_images(read_model)].append(read_model)
    return list(groups.values())


def _each(
    url: str,
    read_models: Sequence[ReadModel],
    work: Callable[[str, str, Sequence[str]], list[Result]],
    poll: Callable[[Engine, str], None],
) -> list[Result]:
    engine = passing_engine(url)
    context = get_context("spawn")
    child_end, parent_end = context.Pipe(duplex=False)
    groups = [[read_model.name for read_model in group] for group in _groups(read_models)]
    with scratch(engine) as schema:
        create_beside(engine, schema, read_models)
        with ProcessPoolExecutor(
            len(groups), mp_context=context, initializer=_exit_with_parent, initargs=(child_end,)
        ) as pool:
            try:
                futures = [pool.submit(work, url, schema, names) for names in groups]
                while wait(futures, POLL_SECONDS, FIRST_EXCEPTION).not_done:
                    poll(engine, schema)
                    for future in futures:
                        future.done() and future.result()
                poll(engine, schema)
                results = {
                    name: result
                    for names, future in zip(groups, futures, strict=True)
                    for name, result in zip(names, future.result(), strict=True)
                }
                return [results[read_model.name] for read_model in read_models]
            except BaseException:
                parent_end.close()
                raise


def _exit_with_parent(lifeline: Connection) -> None:
    """End this process of the pool as soon as its parent cancels the work or dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def await_end() -> None:
        lifeline.poll(None)
        os._exit(1)

    Thread(target=await_end, daemon=True).start()
