"""The auditor's ten queries, as docs/auditor/sql.md has them, on a log with trainings."""

import re
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from adapters.servers.postgres import EmbeddedPostgres
from domain.training.messages import Failed
from tests.adapters.postgres.test_auditor_role import auditor_of
from tests.api.scene import DIGEST, Scene
from tests.servers import Database

GUIDE = (Path(__file__).parents[3] / "docs" / "auditor" / "sql.md").read_text()
SECTION = GUIDE.split("## Ten queries")[1].split("\n## ")[0]
QUERIES = re.findall(r"\*\*(\d+)\..*?```sql\n(.*?)```", SECTION, re.DOTALL)
EXAMPLE = "4154e738-3fd4-5d6f-b83f-cd1e647bb890"


class Auditor:
    """Someone in the role, on a log where all that the queries look for has happened."""

    def __init__(self, site: Scene, postgres: EmbeddedPostgres) -> None:
        project, self.view = site.trainable("Zoo")
        self.version = site.version(self.view)
        site.begin(self.version)
        for number in (1, 2):
            site.epoch(self.version, number, held_out=1 / number)
        site.finish(self.version)
        failed = site.version(self.view)
        site.begin(failed)
        site.report(failed, Failed("the disk is full"))
        concepts = site.http.get(f"/api/v1/views/{self.view}").json()["view"]["concepts"]
        zero, one = (str(concept["concept_id"]) for concept in concepts)
        image = site.http.get(f"/api/v1/projects/{project}/images").json()["items"][0]["image_id"]
        self.image = image
        said = [{"image_id": image, "annotations": [{"concept_id": one}]}]
        site.post(f"/views/{self.view}/annotations", {"images": said})
        renamed = site.http.patch(
            f"/api/v1/views/{self.view}/concepts/{zero}", json={"label": "naught"}
        )
        assert renamed.is_success
        app_url = site.settings.require("database_url")
        name = app_url.rsplit("/", 1)[1]
        admin_url = f"{postgres.admin_url.rsplit('/', 1)[0]}/{name}"
        self.url = auditor_of(Database(name, admin_url, app_url))

    def ask(self, number: int) -> list[dict[str, Any]]:
        """The rows of a query of the guide, about this version instead of the example's."""
        query = dict(QUERIES)[str(number)].replace(EXAMPLE, self.version)
        with psycopg.connect(self.url, row_factory=psycopg.rows.dict_row) as connection:
            return connection.execute(sql.SQL(query.replace("%", "%%")), ()).fetchall()


@pytest.fixture(scope="module")
def auditor(site: Scene, postgres: EmbeddedPostgres) -> Auditor:
    return Auditor(site, postgres)


def test_there_are_ten() -> None:
    assert [int(number) for number, _ in QUERIES] == list(range(1, 11))


@pytest.mark.parametrize("number", range(1, 10))
def test_each_finds_something(auditor: Auditor, number: int) -> None:
    assert auditor.ask(number)


def test_no_history_has_a_hole(auditor: Auditor) -> None:
    assert auditor.ask(10) == []


def test_they_find_what_happened(auditor: Auditor) -> None:
    history = [row["name"] for row in auditor.ask(1)]
    assert history[0] == "version.created"
    assert history[-1] == "version.training_completed"
    people = {(row["sort"], row["actor"]) for row in auditor.ask(2)}
    assert people == {
        ("caller", "administrator"),
        ("caller", "operator"),
        ("policy", "policy"),
        ("worker", "worker:gpu-1"),
    }
    made, other = auditor.ask(4)
    assert (made["manifest"], made["checkpoint"]) == (DIGEST, DIGEST)
    assert made["environment"] == {"torch": "2.11"}
    assert (other["attempt"], other["checkpoint"]) == (1, None)
    [changed] = auditor.ask(5)
    assert (changed["image_id"], changed["was"], changed["became"]) == (
        auditor.image,
        "zero",
        "one",
    )
    [otherwise] = auditor.ask(6)
    assert (otherwise["image_id"], otherwise["trained_as"]) == (auditor.image, "zero")
    labels = [(row["first_label"], row["label"]) for row in auditor.ask(7)]
    assert labels == [("zero", "naught"), ("one", "one")]
    [badly] = auditor.ask(8)
    assert (badly["ended"], badly["reason"]) == ("failed", "the disk is full")
    [good] = auditor.ask(9)
    assert (good["validation_accuracy"], good["epochs"], good["least_loss"]) == (0.9, 2, 0.5)


def test_every_view_is_told_of(auditor: Auditor) -> None:
    with psycopg.connect(auditor.url) as connection:
        query = "SELECT viewname FROM pg_views WHERE schemaname = 'audit'"
        views = {str(row[0]) for row in connection.execute(query)}
    assert set(re.findall(r"`audit\.(\w+)`", SECTION)) == views
