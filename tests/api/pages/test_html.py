"""The pages as documents, without a browser: what they say, to whom, under which headers."""

from datetime import UTC, datetime, timedelta

import pytest

from api.dataset import projects_page
from api.overview import home_page
from api.pages.html import ago
from domain.formatting import difference, duration, estimate
from domain.training.messages import Failed
from tests.api.scene import Scene

NASTY = "<img src=x onerror=alert(1)>"
NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)


def get(site: Scene, path: str, status: int = 200) -> str:
    """The page, once the read models show all that has happened."""
    at_least = {"at_least": site.store.head()}
    response = site.http.get(path, params=at_least if "?" not in path else None)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["content-security-policy"].startswith("default-src 'none';")
    assert "<script>" not in response.text
    assert "style=" not in response.text
    return response.text


def test_an_empty_system_says_how_to_make_a_project(server: Scene) -> None:
    page = get(server, "/")
    assert "No projects yet" in page
    assert f"curl {server.url}/api/v1/projects --json" in page


def test_an_empty_project_says_how_to_upload_and_to_ask(site: Scene) -> None:
    page = get(site, f"/projects/{site.project()}")
    assert "No images yet" in page
    assert 'data-upload="/api/v1/projects/' in page
    assert "No views yet" in page


def test_an_empty_view_says_what_a_training_still_needs(site: Scene) -> None:
    project_id = site.project()
    view_id = site.view(project_id)
    page = get(site, f"/views/{view_id}")
    assert "Add at least two." in page
    assert f'href="/projects/{project_id}#upload"' in page
    assert f'href="/projects/{project_id}#split"' in page


def test_a_version_that_waits_has_every_step_and_no_value_yet(site: Scene) -> None:
    _, view_id = site.trainable()
    page = get(site, f"/versions/{site.version(view_id)}")
    for step in ("Queued", "Preparing data", "Training", "Evaluating", "Saving"):
        assert step in page
    assert "Accuracy (validation)" in page
    assert "mAP (validation)" not in page
    assert "not frozen yet" in page


def test_a_failed_version_says_why_and_offers_to_retry(site: Scene) -> None:
    _, view_id = site.trainable()
    version_id = site.version(view_id)
    site.begin(version_id)
    site.report(version_id, Failed("out of memory: choose a smaller batch"))
    assert "out of memory: choose a smaller batch" in get(site, f"/views/{view_id}")
    page = get(site, f"/versions/{version_id}")
    assert "out of memory: choose a smaller batch" in page
    assert f'data-action="/api/v1/versions/{version_id}/retry"' in page


def test_what_ends_a_training_is_offered_while_it_can_be_done(site: Scene) -> None:
    _, view_id = site.trainable()
    version_id = site.version(view_id)
    stop, cancel = (
        f'data-action="/api/v1/versions/{version_id}/{what}"' for what in ("stop", "cancel")
    )

    def offered() -> list[tuple[bool, bool]]:
        pages = [get(site, path) for path in (f"/versions/{version_id}", f"/views/{view_id}")]
        return [(stop in page, cancel in page) for page in [*pages, get(site, "/workers")]]

    assert offered() == [(False, True)] * 3
    site.begin(version_id)
    assert offered() == [(True, True)] * 3
    site.post(f"/versions/{version_id}/stop", None)
    assert offered() == [(False, True)] * 3
    assert "Stopping after this epoch" in get(site, f"/versions/{version_id}")
    site.post(f"/versions/{version_id}/cancel", None)
    assert offered() == [(False, False)] * 3
    page = get(site, f"/versions/{version_id}")
    assert "discarded" in page
    assert "stops after the running epoch" not in page


def test_the_workers_page_says_when_nats_is_not_known(site: Scene) -> None:
    assert "STEMMA_NATS_URL is not set" in get(site, "/workers")
    refused = site.http.get("/api/v1/workers")
    assert (refused.status_code, "STEMMA_NATS_URL" in refused.json()["detail"]) == (503, True)


