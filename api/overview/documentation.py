"""The documentation as pages of the server, so that help is there without a network or a build.

The Markdown files are those of the site that `make docs` builds, see decision 0075.
"""

import posixpath
import re
import sys
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
from litestar import Controller, Response, get
from litestar.params import FromPath
from litestar.response import Template
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

from api.access.rights import OPEN
from api.pages.html import Page, render
from domain.errors import NotFound

FOLDERS = (
    Path(__file__).parents[2] / "docs",
    Path(sys.prefix) / "share" / "stemma" / "docs",
)
"""Where the files are: in the repository, and beside an installed package."""
ELSEWHERE = {
    "reference/api.md": "/reference",
    "reference/events.md": "/asyncapi",
    "openapi.json": "/schema/openapi.json",
    "asyncapi.yaml": "/asyncapi.yaml",
}
"""What the site generates, and where this server has it."""
PICTURES = {".webp": "image/webp", ".svg": "image/svg+xml"}


class Heading(msgspec.Struct, frozen=True):
    anchor: str
    text: str


class Document(msgspec.Struct, frozen=True):
    """A page of the documentation as HTML; `headings` are those of its sections."""

    title: str
    html: str
    headings: list[Heading]


class DocumentPage(Page, frozen=True, kw_only=True):
    name: str
    document: Document


class DocumentationPages(Controller):
    """The documentation. It is open to all: it contains nothing of the log."""

    include_in_schema = False
    opt = OPEN

    @get("/docs", sync_to_thread=True)
    def start(self) -> Template:
        return _rendered("index")

    @get("/docs/{name:path}", sync_to_thread=True)
    def page(self, name: FromPath[str]) -> Template | Response[bytes]:
        key = str(name).strip("/").removesuffix(".md").removesuffix(".html")
        if (suffix := PurePosixPath(key).suffix) in PICTURES:
            picture = files().get(key)
            if picture is None:
                raise NotFound("the documentation has no picture of this name")
            return Response(picture.read_bytes(), media_type=PICTURES[suffix])
        return _rendered(key)


def _rendered(name: str) -> Template:
    for key in (name, f"{name}/index", f"{name}/README"):
        if f"{key}.md" in files():
            return render(
                "overview/documentation.html", DocumentPage(name=key, document=document(key))
            )
    raise NotFound("the documentation has no page of this name")


@cache
def files() -> dict[str, Path]:
    """Pages and pictures by their path below the folder; none where the files are not installed."""
    folder = next((folder for folder in FOLDERS if (folder / "index.md").exists()), None)
    if folder is None:
        return {}
    kept = {".md", *PICTURES}
    return {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.suffix in kept
    }


@cache
def document(name: str) -> Document:
    """A page by its path without `.md`."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    markdown.add_render_rule("fence", _fence)
    tokens = markdown.parse(files()[f"{name}.md"].read_text(encoding="utf-8"))
    title, headings = name, []
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open":
            text = _text_of(inline)
            opening.attrSet("id", anchor_of(text))
            if opening.tag == "h1":
                title = text
            elif opening.tag == "h2":
                headings.append(Heading(anchor_of(text), text))
    for token in tokens:
        for child in token.children or ():
            _redirect(child, name)
    html: str = markdown.renderer.render(tokens, markdown.options, {})
    return Document(title, html, headings)


def anchor_of(text: str) -> str:
    """The anchor of a heading, as MkDocs makes it."""
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", text).strip().lower())


def address_of(link: str, name: str) -> str:
    """Where a link of a page leads on this server; empty if it is to a file of the repository."""
    if re.match(r"[a-z]+:|/|#", link):
        return link
    path, _, anchor = link.partition("#")
    target = posixpath.normpath(posixpath.join(posixpath.dirname(name), path))
    anchored = f"#{anchor}" if anchor else ""
    if target in ELSEWHERE:
        return ELSEWHERE[target]
    if target not in files():
        return ""
    if not target.endswith(".md"):
        return f"/docs/{target}"
    page = target.removesuffix(".md")
    return ("/docs" if page == "index" else f"/docs/{page}") + anchored


def _redirect(token: Token, name: str) -> None:
    side = {"link_open": "href", "image": "src"}.get(token.type)
    if side is None:
        return
    address = address_of(str(token.attrGet(side)), name)
    if address:
        token.attrSet(side, address)
    else:
        token.attrs.pop(side)


def _text_of(inline: Token) -> str:
    return "".join(child.content for child in inline.children or ())


def _fence(
    renderer: RendererHTML,
    tokens: Sequence[Token],
    index: int,
    options: OptionsDict,
    env: EnvType,
) -> str:
    """Code that may be wider than the page can be scrolled by keyboard."""
    html: Any = renderer.fence(tokens, index, options, env)
    return str(html).replace("<pre>", '<pre tabindex="0">', 1)
