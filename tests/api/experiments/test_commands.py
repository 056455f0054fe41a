"""`stemma experiment` and `stemma audit experiment`, against a running API."""

import threading
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from cli.main import main
from tests.adapters.running import eventually
from tests.api.experiments.conftest import Laboratory
from tests.application.experiments.simulation import experiment_at

SPACE = {"architectures": ["resnet18"], "optimizers": ["momentum", "nadam"]}


def stemma(laboratory: Laboratory, *arguments: str) -> Result:
    environment = laboratory.site.environment | {"COLUMNS": "250"}
    return CliRunner().invoke(main, ["experiment", *arguments], env=environment)


def audit(laboratory: Laboratory, experiment_id: str) -> Result:
    environment = laboratory.site.environment | {"STEMMA_DATABASE_URL": laboratory.database_url}
    return CliRunner().invoke(main, ["audit", "experiment", experiment_id], env=environment)


@pytest.fixture(scope="module")
def view_id(laboratory: Laboratory) -> str:
    view_id = laboratory.site.trainable("Command line")[1]
    laboratory.site.visible()
    return view_id


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("space") / "space.json"
    file.write_bytes(msgspec.json.encode(SPACE))
    return file


@pytest.fixture(scope="module")
def finished(laboratory: Laboratory, view_id: str, space: Path) -> str:
    by_name = "Command line/Which digit"
    assert view_id
    done = stemma(
        laboratory, "start", by_name, "--budget", "5", "--concurrency", "1",
        "--space", str(space), "--set", "epochs=3", "--name", "By hand",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    experiment_id = done.stdout.strip()
    laboratory.run(experiment_id)
    return experiment_id


def test_it_is_listed_and_shown(laboratory: Laboratory, view_id: str, finished: str) -> None:
    listed = stemma(laboratory, "list", view_id).stdout
    assert finished in listed
    assert "By hand" in listed
    assert "5 of 5" in listed
    shown = stemma(laboratory, "show", finished).stdout
    assert "By hand: concluded" in shown
    for version_id in laboratory.trials(finished):
        assert version_id in shown


def test_the_best_is_named(laboratory: Laboratory, finished: str) -> None:
    best = laboratory.get(f"/experiments/{finished}")["experiment"]["conclusion"]["best"]
    assert stemma(laboratory, "best", finished).stdout.strip() == best


def test_every_choice_is_derived_again(laboratory: Laboratory, finished: str) -> None:
    done = audit(laboratory, finished)
    assert done.exit_code == 0, done.output
    assert "0 different, 0 not comparable" in done.stdout


def test_it_is_followed_to_its_end(laboratory: Laboratory, view_id: str, space: Path) -> None:
    experiment_id = stemma(
        laboratory, "start", view_id, "--budget", "2", "--space", str(space), "--set", "epochs=2"
    ).stdout.strip()
    training = threading.Thread(target=laboratory.run, args=(experiment_id,))
    training.start()
    done = stemma(laboratory, "show", experiment_id, "--follow")
    training.join()
    assert done.exit_code == 0, done.output
    assert "trial 1, accuracy" in done.output or "trial 2, accuracy" in done.output


def test_it_is_stopped(laboratory: Laboratory, view_id: str) -> None:
    experiment_id = stemma(laboratory, "start", view_id, "--budget", "9").stdout.strip()
    assert stemma(laboratory, "stop", experiment_id).exit_code == 0
    # Its trials are queued, and nobody trains them.
    eventually(lambda: experiment_at(laboratory.site.store, experiment_id).concluded is not None)
    laboratory.site.visible()
    refused = stemma(laboratory, "best", experiment_id)
    assert refused.exit_code == 1
    assert "has no trial that completed" in refused.output


def test_the_default_space_can_be_edited(
    laboratory: Laboratory, view_id: str, tmp_path: Path
) -> None:
    written = stemma(laboratory, "space", "classification").stdout
    file = tmp_path / "space.json"
    file.write_text(written)
    done = stemma(laboratory, "start", view_id, "--budget", "1", "--space", str(file))
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--budget", "0"), "budget is 0; it must be from 1 to 500"),
        (("--set", "patience=3"), "'patience' is not shared by trials"),
        (("--set", "epochs"), "'epochs' is not KEY=VALUE"),
    ],
)
def test_bad_input_is_said_in_a_line(
    laboratory: Laboratory, view_id: str, arguments: tuple[str, ...], message: str
) -> None:
    done = stemma(laboratory, "start", view_id, *arguments)
    assert done.exit_code != 0
    assert message in done.output


def test_a_space_that_is_no_json_is_said(
    laboratory: Laboratory, view_id: str, tmp_path: Path
) -> None:
    file = tmp_path / "space.json"
    file.write_text("{")
    done = stemma(laboratory, "start", view_id, "--space", str(file))
    assert done.exit_code == 2
    assert "is no JSON" in done.output


def test_one_that_is_not_there_is_said(laboratory: Laboratory) -> None:
    done = audit(laboratory, "none")
    assert done.exit_code == 2
    assert "experiment not found" in done.output
