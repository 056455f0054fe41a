"""Texts of pages are in templates, or in the `messages.py` or `messages.js` of their capability."""

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
SCRIPTS = sorted(path for path in (API / "static").rglob("*.js") if "npm" not in path.parts)
CATALOGUES = {"messages.js", "numbers.js", "times.js"}
"""Texts, and the one form of numbers and of times."""
TOKENS = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/)
    | (?P<text>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
    | (?P<template>`(?:\\.|[^`\\])*`)
    | (?<=[(,=:\[!&|?{};\n]) \s*
      (?P<pattern>/(?![/*])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n\[])+/)""",
    re.VERBOSE | re.DOTALL,
)
SELECTS = re.compile(r"(querySelector(All)?|closest|matches|one|press)\($")
"""What stands before a selector, or the name of an attribute."""
NO_TEXTS = re.compile(
    r"""^(\./|\.\./|/|[a-z0-9-]+/|[A-Z][a-z]+(-[A-Z][a-z]+)+$|(hsl|rgb|calc)\()
    | ^(Accept|Arrow(Up|Down|Left|Right)|Backspace|Delete|Enter|Escape|Files|None|Shift|Tab)$
    | ^(line|handle|badge)\ (suggested\ )?(hue-|\{) | ^(shot\ large|chip\ link|true\ chosen)$
    | ^\.3rem\ solid | ^\{\}px | ^\(prefers-
    | ^reported\.$ | ^main\[|\[data-|\[role=|:not\(|^input,|^0\ 0\ |^xMid""",
    re.VERBOSE,
)
"""Paths, headers, names of keys, classes, styles and selectors."""


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


def script_texts(source: str) -> Iterator[tuple[int, str]]:
    """The literals of a script that are no selectors, with their lines; values are `{}`."""
    for token in TOKENS.finditer(source):
        literal = token["text"] or token["template"]
        if literal is None or SELECTS.search(source[: token.start()]):
            continue
        inner = list(script_texts_within(literal)) if token["template"] else []
        for text in [re.sub(r"\$\{(?:[^{}]|\{[^{}]*\})*\}", "{}", literal[1:-1]), *inner]:
            yield source.count("\n", 0, token.start()) + 1, text


def script_texts_within(template: str) -> Iterator[str]:
    """The literals in the values of a template."""
    for value in re.findall(r"\$\{((?:[^{}]|\{[^{}]*\})*)\}", template):
        yield from (text[1:-1] for text in re.findall(r""""[^"]*"|'[^']*'""", value))


SCRIPT_PROSE = re.compile(
    r"[A-Za-z]{2,}[,;:]? [a-z{]|\} [a-z]{2,}|^[A-Z][a-z]{2,}|[a-z]{2}[.…]$|^ ?(by|not|of|nothing)$"
)


def test_scripts_hold_no_texts() -> None:
    assert len(SCRIPTS) > 80
    wrong = [
        f"{path.relative_to(API)}:{line}: {text!r}"
        for path in SCRIPTS
        if path.name not in CATALOGUES
        for line, text in script_texts(path.read_text(encoding="utf-8"))
        if SCRIPT_PROSE.search(text) and not NO_TEXTS.search(text)
    ]
    assert wrong == []
