"""`stemma train`, `form` and `weights`, against a running API and a worker that only reports."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from click.testing import CliRunner, Result

from cli.main import main
from domain.training.architectures import ARCHITECTURES
from domain.training.messages import Failed
from tests.api.scene import Scene
from tests.api.training.test_form import put_weights
from tests.system.system import eventually


def run(server: Scene, *arguments: str) -> Result:
    settings = server.environment | {"STEMMA_DATA": str(server.settings.data)}
    return CliRunner().invoke(main, arguments, env=settings | {"COLUMNS": "400"})


def version(server: Scene, version_id: str) -> dict[str, object]:
    found: dict[str, object] = server.http.get(f"/api/v1/versions/{version_id}").json()["version"]
    return found


def only_version(server: Scene) -> str | None:
    items = server.http.get("/api/v1/versions").json()["items"]
    return str(items[0]["version_id"]) if items else None


@contextmanager
def a_worker(server: Scene, *, fails: bool) -> Iterator[None]:
    """Takes up the first version there is and ends it."""

    def work() -> None:
        version_id = eventually(lambda: only_version(server), "a version is asked for")
        server.begin(version_id, epochs=1)
        server.epoch(version_id, 1, of=1)
        if fails:
            server.report(version_id, Failed("out of memory"))
        else:
            server.finish(version_id)

    working = threading.Thread(target=work)
    working.start()
    yield
    working.join()


def test_a_view_is_trained_by_its_id_or_its_names(server: Scene) -> None:
    _, view_id = server.trainable()
    settings = ("--set", "architecture=resnet18", "--set", "width=32", "--set", "balancing=true",
                "--set", 'augmentations=["vertical_flip"]')  # fmt: skip
    done = run(server, "train", view_id, "--name", "small", *settings)
    assert done.exit_code == 0, done.output
    made = version(server, done.stdout.strip())
    options = made["options"]
    assert isinstance(options, dict)
    assert (made["name"], options["architecture"], options["width"]) == ("small", "resnet18", 32)
    assert (options["balancing"], options["augmentations"][0]["op"]) == (True, "vertical_flip")
    named = run(server, "train", "Digits/Which digit", "--model", str(made["model_id"]))
    assert named.exit_code == 0, named.output
    assert version(server, named.stdout.strip())["number"] == 2


def test_a_refused_training_says_why(server: Scene) -> None:
    _, view_id = server.trainable()
    for told, arguments in {
        "must be from 0.1 to 200": (view_id, "--set", "epochs=0"),
        "project 'Cats' not found": ("Cats/Which",),
        "no view 'Which cat'": ("Digits/Which cat",),
        "view not found": ("nothing",),
        "model not found": (view_id, "--model", "nothing"),
        "is not KEY=VALUE": (view_id, "--set", "epochs"),
    }.items():
        done = run(server, "train", *arguments)
        assert done.exit_code != 0
        assert told in done.stderr


def test_a_refused_training_by_a_trainer_names_the_setting_or_the_trainers(server: Scene) -> None:
    _, view_id = server.trainable()
    unknown = run(server, "train", view_id, "--trainer", "acme/own")
    assert "trainer not found; none is registered: `stemma trainers register`" in unknown.stderr
    settings = [
        {"control": "number", "key": "epochs", "default": 8, "whole": True},
        {"control": "choice", "key": "side", "default": "8", "choices": ["8", "16"]},
    ]
    form = {"kinds": ["classification"], "settings": settings}
    for name in ("acme/a", "acme/b"):
        server.post("/trainers", form | {"name": name})
    server.visible()
    unknown = run(server, "train", view_id, "--trainer", "acme/own")
    assert "trainer not found; registered: acme/a, acme/b" in unknown.stderr
    for given, problem in {
        "epochs=2.5": "epochs is 2.5; it must be a whole number",
        "side=9": "side is 9; it must be one of: 8, 16",
    }.items():
        done = run(server, "train", view_id, "--trainer", "acme/a", "--set", given)
        assert done.exit_code == 1
        assert problem in done.stderr


@pytest.mark.parametrize("fails", [False, True])
def test_followed_to_its_end(server: Scene, fails: bool) -> None:
    _, view_id = server.trainable()
    with a_worker(server, fails=fails):
        done = run(server, "train", view_id, "--follow")
    assert done.exit_code == int(fails)
    assert ("is failed: out of memory" if fails else "is ready") in done.stderr


def test_the_form_is_shown_with_the_defaults_that_stand(server: Scene) -> None:
    shown = run(server, "form", "classification")
    assert shown.exit_code == 0, shown.output
    for part in ("│ initial_learning_rate", "0.002", "from 32 to 1024, in steps of 16", "radam"):
        assert part in shown.stdout
    other = run(server, "form", "detection", "--set", "architecture=retinanet_resnet50_fpn")
    assert '[{"op":"horizontal_flip"}]' in other.stdout
    assert "Only where resizer is keep_aspect_ratio" in other.stdout
    refused = run(server, "form", "tagging", "--set", "seed=-1")
    assert (refused.exit_code, "seed is -1" in refused.stderr) == (1, True)


def test_weights_are_listed(server: Scene) -> None:
    put_weights(server)
    lines = run(server, "weights", "list").stdout.splitlines()
    here = [line for line in lines if "│ yes" in line]
    assert len(here) == 1
    assert ARCHITECTURES["resnet18"].weights["imagenet"] in here[0]


def test_weights_that_cannot_be_fetched_end_with_1(server: Scene) -> None:
    assert run(server, "weights", "fetch", "resnet9000").exit_code == 1
