"""Whatever is changed in a bundle, it is refused, and the reason says where."""

import hashlib
import json
import random
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.audit.signing import new_key, sign
from adapters.training.policy_feed import put_manifest
from application.log.store import Store
from application.training.policies import manifest_of
from domain.aggregates import VERSION
from domain.audit.signed_note import SigningKey
from domain.audit.transparency import Checkpoint
from domain.training.manifest import ManifestCounts, canonical_line
from domain.training.version import FreezeDataset
from tests.adapters.audit.bundles import (
    SUMS,
    Exhibit,
    Members,
    check,
    forged,
    members_of,
    packed,
)
from tests.adapters.audit.logs import tamper
from tests.application.scenes import do
from tests.servers import Database


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


def test_a_changed_byte_of_any_member_is_found(members: Members, refuses: Refuses) -> None:
    for seed in range(40):
        name, tampered = changed(members, random.Random(seed), sorted(members))
        assert name in refuses(packed(list(tampered.items()))), f"seed {seed}"


def test_a_changed_byte_of_what_is_signed_is_found_by_the_signature(
    members: Members, refuses: Refuses
) -> None:
    """The forger has made the list of digests anew."""
    for seed in range(50):
        _, tampered = changed(members, random.Random(seed), ["log.jsonl", "checkpoints.txt"])
        assert refuses(forged(tampered)), f"seed {seed}"


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
    assert "appears twice" in refuses(packed(twice))


def test_members_in_another_order_are_refused(whole: Members, refuses: Refuses) -> None:
    first, second, *rest = whole.items()
    for order in ([second, first, *rest], [rest[-1], first, second, *rest[:-1]]):
        assert first[0] in refuses(packed(order)) or SUMS in refuses(packed(order))


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
    lines = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in log)
    return forged(members | {"log.jsonl": lines.encode()})


def test_another_way_to_write_the_same_log_is_the_same_log(
    exhibit: Exhibit, whole: Members, tmp_path: Path
) -> None:
    """A guard of the tests below: they are refused for what they change."""
    checked = check(with_log(whole, log_of(whole)), tmp_path, "--key", exhibit.keys)
    assert checked.status == 0


def signed_range(exhibit: Exhibit, position: int) -> str:
    """The events between the two checkpoints that an event lies between, as the reason has them."""
    sizes = [checkpoint.size for checkpoint in exhibit.signed.checkpoints()]
    begin = max([size + 1 for size in sizes if size < position], default=1)
    return f"events {begin} to {min(size for size in sizes if size >= position)} are not"


@pytest.mark.parametrize("field", ["state", "name"])
def test_a_changed_event_is_located(
    exhibit: Exhibit, whole: Members, refuses: Refuses, field: str
) -> None:
    for place in (0, 42, -1):
        log = log_of(whole)
        log[place][field] = log[place][field].replace(".", ":", 1)
        assert signed_range(exhibit, log[place]["position"]) in refuses(with_log(whole, log))


def test_events_that_change_places_are_named(
    exhibit: Exhibit, whole: Members, refuses: Refuses
) -> None:
    log = log_of(whole)
    log[6], log[7] = log[7], log[6]
    assert f"event 8 (image.added of {log[6]['stream']})" in refuses(with_log(whole, log))
    log[6]["position"], log[7]["position"] = 7, 8
    assert signed_range(exhibit, 7) in refuses(with_log(whole, log))


def test_a_missing_event_is_named(whole: Members, refuses: Refuses) -> None:
    log = log_of(whole)
    following = log[43]
    del log[42]
    assert f"event 44 ({following['name']} of" in refuses(with_log(whole, log))
    assert f"ends at event {len(log)}" in refuses(with_log(whole, log_of(whole)[:-1]))


