"""Checkpoints are signed as the log grows, each over the one before, and never against it."""

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import psycopg
import pytest

from adapters.audit.checkpoint_file import SigningRefused
from adapters.audit.signer import Pace
from adapters.audit.signing import Unsigned, open_checkpoint
from adapters.audit.stored import load_tree, tile_reader
from adapters.servers.postgres import EmbeddedPostgres
from adapters.settings import SettingsError
from application.log.store import Store
from domain.audit.merkle import consistency_proof
from domain.audit.tiles import subtrees_of
from tests.adapters.audit.logs import Signed, append, tamper
from tests.application.scenes import at_once
from tests.domain.audit.verification import verify_consistency
from tests.servers import Database, new_database


@pytest.fixture
def signed(migrated: Database, tmp_path: Path) -> Signed:
    return Signed(migrated, tmp_path)


def test_the_checkpoint_is_over_all_events(store: Store, signed: Signed) -> None:
    append(store, 5)
    checkpoint = signed.sign()
    assert (checkpoint.origin, checkpoint.size) == ("stemma.test/log", 5)
    assert checkpoint.root == signed.roots()[5]
    assert signed.checkpoints() == [checkpoint]
    [stored] = signed.stored()
    assert [stored.note] == signed.notes()
    assert (stored.size, stored.root) == (5, checkpoint.root)


def test_the_tree_grows_over_many_tiles(store: Store, signed: Signed) -> None:
    sizes, signer = [1, 255, 256, 257, 700, 5200, 12_000], signed.signer()
    for before, size in pairwise([0, *sizes]):
        append(store, size - before)
        assert signer.sign_if_due() is not None
    roots = signed.roots()
    assert [one.size for one in signed.checkpoints()] == sizes
    assert [one.root for one in signed.checkpoints()] == [roots[size] for size in sizes]
    with psycopg.connect(signed.database.app_url) as connection:
        subtrees = subtrees_of(tile_reader(connection))
        for old, new in pairwise(sizes):
            proof = consistency_proof(old, new, subtrees)
            assert verify_consistency(old, new, proof, roots[old], roots[new])


def test_a_checkpoint_is_due_after_so_many_events_or_so_much_time(
    store: Store, signed: Signed
) -> None:
    signer = signed.signer(Pace(10, 3600.0))
    assert signer.sign_if_due() is None
    append(store, 1)
    assert signer.sign_if_due() is not None, "nothing was signed for an hour"
    append(store, 9)
    assert signer.sign_if_due() is None
    append(store, 1)
    assert signer.sign_if_due() is not None
    assert [one.size for one in signed.checkpoints()] == [1, 11]


def test_nothing_new_is_not_signed_again(store: Store, signed: Signed) -> None:
    append(store, 3)
    signed.sign()
    assert signed.signer().sign_if_due() is None
    assert len(signed.notes()) == 1


def test_signers_at_once_sign_one_tree(store: Store, signed: Signed) -> None:
    signers = [signed.signer() for _ in range(3)]
    for _ in range(5):
        append(store, 300)
        at_once([signer.sign_if_due for signer in signers])
    roots = signed.roots()
    found = signed.checkpoints()
    assert all(one.root == roots[one.size] for one in found)
    assert found[-1].size == 1500
    assert {one.note for one in signed.stored()} == set(signed.notes())


def test_the_key_is_its_owners_and_made_once(store: Store, signed: Signed) -> None:
    append(store, 1)
    signed.sign()
    path = signed.keys.path
    assert path.stat().st_mode & 0o777 == 0o600
    [public] = signed.keys.verifiers()
    assert public.name == "stemma.test/log"
    assert path.read_text().strip().split("+", 4)[4] not in signed.keys.public_path.read_text()
    path.chmod(0o640)
    with pytest.raises(SettingsError, match="can be read by others"):
        signed.signer()
    path.unlink()
    with pytest.raises(SettingsError, match="restore it from your backup"):
        signed.signer()


def test_a_new_keys_first_checkpoint_is_signed_by_the_old_one_too(
    store: Store, signed: Signed
) -> None:
    append(store, 2)
    signed.sign()
    [old] = signed.keys.verifiers()
    new = signed.keys.rotate()
    assert signed.keys.verifiers() == [old, new]
    signed.sign()
    append(store, 1)
    signed.sign()
    first, both, last = signed.notes()
    for note, signers in ((first, {old}), (both, {old, new}), (last, {new})):
        assert set(open_checkpoint(note, [old, new])[1]) == signers
    with pytest.raises(Unsigned):
        open_checkpoint(last, [old])
    assert [one.size for one in signed.checkpoints()] == [2, 2, 3]


