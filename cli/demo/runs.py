"""The trainings and experiments of demos: each has a file, locked for as long as its demo lives.

So the next demo knows which trainings nobody waits for any more. A file is there before its
training is, whose id follows from the key of the command that begins it.
"""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adapters.processes.files import waiting_lock
from adapters.servers.embedded import FolderInUse, FolderLock
from application.handle import command_id_of, made_id
from cli.client import ApiClient, ApiProblem

RUNS = "demos"


@contextmanager
def demo_training(
    client: ApiClient, data: Path, path: str, training: dict[str, Any], say: Callable[[str], None]
) -> Iterator[str]:
    """Cancel what demos that were interrupted have left, and begin a training or an experiment; its
    id.

    It is left to the next demo if this one ends by an exception.
    """
    key = str(uuid.uuid4())
    account_id = client.query("whoami")["account_id"]
    file = data / RUNS / made_id(command_id_of(account_id, key))
    lock = FolderLock(file)
    with waiting_lock(file):
        for other in file.parent.iterdir():
            if other.name != "lock" and _cancel_unless_alive(client, other):
                say("Cancelled a training that an interrupted demo had left unfinished")
        lock.acquire()
    try:
        answer = client.command(path, training, key)
        kind = path.rpartition("/")[2]
        client.query(f"{kind}/{answer['id']}", at_least=answer["position"])
        yield str(answer["id"])
        file.unlink()
    finally:
        lock.release()


def _cancel_unless_alive(client: ApiClient, file: Path) -> bool:
    """Whether there was something to cancel."""
    lock = FolderLock(file)
    try:
        lock.acquire()
    except FolderInUse:
        return False
    try:
        cancelled = any(
            _succeeds(client, path)
            for path in (f"versions/{file.name}/cancel", f"experiments/{file.name}/stop")
        )
    finally:
        lock.release()
    file.unlink()
    return cancelled


def _succeeds(client: ApiClient, path: str) -> bool:
    """Whether the command is carried out; it is refused for what never began, or has ended."""
    try:
        client.command(path, None)
    except ApiProblem as problem:
        if problem.status is None:
            raise
        return False
    return True
