"""A bundle is checked by whoever has nothing but the archive, the verifier and the log's key."""

import os
import shutil
import subprocess
import sys
import venv
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from adapters.audit import bundle_rows, verify_bundle
from adapters.audit.bundle import NotAsSigned
from adapters.audit.bundle_rows import of_version
from adapters.audit.checkpoint_file import CheckpointFile
from adapters.audit.keys import Keys
from adapters.audit.signing import new_key
from application.log.store import Store
from domain.audit.transparency import Checkpoint, notes_in
from domain.errors import NotFound
from domain.event import Event
from domain.training.version import BestCheckpointSaved
from tests.adapters.audit.bundles import WEIGHTS, Exhibit, check, members_of
from tests.adapters.audit.logs import Signed, tamper
from tests.servers import Database
from tests.waiting import HANG_SECONDS

KINDS = ("version", "project", "all")


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with `cryptography` and nothing else."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False, symlinks=True)
    [packages] = folder.glob("lib/python3*/site-packages")
    for name in ("cryptography", "cffi", "_cffi_backend"):
        spec = find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        source = Path(spec.origin)
        source = source.parent if source.name == "__init__.py" else source
        (packages / source.name).symlink_to(source)
    return folder / "bin" / "python"


def run(python: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(python), "-I", *arguments],
        check=False,
        cwd=folder,
        env={},
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_bundle_verifies_with_nothing_but_the_verifier(
    exhibit: Exhibit, bare_python: Path, kind: str, tmp_path: Path
) -> None:
    (tmp_path / "bundle.zip").write_bytes(exhibit.of(kind))
    shutil.copy(verify_bundle.__file__, tmp_path)
    shutil.copy(exhibit.keys, tmp_path / "keys.txt")
    for absent in ("domain", "adapters", "msgspec"):
        assert "ModuleNotFoundError" in run(bare_python, tmp_path, "-c", f"import {absent}").stderr
    done = run(bare_python, tmp_path, "verify_bundle.py", "bundle.zip", "--key", "keys.txt")
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout.splitlines()
    assert said[-1] == "VERIFIED with your key"
    of_version = f"proved: the 10 images of version-{exhibit.version} follow from the events"
    assert any(line.startswith(of_version) for line in said)
    whole = not any("left out" in line for line in said)
    assert whole is (kind == "all")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "bundle.zip",
        "keys.txt",
        "verify_bundle.py",
    ]


def test_the_same_log_makes_the_same_bytes(exhibit: Exhibit) -> None:
    for kind in KINDS:
        assert exhibit.of(kind) == exhibit.of(kind)


def streams_in(content: bytes) -> set[str]:
    lines = members_of(content)["log.jsonl"].splitlines()
    return {found["stream"] for line in lines if "stream" in (found := msgspec.json.decode(line))}


def test_a_bundle_holds_what_was_asked_for(exhibit: Exhibit) -> None:
    scene, whole = exhibit.scene, streams_in(exhibit.of("all"))
    rests_on = {
        f"version-{exhibit.version}",
        f"model-{scene.model()}",
        f"view-{scene.view}",
        f"project-{scene.project}",
        *(f"image-{image}" for image in scene.images),
    }
    assert streams_in(exhibit.of("version")) == rests_on
    assert streams_in(exhibit.of("project")) == rests_on | {f"image-{exhibit.late_image}"}
    assert whole == {one.stream for one in exhibit.store.read_all()}


def test_every_event_has_its_schema(exhibit: Exhibit) -> None:
    members = members_of(exhibit.of("all"))
    envelope: Any = msgspec.json.decode(members["schemas/envelope.json"])
    events = [msgspec.json.decode(line) for line in members["log.jsonl"].splitlines()]
    for event in events:
        state = msgspec.json.decode(event["state"])
        jsonschema.validate(state, envelope)
        member = f"schemas/{event['name']}.v{state['schema_version']}.json"
        jsonschema.validate(state["data"], msgspec.json.decode(members[member]))


