"""The `control` bucket: which wish stands, and that it is there again after a loss."""

import asyncio
import threading
from pathlib import Path

import pytest
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from adapters.nats.jetstream import CONTROL_BUCKET, CONTROL_STREAM, ensure_streams
from adapters.training.control import desired_state_subject, put_desired_state, read_desired_state
from application.log.store import Store
from domain.aggregates import VERSION
from domain.training.messages import Desired, DesiredState
from domain.training.version import CancelVersion
from tests.adapters.running import eventually, running, settings_for, with_js
from tests.application.scenes import Scene, do, trainable
from tests.servers import Database
from tests.waiting import HANG_SECONDS

STOP_1, CANCEL_1 = DesiredState(1, Desired.STOP), DesiredState(1, Desired.CANCEL)
STOP_2, CANCEL_2 = DesiredState(2, Desired.STOP), DesiredState(2, Desired.CANCEL)


@pytest.fixture
def scene(store: Store) -> Scene:
    return trainable(store)


@pytest.mark.parametrize(
    ("written", "stands"),
    [
        ([STOP_1], STOP_1),
        ([STOP_1, CANCEL_1], CANCEL_1),
        ([CANCEL_1, STOP_1], CANCEL_1),
        ([STOP_2, STOP_1], STOP_2),
        ([STOP_1, STOP_2], STOP_2),
        ([CANCEL_2, STOP_1, STOP_2], CANCEL_2),
    ],
)
def test_an_older_wish_does_not_come_back(
    nats_url: str, written: list[DesiredState], stands: DesiredState
) -> None:
    async def scenario(js: JetStreamContext) -> None:
        await ensure_streams(js)
        assert await read_desired_state(js, "v") is None
        for wish in [*written, *written]:
            await put_desired_state(js, "v", wish)
        assert await read_desired_state(js, "v") == stands

    with_js(nats_url, scenario)


def test_of_many_who_write_at_once_the_highest_wish_stands(nats_url: str) -> None:
    async def scenario(js: JetStreamContext) -> None:
        await ensure_streams(js)
        wishes = [STOP_1, CANCEL_2, STOP_2, CANCEL_1] * 5
        await asyncio.gather(*(put_desired_state(js, "v", wish) for wish in wishes))
        assert await read_desired_state(js, "v") == CANCEL_2

    with_js(nats_url, scenario)


def test_a_deleted_or_senseless_wish_is_none_and_is_written_over(nats_url: str) -> None:
    async def scenario(js: JetStreamContext) -> None:
        await ensure_streams(js)
        bucket = await js.key_value(CONTROL_BUCKET)
        await put_desired_state(js, "v", CANCEL_1)
        await bucket.delete("v")
        assert await read_desired_state(js, "v") is None
        await put_desired_state(js, "v", STOP_1)
        assert await read_desired_state(js, "v") == STOP_1
        await js.publish(desired_state_subject("v"), b"stop!")
        assert await read_desired_state(js, "v") is None
        await put_desired_state(js, "v", STOP_1)
        assert await read_desired_state(js, "v") == STOP_1

    with_js(nats_url, scenario)


def wish_of(url: str, version_id: str) -> DesiredState | None:
    async def read(js: JetStreamContext) -> DesiredState | None:
        return await read_desired_state(js, version_id)

    return with_js(url, read)


def test_a_wish_follows_from_the_log_again_after_its_bucket_was_lost(
    scene: Scene, nats_url: str, migrated: Database, tmp_path: Path
) -> None:
    version = scene.train()
    with running(settings_for(migrated, nats_url, tmp_path), "policies"):
        do(scene.store, lambda session: session.change(VERSION, version, CancelVersion()))
        eventually(lambda: wish_of(nats_url, version) == CANCEL_1)
        with_js(nats_url, lambda js: js.delete_stream(CONTROL_STREAM))
        eventually(lambda: wish_of(nats_url, version) == CANCEL_1)


def test_a_wish_does_not_wait_for_a_dataset_to_be_frozen(
    scene: Scene,
    nats_url: str,
    migrated: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = threading.Event()

    def slow(*_: object) -> str:
        assert told.wait(HANG_SECONDS)
        raise NotFoundError

    monkeypatch.setattr("adapters.training.policy_feed.put_manifest", slow)
    with running(settings_for(migrated, nats_url, tmp_path), "policies"):
        scene.train()
        version = scene.train()
        do(scene.store, lambda session: session.change(VERSION, version, CancelVersion()))
        eventually(lambda: wish_of(nats_url, version) == CANCEL_1)
        told.set()
