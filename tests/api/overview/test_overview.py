"""The search by name, what waits for people, and the documentation, as calls without a browser."""

import html
import re
from datetime import timedelta

import httpx
import pytest

from api.overview.documentation import document, files
from domain.access.account import account_id
from domain.training.messages import EpochItems, Failed
from projections.overview import tasks
from tests.api.scene import DIGEST, Scene

LOCAL = re.compile(r'href="(#[^"]*)"')
"""Links to a place of the same page."""
NOT_THERE_YET = {409, 410, 503}
"""Pages and files that exist, of a version without stored files, and of workers without NATS."""
OPENED_BY_SCRIPT = {"start-experiment"}


def found(site: Scene, text: str, who: httpx.Client | None = None, limit: int = 20) -> list[str]:
    """What a search finds, each by its kind and name."""
    params: dict[str, str | int] = {
        "text": text,
        "at_least": site.store.head(),
        "limit": limit,
    }
    answer = (who or site.http).get("/api/v1/search", params=params)
    assert answer.is_success, answer.text
    return [f"{item['kind']} {item['name']}" for item in answer.json()["items"]]


def member(site: Scene, name: str, role: str, project_id: str) -> httpx.Client:
    """Somebody with a role in one project only."""
    site.post("/accounts", {"name": name})
    site.post(f"/accounts/{account_id(name)}/roles", {"role": role, "project_id": project_id})
    key = {"label": "test", "account_id": account_id(name)}
    return site.client(site.post("/keys", key)["key"])


def test_projects_views_concepts_and_versions_are_found_by_name(site: Scene) -> None:
    project, view = site.trainable("Harbour")
    site.concepts(view, "old harbour", "a 100% harbour")
    other = site.view(project, "buoy", name="harbour")
    options = {"name": "Harbour 1", "options": {}}
    version = str(site.post(f"/views/{view}/versions", options)["id"])
    assert found(site, "HARBOUR") == [
        "project Harbour",
        "view harbour",
        "version Harbour 1",
        "concept a 100% harbour",
        "concept old harbour",
    ]
    assert found(site, "0% h") == ["concept a 100% harbour"], "signs of LIKE are plain text"
    assert found(site, version) == ["version Harbour 1"], "an id"
    assert found(site, "harbour", limit=1) == ["project Harbour"]
    answer = site.http.get("/api/v1/search?text=harbour&limit=1").json()
    assert answer["more"]
    assert answer["items"][0]["page"] == f"/projects/{project}"
    # What is archived or removed is not found.
    assert site.http.delete(f"/api/v1/views/{other}").is_success
    assert site.http.post(f"/api/v1/versions/{version}/cancel").is_success
    assert site.http.delete(f"/api/v1/versions/{version}").is_success
    assert found(site, "harbour") == [
        "project Harbour",
        "concept a 100% harbour",
        "concept old harbour",
    ]
    # Others find only what is in their projects.
    visitor = member(site, "visitor", "viewer", site.project("Harbour of others"))
    assert found(site, "harbour", visitor) == ["project Harbour of others"]
    assert site.http.get("/api/v1/search?text=").status_code == 422


