"""The `control` bucket: by version, what is wanted of its training. Workers look and listen."""

import logging

import msgspec
from nats.js import JetStreamContext
from nats.js.errors import KeyNotFoundError, KeyWrongLastSequenceError, NotFoundError

from adapters.nats.jetstream import CONTROL_BUCKET, CONTROL_STREAM
from domain.training.messages import Wish

log = logging.getLogger(__name__)


def wish_subject(version_id: str) -> str:
    """Where the wishes about a version pass by as they are written."""
    return f"$KV.{CONTROL_BUCKET}.{version_id}"


async def read_wish(js: JetStreamContext, version_id: str) -> Wish | None:
    """The wish that stands."""
    try:
        found = await js.get_last_msg(CONTROL_STREAM, wish_subject(version_id))
    except NotFoundError:
        return None
    return decode_wish(found.data or b"")


def decode_wish(value: bytes) -> Wish | None:
    """None for a deleted key and for what is no wish."""
    try:
        return msgspec.json.decode(value, type=Wish)
    except msgspec.DecodeError as error:
        if value:
            log.warning("a wish cannot be understood and is passed over: %s", error)
        return None


async def put_wish(js: JetStreamContext, version_id: str, wish: Wish) -> None:
    """Write a wish unless it is there already, or one that outranks it."""
    bucket = await js.key_value(CONTROL_BUCKET)
    while True:
        try:
            entry = await bucket.get(version_id)
            known, last = decode_wish(entry.value or b""), entry.revision
        except KeyNotFoundError:
            known, last = None, None
        if known is not None and not wish.outranks(known):
            return
        value = msgspec.json.encode(wish)
        try:
            if last is None:
                await bucket.create(version_id, value)
            else:
                await bucket.update(version_id, value, last=last)
        except KeyWrongLastSequenceError:
            continue  # another process was first; what it wrote may count more
        return
