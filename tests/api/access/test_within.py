"""What is named beyond the path, and what lists show: nothing of projects without a role."""

from typing import Any

import httpx
import pytest

from tests.api.people import People
from tests.api.scene import Scene


class TwoProjects:
    """Two projects alike, and somebody who is an administrator of the first."""

    def __init__(self, site: Scene) -> None:
        self.people = People(site)
        self.site = site
        self.own, self.own_view = site.trainable("Own")
        self.other, self.other_view = site.trainable("Other")
        self.own_version = site.version(self.own_view)
        self.other_version = site.version(self.other_view)
        _, self.insider = self.people.join(("administrator", self.own))
        site.visible()

    def images(self, project: str) -> list[str]:
        found = self.site.http.get(f"/api/v1/projects/{project}/images").json()["items"]
        return [one["image_id"] for one in found]

    def ask(self, method: str, path: str, **content: Any) -> httpx.Response:
        return self.insider.request(method, f"/api/v1{path}", **content)


@pytest.fixture(scope="module")
def two(site: Scene) -> TwoProjects:
    return TwoProjects(site)


def test_lists_hold_only_what_one_may_see(two: TwoProjects) -> None:
    projects = two.ask("GET", "/projects").json()["items"]
    assert {one["project_id"] for one in projects} == {two.own}
    versions = two.ask("GET", "/versions").json()["items"]
    assert {one["version_id"] for one in versions} == {two.own_version}
    others = two.ask("GET", "/versions", params={"view_id": two.other_view}).json()["items"]
    assert others == []
    for page in ("/", "/workers"):
        text = two.insider.get(page).text
        assert two.own_version in text or "Own" in text
        assert two.other_version not in text
        assert "Other" not in text


def test_versions_are_compared_within_what_one_may_see(two: TwoProjects) -> None:
    path = f"/versions/{two.own_version}/compare"
    theirs = two.ask("GET", f"{path}/{two.other_version}")
    none = two.ask("GET", f"{path}/none")
    assert (theirs.status_code, theirs.json()) == (404, none.json())
    assert two.insider.get(f"{path}/{two.other_version}").status_code == 404


def test_images_of_others_are_not_annotated(two: TwoProjects) -> None:
    theirs = two.images(two.other)[0]
    said = {"images": [{"image_id": theirs, "without_concept": False, "annotations": []}]}
    refused = two.ask("POST", f"/views/{two.own_view}/annotations", json=said)
    said["images"][0]["image_id"] = "none"
    none = two.ask("POST", f"/views/{two.own_view}/annotations", json=said)
    assert (refused.status_code, refused.json()) == (404, none.json())
    image = two.images(two.own)[0]
    path = f"/images/{image}/annotations/{two.other_view}"
    assert two.ask("PUT", path, json={"annotations": []}).status_code == 404


def test_a_training_does_not_start_from_what_others_have(two: TwoProjects) -> None:
    def refusal(start: str) -> tuple[int, str]:
        options = {"options": {"architecture": "resnet18", "start_from": start}}
        refused = two.ask("POST", f"/views/{two.own_view}/versions", json=options)
        return refused.status_code, refused.json()["detail"].replace(start, "…")

    assert refusal(two.other_version) == refusal("none")


def test_the_trail_is_told_of_a_project_to_its_auditors(two: TwoProjects) -> None:
    _, auditor = two.people.join(("auditor", two.own))

    def trail(**asked: str) -> httpx.Response:
        return auditor.get("/api/v1/audit/trail", params=asked)

    assert {one["project_id"] for one in trail(project=two.own).json()["items"]} == {two.own}
    assert trail(version=two.own_version).status_code == 200
    assert trail(stream=f"view-{two.own_view}").status_code == 200
    assert trail().status_code == 403
    for asked in (
        {"project": two.other},
        {"project": two.own, "version": two.other_version},
        {"stream": f"view-{two.other_view}"},
        {"stream": "key-none"},
    ):
        assert trail(**asked).status_code == 404, asked
    assert auditor.get("/api/v1/audit/trail/export?format=csv").status_code == 403


def test_bytes_that_others_share_are_not_erased_for_them(two: TwoProjects) -> None:
    image = two.images(two.own)[-1]
    body = {"reason": "asked for"}
    refused = two.ask("POST", f"/images/{image}/erase", json=body)
    assert refused.status_code == 409
    assert "1 project that you cannot see" in refused.json()["detail"]
    refused = two.ask("POST", f"/images/{image}/erase", json=body | {"everywhere": True})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (403, "everywhere")


def test_who_creates_a_project_administers_it(two: TwoProjects) -> None:
    _, trainer = two.people.join(("trainer", two.own))
    made = trainer.post("/api/v1/projects", json={"name": "Mine"}).json()["id"]
    renamed = trainer.patch(f"/api/v1/projects/{made}", json={"name": "Still mine"})
    assert renamed.status_code == 200
    limited = two.people.site.client(
        trainer.post("/api/v1/keys", json={"label": "x", "projects": [two.own]}).json()["key"]
    )
    assert limited.post("/api/v1/projects", json={"name": "More"}).status_code == 403


def test_keys_of_two_accounts_never_meet(two: TwoProjects) -> None:
    path, body = f"/projects/{two.own}/views", {"name": "once", "kind": "tagging"}
    headers = {"Idempotency-Key": "the same"}
    first = two.ask("POST", path, json=body, headers=headers)
    _, another = two.people.join(("annotator", two.own))
    other = another.post(f"/api/v1{path}", json=body, headers=headers)
    assert (first.status_code, other.status_code) == (201, 201)
    assert first.json()["id"] != other.json()["id"]


def test_no_key_is_in_the_way_of_a_service(two: TwoProjects) -> None:
    """Services make the ids of their commands from what they are about, which anybody may know."""
    _, view_id = two.people.site.trainable("In nobody's way")
    version_id = two.people.site.version(view_id)
    headers = {"Idempotency-Key": f"{version_id}/f"}
    taken = two.people.site.http.post("/api/v1/keys", json={"label": "x"}, headers=headers)
    assert taken.status_code == 201
    two.people.site.freeze(version_id)
