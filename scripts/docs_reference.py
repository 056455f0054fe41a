"""What `make docs` adds to the guides: pages of all events and of all operations of the API.

MkDocs calls it (`hooks` in mkdocs.yml). Both pages follow from the committed contracts.
"""

import json
import posixpath
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
SCHEMAS = ROOT / "adapters" / "subscriptions" / "contract" / "schemas"
OPENAPI = ROOT / "docs" / "openapi.json"
METHODS = ("get", "post", "put", "patch", "delete")
LINK = re.compile(r"\[([^\]]+)\]\(((?:\.\./)+[^)\s]+)\)")

Json = dict[str, Any]


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    for name, content in (("events", events_page()), ("api", api_page())):
        files.append(File.generated(config, f"reference/{name}.md", content=content))
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: object) -> str:
    """Links to the repository's code become its path: the site does not hold it."""

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
        " [the fields that all have in common](../subscriber.md#a-message). The schemas are served"
        " at `/schemas/events/NAME/VERSION.json`.",
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
            note = _first_line(field.get("description", ""))
            optional = "" if key in required else "optional"
            lines.append(f"| `{key}` | {_type(field)} | {' '.join((optional, note)).strip()} |")
    return "\n".join(lines) + "\n"


def api_page() -> str:
    """All operations of the API, by tag."""
    document = json.loads(OPENAPI.read_text(encoding="utf-8"))
    by_tag: dict[str, list[tuple[str, str, Json]]] = {}
    for path, methods in document["paths"].items():
        for method in METHODS:
            if operation := methods.get(method):
                by_tag.setdefault(operation["tags"][0], []).append((method, path, operation))
    number = sum(map(len, by_tag.values()))
    lines = [
        "# HTTP API",
        "",
        f"All {number} operations below `/api/v1`. [openapi.json](../openapi.json) has every field,"
        " and a running system serves it at `/schema/openapi.json`.",
    ]
    for tag, operations in sorted(by_tag.items()):
        lines += ["", f"## {tag}"]
        for method, path, operation in operations:
            lines += ["", f"### {operation['summary']}", "", f"`{method.upper()} {path}`", ""]
            lines += [operation.get("description", ""), ""]
            lines += _parameters(operation)
            lines += _body(operation, document)
    return "\n".join(lines) + "\n"


def _parameters(operation: Json) -> Iterator[str]:
    shown = [
        parameter for parameter in operation.get("parameters", ()) if parameter["in"] == "query"
    ]
    if shown:
        yield from ("| parameter | type | |", "|---|---|---|")
    for parameter in shown:
        note = _first_line(parameter.get("description", ""))
        yield f"| `{parameter['name']}` | {_type(parameter['schema'])} | {note} |"


def _body(operation: Json, document: Json) -> Iterator[str]:
    content: Json = operation.get("requestBody", {}).get("content", {})
    schema: Json = next((form["schema"] for form in content.values()), {})
    name = schema.get("$ref", "").rpartition("/")[2]
    fields = document["components"]["schemas"].get(name, {})
    if not fields.get("properties"):
        return
    required = set(fields.get("required", ()))
    yield from ("", "| field of the body | type | |", "|---|---|---|")
    for key, field in fields["properties"].items():
        note = _first_line(field.get("description", ""))
        must = "required" if key in required else ""
        yield f"| `{key}` | {_type(field)} | {' '.join((must, note)).strip()} |"


def _type(schema: Json) -> str:
    """A type in a few words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    for several in ("oneOf", "anyOf"):
        if several in schema:
            return _joined(_type(one) for one in schema[several])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if kind == "object" and "title" in schema:
        return str(schema["title"])
    return _joined(kind) if isinstance(kind, list) else str(kind)


def _joined(kinds: Iterable[str]) -> str:
    return " or ".join(dict.fromkeys(kinds))


def _first_line(text: str) -> str:
    """A description in a cell of a table."""
    return " ".join(text.partition("\n\n")[0].split()).replace("|", "\\|")
