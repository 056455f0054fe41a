"""The server and the key are found: arguments before variables before a data folder near by."""

import os
from pathlib import Path

import pytest

from stemma_client import Stemma, StemmaError
from stemma_client.settings import Server, find_server


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("STEMMA_API_URL", "STEMMA_API_KEY", "STEMMA_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def run_in(folder: Path, key: str = "") -> None:
    """What a `stemma up` that runs on a data folder writes."""
    data = folder / ".stemma"
    data.mkdir()
    content = f', "api_key": "{key}"' if key else ""
    (data / "runtime.json").write_text(f'{{"api_url": "http://near:1", "nats_url": "x"{content}}}')
    if not key:
        (data / "api-key").write_text("in-file\n")


def test_arguments_go_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run_in(tmp_path)
    monkeypatch.setenv("STEMMA_API_URL", "http://variable:1")
    monkeypatch.setenv("STEMMA_API_KEY", "of-variable")
    assert find_server("https://named/", "given") == Server("https://named", "given")
    assert find_server(None, None) == Server("http://variable:1", "of-variable")


def test_a_running_system_near_by_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run_in(tmp_path)
    below = tmp_path / "notebooks" / "new"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert find_server(None, None) == Server("http://near:1", "in-file")
    # Its key is not sent to another server.
    with pytest.raises(StemmaError, match="no key for http://elsewhere"):
        find_server("http://elsewhere", None)


def test_the_key_of_a_running_system_goes_before_its_file(tmp_path: Path) -> None:
    run_in(tmp_path, key="running")
    assert find_server(None, None).key == "running"


def test_what_is_missing_is_named() -> None:
    with pytest.raises(StemmaError, match="set STEMMA_API_URL"):
        Stemma()
    with pytest.raises(StemmaError, match="begin with http"):
        Stemma("localhost:8300", "key")


def test_a_key_is_taken_as_it_can_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMMA_API_KEY", "of-a-file\n")
    assert find_server("http://named", None).key == "of-a-file"
    for key in ("clé", "two\nlines"):
        with pytest.raises(StemmaError, match="copy it again"):
            Stemma("http://named", key)
    with pytest.raises(StemmaError, match="no key for"):
        Stemma("http://named", " ")


def test_an_address_that_is_none_is_named() -> None:
    with pytest.raises(StemmaError, match="Invalid port"):
        Stemma("http://named:port", "key")


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives folders away")
def test_a_data_folder_of_another_user_is_not_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A variable's key would be sent to whatever server its maker names."""
    run_in(tmp_path)
    os.chown(tmp_path / ".stemma", 65534, -1)
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    with pytest.raises(StemmaError, match="set STEMMA_API_URL"):
        find_server(None, "mine")
    monkeypatch.setenv("STEMMA_DATA", str(tmp_path / ".stemma"))
    assert find_server(None, "mine").url == "http://near:1"