def test_a_stream_with_a_hole_is_refused(exhibit: Exhibit, refuses: Refuses) -> None:
    """An event left out with a right proof of all the others, as the operator can make it."""
    members = members_of(exhibit.of("version"))
    log = log_of(members)
    event = next(one for one in log if one.get("name") == "version.dataset_frozen")
    state = hashlib.sha256(event["state"].encode()).hexdigest()
    place = "\n".join(str(event[key]) for key in ("position", "stream", "revision", "name"))
    leaf = hashlib.sha256(f"\0stemma-event/v1\n{place}\n{state}\n".encode()).hexdigest()
    log[log.index(event)] = {"height": 0, "root": leaf}
    assert "an event of the stream is missing before it" in refuses(with_log(members, log))


def test_a_bundle_of_all_leaves_nothing_out(exhibit: Exhibit, refuses: Refuses) -> None:
    members = members_of(exhibit.of("version"))
    claim = members["bundle.json"].replace(f"version-{exhibit.version}".encode(), b"all")
    assert claim != members["bundle.json"]
    assert "bundle.json" in refuses(forged(members | {"bundle.json": claim}))


def test_a_changed_manifest_is_refused(members: Members, refuses: Refuses) -> None:
    [name] = [one for one in members if one.startswith("manifests/")]
    content = members[name].replace(b'"train"', b'"validation"', 1)
    assert name in refuses(forged(members | {name: content}))
    other = f"manifests/{hashlib.sha256(content).hexdigest()}.jsonl"
    assert other in refuses(forged(members | {other: content}))


def test_a_changed_file_is_refused(members: Members, refuses: Refuses) -> None:
    for name in members:
        if name.startswith("blobs/"):
            assert name in refuses(forged(members | {name: members[name] + b"more"}))


def key_of(exhibit: Exhibit) -> SigningKey:
    with exhibit.signed.keys.locked():
        return exhibit.signed.keys.signing()[0]


def test_a_checkpoint_of_another_log_is_refused(
    exhibit: Exhibit, whole: Members, refuses: Refuses, tmp_path: Path
) -> None:
    """Even where it is signed by the same key, as by an operator who shows two logs."""
    first, *rest = exhibit.signed.notes()
    size = exhibit.signed.checkpoints()[0].size
    other = str(sign(Checkpoint("stemma.test/log", size, b"?" * 32).text(), [key_of(exhibit)]))
    notes = "\n".join([other, *rest]).encode() + b"\n"
    assert f"events 1 to {size} are not" in refuses(forged(whole | {"checkpoints.txt": notes}))
    key = key_of(exhibit)
    no_root = f"{'A' * 43}=\n"
    for kept, says in (
        (other, f"two signed checkpoints of {size} events contradict"),
        (first.replace("stemma.test/log", "stemma.test/other"), "none of your keys"),
        (str(sign(f"stemma.test/log\n9\n{no_root}", [key])), "events 1 to 9 are not"),
        (str(sign(f"stemma.test/log\n900\n{no_root}", [key])), "ends at event"),
    ):
        (tmp_path / "kept").write_text(kept)
        options = "--key", exhibit.keys, "--against", tmp_path / "kept"
        checked = check(forged(whole), tmp_path, *options)
        assert checked.status == 1
        assert says in checked.last


def test_a_checkpoint_amid_what_was_left_out_cannot_be_compared(
    exhibit: Exhibit, tmp_path: Path
) -> None:
    size = exhibit.signed.checkpoints()[2].size + 1
    text = Checkpoint("stemma.test/log", size, exhibit.signed.roots()[size]).text()
    kept = tmp_path / "kept"
    kept.write_text(str(sign(text, [key_of(exhibit)])))
    options = "--key", exhibit.keys, "--against", kept
    assert check(exhibit.of("all"), tmp_path, *options).status == 0
    checked = check(exhibit.of("version"), tmp_path, *options)
    assert checked.status == 1
    assert f"leaves out the events around {size}" in checked.last


def test_base64_is_written_in_one_way(whole: Members, refuses: Refuses) -> None:
    """The last character before the padding holds two bits that say nothing."""
    alphabet = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"
    content = whole["checkpoints.txt"].decode()
    last = content.rindex("=") - 1
    other = alphabet[alphabet.index(content[last]) ^ 1]
    changed = f"{content[:last]}{other}{content[last + 1 :]}".encode()
    assert "checkpoints.txt" in refuses(forged(whole | {"checkpoints.txt": changed}))