def test_files_are_brought_along_if_they_are_there(exhibit: Exhibit, tmp_path: Path) -> None:
    content = exhibit.of("version", with_blobs=True)
    members = members_of(content)
    listed = [msgspec.json.decode(line) for line in members["blobs.jsonl"].splitlines()]
    there = {one["sha256"]: one["bytes"] for one in listed if one["bytes"] is not None}
    blobs = {name[6:]: len(data) for name, data in members.items() if name.startswith("blobs/")}
    assert blobs == there
    assert len(listed) - len(there) == 2
    [weights] = [one for one in listed if one["kind"] == "weights"]
    assert members[f"blobs/{weights['sha256']}"] == WEIGHTS
    checked = check(content, tmp_path, "--key", exhibit.keys)
    assert checked.status == 0
    assert any(weights["sha256"] in one and one.startswith("proved") for one in checked.lines)


def test_without_a_key_only_integrity_is_claimed(exhibit: Exhibit, tmp_path: Path) -> None:
    checked = check(exhibit.of("all"), tmp_path)
    assert checked.status == 0
    assert any("NOT proved: whose log it is" in line for line in checked.lines)
    assert checked.last != "VERIFIED with your key"
    assert exhibit.keys.read_text().strip() in checked.lines


def test_checkpoints_that_the_auditor_kept_are_compared(exhibit: Exhibit, tmp_path: Path) -> None:
    kept = tmp_path / "kept.txt"
    first, *_, last = exhibit.signed.notes()
    kept.write_text(first + "\n" + last)
    checked = check(exhibit.of("version"), tmp_path, "--key", exhibit.keys, "--against", kept)
    assert checked.status == 0


