"""Seeds of trainers' workers: issued and shown once, listed, revoked; by API, commands and page."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result
from playwright.sync_api import Page, expect

from adapters.nats.access import NatsAccess
from adapters.nats.login import public_key
from adapters.nats.roles import NatsRole
from adapters.settings import SettingsError
from adapters.training.job_key import job_tokens
from adapters.training.trainer_seeds import sync_seeds
from application.training.ingest import Delivered, Ingest
from cli.main import main
from domain.aggregates import VERSION
from domain.trainers.trainer import trainer_id
from domain.training.messages import Report, Started
from stemma_client import Stemma
from stemma_client.errors import Conflict
from tests.adapters.running import eventually
from tests.api.client.proxy import Proxy, cut_after, passes
from tests.api.scene import KEY, Scene

pytestmark = pytest.mark.usefixtures("project")
NAME = "acme/seeded"
PATH = f"/trainers/{trainer_id(NAME)}/seeds"


@pytest.fixture(scope="module")
def project(site: Scene) -> str:
    for name in (NAME, "acme/other"):
        site.post("/trainers", {"name": name, "kinds": ["classification"]})
    return site.trainable("Seeded")[0]


def stemma(site: Scene, *arguments: str) -> Result:
    environment = site.environment | {"COLUMNS": "250"}
    return CliRunner().invoke(main, ["trainers", *arguments], env=environment)


def listed(site: Scene, worker: str) -> str:
    rows = stemma(site, "seeds").stdout.splitlines()
    return next(row for row in rows if worker in row)


def test_a_seed_whose_answer_was_lost_is_not_written_as_one(site: Scene) -> None:
    with Proxy(site.url).running() as between:
        between.actions.extend([passes, cut_after])  # the trainers are listed first
        environment = site.environment | {"STEMMA_API_URL": between.url}
        arguments = ["trainers", "issue-seed", NAME, "lost"]
        done = CliRunner().invoke(main, arguments, env=environment)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "the response with it was lost" in done.stderr
    assert "issued" in listed(site, "lost")


def test_a_seed_is_shown_once_and_only_its_public_half_is_stored(site: Scene, project: str) -> None:
    body = {"worker": "once", "project_id": project}
    key = {"Idempotency-Key": "a seed"}
    first, again = (site.http.post(f"/api/v1{PATH}", json=body, headers=key) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.headers["Cache-Control"] == "no-store"
    answer = first.json()
    assert again.json() == answer | {"seed": None}
    assert answer["queue"] == f"trainer--acme--seeded--{project}"
    assert answer["applied"] is False  # this server has no NATS of its own
    (seed,) = [
        one
        for one in site.http.get("/api/v1/trainers/seeds").json()["items"]
        if one["worker"] == "once"
    ]
    assert seed["key"] == public_key(answer["seed"])
    log = b"".join(msgspec.json.encode(recorded.event) for recorded in site.store.read_all())
    assert seed["key"].encode() in log
    assert answer["seed"].encode() not in log
    trail = site.http.get("/api/v1/audit/trail?limit=5").text
    assert "worker once got a seed for jobs of project" in trail
    assert "Seeded" in trail


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"worker": "a b"}, 422, "worker"),
        ({"worker": "x" * 65}, 422, "worker"),
        ({"worker": "gpu", "project_id": "nowhere"}, 404, None),
        ({"worker": "taken"}, 409, "worker"),
    ],
)
def test_what_is_not_issued(
    site: Scene, body: dict[str, str], status: int, field: str | None
) -> None:
    site.http.post(f"/api/v1/trainers/{trainer_id('acme/other')}/seeds", json={"worker": "taken"})
    refused = site.http.post(f"/api/v1{PATH}", json=body)
    assert refused.status_code == status, refused.text
    if field:
        assert [error["field"] for error in refused.json()["errors"]] == [field]


def test_commands_issue_list_and_revoke(site: Scene, project: str) -> None:
    done = stemma(site, "issue-seed", NAME, "by-hand", "--project", "Seeded")
    assert done.exit_code == 0, done.output
    assert public_key(done.stdout.strip()).startswith("U")
    assert f"STEMMA_QUEUE=trainer--acme--seeded--{project}" in done.stderr
    assert "stemma nats sync" in done.stderr
    assert "issued" in next(
        row for row in stemma(site, "seeds").stdout.splitlines() if "by-hand" in row
    )
    assert stemma(site, "revoke-seed", NAME, "by-hand").exit_code == 0
    assert "revoked" in next(
        row for row in stemma(site, "seeds").stdout.splitlines() if "by-hand" in row
    )
    unknown = stemma(site, "revoke-seed", NAME, "nobody")
    assert unknown.exit_code == 1
    assert "has no worker 'nobody'" in unknown.stderr
    nowhere = stemma(site, "issue-seed", NAME, "w", "--project", "Nowhere")
    assert nowhere.exit_code == 1


def test_the_package_issues_and_revokes(site: Scene) -> None:
    with Stemma(site.url, KEY) as client:
        trainers = client.trainers
        issued = trainers.issue_seed(trainer_id(NAME), "packaged")
        assert issued.seed is not None
        with pytest.raises(Conflict, match="packaged has a seed"):
            trainers.issue_seed(trainer_id(NAME), "packaged")
        trainers.revoke_seed(trainer_id(NAME), "packaged")
        (seed,) = [seed for seed in trainers.seeds() if seed.worker == "packaged"]
        assert seed.revoked


def test_nats_lets_in_whom_the_log_says(site: Scene, tmp_path: Path) -> None:
    access = NatsAccess(tmp_path)
    access.prepare()
    access.add(NatsRole.WORKER, "made-here")
    site.post(PATH, {"worker": "synced"})
    assert sync_seeds(site.store, access)
    assert not sync_seeds(site.store, access)
    users = {user.name: user for user in access.users() if user.role == NatsRole.WORKER}
    assert users["synced"].queue == "trainer--acme--seeded"
    assert not access.seed_file(NatsRole.WORKER, "synced").exists()
    with pytest.raises(SettingsError, match="revoke-seed"):
        access.remove(NatsRole.WORKER, "synced")
    configured = (access.configuration.parent / "access.conf").read_text()
    assert users["synced"].key in configured
    assert "worker-trainer--acme--seeded" in configured
    site.http.delete(f"/api/v1{PATH}/synced").raise_for_status()
    environment = {"STEMMA_DATABASE_URL": site.store.database_url, "STEMMA_DATA": str(tmp_path)}
    for said in ("have changed", "are up to date"):
        command = ["nats", "sync", "--folder", str(tmp_path)]
        done = CliRunner().invoke(main, command, env=environment)
        assert done.exit_code == 0, done.output
        assert said in done.output
        assert "let it reload the configuration twice" in done.output
    assert users["synced"].key not in (access.configuration.parent / "access.conf").read_text()
    assert "made-here" in {user.name for user in access.users()}


def test_what_a_revoked_worker_reports_is_refused(
    site: Scene,
) -> None:
    site.post(PATH, {"worker": "cut-off"})
    view = site.trainable("Cut off")[1]
    version = str(site.post(f"/views/{view}/versions", {"trainer": NAME})["id"])
    site.freeze(version)
    stream = VERSION.stream(version)
    correlation = site.store.streams([stream])[stream][-1].metadata.correlation_id
    tokens = job_tokens(site.store.database_url)
    token = tokens.of(version, 1, correlation)

    def report(sequence: int) -> int:
        body = Started("cut-off", "cpu", {}, 0)
        sent = Report(
            version, 1, sequence, sequence, datetime.now(UTC), "cut-off", correlation, body, token
        )
        ingest = Ingest(site.store, f"{version} {sequence}", tokens)
        ingest.take([Delivered(1, msgspec.json.encode(sent))])
        return len(site.store.streams([stream])[stream])

    def claimed() -> int:
        path = f"/api/v1/jobs/{version}/state/claim?delivery=1"
        return site.http.post(path, headers={"Job-Token": token}).status_code

    before = report(1)
    site.http.delete(f"/api/v1{PATH}/cut-off").raise_for_status()
    assert report(2) == before
    # The job's next worker has the same token: it must open the job before it has begun.
    assert claimed() == 200
    site.http.post(f"/api/v1/versions/{version}/cancel").raise_for_status()
    # What a version's log says is kept for some seconds.
    eventually(lambda: claimed() == 409)


def test_the_page_issues_shows_once_and_revokes(site: Scene, page: Page) -> None:
    site.visible()
    page.goto("/workers")
    page.get_by_role("button", name=f"Issue a seed for {NAME}").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Worker").fill("by page")
    dialog.get_by_role("button", name="Issue seed").click()
    expect(dialog).to_contain_text("is not the name of a worker")
    dialog.get_by_label("Worker").fill("by-page")
    dialog.get_by_label("Jobs of").select_option(label="Seeded")
    dialog.get_by_role("button", name="Issue seed").click()
    shown = page.locator("#shown-value")
    expect(shown).to_be_visible()
    assert public_key(shown.input_value()).startswith("U")
    page.get_by_role("button", name="Done").click()
    row = page.locator("[data-seed='by-page']")
    expect(row).to_contain_text("Seeded")
    row.get_by_role("button", name="Revoke the seed of by-page").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke", exact=True).click()
    expect(row).to_contain_text("revoked")


def test_who_may_not_administer_sees_no_seeds(site: Scene) -> None:
    with site.person("Reader", "viewer") as reader:
        assert reader.get("/api/v1/trainers/seeds").status_code == 403
        assert reader.post(f"/api/v1{PATH}", json={"worker": "w"}).status_code == 403
        assert "data-trainers" not in reader.get("/workers").text