def test_the_page_of_a_search_leads_to_the_only_result(site: Scene) -> None:
    project = site.project("Lighthouse")
    site.visible()
    answer = site.http.get("/search?text=lighthouse", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/projects/{project}")
    second = site.project("Lighthouse 2")
    site.visible()
    page = site.http.get("/search?text=lighthouse").text
    assert page.index(f'data-found="{project}"') < page.index(f'data-found="{second}"')
    assert "has this in its name" in site.http.get("/search?text=no+such+thing").text


def tasks_of(site: Scene, who: httpx.Client, view: str) -> list[tuple[str, int]]:
    """Somebody's tasks in a view, each with its number."""
    answer = who.get("/api/v1/tasks", params={"at_least": site.store.head()})
    assert answer.is_success, answer.text
    told = answer.json()["tasks"]
    of_view = [one for one in told["annotate"] if one["view_id"] == view]
    return [
        *(("failed", 1) for one in told["failed"] if one["view_id"] == view),
        *(("annotate", one["to_annotate"]) for one in of_view if one["to_annotate"]),
        *(("review", one["to_review"]) for one in of_view if one["to_review"]),
        *(("check", 1) for one in told["check"] if one["view_id"] == view),
    ]


def test_tasks_come_and_go_with_what_happens(site: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    project, view = site.trainable("Tasks")
    trainer = member(site, "trainer", "trainer", project)
    annotator = member(site, "annotator", "annotator", project)
    viewer = member(site, "viewer", "viewer", project)
    assert tasks_of(site, trainer, view) == []
    assert site.http.get(f"/projects/{project}").is_success
    images = site.images(project, 13)
    assert tasks_of(site, trainer, view) == [("annotate", 3)]
    assert site.http.put(f"/api/v1/images/{images[0]}/reviews/{view}").is_success
    assert tasks_of(site, annotator, view) == [("annotate", 3), ("review", 9)]
    assert tasks_of(site, viewer, view) == []

    failed = site.version(view)
    site.begin(failed)
    site.report(failed, Failed("out of memory"))
    assert tasks_of(site, trainer, view)[0] == ("failed", 1)
    assert ("failed", 1) not in tasks_of(site, annotator, view)
    with monkeypatch.context() as later:
        later.setattr(tasks, "FAILED_FOR", timedelta())
        assert ("failed", 1) not in tasks_of(site, trainer, view)
    ready = site.version(view)
    assert ("failed", 1) not in tasks_of(site, trainer, view), "it is trained again"
    site.begin(ready)
    site.report(ready, EpochItems(1, 10, DIGEST, 10, 10, 0.5))
    assert ("check", 1) not in tasks_of(site, annotator, view), "it is still in training"
    site.epoch(ready, 1)
    site.finish(ready)
    assert ("check", 1) in tasks_of(site, annotator, view)
    home = annotator.get("/").text
    assert f'href="/versions/{ready}/suspects"' in home
    assert f'href="/views/{view}/annotate?annotated=no"' in home
    assert "What needs you" not in viewer.get("/").text


def test_the_suspects_to_check_are_those_of_the_best_version(site: Scene) -> None:
    project, view = site.trainable("Best first")
    annotator = member(site, "best-first", "annotator", project)
    made = []
    for held_out in (0.9, 0.3, 0.6):
        made.append(site.version(view))
        site.begin(made[-1])
        site.report(made[-1], EpochItems(1, 10, DIGEST, 10, 10, 0.5))
        site.epoch(made[-1], 1, held_out=held_out)
        site.finish(made[-1])
    site.visible()
    home = annotator.get("/").text
    shown = [version for version in made if f'href="/versions/{version}/suspects"' in home]
    assert shown == [made[1]]


def test_unfinished_trainings_of_ones_projects_are_counted(site: Scene) -> None:
    project, view = site.trainable("Counted")
    mine = member(site, "counting", "viewer", project)

    def count(who: httpx.Client) -> int:
        at = {"at_least": site.store.head()}
        return int(who.get("/api/v1/trainings/count", params=at).json()["unfinished"])

    before = count(site.http)
    versions = [site.version(view) for _ in range(2)]
    _, other = site.trainable("Of others")
    site.version(other)
    assert (count(site.http), count(mine)) == (before + 3, 2)
    site.begin(versions[0])
    site.finish(versions[0])
    assert count(mine) == 1


def test_the_documentation_is_open_and_its_links_lead_somewhere(site: Scene) -> None:
    with site.nobody() as anyone:
        assert "<h1" in anyone.get("/docs").text
        assert 'id="keys"' in anyone.get("/docs/vision-team/annotating").text
        assert anyone.get("/docs/glossary.md").is_success
        picture = anyone.get("/docs/pictures/version.webp")
        assert picture.headers["content-type"] == "image/webp"
        for path in ("/docs/none", "/docs/..%2fREADME", "/docs/pictures/none.webp"):
            assert anyone.get(path).status_code == 404
    pages = [name.removesuffix(".md") for name in files() if name.endswith(".md")]
    anchors = {name: set(re.findall(r'id="([^"]*)"', document(name).html)) for name in pages}
    for name in pages:
        for link in re.findall(r'(?:href|src)="(/docs[^"]*)"', document(name).html):
            path, _, anchor = link.removeprefix("/docs").strip("/").partition("#")
            page = path or "index"
            assert page in files() or page in anchors, f"{name}: {link}"
            assert not anchor or anchor in anchors[page], f"{name}: {link}"


def test_every_link_of_every_page_leads_somewhere(site: Scene) -> None:
    """One page of each form, from home on: its links, and their anchors, are there."""
    project, view = site.trainable("Linked")
    version = site.version(view)
    site.begin(version)
    site.epoch(version, 1)
    site.finish(version)
    site.version(view)
    site.images(project, 11)
    site.visible()
    pages: dict[str, str] = {}
    forms: set[str] = set()
    waiting = [("", "/"), ("", "/workers"), ("", "/audit"), ("", "/webhooks"), ("", "/access")]
    dead = []
    while waiting:
        place, link = waiting.pop()
        address, _, anchor = html.unescape(link).partition("#")
        form = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", address.partition("?")[0])
        if address not in pages and form in forms:
            continue
        forms.add(form)
        if address not in pages:
            answer = site.http.get(address, headers={"Accept": "text/html"})
            is_page = answer.headers["content-type"].startswith("text/html")
            pages[address] = answer.text if is_page else ""
            if answer.status_code >= 400 and answer.status_code not in NOT_THERE_YET:
                dead.append(f"{place}: {link} {answer.status_code}")
            found = re.findall(r'href="(/[^"]*)"', pages[address])
            waiting += [(address, one) for one in found if not one.startswith("/static/")]
            waiting += [(address, f"{address}{one}") for one in LOCAL.findall(pages[address])]
        known = set(re.findall(r'id="([^"]*)"', pages[address]))
        known |= OPENED_BY_SCRIPT
        if anchor and "=" not in anchor and pages[address] and anchor not in known:
            dead.append(f"{place}: {link} lacks its anchor")
    assert not dead, "\n".join(dead)
    assert {"/views/ID/lineage", "/projects/ID/imports", "/versions/ID/suspects"} <= forms
