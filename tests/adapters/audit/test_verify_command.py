"""`stemma audit verify`: what it says, and its exit status."""

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from application.log.store import Store
from tests.adapters.audit.logs import Signed, append, tamper
from tests.servers import Database


@pytest.fixture
def signed(store: Store, migrated: Database, tmp_path: Path) -> Signed:
    """A log that was signed twice, over 5 and over 9 events."""
    made = Signed(migrated, tmp_path / "audit")
    for count in (5, 4):
        append(store, count)
        made.sign()
    return made


def stemma(
    signed: Signed, *arguments: str, nats_url: str = "", database_url: str = ""
) -> tuple[int, str]:
    """The exit status, and what was said."""
    settings = {
        "STEMMA_DATA": str(signed.keys.path.parents[1]),
        "STEMMA_DATABASE_URL": database_url or signed.database.app_url,
        "STEMMA_NATS_URL": nats_url,
    }
    argv = [sys.executable, "-m", "cli.main", "audit", *arguments]
    done = subprocess.run(
        argv,
        env=dict(os.environ) | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_all_is_well(signed: Signed, tmp_path: Path) -> None:
    kept = tmp_path / "kept.txt"
    kept.write_text(signed.notes()[0])
    status, said = stemma(signed, "verify", "--against", str(kept))
    assert status == 0, said
    assert "9 events read" in said
    assert f"their root is {signed.roots()[9].hex()}" in said
    assert "2 stored checkpoints, compared with checkpoints.txt, and 1 that you kept" in said
    assert said.endswith("nothing was altered\n")


def test_the_signers_own_file_can_be_verified_against(signed: Signed) -> None:
    status, said = stemma(signed, "verify", "--against", str(signed.file.path))
    assert status == 0, said
    assert "2 that you kept" in said


def test_the_first_change_is_named(signed: Signed, tmp_path: Path) -> None:
    kept = tmp_path / "kept.txt"
    kept.write_text(signed.notes()[0])
    tamper(
        signed.database,
        "UPDATE log.stemma_events SET state = state || ' ' WHERE notification_id = 3",
        "DELETE FROM log.checkpoints",
    )
    status, said = stemma(signed, "verify", "--against", str(kept))
    assert status == 1
    assert "FOUND: checkpoint 1 of kept.txt was signed over 5 other events" in said
    assert "FOUND: event 3 (project.renamed, revision 3 of project-1) was altered" in said
    assert "nothing was altered" not in said


def test_a_checkpoint_by_another_key_is_a_finding(signed: Signed, tmp_path: Path) -> None:
    other = Signed(signed.database, tmp_path / "other")
    other.keys.rotate()
    status, said = stemma(signed, "verify", "--key", str(other.keys.public_path))
    assert status == 1
    assert "FOUND: stored checkpoint 1 is not signed correctly" in said


@pytest.mark.parametrize("content", ["", "no checkpoint\n"])
def test_a_file_without_a_checkpoint_is_a_mistake(
    signed: Signed, tmp_path: Path, content: str
) -> None:
    kept = tmp_path / "kept.txt"
    kept.write_text(content)
    status, said = stemma(signed, "verify", "--against", str(kept))
    assert status == 2, said
    assert "nothing was altered" not in said


def test_without_public_keys_nothing_is_believed(signed: Signed) -> None:
    signed.keys.public_path.unlink()
    status, said = stemma(signed, "verify")
    assert status == 2
    assert "no public keys can be read from" in said


def test_the_key_is_replaced(signed: Signed, store: Store) -> None:
    status, said = stemma(signed, "rotate-key")
    assert status == 0, said
    [_, new] = signed.keys.verifiers()
    assert str(new) in said
    append(store, 1)
    signed.sign()
    assert stemma(signed, "verify", "--against", str(signed.file.path))[0] == 0


def test_what_is_not_signed_yet_is_told(signed: Signed, store: Store) -> None:
    append(store, 1)
    assert "\nposition 10 is not signed yet\n" in stemma(signed, "verify")[1]
    append(store, 1)
    status, said = stemma(signed, "verify")
    assert (status, "\npositions 10 to 11 are not signed yet\n" in said) == (0, True)


def test_without_any_checkpoint_nothing_is_proved(signed: Signed) -> None:
    tamper(signed.database, "DELETE FROM log.checkpoints")
    signed.file.path.unlink()
    status, said = stemma(signed, "verify")
    assert status == 2, said
    assert "NOT VERIFIED: no checkpoint exists" in said
    assert "nothing was altered" not in said


def test_the_signers_file_gone_from_its_machine_is_a_finding(signed: Signed) -> None:
    signed.file.path.unlink()
    status, said = stemma(signed, "verify")
    assert status == 1
    assert "checkpoints.txt is missing; it has every signed checkpoint" in said


def test_a_stream_that_cannot_be_read_is_told(signed: Signed) -> None:
    status, said = stemma(signed, "verify", nats_url="nats://127.0.0.1:9")
    assert status == 2, said
    assert "NOT VERIFIED: the stream CHECKPOINTS cannot be read" in said
    assert "nothing was altered" not in said


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("REVOKE SELECT ON log.tiles FROM stemma_app", "permission denied for table tiles"),
        ("ALTER TABLE log.stemma_events RENAME TO gone", "does not exist"),
    ],
)
def test_what_cannot_be_read_is_one_line_and_status_2(
    signed: Signed, statement: str, said: str
) -> None:
    with psycopg.connect(signed.database.admin_url) as connection:
        connection.execute(statement.encode())
    status, output = stemma(signed, "verify")
    assert (status, len(output.splitlines())) == (2, 1), output
    assert said in output


@pytest.mark.parametrize("wrong", ["port", "password"])
def test_a_database_that_lets_nobody_in_is_one_line_and_status_2(
    signed: Signed, wrong: str
) -> None:
    info = psycopg.conninfo.conninfo_to_dict(signed.database.app_url)
    url = psycopg.conninfo.make_conninfo("", **info | {wrong: "9"})
    status, output = stemma(signed, "verify", database_url=url)
    assert (status, len(output.splitlines())) == (2, 1), output
    assert output.startswith("stemma: could not read: ")
