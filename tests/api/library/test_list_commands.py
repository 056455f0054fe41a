"""Lists on the command line: tables whose ids can be copied, JSON for programs, things by name."""

import json
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner, Result

from cli.main import main
from tests.api.scene import Scene


class Zoo(NamedTuple):
    """A project with a view, its images and two versions."""

    site: Scene
    project: str
    view: str
    versions: list[str]

    def run(self, *arguments: str, columns: int = 80) -> Result:
        environment = {**self.site.environment, "COLUMNS": str(columns)}
        return CliRunner().invoke(main, arguments, env=environment)

    def text(self, *arguments: str, columns: int = 80) -> str:
        done = self.run(*arguments, columns=columns)
        assert done.exit_code == 0, done.output
        return done.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self.text(*arguments, "--json"))

    def refusal(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.exit_code == 1
        return done.stderr


@pytest.fixture(scope="module")
def zoo(site: Scene) -> Zoo:
    project, view = site.trainable("Lists \N{BIRD} of a zoo with a long name")
    versions = [
        str(site.post(f"/views/{view}/versions", {"name": name, "options": {}})["id"])
        for name in ("First", "Second")
    ]
    site.visible()
    return Zoo(site, project, view, versions)


NAME = "Lists \N{BIRD} of a zoo with a long name"


@pytest.mark.parametrize("columns", [40, 300])
def test_ids_are_never_cut(zoo: Zoo, columns: int) -> None:
    lists = {
        zoo.project: ("projects", "list"),
        zoo.view: ("views", "list", NAME),
        zoo.versions[0]: ("versions", "list", f"{NAME}/Which digit"),
    }
    for key, arguments in lists.items():
        assert key in zoo.text(*arguments, columns=columns)


def test_lists_are_filtered(zoo: Zoo) -> None:
    first, second = zoo.versions

    def ids(*arguments: str, key: str = "version_id") -> list[str]:
        return [row[key] for row in zoo.json(*arguments)]

    assert ids("versions", "list", zoo.view) == [second, first]
    assert ids("versions", "list", "--project", NAME, "--sort", "oldest") == [first, second]
    assert ids("versions", "list", zoo.view, "--limit", "1") == [second]
    assert ids("versions", "list", zoo.view, "--name", "irs") == [first]
    assert ids("versions", "list", zoo.view, "--status", "ready") == []
    assert ids("projects", "list", "--name", "of a zoo", key="project_id") == [zoo.project]
    images = zoo.json("images", "list", NAME, "--view", zoo.view, "--concept", "zero")
    assert len(images) == 5
    assert len(zoo.json("images", "list", NAME, "--split", "validation")) == 4
    assert zoo.json("images", "list", NAME, "--view", zoo.view, "--not-annotated") == []
    assert "zero" in zoo.text("images", "list", NAME, "--view", zoo.view)
    (library,) = zoo.json("models", "list", zoo.view)
    assert library["model"]["versions"] == 2


def test_images_are_chosen_by_metadata_and_downloaded(zoo: Zoo, tmp_path: Path) -> None:
    listed = zoo.json(
        *("images", "list", NAME, "--metadata", "patient=17", "--download", str(tmp_path))
    )
    assert listed == []
    assert "KEY=VALUE" in zoo.run("images", "list", NAME, "--metadata", "patient").stderr
    [row] = zoo.json("images", "list", NAME, "--limit", "1", "--download", str(tmp_path))
    [file] = tmp_path.iterdir()
    assert file.name == row["image_id"]
    content = zoo.site.http.get(f"/api/v1/images/{row['image_id']}/content").content
    assert file.read_bytes() == content


def test_what_is_stored_about_an_account_is_exported(zoo: Zoo, tmp_path: Path) -> None:
    done = zoo.text("accounts", "export", "Administrator", str(tmp_path / "of"), "--images")
    listed = {row["image_id"] for row in zoo.json("images", "list", NAME)}
    ids = (tmp_path / "of/images.txt").read_text().split()
    assert listed <= set(ids)
    assert {file.name for file in (tmp_path / "of/images").iterdir()} == set(ids)
    assert json.loads((tmp_path / "of/account.json").read_text())["name"] == "administrator"
    actions = (tmp_path / "of/actions.jsonl").read_text().splitlines()
    assert {json.loads(line)["actor"] for line in actions} == {"administrator"}
    assert f"{len(actions):,} actions, {len(ids):,} images" in done
    assert "account 'nobody' not found" in zoo.refusal(
        "accounts", "export", "nobody", str(tmp_path / "none")
    )


def test_json_has_the_texts_as_they_are(zoo: Zoo) -> None:
    assert [row["name"] for row in zoo.json("projects", "list", "--name", "zoo")] == [NAME]
    raw = zoo.text("projects", "list", "--json")
    assert raw.isascii(), "no text in it can steer a terminal"


def test_a_version_is_given_by_its_name(zoo: Zoo) -> None:
    named = f"{NAME}/Which digit/First"
    assert zoo.json("versions", "show", named)["version_id"] == zoo.versions[0]
    assert f"version id: {zoo.versions[0]}" in zoo.text("versions", "show", named)
    assert "has no version 'Third'" in zoo.refusal("cancel", f"{NAME}/Which digit/Third")
    again = zoo.site.post(f"/views/{zoo.view}/versions", {"name": "First", "options": {}})["id"]
    refused = zoo.refusal("versions", "show", named)
    assert "2 versions" in refused
    assert again in refused
    assert "version not found" in zoo.refusal("download", "nothing", "folder")


def test_projects_are_created_and_renamed(zoo: Zoo) -> None:
    project = zoo.text("projects", "create", "By hand").strip()
    zoo.text("projects", "rename", "By hand", "By command")
    assert zoo.json("projects", "list", "--name", "By command")[0]["project_id"] == project
    assert "project 'Nowhere' not found" in zoo.refusal("views", "list", "Nowhere")


def test_of_several_with_a_name_the_ids_are_listed(zoo: Zoo) -> None:
    twins = [zoo.text("projects", "create", "Twins").strip() for _ in range(2)]
    refused = zoo.refusal("views", "list", "Twins")
    assert "2 projects are named 'Twins'" in refused
    assert all(f"{twin} (created " in refused for twin in twins)
    assert "no other view" in zoo.refusal("models", "list", f"{twins[0]}/where")
    views = [
        zoo.site.post(f"/projects/{twins[0]}/views", {"name": "where", "kind": kind})["id"]
        for kind in ("detection", "tagging")
    ]
    zoo.site.visible()
    refused = zoo.refusal("models", "list", f"{twins[0]}/where")
    assert all(f"{view} (" in refused for view in views)
    assert "has no view 'when'; its views are 'where', 'where'" in zoo.refusal(
        "models", "list", f"{twins[0]}/when"
    )


def test_a_training_without_validation_images_names_the_command_that_draws_them(zoo: Zoo) -> None:
    project, view = zoo.site.trainable("Undrawn")
    for image in zoo.json("images", "list", project):
        path = f"/api/v1/images/{image['image_id']}/split"
        assert zoo.site.http.put(path, json={"split": "train"}).status_code == 200
    zoo.site.visible()
    assert "stemma projects draw-validation" in zoo.refusal("train", "Undrawn/Which digit")
    draw = ("projects", "draw-validation", "Undrawn", "--size", "0.2", "--seed", "1")
    assert zoo.text(*draw) == "train 8, validation 2, test 0\n"
    by_view = (*draw, "--stratify-by", "Which digit")
    assert zoo.text(*by_view) == "train 8, validation 2, test 0\n"
    draw_test = ("projects", "draw-test", project, "--size", "3")
    assert zoo.text(*draw_test) == "train 5, validation 2, test 3\n"
    assert zoo.text("train", view, "--name", "Drawn")
    assert zoo.run("projects", "draw-test", project).exit_code == 2


def test_an_export_of_one_concept(zoo: Zoo, tmp_path: Path) -> None:
    export = ("export", str(tmp_path / "a.zip"), "--project", NAME, "--format", "csv")
    zoo.text(*export, "--view", "Which digit", "--concept", "zero")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        (name,) = archive.namelist()
        table = archive.read(name).decode()
    assert (table.count("zero"), table.count("one")) == (5, 0)
    chosen = (*export, "--view", "Which digit", "--concept", "ten")
    assert "no concept 'ten'; it has 'zero', 'one'" in zoo.refusal(*chosen)
    assert "give one --view" in zoo.refusal(*export, "--concept", "zero")


def test_annotations_without_a_view_are_a_wrong_use(zoo: Zoo) -> None:
    done = zoo.run("images", "list", NAME, "--concept", "zero")
    assert done.exit_code == 2
    assert "give --view" in done.stderr
