"""The `control` bucket: the desired state of trainings by version. Workers read and watch it."""

import logging

import msgspec
from nats.js import JetStreamContext
from nats.js.errors import KeyNotFoundError, KeyWrongLastSequenceError, NotFoundError

from adapters.nats.jetstream import CONTROL_BUCKET, CONTROL_STREAM
from domain.training.messages import DesiredState

log = logging.getLogger(__name__)


def desired_state_subject(version_id: str) -> str:
    """The subject on which the desired states of a version are published as they are written."""
    return f"$KV.{CONTROL_BUCKET}.{version_id}"


async def read_desired_state(js: JetStreamContext, version_id: str) -> DesiredState | None:
    """The current desired state."""
    try:
        message = await js.get_last_msg(CONTROL_STREAM, desired_state_subject(version_id))
    except NotFoundError:
        return None
    return decode_desired_state(message.data or b"")


def decode_desired_state(value: bytes) -> DesiredState | None:
    """The desired state; None for a deleted key and for an invalid value."""
    try:
        return msgspec.json.decode(value, type=DesiredState)
    except msgspec.DecodeError as error:
        if value:
            log.warning("a desired state cannot be decoded and is ignored: %s", error)
        return None


async def put_desired_state(
    js: JetStreamContext, version_id: str, desired_state: DesiredState
) -> None:
    """Write a desired state, unless the stored one is equal to it or supersedes it."""
    bucket = await js.key_value(CONTROL_BUCKET)
    while True:
        try:
            entry = await bucket.get(version_id)
            current, last = decode_desired_state(entry.value or b""), entry.revision
        except KeyNotFoundError:
            current, last = None, None
        if current is not None and not desired_state.supersedes(current):
            return
        value = msgspec.json.encode(desired_state)
        try:
            if last is None:
                await bucket.create(version_id, value)
            else:
                await bucket.update(version_id, value, last=last)
        except KeyWrongLastSequenceError:
            continue  # another process wrote first, and its value may supersede this one
        return
