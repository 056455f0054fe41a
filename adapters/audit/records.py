"""Records of signed checkpoints outside the database: the signer's file, and the stream on NATS.

Whoever can change the database can delete checkpoints that were stored there. These records are
compared with the table, in both directions and in constant memory.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from nats.js import JetStreamContext
from nats.js.api import RawStreamMsg
from nats.js.errors import NotFoundError, ServiceUnavailableError

from adapters.audit.announce import CHECKPOINT_ID
from adapters.audit.checkpoint_file import is_whole
from adapters.nats.jetstream import CHECKPOINT_SUBJECT, CHECKPOINTS, DOMAIN, connect
from adapters.nats.login import NatsLogin
from domain.audit.transparency import notes_of

STREAM = f"the stream {CHECKPOINTS}"
_AT_ONCE = 64
_CONNECT_SECONDS = 10.0


class Record(msgspec.Struct, frozen=True):
    """A record of checkpoints as a file of notes, in the order in which they were signed."""

    name: str
    path: Path
    last_id: int | None = None
    """The id of the last stored checkpoint that the record must have; None if all."""
    ahead: bool = False
    """Whether the signer writes a checkpoint here before it commits it to the table."""

    def notes(self) -> Iterator[str]:
        """The notes; an incomplete last one, which a crash leaves, was never published."""
        with self.path.open(encoding="utf-8", errors="replace", newline="\n") as file:
            for note in notes_of(file):
                if is_whole(note) or note.endswith("\n"):
                    yield note


def file_record(path: Path) -> Record:
    """The file of the signer, which has each checkpoint first."""
    return Record(path.name, path, ahead=True)


@contextmanager
def stream_record(nats: NatsLogin) -> Iterator[Record]:
    """What the stream of checkpoints holds now; nothing if there is no stream yet.

    Checkpoints are published in the order of their ids, so the stream must have all up to its last
    one. Raises `OSError`, `TimeoutError` or an error of NATS if it cannot be read.
    """
    with TemporaryDirectory(prefix="stemma-verify-") as folder:
        path = Path(folder) / "checkpoints.txt"
        yield Record(STREAM, path, last_id=asyncio.run(_read(nats, path)))


async def _read(nats: NatsLogin, path: Path) -> int:
    client = await asyncio.wait_for(connect(nats, "stemma audit verify"), _CONNECT_SECONDS)
    try:
        try:
            return await _write_notes(client.jetstream(), path)
        except ServiceUnavailableError:
            return await _write_notes(client.jetstream(domain=DOMAIN), path)  # a guest's account
    finally:
        await client.close()


async def _write_notes(js: JetStreamContext, path: Path) -> int:
    """Write the notes of all messages to a file; returns the last one's id."""
    path.touch()
    try:
        state = (await js.stream_info(CHECKPOINTS)).state
    except NotFoundError:
        return 0
    last = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for start in range(state.first_seq, state.last_seq + 1, _AT_ONCE):
            end = min(start + _AT_ONCE, state.last_seq + 1)
            gets = (_get(js, number) for number in range(start, end))
            for message in await asyncio.gather(*gets):
                if message is not None and message.subject == CHECKPOINT_SUBJECT:
                    text = (message.data or b"").decode(errors="replace")
                    file.write(text.rstrip("\n") + "\n\n")
                    last = max(last, int((message.headers or {}).get(CHECKPOINT_ID, 0)))
    return last


async def _get(js: JetStreamContext, number: int) -> RawStreamMsg | None:
    try:
        return await js.get_msg(CHECKPOINTS, number)
    except NotFoundError:
        return None
