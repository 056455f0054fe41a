"""Untrusted XML, parsed into a small tree with line numbers."""

from __future__ import annotations

from pathlib import Path
from xml.sax import SAXException, SAXParseException
from xml.sax.handler import ContentHandler
from xml.sax.xmlreader import AttributesImpl, Locator

import msgspec
from defusedxml import sax  # type: ignore[import-untyped]
from defusedxml.common import DefusedXmlException  # type: ignore[import-untyped]

from adapters.formats.sources import DEEPEST, Flaw, read_bytes

LARGEST = 8_000_000
"""The most bytes of one XML. Usual ones have kilobytes; the tree of a huge one fills the memory."""


class Element(msgspec.Struct):
    tag: str
    line: int
    content: str = ""
    children: list[Element] = []

    def all(self, tag: str) -> list[Element]:
        return [child for child in self.children if child.tag == tag]

    def text(self, path: str) -> str:
        """The text at a path such as `size/width`, stripped. Raises `Flaw` if there is none."""
        element = self
        for tag in path.split("/"):
            matches = element.all(tag)
            if len(matches) != 1:
                raise Flaw(
                    f"<{element.tag}> on line {element.line} needs one <{tag}>, not {len(matches)}"
                )
            element = matches[0]
        return element.content.strip()


def parse(folder: Path, path: str, max_bytes: int) -> Element:
    """The root of an XML file.

    Raises `Flaw` with the line for a file that is damaged or has a DTD (DTDs can declare
    entities), and `Invalid` for one that is too large.
    """
    data = read_bytes(folder, path, min(max_bytes, LARGEST))
    tree = _Tree()
    try:
        sax.parseString(data, tree, forbid_dtd=True)
    except DefusedXmlException as error:
        raise Flaw("the XML has a DTD or entities, which are not read; remove them") from error
    except SAXParseException as error:
        reason = f"line {error.getLineNumber()}: the XML is damaged: {error.getMessage()}"
        raise Flaw(reason) from error
    except (SAXException, ValueError, LookupError) as error:
        raise Flaw(f"the XML is damaged: {error}") from error
    if tree.root is None or tree.root.tag != "annotation":
        raise Flaw("the XML is not Pascal VOC: its root is not <annotation>")
    return tree.root


class _Tree(ContentHandler):
    def __init__(self) -> None:
        super().__init__()
        self.root: Element | None = None
        self._open: list[Element] = []
        self._locator: Locator | None = None

    def setDocumentLocator(self, locator: Locator) -> None:  # noqa: N802
        self._locator = locator

    def startElement(self, name: str, attrs: AttributesImpl) -> None:  # noqa: N802, ARG002
        line = (self._locator and self._locator.getLineNumber()) or 0
        if len(self._open) >= DEEPEST:
            raise Flaw(f"line {line}: the XML nests too deeply")
        element = Element(name, line)
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)

    def endElement(self, name: str) -> None:  # noqa: N802, ARG002
        self._open.pop()

    def characters(self, content: str) -> None:
        self._open[-1].content += content