@pytest.mark.parametrize("path", ["/nothing", "/projects/none", "/views/none", "/versions/none"])
def test_what_is_not_there_is_a_page_that_says_so(site: Scene, path: str) -> None:
    page = get(site, path, 404)
    assert "data-problem-page" in page
    assert "All projects" in page


def test_the_api_keeps_its_own_problems(site: Scene) -> None:
    for path in ("/api/v1/nothing", "/api/v1/projects/none"):
        response = site.http.get(path)
        assert response.status_code == 404
        assert response.headers["content-type"] == "application/problem+json"


def test_an_address_that_makes_no_sense_is_explained(site: Scene) -> None:
    assert "cursor" in get(site, "/?cursor=x", 422)
    assert "annotated" in get(site, f"/projects/{site.project()}?annotated=maybe", 422)


def test_names_are_text(site: Scene) -> None:
    project_id = site.project(NASTY)
    view_id = site.view(project_id, NASTY, "other", name=NASTY)
    for path in ("/", f"/projects/{project_id}", f"/views/{view_id}"):
        page = get(site, path)
        assert "<img src=x" not in page
        assert "&lt;img src=x onerror=alert(1)&gt;" in page


def test_projects_are_listed_by_pages_and_by_name(
    site: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(home_page, "PROJECTS_A_PAGE", 2)
    for number in range(3):
        site.project(f"Paged {number}")
    site.project("Other")
    site.visible()
    first = get(site, "/?name=paged")
    assert "Paged 2" in first
    assert "Paged 1" in first
    assert "Paged 0" not in first
    assert ">Other<" not in first
    following = first.split('rel="next"')[0].rsplit('href="', 1)[1].split('"')[0]
    second = get(site, "/" + following.replace("&amp;", "&"))
    assert "Paged 0" in second
    assert "First page" in second
    assert "Paged 1" not in second
    assert "name contains “zzz”" in get(site, "/?name=zzz")


def test_images_are_listed_by_pages_and_by_what_is_said_of_them(
    site: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projects_page, "IMAGES_A_PAGE", 4)
    project_id, view_id = site.trainable(images=6)
    page = get(site, f"/projects/{project_id}")
    assert page.count("data-image=") == 4
    assert "cursor=" in page
    concepts = site.http.get(f"/api/v1/views/{view_id}").json()["view"]["concepts"]
    zeros = f"/projects/{project_id}?view={view_id}&concept={concepts[0]['concept_id']}"
    assert get(site, zeros).count("data-image=") == 3
    assert get(site, f"/projects/{project_id}?split=validation").count("data-image=") == 2
    none = get(site, f"/projects/{project_id}?view={view_id}&annotated=no")
    assert "No image matches these filters." in none


def test_a_forked_model_names_its_parent(site: Scene) -> None:
    _, view_id = site.trainable()
    site.version(view_id)
    site.concepts(view_id, "two")
    page = get(site, f"/views/{view_id}")
    assert "forked from" in page
    assert "added &#39;two&#39;" in page
    assert page.index("Model 2") < page.index(">Model 1</h3>")


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (-2, "just now"),
        (-90, "in 1 min"),
        (59, "59 s ago"),
        (60, "1 min ago"),
        (7300, "2 h ago"),
        (86400, "1 day ago"),
        (40 * 86400, "2026-06-22"),
    ],
)
def test_times_are_told_in_their_largest_unit(seconds: int, told: str) -> None:
    assert ago(NOW - timedelta(seconds=seconds), NOW) == told


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.6, "1 min 0 s"), (3700, "1 h 1 min"), (90000, "1 d 1 h")],
)
def test_durations_have_two_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(9.6, "10 s"), (119, "1 min 59 s"), (2037, "33 min"), (7500, "2 h 5 min")]
)
def test_estimates_have_no_needless_unit(seconds: float, text: str) -> None:
    assert estimate(seconds) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0151, "+1.5"), (-0.032, "\N{MINUS SIGN}3.2"), (-0.0001, "0.0"), (0, "0.0")],
)
def test_a_difference_of_nothing_has_no_sign(share: float, text: str) -> None:
    assert difference(share) == text
