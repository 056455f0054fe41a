"""Set-up: uv is told what pip is told, and what is not complete is made anew."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import setup

PIP = [sys.executable, "-m", "pip"]


@pytest.fixture(autouse=True)
def told_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No pip.conf and no variables of the machine's."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_", "SSL_"))]:
        monkeypatch.delenv(name)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))


def test_what_pip_is_told_is_told_to_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pip.conf").write_text(
        "[global]\n"
        "index-url = https://packages.example.com/simple\n"
        "extra-index-url = https://one.example.com/simple\n"
        "    https://two.example.com/simple\n"
        "cert = /etc/company.pem\n"
        "timeout = 7\n"
        "[install]\n"
        "trusted-host = packages.example.com\n"
        "no-index = false\n"
    )
    monkeypatch.setenv("PIP_FIND_LINKS", "/media/wheels /media/more")
    monkeypatch.setenv("PIP_TIMEOUT", "180")
    arguments, environment = setup.for_uv(setup.pip_settings(PIP))
    wanted = {
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_DEFAULT_INDEX": "https://packages.example.com/simple",
        "UV_INDEX": "https://one.example.com/simple https://two.example.com/simple",
        "SSL_CERT_FILE": "/etc/company.pem",
        "UV_HTTP_TIMEOUT": "180",
    }
    assert environment | wanted == environment
    told = " ".join(arguments)
    assert "--system-certs" in told
    assert "--find-links /media/wheels --find-links /media/more" in told
    assert "--allow-insecure-host packages.example.com" in told
    assert "--no-index" not in told


def test_a_folder_of_wheels_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "/media/wheels")
    arguments, _ = setup.for_uv(setup.pip_settings(PIP))
    assert {"--no-index", "--find-links", "/media/wheels"} <= set(arguments)


def test_what_uv_is_told_already_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://packages.example.com/simple")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://uv.example.com/simple")
    _, environment = setup.for_uv(setup.pip_settings(PIP))
    assert "UV_DEFAULT_INDEX" not in environment


def test_certificates_are_those_of_pips_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/company.pem")
    assert setup.for_uv({})[1]["SSL_CERT_FILE"] == "/etc/company.pem"
    assert setup.for_uv({"cert": "/etc/other.pem"})[1]["SSL_CERT_FILE"] == "/etc/other.pem"


def test_a_broken_pip_conf_is_named(tmp_path: Path) -> None:
    (tmp_path / "pip.conf").write_text("index-url = without a section\n")
    with pytest.raises(setup.SetupError, match=r"pip\.conf"):
        setup.pip_settings(PIP)


def test_uv_is_pinned_and_checked_by_its_hashes() -> None:
    first, *hashes = setup.locked_entry("uv").splitlines()
    assert first.startswith("uv==")
    assert len(hashes) > 5
    assert all(line.strip().startswith("--hash=sha256:") for line in hashes)


def test_a_venv_of_another_place_or_python_is_made_anew() -> None:
    here = setup.base_python(setup.PYTHON)
    assert setup.usable(["", str(setup.VENV), here], this_python=False)
    assert not setup.usable(["", "/elsewhere/.venv", here], this_python=False)
    assert not setup.usable(["", str(setup.VENV), "3 11 0 /usr"], this_python=False)


def test_a_python_that_does_not_run_is_none(tmp_path: Path) -> None:
    gone = tmp_path / "python"
    gone.symlink_to(tmp_path / "uninstalled")
    assert setup.base_python(gone) == ""


@pytest.mark.parametrize("named", ["no-such-python", "too-old"])
def test_a_python_that_is_not_new_enough_is_said_in_one_line(tmp_path: Path, named: str) -> None:
    old = tmp_path / "too-old"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    python = str(old) if named == "too-old" else named
    refused = subprocess.run(
        ["sh", setup.ROOT / "scripts/setup.sh"],
        env=os.environ | {"PYTHON": python},
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert "Python 3.11 or newer" in line
    assert python in line


def test_without_any_python_it_says_how_to_name_one(tmp_path: Path) -> None:
    (tmp_path / "dirname").symlink_to("/usr/bin/dirname")
    refused = subprocess.run(
        ["/bin/sh", setup.ROOT / "scripts/setup.sh"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert "make PYTHON=" in line


def test_scripts_of_pages_are_pinned_and_checked_and_name_no_registry() -> None:
    lock = json.loads((setup.PAGES / "package-lock.json").read_text())
    manifest = json.loads((setup.PAGES / "package.json").read_text())
    packages = {name: one for name, one in lock["packages"].items() if name}
    assert {f"node_modules/{name}" for name in manifest["dependencies"]} == set(packages)
    for name, package in packages.items():
        assert package["version"] == manifest["dependencies"][name.removeprefix("node_modules/")]
        assert package["integrity"].startswith("sha512-")
        assert "resolved" not in package


def test_without_a_registry_set_up_goes_on_and_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(setup.PAGES / name, tmp_path)
    monkeypatch.setattr(setup, "PAGES", tmp_path)
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "empty"))
    monkeypatch.setenv("npm_config_offline", "true")
    with (tmp_path / "lock").open("w") as lock:
        setup.fetch_scripts(lock.fileno())
    assert "could not be fetched" in capfd.readouterr().err
    assert not (tmp_path / "node_modules" / ".complete").exists()


def test_scripts_that_were_carried_over_need_no_registry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(setup.PAGES / name, tmp_path)
    monkeypatch.setattr(setup, "PAGES", tmp_path)
    wheels = tmp_path / "wheels"
    with (tmp_path / "lock").open("w") as lock:
        if setup.npm_ci(lock.fileno(), ["--cache", str(wheels / "npm")], {}) != 0:
            pytest.skip("no npm registry is reached from here")
        shutil.rmtree(tmp_path / "node_modules")
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
        setup.fetch_scripts(lock.fileno())
    assert (tmp_path / "node_modules" / ".complete").exists()
    assert (tmp_path / "node_modules/uplot/dist/uPlot.iife.min.js").exists()
