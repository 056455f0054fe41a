"""`stemma audit trail` against a running API."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from cli.main import main
from domain.dataset.imports import ImportRequested, ImportRules
from tests.api.scene import Scene
from tests.application.scenes import recorded
from tests.waiting import HANG_SECONDS

FIRST_KEY = 3
"""Events by which the administrator of a log, and its key, come to be."""


class Shell:
    """A scene with a training, and a shell beside it."""

    def __init__(self, site: Scene) -> None:
        self.site = site
        self.project, self.view = site.trainable("Zoo")
        self.version = site.version(self.view)
        site.begin(self.version)
        site.finish(self.version)
        self.head = site.visible()

    def run(self, *arguments: object, fails: bool = False) -> str:
        argv = ["audit", "trail", *map(str, arguments)]
        done = CliRunner().invoke(main, argv, env=self.site.environment)
        assert (done.exit_code != 0) is fails, done.output
        return done.stderr if fails else done.stdout


@pytest.fixture(scope="module")
def shell(site: Scene) -> Shell:
    return Shell(site)


def test_every_event_is_a_line(shell: Shell) -> None:
    lines = shell.run("--order", "oldest").splitlines()
    assert [line.split(" ")[0] for line in lines] == [str(n + 1) for n in range(shell.head)]
    assert lines[0].endswith("operator: account 'administrator' of a person opened")
    assert lines[FIRST_KEY].endswith("administrator: project 'Zoo' created")
    newest = shell.run("--limit", 3).splitlines()
    assert newest == lines[:-4:-1]


def test_things_are_found_by_their_names(shell: Shell) -> None:
    by_name = shell.run("--view", "Zoo/Which digit", "--event", "image.annotated")
    assert len(by_name.splitlines()) == 10
    assert by_name == shell.run("--view", shell.view, "--event", "image.annotated")
    assert len(shell.run("--project", "Zoo").splitlines()) == shell.head - FIRST_KEY
    assert "training completed" in shell.run("--version", shell.version, "--limit", 1)


def test_files_have_the_same_lines(shell: Shell, tmp_path: Path) -> None:
    printed = shell.run("--version", shell.version)
    for form in ("lines", "jsonl", "csv", "parquet"):
        shell.run(
            *("--version", shell.version, "--format", form, "--output", tmp_path / f"a.{form}")
        )
    assert (tmp_path / "a.lines").read_text() == printed
    found = (tmp_path / "a.jsonl").read_text().splitlines()
    positions = [json.loads(line)["position"] for line in found]
    assert positions == [int(line.split(" ")[0]) for line in printed.splitlines()]
    assert pq.read_table(tmp_path / "a.parquet")["position"].to_pylist() == positions
    assert len((tmp_path / "a.csv").read_text().splitlines()) == len(positions) + 1
    assert not list(tmp_path.glob(".*"))


def test_what_a_request_set_going_is_a_tree(shell: Shell) -> None:
    events = shell.site.store.streams([f"version-{shell.version}"])[f"version-{shell.version}"]
    asked = events[0].metadata
    lines = shell.run("--correlation", asked.correlation_id).splitlines()
    assert lines[0].startswith(f"request {asked.command_id} by administrator, 20")
    assert [line.split(": ")[1] for line in lines[1:]] == [
        "model 'Model 1' gave a version the number 1",
        "version 1 of model 'Model 1' created",
    ]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--format", "csv"], "--output"),
        (["--format", "csv", "--output", "x", "--limit", "3"], "--limit"),
        (["--correlation", "x", "--actor", "ada"], "--correlation"),
        (["--correlation", "none"], "no correlation 'none'"),
        (["--event", "version.made"], "version.created"),
        (["--project", "Nowhere"], "project 'Nowhere' not found"),
        (["--since", "yesterday"], "since is 'yesterday'"),
        (["--output", "/nowhere/file"], "No such file"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(shell: Shell, arguments: list[str], says: str) -> None:
    told = shell.run(*arguments, fails=True)
    assert says in told
    assert "Traceback" not in told


def test_a_reader_that_has_seen_enough_is_no_failure(shell: Shell) -> None:
    environment = os.environ | shell.site.environment
    command = f"set -o pipefail; {sys.executable} -m cli.main audit trail | head -1"
    done = subprocess.run(
        ["bash", "-c", command],
        check=False,
        env=environment,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "training completed" in done.stdout


def test_text_of_an_old_event_forges_no_line(site: Scene, tmp_path: Path) -> None:
    """Names of uploads were once recorded as they were given."""
    project = site.project("Forged")
    name = "a.zip\x1b[2J\n1 2026-01-01 00:00:00.000Z ada: all is well\u202e[red]"
    requested = ImportRequested(project, name, False, None, ImportRules())
    site.store.append([recorded("import-forged", 1, requested)])
    site.visible()
    options = ["--stream", "import-forged"]
    done = CliRunner().invoke(main, ["audit", "trail", *options], env=site.environment)
    [line] = done.stdout.splitlines()
    assert "a.zip\\x1b[2J\\n1 2026-01-01" in line
    assert line.isprintable()
    for form in ("lines", "csv"):
        target = tmp_path / form
        argv = ["audit", "trail", *options, "--format", form, "--output", str(target)]
        assert CliRunner().invoke(main, argv, env=site.environment).exit_code == 0
        assert all(line.isprintable() for line in target.read_text().splitlines())
        assert len(target.read_text().splitlines()) == (2 if form == "csv" else 1)


def test_names_are_no_markup_of_the_terminal(site: Scene) -> None:
    site.project("[red]Zoo[/red] [link=https://a.example]b[/link]")
    site.visible()
    done = CliRunner().invoke(
        main, ["audit", "as-of", str(site.visible())], env=site.environment | {"COLUMNS": "300"}
    )
    assert "[red]Zoo[/red] [link=https://a.example]b[/link]" in done.stdout
