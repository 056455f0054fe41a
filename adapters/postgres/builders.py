"""Read models built beside the live ones: a process each, as many at once as there are cores."""

import os
import signal
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
from projections.engine.read_model import ReadModel
from projections.engine.rebuild import Replayed, rebuild_within, replay_within
from projections.engine.scratch import create_beside, positions_in, scratch
from projections.registry import READ_MODELS

LOOK_SECONDS = 0.2

Result = TypeVar("Result")
Watch = Callable[[Sequence[tuple[str, int]], int], object]
"""Told again and again how far each read model is, on its way to which position. What it raises
cancels the work."""


def replay_all(
    url: str, read_models: Sequence[ReadModel], to: int | None, watch: Watch
) -> list[Replayed]:
    """Replay read models and compare them with the live ones, as `replay_within` does."""
    end = _head(url) if to is None else to
    return _each(url, read_models, partial(_replay, to=to), partial(_tell, watch, end))


def rebuild_all(url: str, read_models: Sequence[ReadModel], watch: Watch) -> list[int]:
    """Build read models and make them the live ones; the position of each."""
    return _each(url, read_models, _rebuild, partial(_tell, watch, _head(url)))


def _replay(url: str, schema: str, name: str, *, to: int | None) -> Replayed:
    with closing(Store(url, pool_size=2)) as store:
        return replay_within(passing_engine(url), store, _named(name), schema, to=to)


def _rebuild(url: str, schema: str, name: str) -> int:
    with closing(Store(url, pool_size=2)) as store:
        return rebuild_within(passing_engine(url), store, _named(name), schema)


def _head(url: str) -> int:
    with closing(Store(url, pool_size=1)) as store:
        return store.head()


def _tell(watch: Watch, end: int, engine: Engine, schema: str) -> None:
    watch(positions_in(engine, schema), end)


def _named(name: str) -> ReadModel:
    return next(one for one in READ_MODELS if one.name == name)


def _each(
    url: str,
    read_models: Sequence[ReadModel],
    work: Callable[[str, str, str], Result],
    look: Callable[[Engine, str], None],
) -> list[Result]:
    engine = passing_engine(url)
    context = get_context("spawn")
    theirs, ours = context.Pipe(duplex=False)
    size = min(len(read_models), os.cpu_count() or 1)
    with scratch(engine) as schema:
        create_beside(engine, schema, read_models)
        with ProcessPoolExecutor(
            size, mp_context=context, initializer=_end_when_let_go, initargs=(theirs,)
        ) as pool:
            try:
                futures = [pool.submit(work, url, schema, one.name) for one in read_models]
                while wait(futures, LOOK_SECONDS, FIRST_EXCEPTION).not_done:
                    look(engine, schema)
                    for one in futures:
                        one.done() and one.result()
                look(engine, schema)
                return [one.result() for one in futures]
            except BaseException:
                ours.close()
                raise


def _end_when_let_go(lifeline: Connection) -> None:
    """End a process of the pool as soon as the one that hands out the work cancels it or dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        lifeline.poll(None)
        os._exit(1)

    Thread(target=watch, daemon=True).start()
