"""The guides name nothing that is not there: commands, options, settings, links, API paths."""

import re
import shlex
from functools import cache
from pathlib import Path
from typing import Annotated, get_origin

import click
import msgspec
import pytest
import yaml

from adapters.settings import Settings
from api.app import create_app
from cli.main import main
from domain.event import registry

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
GUIDES = [
    ROOT / "README.md",
    *sorted(path for path in DOCS.rglob("*.md") if path.parent.name != "decisions"),
]
OPERATOR = ROOT / "docs" / "operator"
SETTINGS = {f"STEMMA_{f.name.upper()}": f for f in msgspec.structs.fields(Settings)}

FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
PATH = re.compile(r"[a-z]\w*(?:/[\w.-]+)+/?")
WORD = r"[A-Za-z0-9_.{}$<>…-]+"
API_PATH = re.compile(rf"(?:/api/v1|\$API)((?:/{WORD})+)")
METHODS = {"-d": "post", "-F": "post", "--data-binary": "post"}

each_guide = pytest.mark.parametrize("guide", GUIDES, ids=lambda path: str(path.relative_to(ROOT)))


def shell_lines(text: str) -> list[str]:
    """What a reader would type: lines of unnamed fences, joined where they go on."""
    blocks = [body for language, body in FENCE.findall(text) if language in {"", "sh", "bash"}]
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    joined: list[str] = []
    for line in lines:
        # A quote that is left open goes on in the next line.
        if joined and joined[-1].count("'") % 2:
            joined[-1] += f" {line.strip()}"
        else:
            joined.append(line.strip())
    return joined


def said(text: str) -> list[str]:
    """Everything set as code, inline or as a line to type."""
    return shell_lines(text) + INLINE.findall(FENCE.sub("", text))


def commands(text: str) -> list[list[str]]:
    """The arguments of every `stemma` command, those of `make demo` included."""
    found = []
    for code in said(text):
        if match := re.match(r"(?:\.venv/bin/)?stemma ([a-z-][^|;&#]*)", code):
            found.append(shlex.split(match[1]))
        if match := re.match(r"make demo(?: ARGS=(?:\"([^\"]*)\"|(\S+)))?", code):
            found.append(["demo", *shlex.split(match[1] or match[2] or "")])
    return found


CONTEXT = click.Context(main)


@each_guide
def test_every_command_is_one_that_stemma_takes(guide: Path) -> None:
    general = {option for each in main.get_params(CONTEXT) for option in each.opts}
    for arguments in commands(guide.read_text(encoding="utf-8")):
        named = [n for n, argument in enumerate(arguments) if not argument.startswith("-")]
        place = named[0] if named else len(arguments)
        assert set(arguments[:place]) <= general
        if not named:
            continue
        name, rest = arguments[place], arguments[place + 1 :]
        command = main.get_command(CONTEXT, name)
        assert command is not None, arguments
        try:
            command.make_context(name, rest)
        except click.UsageError as error:
            pytest.fail(f"{guide.name}: stemma {shlex.join(arguments)}: {error.message}")


def test_commands_are_found() -> None:
    """A guard of the tests themselves: a pattern that finds nothing would pass."""
    named = {
        arguments[0]
        for guide in GUIDES
        for arguments in commands(guide.read_text(encoding="utf-8"))
        if arguments
    }
    every = {name: main.get_command(CONTEXT, name) for name in main.list_commands(CONTEXT)}
    shown = {name for name, command in every.items() if command and not command.hidden}
    assert shown <= named, "name them in a guide, such as docs/operator/index.md"