def test_a_log_whose_end_was_cut_off_is_not_signed(store: Store, signed: Signed) -> None:
    append(store, 9)
    signer = signed.signer()
    signer.sign_if_due()
    tamper(signed.database, "DELETE FROM log.stemma_events WHERE notification_id > 7")
    for sign in (signer.sign_if_due, signed.signer):
        with pytest.raises(
            SigningRefused, match="has 7 events, and a checkpoint over 9 was signed"
        ):
            sign()
    append(store, 5)
    with pytest.raises(SigningRefused, match="from event 8 on"):
        signed.signer()
    assert len(signed.notes()) == 1


def test_a_log_restored_from_an_older_copy_is_not_signed(
    store: Store,
    signed: Signed,
    postgres: EmbeddedPostgres,
    migrated_template: str,
    tmp_path: Path,
) -> None:
    append(store, 9)
    signed.sign()
    with new_database(postgres, migrated_template) as older:
        restored = Store(older.app_url)
        other = Signed(older, tmp_path)
        append(restored, 4)
        with pytest.raises(SigningRefused, match="has 4 events, and a checkpoint over 9"):
            other.signer()
        append(restored, 20)
        restored.close()
        with pytest.raises(SigningRefused, match="first 9 events are not those"):
            other.signer()
    assert len(signed.notes()) == 1


def test_a_changed_event_is_noticed_when_the_signer_begins(store: Store, signed: Signed) -> None:
    append(store, 600)
    signed.sign()
    tamper(
        signed.database,
        "UPDATE log.stemma_events SET state = set_byte(state, 20, 65) WHERE notification_id = 300",
    )
    append(store, 1)
    with pytest.raises(SigningRefused, match="from event 300 on"):
        signed.signer()


def test_a_missing_event_is_not_signed_over(store: Store, signed: Signed) -> None:
    append(store, 5)
    tamper(signed.database, "DELETE FROM log.stemma_events WHERE notification_id = 3")
    with pytest.raises(SigningRefused, match="event 3 is missing"):
        signed.signer().sign_if_due()


def test_stored_hashes_are_not_believed(
    store: Store, signed: Signed, caplog: pytest.LogCaptureFixture
) -> None:
    """They are made anew from the events, which are what the checkpoint was signed over."""
    append(store, 600)
    signed.sign()
    changes = (
        "UPDATE log.tiles SET hashes = set_byte(hashes, 9, 7) WHERE level = 0 AND number = 1",
        "UPDATE log.tiles SET hashes = set_byte(hashes, 9, 7) WHERE level = 1",
        "DELETE FROM log.tiles WHERE level = 1",
        "DELETE FROM log.tiles",
    )
    for change in changes:
        tamper(signed.database, change)
        append(store, 1)
        assert signed.sign().root == signed.roots()[-1]
    assert caplog.text.count("recomputing them") == len(changes)


def test_a_note_that_a_crash_cut_short_is_written_again(store: Store, signed: Signed) -> None:
    append(store, 3)
    signed.sign()
    append(store, 3)
    signed.sign()
    whole = signed.file.path.read_bytes()
    second = len(signed.notes()[0].encode())
    for end in range(second + 1, len(whole), 7):
        signed.file.path.write_bytes(whole[:end])
        last = signed.file.last(signed.keys.verifiers())
        assert last is not None
        assert last[0].size == 3
        assert signed.file.path.read_bytes() == whole[:second]


def test_a_forged_file_stops_the_signer(store: Store, signed: Signed) -> None:
    append(store, 3)
    signed.sign()
    forged = signed.file.path.read_text().replace("\n3\n", "\n2\n")
    signed.file.path.write_text(forged)
    with pytest.raises(SigningRefused, match="was changed since it was signed"):
        signed.signer()


def test_without_its_file_the_signer_believes_its_own_signature(
    store: Store, signed: Signed
) -> None:
    append(store, 9)
    signed.sign()
    signed.file.path.unlink()
    tamper(signed.database, "DELETE FROM log.stemma_events WHERE notification_id > 7")
    with pytest.raises(SigningRefused, match="has 7 events, and a checkpoint over 9"):
        signed.signer()


def test_killed_at_any_moment_it_goes_on_with_the_same_tree(
    store: Store, signed: Signed, tmp_path: Path
) -> None:
    """Processes are killed later and later in their work, until one comes to the end of it."""
    append(store, 300)
    signed.sign()
    argv = [sys.executable, "-m", "tests.adapters.audit.run_signer", signed.database.app_url]
    with subprocess.Popen(
        [*argv, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as runner:
        assert runner.stdin
        assert runner.stdout
        moment, survived = 0, False
        while not survived:
            append(store, 3)
            if moment % 7 == 0:
                signed.keys.rotate()
            print(moment, file=runner.stdin, flush=True)
            survived = runner.stdout.readline() == "survived\n"
            moment += 1
        runner.stdin.close()
    assert moment > 20
    signed.signer().sign_if_due()
    roots = signed.roots()
    found = signed.checkpoints()
    assert all(one.root == roots[one.size] for one in found)
    assert {one.note for one in signed.stored()} == set(signed.notes())
    with psycopg.connect(signed.database.app_url) as connection:
        assert load_tree(connection).root() == roots[-1]
