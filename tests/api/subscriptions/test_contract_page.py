"""The contract as it is served: the page in a real browser, AsyncAPI, and the schemas."""

from pathlib import Path
from typing import Literal

import pytest
import yaml
from playwright.sync_api import Browser, expect

from adapters.subscriptions.contract.generate import ASYNCAPI
from adapters.subscriptions.contract.payloads import file_name, published
from api.subscriptions.contract_page import fields, kind
from tests.api.scene import Scene

CHECKS = (Path(__file__).parents[1] / "pages_checks.js").read_text()
SCHEMES: tuple[Literal["light"], Literal["dark"]] = ("light", "dark")


def test_the_document_is_served_as_it_is_committed(site: Scene) -> None:
    answer = site.http.get("/asyncapi.yaml")
    assert answer.headers["Content-Type"] == "application/yaml"
    assert answer.text == ASYNCAPI.read_text()
    assert site.http.get("/asyncapi.json").json() == yaml.safe_load(answer.text)


def test_every_schema_is_served_under_its_own_identity(site: Scene) -> None:
    for form, schema in published().items():
        answer = site.http.get(schema["$id"])
        assert answer.headers["Content-Type"] == "application/schema+json", file_name(form)
        assert answer.json() == schema


@pytest.mark.parametrize(
    "path", ["view.created/9.json", "view.painted/1.json", "view.created/1", "view.created/01.json"]
)
def test_a_schema_that_is_not_there_is_said_to_be_missing(site: Scene, path: str) -> None:
    answer = site.http.get(f"/schemas/events/{path}")
    assert answer.status_code == 404
    name, file = path.split("/")
    assert answer.json()["detail"].startswith(f"event {name!r} has no schema {file!r}")


def test_fields_are_told_with_what_is_inside_them() -> None:
    told = {field.path: field for field in fields(published()["version.created", 2])}
    assert "event" not in told
    assert told["number"].kind == "whole number"
    assert told["concepts"].kind == "list of object"
    assert told["concepts[].label"].required
    assert told["initial_weights"].kind == "object or null"
    assert not told["initial_weights"].required
    assert told["initial_weights.blob"].kind == "text"
    assert told["options.augmentations[].parameters"].kind == "object whose values are number"


def test_every_type_has_words() -> None:
    for schema in published().values():
        assert all(field.kind for field in fields(schema))
    assert kind({"enum": ["a", "b"]}) == "'a' or 'b'"


def test_the_page_is_found_read_and_steered(site: Scene, chromium: Browser) -> None:
    context = chromium.new_context(**site.browsing)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.goto("/workers")
    page.get_by_role("link", name="Event reference").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Event reference")
    event = page.locator("[id='version.created']")
    event.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(event.get_by_role("row", name="options.architecture")).to_contain_text("text")
    expect(event.locator("pre")).to_contain_text('"architecture": "resnet18"')
    for width in (1400, 400):
        page.set_viewport_size({"width": width, "height": 900})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            assert page.evaluate(CHECKS) == [], f"{scheme} {width}"
    assert complaints == []
    event.get_by_role("link", name="Schema of version.created, version 1").click()
    page.wait_for_url("**/schemas/events/version.created/1.json")
    context.close()


def test_the_reference_of_the_api_is_found_read_and_steered(site: Scene, chromium: Browser) -> None:
    context = chromium.new_context(**site.browsing)
    page = context.new_page()
    page.goto("/workers")
    page.get_by_role("link", name="HTTP API").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("HTTP API")
    document = site.http.get("/schema/openapi.json").json()
    names = {
        operation["operationId"]
        for methods in document["paths"].values()
        for operation in methods.values()
        if "operationId" in operation
    }
    listed = page.locator("ul.forms > li").evaluate_all("all => all.map((one) => one.id)")
    assert set(listed) == names
    operation = page.locator("[id='start_training']")
    operation.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(operation.get_by_role("row", name="options")).to_contain_text("no")
    expect(operation).to_contain_text("CommandResult")
    for width in (1400, 400):
        page.set_viewport_size({"width": width, "height": 900})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            assert page.evaluate(CHECKS) == [], f"{scheme} {width}"
    context.close()