@each_guide
def test_every_make_target_exists(guide: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    used = re.findall(
        r"^make ([\w-]+)", "\n".join(said(guide.read_text(encoding="utf-8"))), re.MULTILINE
    )
    assert set(used) <= targets


@each_guide
def test_every_variable_is_a_setting(guide: Path) -> None:
    assert set(re.findall(r"\bSTEMMA_[A-Z_]*[A-Z]\b", guide.read_text(encoding="utf-8"))) <= set(
        SETTINGS
    )


def settings_table() -> dict[str, list[str]]:
    """The cells of each row of the operator's table, by variable."""
    text = (OPERATOR / "settings.md").read_text()
    rows = re.findall(r"^\| `(STEMMA_\w+)` \|(.*)\|$", text, re.MULTILINE)
    return {name: [cell.strip() for cell in rest.split("|")] for name, rest in rows}


def test_the_table_has_every_setting() -> None:
    assert settings_table().keys() == SETTINGS.keys()


@pytest.mark.parametrize("variable", SETTINGS)
def test_the_table_has_types_and_defaults_right(variable: str) -> None:
    kind, default, meaning = settings_table()[variable]
    field = SETTINGS[variable]
    plain = field.type.__origin__ if get_origin(field.type) is Annotated else field.type
    number = plain in {int, float}
    assert (kind == "number") is number
    if field.default not in {None, "", msgspec.NODEFAULT}:
        assert default == f"`{field.default}`"
    assert meaning


def test_the_compose_variables_are_told() -> None:
    compose = (ROOT / "docker-compose.yml").read_text()
    text = (OPERATOR / "docker-compose.md").read_text()
    table = re.findall(r"^\| `([A-Z_]+)` \|", text, re.MULTILINE)
    assert set(table) == set(re.findall(r"\$\{(\w+)", compose))
    volumes = {"postgres", "nats", "blobs", "weights", "audit"}
    volumes |= {f"nats-{name}" for name in ("access", "server", "backend", "api", "worker")}
    assert set(yaml.safe_load(compose)["volumes"]) == volumes


def test_the_table_of_streams_has_every_event() -> None:
    text = (ROOT / "docs" / "auditor" / "index.md").read_text()
    rows = re.findall(r"^\| `(\w+)-…` \| (.*) \|$", text, re.MULTILINE)
    told = {kind: re.findall(r"`([\w.]+)`", names) for kind, names in rows}
    assert all(name.startswith(f"{kind}.") for kind, names in told.items() for name in names)
    assert sorted(name for names in told.values() for name in names) == sorted(registry())


@cache
def anchors(path: Path) -> frozenset[str]:
    """The anchors of a page's headings, as code hosts make them."""
    headings = re.findall(
        r"^#+ (.+)$", FENCE.sub("", path.read_text(encoding="utf-8")), re.MULTILINE
    )
    return frozenset(re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings)


@each_guide
def test_every_link_leads_somewhere(guide: Path) -> None:
    for link in LINK.findall(FENCE.sub("", guide.read_text(encoding="utf-8"))):
        place, _, anchor = link.partition("#")
        target = (guide.parent / place).resolve() if place else guide
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        assert not anchor or anchor in anchors(target), link


@each_guide
def test_every_file_that_is_named_exists(guide: Path) -> None:
    folders = {path.name for path in ROOT.iterdir() if path.is_dir()}
    for code in INLINE.findall(FENCE.sub("", guide.read_text(encoding="utf-8"))):
        if PATH.fullmatch(code) and code.partition("/")[0] in folders:
            assert (ROOT / code).exists(), code


@pytest.fixture(scope="module")
def routes() -> dict[str, set[str]]:
    """The methods of each path of the API, parameters written as `*`."""
    document = create_app(Settings(data=ROOT)).openapi_schema.to_schema()
    return {re.sub(r"\{\w+\}", "*", path): set(item) for path, item in document["paths"].items()}


def method_of(code: str) -> str | None:
    """The method that a line of curl uses; None where it is not curl."""
    if not code.startswith("curl"):
        return None
    if match := re.search(r"-X ([A-Z]+)", code):
        return match[1].lower()
    return next((method for flag, method in METHODS.items() if f" {flag}" in code), "get")


@each_guide
def test_every_api_path_is_a_route(guide: Path, routes: dict[str, set[str]]) -> None:
    for code in said(guide.read_text(encoding="utf-8")):
        for path in API_PATH.findall(code):
            pattern = re.sub(r"/(?:\$|\{|<|…)[^/]*", "/*", f"/api/v1{path.rstrip('.')}")
            assert pattern in routes, f"{guide.name}: {code}"
            assert method_of(code) in {None, *routes[pattern]}, f"{guide.name}: {code}"


def test_most_of_the_api_is_told(routes: dict[str, set[str]]) -> None:
    """A guard of the tests themselves."""
    text = "\n".join(code for guide in GUIDES for code in said(guide.read_text()))
    told = {re.sub(r"/\$[^/]*", "/*", f"/api/v1{path}") for path in API_PATH.findall(text)}
    assert len(told & set(routes)) > len(routes) / 2
