"""What `make docs` adds to the guides: pages of all events, of all operations of the API, and of
the Python package.

MkDocs calls it (`hooks` in mkdocs.yml). The first two follow from the committed contracts, the last
from the package's docstrings, by mkdocstrings. It also ranks decisions below guides in the site's
search.
"""

import json
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from api.operations.reference import Field, by_tag, first_paragraph, kind_of

ROOT = Path(__file__).parents[1]
SCHEMAS = ROOT / "adapters" / "subscriptions" / "contract" / "schemas"
OPENAPI = ROOT / "docs" / "openapi.json"
IFRAME_WORKER = ROOT / "api/static/npm/node_modules/iframe-worker/shim/index.js"
"""Lets the site's search run where the browser starts no worker: in pages opened as files."""
DECISIONS_BOOST = 0.2  # of their score in the search; 1 is that of other pages
LINK = re.compile(r"\[([^\]]+)\]\(((?:\.\./)+[^)\s]+)\)")

PYTHON = {
    "Client": ("client", "asynchronous"),
    "Projects and images": ("projects", "images", "imports", "datasets"),
    "Views and models": ("views", "form", "models", "suggestions"),
    "Versions": ("versions", "metrics", "prediction", "experiments"),
    "Evaluation": ("evaluations", "comparisons", "flip_book", "suspects"),
    "Audit and events": ("audit", "proofs", "received", "order", "over_nats"),
    "Administration": ("access", "trainers", "webhooks"),
    "Tables and errors": ("tables", "errors"),
}
"""The modules of the Python package, by what they are about."""

Json = dict[str, Any]


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    pages = {"events": events_page(), "api": api_page(), "python": python_page()}
    for name, content in pages.items():
        files.append(File.generated(config, f"reference/{name}.md", content=content))
    # Where set-up could not fetch it, the search needs a web server.
    shim = IFRAME_WORKER.read_text(encoding="utf-8") if IFRAME_WORKER.exists() else ""
    place = config.extra["polyfills"][0]
    files.append(File.generated(config, place, content=shim))
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: object) -> str:
    """Links to the repository's code become its path: the site does not hold it."""
    if page.file.src_uri.startswith("decisions/"):
        page.meta["search"] = {"boost": DECISIONS_BOOST}

    def without_link(found: re.Match[str]) -> str:
        text, place = found.groups()
        folder = posixpath.dirname(f"docs/{page.file.src_uri}")
        path = posixpath.normpath(posixpath.join(folder, place.partition("#")[0]))
        if path.startswith("docs/"):
            return found[0]
        return text if path in text else f"{text} (`{path}`)"

    return LINK.sub(without_link, markdown)


def events_page() -> str:
    """All events, by the kind of their stream, each with its newest version's fields."""
    newest: dict[str, tuple[int, Json]] = {}
    for path in SCHEMAS.glob("*.json"):
        name, version = path.stem.rsplit(".v", 1)
        if int(version) > newest.get(name, (0, {}))[0]:
            newest[name] = int(version), json.loads(path.read_text(encoding="utf-8"))
    lines = [
        "# Events",
        "",
        f"All {len(newest)} events of the log, in the newest version of each. Each message also has"
        " [the fields that all have in common](../subscriber/index.md#a-message). The schemas are"
        " served at `/schemas/events/NAME/VERSION.json`.",
    ]
    kind = ""
    for name, (number, schema) in sorted(newest.items()):
        if name.partition(".")[0] != kind:
            kind = name.partition(".")[0]
            lines += ["", f"## {kind}"]
        lines += ["", f"### {name}", "", schema.get("description", "")]
        lines += ["", f"Version {number}."]
        required = set(schema.get("required", ()))
        fields = {key: one for key, one in schema["properties"].items() if key != "event"}
        if fields:
            lines += ["", "| field | type | |", "|---|---|---|"]
        for key, field in fields.items():
            note = _cell(first_paragraph(field.get("description", "")))
            optional = "" if key in required else "optional"
            kind = _cell(kind_of(field))
            lines.append(f"| `{key}` | {kind} | {' '.join((optional, note)).strip()} |")
    return "\n".join(lines) + "\n"


def api_page() -> str:
    """All operations of the API, by tag."""
    tags = by_tag(json.loads(OPENAPI.read_text(encoding="utf-8")))
    number = sum(map(len, tags.values()))
    lines = [
        "# HTTP API",
        "",
        f"All {number} operations. [openapi.json](../openapi.json) has every field; a running"
        " system shows the same at `/reference`.",
    ]
    for tag, operations in tags.items():
        lines += ["", f"## {tag}"]
        for operation in operations:
            lines += ["", f"### {operation.summary}", ""]
            lines += [f"`{operation.method} {operation.path}`", "", operation.description, ""]
            lines += _table("query parameter", operation.parameters)
            lines += _table("field of the body", operation.body)
    return "\n".join(lines) + "\n"


def python_page() -> str:
    """The classes of the Python package that people use, by module."""
    lines = [
        "# Python package",
        "",
        "What [the guide](../python.md) shows, with every method. `operations` has a function for"
        " each operation of the [HTTP API](api.md), `answers` and `events` a type for each answer"
        " and [event](events.md).",
    ]
    for heading, modules in PYTHON.items():
        lines += ["", f"## {heading}"]
        for module in modules:
            lines += ["", f"::: stemma_client.{module}"]
    return "\n".join(lines) + "\n"


def _table(what: str, fields: list[Field]) -> Iterator[str]:
    if fields:
        yield from (f"| {what} | type | |", "|---|---|---|")
    for field in fields:
        note = " ".join(("required" if field.required else "", field.note)).strip()
        yield f"| `{field.name}` | {_cell(field.kind)} | {_cell(note)} |"
    yield ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