def test_a_log_that_a_forger_signed_is_refused(
    exhibit: Exhibit, whole: Members, refuses: Refuses, tmp_path: Path
) -> None:
    """All is made anew but the key, which the auditor has from elsewhere."""
    forger = new_key("stemma.test/log")
    texts = [checkpoint.text() for checkpoint in exhibit.signed.checkpoints()]
    notes = "\n".join(str(sign(text, [forger])) for text in texts) + "\n"
    new = {"checkpoints.txt": notes.encode(), "verifier-keys.txt": f"{forger.verifier}\n".encode()}
    assert "none of your keys" in refuses(forged(whole | new))
    assert check(forged(whole | new), tmp_path).status == 0


def test_checkpoints_of_two_logs_are_refused(
    exhibit: Exhibit, whole: Members, tmp_path: Path
) -> None:
    """Each is signed by its own log's key, and the auditor knows both."""
    last = exhibit.signed.checkpoints()[-1]
    other = new_key("stemma.test/other")
    note = str(sign(Checkpoint("stemma.test/other", last.size, last.root).text(), [other]))
    keys = tmp_path / "both"
    keys.write_text(f"{exhibit.keys.read_text()}{other.verifier}\n")
    notes = whole["checkpoints.txt"] + note.encode() + b"\n"
    checked = check(forged(whole | {"checkpoints.txt": notes}), tmp_path, "--key", keys)
    assert checked.status == 1
    assert "checkpoints.txt: of two logs" in checked.last


@pytest.mark.parametrize("left_out", [1, 0])
def test_a_dataset_that_does_not_follow_is_refused(
    store: Store, migrated: Database, tmp_path: Path, left_out: int
) -> None:
    """What the operator has signed is true to the log, and still not to its own rules."""
    exhibit = Exhibit(store, migrated, tmp_path)
    version = exhibit.scene.train("not as the events say")
    lines = list(manifest_of(store, exhibit.created(version)))
    missing = lines.pop(3) if left_out else None
    digest = put_manifest(exhibit.blobs, map(canonical_line, lines))
    command = FreezeDataset(digest, ManifestCounts(100, 2, {}, None))
    do(store, lambda session: session.decide(VERSION, version, command))
    exhibit.signed.sign()
    checked = check(exhibit.of("all"), tmp_path, "--key", exhibit.keys)
    assert checked.status == 1
    if missing:
        assert f"manifests/{digest}.jsonl, line 4" in checked.last
        assert missing.image in checked.last
    else:
        assert f"event {store.head()} (version.dataset_frozen)" in checked.last


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("log.jsonl", b'"name":', b'"name":"image.added","name":'),
        ("log.jsonl", b'"revision":', b'"revision":7,"revision":'),
        ("bundle.json", b'"of":', b'"of":"version-1","of":'),
    ],
)
def test_a_key_given_twice_is_refused(
    whole: Members, refuses: Refuses, name: str, old: bytes, new: bytes
) -> None:
    """A reader that takes the first of two values would see another log."""
    assert old in whole[name]
    assert "appears twice" in refuses(forged(whole | {name: whole[name].replace(old, new, 1)}))


def test_an_event_with_a_key_given_twice_is_refused(
    store: Store, migrated: Database, tmp_path: Path
) -> None:
    """Also one that was signed: Stemma writes none."""
    exhibit = Exhibit(store, migrated, tmp_path)
    tamper(
        migrated,
        "INSERT INTO log.stemma_events (notification_id, originator_id, originator_version, topic,"
        " state) SELECT (SELECT max(notification_id) + 1 FROM log.stemma_events), 'project-twice',"
        """ 1, topic, convert_to(replace(convert_from(state, 'UTF8'), '"data":{',"""
        """ '"data":{"name":"a",'), 'UTF8')"""
        " FROM log.stemma_events WHERE topic = 'project.created' LIMIT 1",
    )
    exhibit.signed.sign()
    checked = check(exhibit.of("all"), tmp_path, "--key", exhibit.keys)
    assert checked.status == 1
    assert "appears twice" in checked.last
