"""What is wrong with a call is said in one line."""

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from cli.main import SECTIONS, main
from cli.run import PROCESSES
from tests.locales import latin_1
from tests.small_disk import small_disk

STEMMA = Path(sys.executable).with_name("stemma")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([b"up", b"--port", b"99999"], "99999 is not in the range 1<=x<=65535"),
        ([b"train", b"caf\xe9"], r"argument 2 is not UTF-8: b'caf\xe9'"),
    ],
)
def test_a_wrong_argument_is_named(tmp_path: Path, arguments: list[bytes], says: str) -> None:
    environment = {"STEMMA_DATA": str(tmp_path / "data")}
    done = subprocess.run([STEMMA, *arguments], capture_output=True, env=environment, check=False)
    assert done.returncode == 2
    assert says in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()
    assert not (tmp_path / "data").exists()


def test_names_of_files_are_utf_8_in_every_locale(tmp_path: Path) -> None:
    folder = tmp_path / "доступ 数据"
    argv = [str(STEMMA), "nats", "init", "--folder", str(folder)]
    environment = {"STEMMA_DATA": str(tmp_path / "data")} | latin_1(tmp_path)
    done = subprocess.run(argv, capture_output=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert str(folder) in done.stdout.decode()
    assert (folder / "users.json").is_file()


def test_a_full_disk_is_said_in_a_line(tmp_path: Path) -> None:
    with small_disk(tmp_path, 2) as disk:
        disk.fill()
        argv = [str(STEMMA), "nats", "init", "--folder", str(tmp_path / "access")]
        environment = {"STEMMA_DATA": str(tmp_path / "data")}
        done = subprocess.run(argv, capture_output=True, env=environment, check=False)
    assert done.returncode == 74
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("stemma: the disk is full: free some space (")


def test_the_help_lists_each_command_in_one_section_but_hidden_ones() -> None:
    listed = [name for names in SECTIONS.values() for name in names]
    assert len(set(listed)) == len(listed)
    context = click.Context(main)
    shown = {
        name
        for name in main.list_commands(context)
        if (command := main.get_command(context, name)) is not None and not command.hidden
    }
    assert set(listed) == shown
    text = CliRunner().invoke(main, ["--help"]).stdout
    assert [title for title in SECTIONS if f"\n{title}:\n" in text] == list(SECTIONS)


@pytest.mark.parametrize("name", PROCESSES)
def test_processes_have_their_earlier_names_too(name: str) -> None:
    for arguments in ([name], ["run", name]):
        done = CliRunner().invoke(main, [*arguments, "--help"])
        assert done.exit_code == 0, done.output
        assert "Usage:" in done.stdout


def test_the_version_is_said() -> None:
    done = CliRunner().invoke(main, ["--version"])
    assert done.stdout.startswith("stemma ")