def test_a_partial_bundle_holds_few_checkpoints_and_those_that_were_kept(
    exhibit: Exhibit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of_the_version(kept: frozenset[str]) -> bytes:
        return exhibit.export(
            lambda connection, at: of_version(connection, exhibit.version, at), kept=kept
        )

    checkpoints, notes = exhibit.signed.checkpoints(), exhibit.signed.notes()
    assert len(checkpoints) > 2
    file = tmp_path / "kept.txt"
    options = ("--key", exhibit.keys, "--against", file)

    few = of_the_version(frozenset())
    assert members_of(few)["checkpoints.txt"].decode().strip() == notes[-1].strip()
    assert check(few, tmp_path, "--key", exhibit.keys).status == 0
    refused = 0
    for checkpoint, note in zip(checkpoints, notes, strict=True):
        file.write_text(note)
        checked = check(few, tmp_path, *options)
        if checked.status == 1:
            refused += 1
            assert "export it with --against and that checkpoint" in checked.last
        more = of_the_version(frozenset({checkpoint.text()}))
        assert check(more, tmp_path, *options).status == 0
    assert refused

    monkeypatch.setattr(bundle_rows, "SPACING", 1)
    every = of_the_version(frozenset())
    assert len(list(notes_in(members_of(every)["checkpoints.txt"].decode()))) == len(notes)
    with pytest.raises(NotAsSigned, match="no checkpoint over 7 events equals"):
        of_the_version(frozenset({Checkpoint("stemma.test/log", 7, bytes(32)).text()}))


def test_what_cannot_be_read_is_no_verdict(exhibit: Exhibit, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    for option in ("--key", "--against"):
        assert check(exhibit.of("all"), tmp_path, option, tmp_path / "nothing").status == 2
        (tmp_path / "empty").touch()
        assert check(exhibit.of("all"), tmp_path, option, tmp_path / "empty").status == 2
    for content in ("no key\n", f"{exhibit.keys.read_text()[:-3]}=\n"):
        keys.write_text(content)
        assert check(exhibit.of("all"), tmp_path, "--key", keys).status == 2


def test_another_key_verifies_nothing(exhibit: Exhibit, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text(f"{new_key('stemma.test/log').verifier}\n")
    checked = check(exhibit.of("all"), tmp_path, "--key", other)
    assert checked.status == 1
    assert "by none of your keys" in checked.last


def test_an_altered_log_is_not_exported(exhibit: Exhibit) -> None:
    [saved] = [one for one in exhibit.store.read_all() if is_second_best(one.event)]
    where = f"WHERE notification_id = {saved.position}"
    change = "UPDATE log.stemma_events SET state = replace(convert_from(state, 'UTF8'), {}, {})"
    flip = "'\"epoch\":2'", "'\"epoch\":3'"
    tamper(exhibit.database, f"{change.format(*flip)}::bytea {where}")
    try:
        with pytest.raises(NotAsSigned, match="not the signed ones"):
            exhibit.of("all")
    finally:
        tamper(exhibit.database, f"{change.format(*flip[::-1])}::bytea {where}")


def is_second_best(event: Event) -> bool:
    return isinstance(event, BestCheckpointSaved) and event.epoch == 2


def test_what_no_checkpoint_covers_is_said(
    store: Store, migrated: Database, tmp_path: Path
) -> None:
    exhibit = Exhibit(store, migrated, tmp_path)
    newer = exhibit.scene.train()
    with pytest.raises(NotFound, match="no version-none"):
        exhibit.of_version("none")
    with pytest.raises(NotFound, match=f"version-{newer} is newer than the last signed"):
        exhibit.of_version(newer)
    done = stemma(exhibit, tmp_path, "export", tmp_path / "all.zip", "--all")
    assert done.stdout.endswith("2 newer events are not included: no checkpoint covers them yet\n")


def stemma(exhibit: Exhibit, data: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A command of the auditor's, on the exhibit's servers."""
    environment = os.environ | {
        "STEMMA_DATA": str(data),
        "STEMMA_DATABASE_URL": exhibit.database.app_url,
        "STEMMA_BLOBS_URL": exhibit.blobs_url,
        "STEMMA_SIGNING_KEY": str(exhibit.signed.keys.path),
    }
    argv = [sys.executable, "-m", "cli.main", "audit", *map(str, arguments)]
    return subprocess.run(
        argv, check=False, env=environment, capture_output=True, text=True, timeout=HANG_SECONDS
    )


def test_a_log_that_was_given_up_is_passed_over(
    store: Store, migrated: Database, tmp_path: Path
) -> None:
    """The operator had to begin a new one, with another key under another name."""
    before = Exhibit(store, migrated, tmp_path)
    after = Signed(migrated, tmp_path)
    after.keys = Keys(tmp_path / "new" / "signing-key", "stemma.test/new")
    after.file = CheckpointFile(tmp_path / "new" / "checkpoints.txt")
    after.sign()
    for keys in (before.signed.keys.public_path, after.keys.public_path):
        bundle = tmp_path / "bundle.zip"
        done = stemma(before, tmp_path, "export", bundle, "--all", "--keys", keys)
        assert done.returncode == 0, done.stderr
        assert check(bundle.read_bytes(), tmp_path, "--key", keys).status == 0


def test_the_commands(exhibit: Exhibit, tmp_path: Path) -> None:
    """As an operator and an auditor type them."""
    run = partial(stemma, exhibit, tmp_path)
    bundle = tmp_path / "bundle.zip"
    for wanted, status, says in (
        (["--version", "none"], 1, "the log has no version-none"),
        (["--project", "none"], 1, "the log has no project-none"),
        ([], 2, "give one of"),
        (["--all", "--project", "none"], 2, "give one of"),
    ):
        refused = run("export", bundle, *wanted)
        assert refused.returncode == status
        assert says in refused.stderr
        assert not any(tmp_path.iterdir())
    file = exhibit.signed.file.path
    done = run("export", bundle, "--version", exhibit.version, "--against", file)
    assert done.returncode == 0, done.stderr
    assert "newer" not in done.stdout
    assert bundle.read_bytes() == exhibit.of("version")
    assert list(tmp_path.iterdir()) == [bundle]
    verified = run("verify-bundle", bundle, "--key", exhibit.keys)
    assert verified.returncode == 0
    assert verified.stdout.endswith("VERIFIED with your key\n")
