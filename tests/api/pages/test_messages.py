"""Texts of pages are in templates, or in the `messages.py` of their capability."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import api

API = Path(api.__file__).parent
PAGES = sorted([*API.rglob("page.py"), *API.rglob("*_page.py"), API / "library/view_shown.py"])
PROSE = re.compile(r"[A-Za-z]{2,} [a-z]|^[A-Z][a-z]{2,}")
NOT_HTML = {"client_page.py"}
"""Pages for programs."""


def texts(tree: ast.Module) -> Iterator[ast.Constant]:
    """String literals that a page may show: not docstrings, errors, descriptions of parameters or
    names of types."""
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr | ast.Raise):
            skipped |= set(ast.walk(node))
        if isinstance(node, ast.keyword) and node.arg == "description":
            skipped |= set(ast.walk(node))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.returns:
            skipped |= set(ast.walk(node.returns))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in skipped:
            yield node


def test_pages_hold_no_texts() -> None:
    assert len(PAGES) > 20
    wrong = [
        f"{path.relative_to(API)}:{text.lineno}: {text.value!r}"
        for path in PAGES
        if path.name not in NOT_HTML
        for text in texts(ast.parse(path.read_text(encoding="utf-8")))
        if PROSE.search(str(text.value))
    ]
    assert wrong == []
