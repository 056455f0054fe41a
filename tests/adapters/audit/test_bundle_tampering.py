"""Whatever is changed in a bundle, it is refused, and the reason says where."""

import hashlib
import json
import random
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.audit.signing import sign
from adapters.policy_feed import put_manifest
from application.policies import manifest_of
from application.versions import freeze_dataset
from domain.manifest import ManifestCounts, canonical_line
from domain.signed_note import SigningKey
from domain.transparency import Checkpoint
from domain.version import FreezeDataset, VersionCreated
from tests.adapters.audit.bundles import (
    SUMS,
    Checked,
    Exhibit,
    Members,
    check,
    forged,
    members_of,
    packed,
)
from tests.application.scenes import do

SIGNED = ("log.jsonl", "checkpoints.txt")
Check = Callable[[bytes], Checked]


@pytest.fixture
def refuses(exhibit: Exhibit, tmp_path: Path) -> Callable[[bytes], str]:
    """Checks a bundle with the log's key, and says why it was refused."""

    def reason(content: bytes) -> str:
        checked = check(content, tmp_path, "--key", exhibit.keys)
        assert checked.status == 1
        assert len(checked.lines) == 1
        assert checked.last.startswith("REFUSED: ")
        return checked.last

    return reason


Refuses = Callable[[bytes], str]


@pytest.fixture(scope="module", params=["version", "project", "all"])
def members(request: pytest.FixtureRequest, exhibit: Exhibit) -> Members:
    return members_of(exhibit.of(request.param, with_blobs=True))


@pytest.fixture(scope="module")
def whole(exhibit: Exhibit) -> Members:
    return members_of(exhibit.of("all"))


def changed(members: Members, choose: random.Random, names: list[str]) -> tuple[str, Members]:
    """Another value for a byte of one of these members; its name."""
    name = choose.choice(names)
    content = bytearray(members[name])
    content[choose.randrange(len(content))] ^= choose.randrange(1, 256)
    return name, members | {name: bytes(content)}


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**32))
def test_a_changed_byte_of_any_member_is_found(
    members: Members, refuses: Refuses, seed: int
) -> None:
    name, tampered = changed(members, random.Random(seed), sorted(members))
    reason = refuses(packed(list(tampered.items())))
    assert name in reason or (name == SUMS and SUMS in reason)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**32))
def test_a_changed_byte_of_what_is_signed_is_found_by_the_signature(
    members: Members, refuses: Refuses, seed: int
) -> None:
    """The forger has made the list of digests anew."""
    _, tampered = changed(members, random.Random(seed), list(SIGNED))
    refuses(forged(tampered))


def test_each_member_is_missed(members: Members, refuses: Refuses) -> None:
    for name in members:
        rest = {other: content for other, content in members.items() if other != name}
        assert name in refuses(packed(list(rest.items())))


@pytest.mark.parametrize(
    "name", ["log.jsonl", "checkpoints.txt", "bundle.json", "manifests/", "verifier-keys.txt"]
)
def test_what_proves_something_is_missed_by_what_rests_on_it(
    members: Members, refuses: Refuses, exhibit: Exhibit, tmp_path: Path, name: str
) -> None:
    """The forger has made the list of digests anew."""
    rest = {other: content for other, content in members.items() if not other.startswith(name)}
    if name == "verifier-keys.txt":
        assert check(forged(rest), tmp_path, "--key", exhibit.keys).status == 0
        assert name in check(forged(rest), tmp_path).last
    else:
        assert name in refuses(forged(rest))


@pytest.mark.parametrize("name", ["more.txt", "../log.jsonl", "/etc/passwd", "blobs/../../x", "a/"])
def test_a_member_too_many_is_refused(whole: Members, refuses: Refuses, name: str) -> None:
    assert repr(name) in refuses(forged(whole | {name: b"x"}))


def test_a_file_that_no_event_names_is_refused(whole: Members, refuses: Refuses) -> None:
    content = b"something else"
    name = f"blobs/{hashlib.sha256(content).hexdigest()}"
    assert name in refuses(packed([(name, content), *whole.items()]))
    assert f"{name}: no event in the bundle names it" in refuses(forged(whole | {name: content}))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_given_twice_is_refused(whole: Members, refuses: Refuses) -> None:
    twice = [("log.jsonl", b"{}\n"), *whole.items()]
    assert "same name" in refuses(packed(twice))


def test_members_in_another_order_are_refused(whole: Members, refuses: Refuses) -> None:
    assert "moved" in refuses(packed(list(whole.items())[::-1]))


def test_a_member_that_swells_is_refused(whole: Members, refuses: Refuses) -> None:
    reason = refuses(forged(whole | {"log.jsonl": b" " * (1 << 24)}))
    assert "log.jsonl: unpacks to more than" in reason


def test_a_line_without_end_is_refused(whole: Members, refuses: Refuses) -> None:
    log = whole["log.jsonl"]
    assert "log.jsonl: has a line" in refuses(forged(whole | {"log.jsonl": log[:-1]}))


def test_no_archive_at_all_is_refused(refuses: Refuses) -> None:
    assert "damaged" in refuses(b"nothing")


def log_of(members: Members) -> list[Any]:
    return [json.loads(line) for line in members["log.jsonl"].splitlines()]


def with_log(members: Members, log: list[Any]) -> bytes:
    """The bundle of a forger who has changed the log and made the list of digests anew."""
    lines = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in log)
    return forged(members | {"log.jsonl": lines.encode()})


def test_another_way_to_write_the_same_log_is_the_same_log(
    exhibit: Exhibit, whole: Members, tmp_path: Path
) -> None:
    """A guard of the tests below: they are refused for what they change."""
    checked = check(with_log(whole, log_of(whole)), tmp_path, "--key", exhibit.keys)
    assert checked.status == 0


@pytest.mark.parametrize("field", ["state", "stream", "name"])
def test_a_changed_event_is_located(
    exhibit: Exhibit, whole: Members, refuses: Refuses, field: str
) -> None:
    sizes = [checkpoint.size for checkpoint in exhibit.signed.checkpoints()]
    log = log_of(whole)
    event = next(one for one in log if one["name"] == "image.annotated")
    event[field] = event[field].replace("i", "j", 1)
    if field == "stream":
        event["revision"] = 1
        log = [one for one in log if one is event or one["stream"] != event["stream"]]
    end = next(size for size in sizes if size >= event["position"])
    begin = max([size + 1 for size in sizes if size < event["position"]], default=1)
    reason = refuses(with_log(whole, log))
    assert f"events {begin} to {end} are not" in reason or field == "stream"
