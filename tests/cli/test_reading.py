"""A database that cannot be read is told in one line, with status 2, and never as a finding."""

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from application.log.store import Store
from cli.main import main
from tests.adapters.audit.logs import Signed, append
from tests.servers import Database

COMMANDS = (
    "audit verify",
    "audit replay",
    "audit replay --to 1",
    "audit experiment 7",
    "audit export bundle.zip --all",
    "blobs check",
    "blobs collect",
    "manifest 7 --from-log",
    "reproduce 7",
)


def with_other(part: str) -> Callable[[Database], str]:
    """Another port or password, with which nobody is let in."""

    def made(database: Database) -> str:
        info = conninfo_to_dict(database.app_url) | {part: "9"}
        return make_conninfo("", **{name: value for name, value in info.items() if value})

    return made


def after(statement: str) -> Callable[[Database], str]:
    def made(database: Database) -> str:
        with psycopg.connect(database.admin_url) as connection:
            connection.execute(statement.encode())
        return database.app_url

    return made


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("ailment", "said"),
    [
        (with_other("port"), "onnection refused"),
        (with_other("password"), "password authentication failed"),
        (after("REVOKE SELECT ON log.stemma_events FROM stemma_app"), "permission denied"),
        (after("ALTER TABLE log.stemma_events RENAME TO gone"), "does not exist"),
    ],
    ids=["down", "password", "grant", "table"],
)
def test_it_says_so(
    command: str,
    ailment: Callable[[Database], str],
    said: str,
    store: Store,
    migrated: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    signed = Signed(migrated, tmp_path / "audit")
    append(store, 1)
    signed.sign()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STEMMA_DATA", str(tmp_path))
    monkeypatch.setenv("STEMMA_BLOBS_URL", f"file://{tmp_path}/blobs")
    monkeypatch.setenv("STEMMA_DATABASE_URL", ailment(migrated))
    done = CliRunner().invoke(main, command.split())
    assert done.exit_code == 2, done.output
    last = done.stderr.splitlines()[-1]
    assert last.startswith("stemma: could not read: "), done.output
    assert said in last
    assert "Traceback" not in done.output


@pytest.mark.parametrize("command", ["audit trail", "audit as-of 1", "audit refusals"])
def test_an_api_that_does_not_answer_is_told(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.client.PATIENCE_SECONDS", 0.0)
    monkeypatch.setenv("STEMMA_DATA", str(tmp_path))
    monkeypatch.setenv("STEMMA_API_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("STEMMA_API_KEY", "stemma_0_0")
    done = CliRunner().invoke(main, command.split())
    assert done.exit_code == 2, done.output
    [line] = done.stderr.splitlines()
    assert line.startswith("stemma: the API cannot be reached")
