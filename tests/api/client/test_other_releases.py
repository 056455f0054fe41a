"""A package of another release than the server's: an older contract, and a newer one."""

import copy
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from api.contract.document import FILE
from api.operations.client_package import FOLDER
from scripts.generate_client.__main__ import modules
from tests.api.scene import KEY, Scene

SCRIPT = """
import sys, warnings
from msgspec import UNSET
from stemma_client import Invalid, Stemma, answers, operations

warnings.simplefilter("always")
with warnings.catch_warnings(record=True) as seen, Stemma(*sys.argv[1:3]) as s:
    pets = s.projects.ensure("Pets " + sys.argv[3])
    view = pets.views.ensure("species", concepts=["cat", "dog"])
    run = s.version(sys.argv[4])
    assert run.status == "ready" and run.wait(timeout=0) == run
    assert len(s.metrics([run], "batch_loss")) == 10
    assert [one.id for one in s.project(run.row.project_id).versions()] == [run.id]
    assert s.project(run.row.project_id).image_table().columns["image_id"]
    version = {name: getattr(run.row, name) for name in answers.VersionRow.__struct_fields__}
    print("comparable" in version, version.get("colour"), len(seen))
    try:
        print(s.send(operations.list_versions(shade="dark")))
    except TypeError:
        print("older")
    except Invalid as error:
        print(*error.fields)
"""


def package_of(contract: dict[str, Any], folder: Path) -> Path:
    """The package as it is with this contract, to be imported from a folder."""
    package = folder / "stemma_client"
    shutil.copytree(FOLDER, package, ignore=shutil.ignore_patterns("__pycache__", "_generated"))
    (package / "_generated").mkdir()
    for name, source in modules(contract).items():
        (package / "_generated" / name).write_text(source)
    return folder


def run(folder: Path, site: Scene, name: str, version_id: str) -> list[str]:
    """The lines that the script prints with the package in a folder."""
    argv = [sys.executable, "-P", "-c", SCRIPT, site.url, KEY, name, version_id]
    done = subprocess.run(
        argv,
        cwd=folder,
        env={"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def trained(site: Scene) -> str:
    _, view = site.trainable("Trained")
    version = site.version(view)
    site.begin(version, 1)
    site.epoch(version, 1, of=1)
    site.finish(version)
    return version


def test_packages_of_an_older_and_of_a_newer_release_work(site: Scene, tmp_path: Path) -> None:
    """What one side does not know is left out, or not set; a difference is warned of once."""
    version_id = trained(site)
    contract = json.loads(FILE.read_text(encoding="utf-8"))
    older, newer = copy.deepcopy(contract), copy.deepcopy(contract)
    rows = [one["components"]["schemas"]["VersionRow"] for one in (older, newer)]
    del rows[0]["properties"]["comparable"]
    rows[0]["required"].remove("comparable")
    del older["components"]["schemas"]["ImageRow"]["properties"]["crops"]
    rows[1]["properties"]["colour"] = {"type": "string"}
    rows[1]["required"].append("colour")
    newer["info"]["version"] = "2"
    shade = {"name": "shade", "in": "query", "schema": {"type": "string"}}
    newer["paths"]["/api/v1/versions"]["get"]["parameters"].append(shade)
    (before, after) = (tmp_path / name for name in ("older", "newer"))
    assert run(package_of(older, before), site, "older", version_id) == ["False None 0", "older"]
    told = run(package_of(newer, after), site, "newer", version_id)
    assert told[0] == "True UNSET 1"
    assert "shade" in told[1]
